"""lightning-store: usage, segments, objects. The fixtures are in conftest.py."""

import base64
import json
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

COMMANDS = "create put get delete list stat check recover reap top dump watch".split()
ALL_BYTES = bytes(range(256))


# Usage.


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(program, command):
    done = subprocess.run([program, command, "--help"], capture_output=True, timeout=60)
    assert done.returncode == 0
    assert f"Example: lightning-store {command}".encode() in done.stdout
    assert b"--segment" in done.stdout and b"--json" in done.stdout


def test_help_names_every_command(program):
    done = subprocess.run([program, "--help"], capture_output=True, timeout=60)
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


def test_no_command_is_wrong_usage(program):
    done = subprocess.run([program], capture_output=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith(b"lightning-store: USAGE: ")


def test_segment_from_the_environment(program, tool):
    tool.create()
    tool.run("put", "key", "value")
    env = {**os.environ, "LIGHTNING_SEGMENT": tool.segment}
    assert subprocess.run([program, "get", "key"], env=env, capture_output=True, timeout=60).stdout == b"value"
    # An option counts more, on either side of the command.
    env["LIGHTNING_SEGMENT"] = tool.segment + "-absent"
    for args in (["-s", tool.segment, "get", "key"], ["get", "-s", tool.segment, "key"]):
        assert subprocess.run([program, *args], env=env, capture_output=True, timeout=60).stdout == b"value"
    assert subprocess.run([program, "get", "key"], env=env, capture_output=True, timeout=60).returncode == 1


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


def test_stat_audits_its_own_mappings(tool):
    tool.create()
    assert "audit" not in tool.json("stat")
    assert tool.json("stat", "--audit")["audit"] == {"ok": True, "clients": 1, "findings": []}
    assert tool.out("stat", "--audit").decode().splitlines()[-1].split() == ["audit", "well"]


def planted(tool, plant):
    """The environment in which something is loaded into each program that spoils the store's mappings."""
    library = pathlib.Path(tool.program).parents[1] / "lib" / "targets" / "planted_mappings.so"
    assert library.is_file(), f"{library} has not been built"
    options = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
    return {**os.environ, "LD_PRELOAD": str(library), "LIGHTNING_PLANT": plant, "ASAN_OPTIONS": options}


# In mode none there is nothing that an alias could take away.
@pytest.mark.parametrize("mode", ["mprotect", "hidden"])
@pytest.mark.parametrize("breach, message", [("alias", "a writable mapping of the segment"), ("inherited", "a forked child would")])
def test_stat_audit_reports_what_it_finds_and_exits_with_1(tool, mode, breach, message):
    tool.create()
    env = planted(tool, f"alias {tool.segment}" if breach == "alias" else breach)
    done = tool.run("stat", "--audit", "--isolation", mode, code=1, env=env)
    findings = [line.split(None, 1)[1] for line in done.stdout.decode().splitlines() if line.startswith("audit ")]
    assert findings and all(re.match(rf"{breach} at [0-9a-f]+-[0-9a-f]+: ", line) and message in line for line in findings)
    done = tool.run("stat", "--audit", "--isolation", mode, "--json", code=1, env=env)
    audit = json.loads(done.stdout)["audit"]
    assert audit["ok"] is False and {finding["breach"] for finding in audit["findings"]} == {breach}
    # The same program, with nothing planted.
    assert tool.json("stat", "--audit", "--isolation", mode, env=planted(tool, "nothing"))["audit"]["ok"] is True


def test_attaching_with_an_alias_ends_the_process(tool):
    tool.create()
    env = planted(tool, f"alias {tool.segment}")
    done = tool.run("stat", "--isolation", "hidden", code=-signal.SIGABRT, env=env)
    assert re.match(rb"lightning: alias at .*; the process ends before it can harm the store\n$", done.stderr), done.stderr


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


def wait_in_a_futex(process):
    """Until it does, as whoever waits for a key: 202 is the system call's number on x86-64."""
    deadline = time.monotonic() + 60
    while pathlib.Path(f"/proc/{process.pid}/syscall").read_text().split()[0] != "202":
        assert process.poll() is None and time.monotonic() < deadline, "it does not wait"
        time.sleep(0.0005)


def test_get_waits(tool):
    tool.create()
    started = time.monotonic()
    tool.fails("get", "key", "--wait", "0.2", name="TIMEOUT")
    assert time.monotonic() - started >= 0.2
    waiter = tool.start("get", "key", "--wait", "50")
    wait_in_a_futex(waiter)
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
