"""Drives the real lightning-store, one segment of its own for each test.

The program is $LIGHTNING_BIN (the program, or the folder that holds it), else build/release/bin/lightning-store.
"""

import base64
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMANDS = "create put get delete list stat check recover reap top dump watch".split()
ALL_BYTES = bytes(range(256))


def program():
    path = pathlib.Path(os.environ.get("LIGHTNING_BIN") or ROOT / "build/release/bin")
    if path.is_dir():
        path = path / "lightning-store"
    assert os.access(path, os.X_OK), f"{path} is no program: build it, or set LIGHTNING_BIN"
    return str(path)


class Tool:
    """Runs commands on one segment."""

    def __init__(self, folder):
        self.folder = folder
        self.segment = str(folder / "segment")
        self.started = []

    def arguments(self, *args):
        # The options stand in front: behind a "--" of the test they would be keys.
        return [program(), args[0], "-s", self.segment, *args[1:]]

    def run(self, *args, code=0, **more):
        done = subprocess.run(self.arguments(*args), capture_output=True, timeout=60, **more)
        assert done.returncode == code, (args, done.returncode, done.stdout[-500:], done.stderr)
        if code == 0:
            assert done.stderr == b"", (args, done.stderr)
        return done

    def out(self, *args, **more):
        return self.run(*args, **more).stdout

    def json(self, *args, **more):
        return json.loads(self.out(*args, "--json", **more))

    def fails(self, *args, code=1, name, **more):
        """Exactly one line on standard error, of the form that scripts rely on."""
        done = self.run(*args, code=code, **more)
        line = done.stderr.decode()
        assert re.fullmatch(r"lightning-store: [A-Z_]+: [^\n]+\n", line), line
        assert line.split(": ")[1] == name, line
        return line

    def create(self, *args):
        self.run("create", "--size", "8M", "--max-objects", "512", *args)

    def start(self, *args, **more):
        # Unbuffered, so that select() on a pipe tells the truth.
        more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "bufsize": 0, **more}
        process = subprocess.Popen(self.arguments(*args), **more)
        self.started.append(process)
        return process

    def watch(self, *args):
        """A watcher that has subscribed already."""
        process = self.start("watch", *args)
        assert process.stderr.readline().startswith(b"lightning-store: watching ")
        return process


@pytest.fixture
def tool():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lightning-cli-test-", dir="/dev/shm"))
    made = Tool(folder)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.kill()
        process.communicate()
    shutil.rmtree(folder)


# Usage.


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(command):
    done = subprocess.run([program(), command, "--help"], capture_output=True, timeout=60)
    assert done.returncode == 0
    assert f"Example: lightning-store {command}".encode() in done.stdout
    assert b"--segment" in done.stdout and b"--json" in done.stdout


def test_help_names_every_command():
    done = subprocess.run([program(), "--help"], capture_output=True, timeout=60)
    assert done.returncode == 0
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", done.stdout.decode(), re.M), command


@pytest.mark.parametrize(
    "args",
    [
        ["nonsense"],
        ["stat", "--nonsense"],
        ["stat", "extra"],
        ["get"],
        ["delete"],
        ["put"],
        ["put", "key"],
        ["put", "key", "value", "more"],
        ["put", "key", "value", "--file", "x"],
        ["put", "--batch", "pair"],
        ["put", "key", "value", "--size", "1M"],  # without --create
        ["put", "key", "value", "--if-version", "x"],
        ["get", "key", "--key-hex"],
        ["get", "6", "--key-hex"],
        ["get", "key", "--wait", "nan"],
        ["get", "key", "--wait=-1"],
        ["create", "--size", "big"],
        ["create", "--max-clients=-1"],
        ["create", "--eviction", "random"],
        ["stat", "--isolation", "magic"],
        ["top", "--interval", "0"],
    ],
)
def test_wrong_usage_is_2(tool, args):
    tool.fails(*args, code=2, name="USAGE")
    assert not os.path.exists(tool.segment)


def test_no_command_is_wrong_usage():
    done = subprocess.run([program()], capture_output=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith(b"lightning-store: USAGE: ")


def test_segment_from_the_environment(tool):
    tool.create()
    tool.run("put", "key", "value")
    env = {**os.environ, "LIGHTNING_SEGMENT": tool.segment}
    assert subprocess.run([program(), "get", "key"], env=env, capture_output=True, timeout=60).stdout == b"value"
    # An option counts more, on either side of the command.
    env["LIGHTNING_SEGMENT"] = tool.segment + "-absent"
    for args in (["-s", tool.segment, "get", "key"], ["get", "-s", tool.segment, "key"]):
        assert subprocess.run([program(), *args], env=env, capture_output=True, timeout=60).stdout == b"value"
    assert subprocess.run([program(), "get", "key"], env=env, capture_output=True, timeout=60).returncode == 1


# Segments.


@pytest.mark.parametrize("args", [["put", "k", "v"], ["get", "k"], ["delete", "k"], ["list"], ["stat"], ["recover"],
                                  ["reap", "--once"], ["top"], ["dump"], ["watch"]])
def test_an_absent_segment_is_not_made(tool, args):
    line = tool.fails(*args, name="NO_SEGMENT")
    assert f"lightning-store create -s {tool.segment}" in line
    assert not os.path.exists(tool.segment)


def test_check_of_an_absent_segment(tool):
    tool.fails("check", name="NO_SEGMENT")


def test_create(tool):
    made = tool.json("create", "--size", "16M", "--max-objects", "77", "--max-clients", "5", "--eviction", "lru")
    assert made["created"] is True
    stat = tool.json("stat")
    assert stat["segment"] == tool.segment
    assert os.path.getsize(tool.segment) == stat["segment_size"] == 16 << 20
    assert stat["objects_max"] >= 77 and stat["clients_max"] == 5 and stat["eviction"] == "lru"
    assert os.stat(tool.segment).st_mode & 0o777 == 0o600


def test_create_finds_a_segment_there(tool):
    tool.create()
    tool.run("put", "key", "value")
    tool.fails("create", name="ALREADY_EXISTS")
    assert tool.json("create", "--size", "32M", "--if-absent")["created"] is False
    assert os.path.getsize(tool.segment) == 8 << 20
    assert tool.out("get", "key") == b"value"


def test_a_small_segment_has_small_tables(tool):
    stat = tool.json("create", "--size", "2000000")
    assert stat["segment_size"] == 2002944  # whole pages
    assert 0 < stat["objects_max"] < 1000
    tool.run("put", "key", "x" * 1000)


def test_a_geometry_that_cannot_be(tool):
    tool.fails("create", "--size", "64K", code=2, name="INVALID_ARGUMENT")
    tool.fails("create", "--max-clients", "0", code=2, name="INVALID_ARGUMENT")
    assert not os.path.exists(tool.segment)


def test_put_create(tool):
    tool.run("put", "key", "value", "--create", "--size", "4M")
    assert os.path.getsize(tool.segment) == 4 << 20
    tool.run("put", "key", "other", "--create", "--size", "64M")
    assert os.path.getsize(tool.segment) == 4 << 20
    assert tool.out("get", "key") == b"other"


def test_stat(tool):
    tool.create()
    before = tool.json("stat")
    assert before["isolation"] in ("keys", "mprotect", "hidden", "none")
    assert (before["objects"], before["bytes_used"], before["clients"], before["recoveries"]) == (0, 0, 1, 0)
    tool.run("put", "key", "x" * 1000)
    after = tool.json("stat")
    assert after["objects"] == 1
    assert 1000 <= after["bytes_used"] <= 4096
    assert after["bytes_free"] <= before["bytes_free"] - after["bytes_used"]
    text = tool.out("stat").decode()
    assert "isolation" in text and tool.segment in text


@pytest.mark.parametrize("mode", ["mprotect", "hidden", "none"])
def test_isolation_as_asked_for(tool, mode):
    tool.create()
    assert tool.json("stat", "--isolation", mode)["isolation"] == mode


def has_keys():
    return re.search(r"\bospke\b", pathlib.Path("/proc/cpuinfo").read_text()) is not None


@pytest.mark.skipif(has_keys(), reason="this machine has protection keys")
def test_keys_on_a_machine_without_them_is_77(tool):
    tool.fails("create", "--isolation", "keys", code=77, name="UNSUPPORTED")
    assert not os.path.exists(tool.segment)
    tool.create()
    tool.fails("put", "key", "value", "--isolation", "keys", code=77, name="UNSUPPORTED")
    tool.fails("get", "key", name="NOT_FOUND")


@pytest.mark.skipif(not has_keys(), reason="this machine lacks protection keys")
def test_keys_where_the_machine_has_them(tool):
    tool.create("--isolation", "keys")
    tool.run("put", "key", "value", "--isolation", "keys")
    assert tool.json("stat")["isolation"] == "keys"


# Objects.


def test_put_and_get_every_byte(tool):
    tool.create()
    value = ALL_BYTES * 300
    file = tool.folder / "value"
    file.write_bytes(value)
    tool.run("put", "from-file", "--file", str(file))
    tool.run("put", "from-stdin", "-", input=value)
    tool.run("put", "empty", "")
    tool.run("put", "empty-stdin", "-", input=b"")
    assert tool.out("get", "from-file") == value
    assert tool.out("get", "from-stdin") == value
    assert tool.out("get", "empty") == b""
    assert tool.out("get", "empty-stdin") == b""
    assert tool.out("get", "from-file", "--output", str(tool.folder / "copy")) == b""
    assert (tool.folder / "copy").read_bytes() == value


def test_arguments_that_a_parser_might_read_otherwise(tool):
    tool.create()
    odd = ["[a,b]", "{}", "++", "%%", "[]", "+x", "list", "get", "a=b", " ", "\x01mark", "'\"", "a\\b", "-"]
    for key in odd:
        tool.run("put", key, "value of " + key)
    for key in odd:
        assert tool.out("get", key).decode() == "value of " + key
    for value in odd[:-1]:  # a value of "-" is standard input
        tool.run("put", "key", value)
        assert tool.out("get", "key").decode() == value
        tool.run("put", "key", "v", "--metadata", value)
        assert tool.out("get", "key", "--metadata").decode() == value
    tool.run("put", "--", "-dash", "--value")
    assert tool.out("get", "--", "-dash") == b"--value"
    tool.run("put", "--", "--", "5")
    assert tool.out("get", "--", "--") == b"5"
    tool.run("put", "--batch", "[x]=[1,2]", "{}={}")
    assert tool.out("get", "[x]") == b"[1,2]"
    deleted = tool.json("delete", "[a,b]", "{}", "++", "[x]")
    assert [entry["key"] for entry in deleted["deleted"]] == ["[a,b]", "{}", "++", "[x]"]


def test_keys_in_hexadecimal(tool):
    tool.create()
    key = ALL_BYTES.hex()
    tool.run("put", key, "value", "--key-hex")
    assert tool.out("get", key.upper(), "--key-hex") == b"value"
    (entry,) = tool.json("list")["objects"]
    assert entry["key"] is None and entry["key_hex"] == key
    assert tool.out("list", "0001", "--key-hex").startswith(b"\\x00\\x01")
    assert tool.out("list", "0002", "--key-hex") == b""
    tool.run("put", "--batch", "--key-hex", "ff00=one", "ff01=two")
    assert tool.out("get", "ff01", "--key-hex") == b"two"
    tool.run("delete", key, "ff00", "ff01", "--key-hex")
    assert tool.json("stat")["objects"] == 0


def test_get_as_json(tool):
    tool.create()
    put = tool.json("put", "caf\u00e9", "gr\u00fc\u00dfe", "--metadata", "text/plain")
    got = tool.json("get", "caf\u00e9")
    assert got["key"] == "caf\u00e9" and got["key_hex"] == "caf\u00e9".encode().hex()
    assert got["value"] == "gr\u00fc\u00dfe" and got["metadata"] == "text/plain"
    assert base64.b64decode(got["value_base64"]) == "gr\u00fc\u00dfe".encode()
    assert got["version"] == put["version"]
    assert got["size"] == put["size"] == len("gr\u00fc\u00dfe".encode())
    tool.run("put", "binary", "-", input=ALL_BYTES)
    got = tool.json("get", "binary")
    assert got["value"] is None and base64.b64decode(got["value_base64"]) == ALL_BYTES


def test_if_version(tool):
    tool.create()
    first = tool.json("put", "key", "one")["version"]
    second = tool.json("put", "key", "two", "--if-version", str(first))["version"]
    assert second != first
    tool.fails("put", "key", "three", "--if-version", str(first), name="VERSION_MISMATCH")
    assert tool.out("get", "key") == b"two"
    tool.fails("put", "absent", "x", "--if-version", str(first), name="NOT_FOUND")


def test_a_batch_is_all_or_nothing(tool):
    tool.create()
    put = tool.json("put", "--batch", "a=1", "b=", "c=x=y", "--metadata", "m")
    assert [(o["key"], o["size"]) for o in put["objects"]] == [("a", 1), ("b", 0), ("c", 3)]
    assert tool.out("get", "c") == b"x=y"
    assert tool.out("get", "a", "--metadata") == b"m"
    tool.fails("put", "--batch", "d=1", "=2", code=2, name="INVALID_KEY")
    tool.fails("get", "d", name="NOT_FOUND")
    tool.fails("put", "--batch", *[f"k{i}=v" for i in range(65)], code=2, name="USAGE")


def test_delete(tool):
    tool.create()
    tool.run("put", "--batch", "a=1", "b=2", "c=3")
    tool.run("delete", "a")
    done = tool.run("delete", "b", "absent", "c", "--json", code=1)
    report = json.loads(done.stdout)
    assert [entry["key"] for entry in report["deleted"]] == ["b", "c"]
    assert [entry["key"] for entry in report["absent"]] == ["absent"]
    assert done.stderr.startswith(b"lightning-store: NOT_FOUND: ")
    assert tool.out("list") == b""


def test_list(tool):
    tool.create()
    tool.run("put", "--batch", "b/2=22", "a=1", "b/1=1", "b=0", "new\nline=x")
    assert tool.out("list").decode().splitlines() == ["a", "b", "b/1", "b/2", "new\\x0aline"]
    assert tool.out("list", "b/").decode().splitlines() == ["b/1", "b/2"]
    assert tool.out("list", "zzz") == b""
    assert tool.json("list", "zzz") == {"objects": []}
    (entry,) = tool.json("list", "b/2")["objects"]
    assert (entry["key"], entry["size"], entry["metadata_size"]) == ("b/2", 2, 0)
    header, line = tool.out("list", "b/2", "--long").decode().splitlines()
    assert header.split() == ["SIZE", "METADATA", "VERSION", "KEY"]
    assert line.split() == ["2", "0", str(entry["version"]), "b/2"]


def test_get_waits(tool):
    tool.create()
    started = time.monotonic()
    tool.fails("get", "key", "--wait", "0.2", name="TIMEOUT")
    assert time.monotonic() - started >= 0.2
    waiter = tool.start("get", "key", "--wait", "50")
    time.sleep(0.2)
    assert waiter.poll() is None
    tool.run("put", "key", "at last")
    assert waiter.communicate(timeout=20)[0] == b"at last"
    assert waiter.returncode == 0


def test_failures_change_nothing(tool):
    tool.create()
    tool.run("put", "key", "value")
    tool.fails("get", "absent", name="NOT_FOUND")
    tool.fails("put", "", "value", code=2, name="INVALID_KEY")
    tool.fails("put", "00" * 1025, "value", "--key-hex", code=2, name="INVALID_KEY")
    tool.run("put", "00" * 1024, "value", "--key-hex")
    tool.run("delete", "00" * 1024, "--key-hex")
    tool.fails("put", "key", "v", "--metadata", "m" * 65537, name="METADATA_TOO_LARGE")
    assert tool.run("put", "key", "-", input=b"x" * (9 << 20), code=1).stderr.split(b": ")[1] in (
        b"VALUE_TOO_LARGE", b"SEGMENT_FULL")
    line = tool.fails("put", "key", "--file", str(tool.folder / "absent"), name="SYSTEM")
    assert "No such file" in line
    tool.fails("put", "key", "--file", str(tool.folder), name="SYSTEM")
    assert tool.out("get", "key") == b"value"
    assert tool.json("stat")["objects"] == 1
    assert tool.json("check") == {"segment": tool.segment, "ok": True, "busy": False, "violations": []}


def test_an_output_that_is_full(tool):
    tool.create()
    tool.run("put", "key", "value")
    with open("/dev/full", "wb") as full:
        done = subprocess.run(tool.arguments("get", "key"), stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith(b"lightning-store: SYSTEM: ") and b"No space left" in done.stderr
    tool.fails("get", "key", "--output", "/dev/full", name="SYSTEM")


def test_a_reader_that_leaves_early(tool):
    tool.create()
    tool.run("put", "key", "-", input=b"x" * (1 << 20))
    getter = tool.start("get", "key")
    assert getter.stdout.read(1) == b"x"
    getter.stdout.close()
    assert getter.wait(timeout=20) == 1
    assert getter.stderr.read() == b""
    stat = tool.json("stat")
    assert stat["clients"] == 1 and stat["recoveries"] == 0, "it left without detaching"


# Check and recovery.


def test_check_of_a_good_segment(tool):
    tool.create()
    tool.run("put", "key", "value")
    assert tool.out("check") == b"ok\n"


@pytest.mark.parametrize("kind", ["empty", "random", "zeros", "text", "cut", "folder", "fifo"])
def test_check_of_anything_else(tool, kind):
    tool.create()
    whole = pathlib.Path(tool.segment).read_bytes()
    os.unlink(tool.segment)
    if kind == "folder":
        os.mkdir(tool.segment)
    elif kind == "fifo":
        os.mkfifo(tool.segment)
    else:
        content = {"empty": b"", "random": os.urandom(65536), "zeros": bytes(65536), "text": b"no segment\n",
                   "cut": whole[: len(whole) // 2]}[kind]
        pathlib.Path(tool.segment).write_bytes(content)
    report = json.loads(tool.run("check", "--json", code=1).stdout)
    assert report["ok"] is False and report["busy"] is False
    assert report["violations"] and all(isinstance(violation, str) for violation in report["violations"])
    assert tool.run("check", code=1).stdout.startswith(b"violation: ")


def test_recover_heals_a_killed_client(tool):
    tool.create()
    watcher = tool.watch()
    assert tool.json("stat")["clients"] == 2
    watcher.kill()
    watcher.wait()
    report = tool.json("recover")
    assert report["alive"] == 1
    stat = tool.json("stat")
    assert stat["clients"] == 1 and stat["recoveries"] == 1
    assert tool.json("recover")["recovered"] == 0
    assert b"recovered 0 dead clients, 1 alive" in tool.out("recover")


def test_reap_recovers_by_itself(tool):
    tool.create()
    reaper = tool.start("reap", "--interval", "0.05", "--json")
    watcher = tool.watch()
    watcher.kill()
    watcher.wait()
    assert select.select([reaper.stdout], [], [], 20)[0], "the reaper did not notice"
    assert json.loads(reaper.stdout.readline())["recovered"] == 1
    reaper.send_signal(signal.SIGTERM)
    assert reaper.wait(timeout=20) == 0
    stat = tool.json("stat")
    assert stat["clients"] == 1 and stat["recoveries"] == 1


def test_reap_once(tool):
    tool.create()
    report = tool.json("reap", "--once")
    assert report["recovered"] == 0 and report["alive"] == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("args", [["reap", "--interval", "1000"], ["top", "--interval", "1000"], ["watch"]])
def test_stop_signals_end_it_promptly_and_well(tool, args, number):
    tool.create()
    process = tool.start(*args)
    deadline = time.monotonic() + 20
    while tool.json("stat")["clients"] != 2:
        assert time.monotonic() < deadline
    started = time.monotonic()
    process.send_signal(number)
    assert process.wait(timeout=20) == 0
    assert time.monotonic() - started < 5
    stat = tool.json("stat")
    assert stat["clients"] == 1 and stat["recoveries"] == 0


# Live reports.


def test_top_in_plain_lines(tool):
    tool.create()
    header, *lines = tool.out("top", "--interval", "0.05", "--count", "2").decode().splitlines()
    assert header.split() == ["time", "ops/s", "bytes_used", "bytes_free", "objects", "clients", "recoveries"]
    assert len(lines) == 2
    assert [line.split()[1:3] for line in lines] == [["0", "0"]] * 2


def test_top_as_json(tool):
    tool.create()
    tool.run("put", "key", "value")
    (line,) = tool.out("top", "--interval", "0.05", "--count", "1", "--json").splitlines()
    sample = json.loads(line)
    assert sample["ops_per_second"] == 0 and sample["objects"] == 1 and sample["clients"] == 1


def test_top_redraws_on_a_terminal(tool):
    tool.create()
    outer, inner = pty.openpty()
    process = tool.start("top", "--interval", "0.05", "--count", "3", stdout=inner)
    os.close(inner)
    text = b""
    while True:
        try:
            chunk = os.read(outer, 65536)
        except OSError:  # the other end is gone
            break
        if not chunk:
            break
        text += chunk
    os.close(outer)
    assert process.wait(timeout=20) == 0
    first, *others = text.split(b"\x1b[J")
    assert len(others) == 2 and text.count(b"recoveries") == 3
    height = int(re.search(rb"\x1b\[(\d+)A$", first)[1])
    assert height == first.count(b"\n") > 3


def test_dump(tool):
    tool.create()
    tool.run("put", "text", "value\n", "--metadata", "meta")
    tool.run("put", "00ff", "-", "--key-hex", input=ALL_BYTES)
    text = tool.out("dump").decode()
    assert 'object "text" version' in text and "metadata: meta" in text
    assert 'object "\\x00\\xff" version' in text
    assert "value:" not in text
    assert "  value: value\\x0a\n" in tool.out("dump", "--values").decode()
    dump = tool.json("dump", "--values")
    assert dump["stats"]["objects"] == 2
    binary, plain = dump["objects"]
    assert binary["key_hex"] == "00ff" and base64.b64decode(binary["value_base64"]) == ALL_BYTES
    assert plain["value"] == "value\n" and plain["metadata"] == "meta"
    assert "value" not in tool.json("dump")["objects"][0]


def test_watch(tool):
    tool.create()
    watcher = tool.watch("--count", "3", "--json")
    tool.run("put", "key", "value")
    # Flushed line by line: the first can be read while the watcher goes on.
    assert select.select([watcher.stdout], [], [], 20)[0]
    first = json.loads(watcher.stdout.readline())
    assert watcher.poll() is None
    tool.run("put", "key", "longer value")
    tool.run("delete", "key")
    rest = [json.loads(line) for line in watcher.communicate(timeout=20)[0].splitlines()]
    assert watcher.returncode == 0
    events = [first, *rest]
    assert [event["event"] for event in events] == ["sealed", "sealed", "deleted"]
    assert [event["key"] for event in events] == ["key"] * 3
    assert [event["size"] for event in events[:2]] == [5, 12]
    assert [event["sequence"] - first["sequence"] for event in events] == [0, 1, 2]


def test_watch_in_text(tool):
    tool.create()
    watcher = tool.watch("--count", "1")
    version = tool.json("put", "a key", "value")["version"]
    out, _ = watcher.communicate(timeout=20)
    assert re.fullmatch(rf"\d+ sealed version {version} size 5 a key\n", out.decode())


def test_watch_timeout(tool):
    tool.create()
    for args, code in ((["--timeout", "0.2"], 0), (["--timeout", "0.2", "--count", "1"], 1)):
        watcher = tool.watch(*args)
        out, err = watcher.communicate(timeout=20)
        assert (out, watcher.returncode) == (b"", code)
        assert err.startswith(b"lightning-store: TIMEOUT: ") == (code == 1)


def test_watch_says_when_it_fell_behind(tool):
    tool.create("--events", "16")
    watcher = tool.watch("--json")
    watcher.send_signal(signal.SIGSTOP)
    for start in range(0, 192, 64):
        tool.run("put", "--batch", *[f"k{i}=v" for i in range(start, start + 64)])
    watcher.send_signal(signal.SIGCONT)
    lost, seen = 0, 0
    while lost + seen < 192:
        assert select.select([watcher.stdout], [], [], 20)[0], (lost, seen)
        line = json.loads(watcher.stdout.readline())
        if line["event"] == "fell_behind":
            assert line["lost"] > 0
            lost += line["lost"]
        else:
            seen += 1
    assert lost > 0 and seen > 0 and lost + seen == 192
