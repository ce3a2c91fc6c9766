"""The two tracers, `lightning-faults kill-at` and kill_at.py: one behaviour, as a shell sees it."""

import json
import signal
import subprocess
import sys

from lightning_faults.points import Tracer

MAPS = """
import mmap, os, sys
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
os.ftruncate(file, 4096)
print("before", flush=True)
m = mmap.mmap(file, 4096)
m[0:1] = b"x"
print("after", flush=True)
"""


def kill_at(tmp_path, *arguments, text=""):
    """What it was: the finished process, and the report."""
    report = tmp_path / "report.json"
    report.unlink(missing_ok=True)
    run = subprocess.run([*Tracer.command(), "--report", report, *arguments], input=text, capture_output=True, text=True,
                         timeout=60, check=False)
    return run, json.loads(report.read_text()) if report.exists() else None


def test_it_ends_as_the_program_ends(tmp_path, tracer):
    run, report = kill_at(tmp_path, "--count", "--after-line", "5", "--", "/bin/sh", "-c", "read x; echo $x; exit 5",
                          text="5\n")
    assert (run.returncode, run.stdout) == (5, "5\n")
    assert report["status"] == 5 and not report["killed"]
    run, report = kill_at(tmp_path, "--system-calls", "1000", "--", "/bin/sh", "-c", "kill -TERM $$")
    assert run.returncode == -signal.SIGTERM
    assert report["signal"] == signal.SIGTERM and not report["killed"]
    run, report = kill_at(tmp_path, "--instructions", "100", "--", "/bin/echo", "x")
    assert (run.returncode, run.stdout) == (-signal.SIGKILL, "")
    assert report["killed"] and report["instructions"] == 100 and report["address"] != "0x0"


def test_signals_of_the_program_reach_it(tmp_path, tracer):
    run, report = kill_at(tmp_path, "--count", "--after-line", "begin", "--", "/bin/sh", "-c",
                          "trap 'echo caught; exit 7' USR1; echo begin; kill -USR1 $$; echo not here")
    assert (run.returncode, run.stdout) == (7, "begin\ncaught\n")
    run, _ = kill_at(tmp_path, "--system-calls", "1", "--after-line", "never", "--", "/bin/sh", "-c",
                     "trap 'echo caught' INT; kill -INT $$")
    assert run.stdout == "caught\n"


def test_counting_begins_with_the_mapping_of_a_file(tmp_path, tracer):
    file = tmp_path / "file"
    run, report = kill_at(tmp_path, "--instructions", "0", "--after-map", file, "--", sys.executable, "-S", "-c", MAPS,
                          file)
    assert report["marker"] and report["killed"]
    assert run.stdout == "before\n"
    assert file.read_bytes()[:1] == b"\0"
    # Before the second system call after that: the line after the store is out by then, or it is the call itself.
    run, report = kill_at(tmp_path, "--system-calls", "1000", "--after-map", file, "--", sys.executable, "-S", "-c",
                          MAPS, file)
    assert run.stdout == "before\nafter\n"
    assert file.read_bytes()[:1] == b"x"


def test_the_same_point_is_the_same_place(tmp_path, tracer):
    command = ("--after-line", "a", "--instructions", "500", "--", "/bin/sh", "-c", "echo a; echo b")
    _, first = kill_at(tmp_path, *command)
    _, second = kill_at(tmp_path, *command)
    assert first == second


def test_wrong_usage(tmp_path, tracer):
    for arguments in (("--", "/bin/true"), ("--instructions", "1"), ("--instructions", "1", "--count", "--", "/bin/true"),
                      ("--system-calls", "0", "--", "/bin/true"), ("--instructions", "x", "--", "/bin/true"),
                      ("--until-line", "x", "--instructions", "1", "--", "/bin/true"),
                      ("--instructions", "1", "--", "/no/such/program")):
        run, report = kill_at(tmp_path, *arguments)
        assert run.returncode == 2, (arguments, run)
        assert run.stderr and report is None
