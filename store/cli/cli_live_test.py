"""lightning-store: check, recovery, and the reports that go on until they are stopped."""

import base64
import json
import os
import pathlib
import pty
import re
import select
import signal
import time

import pytest

ALL_BYTES = bytes(range(256))


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
