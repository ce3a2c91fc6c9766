"""A toy store, and a test of it with the plugin, as text."""

import textwrap

# A store of two fields in a mapped file that must always be equal: x, y, and the old value of both with a flag.
TOY = textwrap.dedent('''
    import mmap, os, struct, sys

    path, method = sys.argv[1:3]
    file = os.open(path, os.O_RDWR | os.O_CREAT)
    os.ftruncate(file, 4096)
    m = mmap.mmap(file, 4096)

    def get(at): return struct.unpack_from("<Q", m, at)[0]
    def put(at, value): struct.pack_into("<Q", m, at, value)

    def recover():
        if get(24):
            put(0, get(16)); put(8, get(16)); put(24, 0)

    def add():
        if method == "log":
            put(16, get(0)); put(24, 1)
        put(0, get(0) + 1)
        put(8, get(8) + 1)
        put(24, 0)

    if method == "show":
        recover()
        print(get(0), get(8))
    else:
        print("begin", flush=True)
        add()
        print("end", flush=True)
        os._exit(0)  # the interpreter's end has more instructions than all the rest
''')

TEST = textwrap.dedent('''
    import sys
    import pytest
    from lightning_faults import count, spread

    COMMAND = [sys.executable, "-s", "-S", "toy.py", "store"]
    TOTAL = count([*COMMAND, METHOD], after_line="begin", until_line="end")["instructions"]

    @pytest.mark.kill_at(instructions=spread(TOTAL, 24), after_line="begin")
    def test_fields_are_equal(clients, kill_point, monkeypatch, tmp_path):
        import shutil
        shutil.copy("toy.py", tmp_path)
        monkeypatch.chdir(tmp_path)
        clients.start([*COMMAND, METHOD], at=kill_point).wait()
        x, y = clients.run([*COMMAND, "show"]).split()
        assert x == y
''')
