"""From a recording by rr to the writer. The texts are as rr 5.6 prints them (PsCommand, TraceFrame::dump)."""

import importlib.util
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SCRIPT = ROOT / "faults/gdb/rr_steps.py"
spec = importlib.util.spec_from_file_location("rr_steps", SCRIPT)
rr_steps = importlib.util.module_from_spec(spec)
spec.loader.exec_module(rr_steps)
PS = ("PID\tPPID\tEXIT\tCMD\n"
      "10\t--\t1\t/b/lightning-faults replay f\n"
      "11\t10\t-9\t(forked without exec)\n"
      "12 (3)\t10\t-9\t/b/planted-victim 4 5\n"
      "13\t10\t1\t/b/lightning-faults-sim --plan p\n")
DUMP = "\n".join(f"{{\n  real_time:1.5 global_time:{time}, event:`SYSCALL: {call}' (state:EXITING_SYSCALL) tid:{tid}, ticks:7\n}}"
                 for time, call, tid in ((100, "write", 12), (101, "exit", 12), (102, "wait4", 10)))


def test_the_process_of_the_failing_store_is_found():
    processes = rr_steps.read_processes(PS)
    assert [process.pid for process in processes] == [10, 11, 12, 13]
    assert rr_steps.choose(processes, "step").pid == 12, "the last that was killed"
    assert rr_steps.choose(processes, "sim").pid == 13
    assert rr_steps.choose(processes[:1], "step") is None


def test_its_last_event_and_no_other_process_is_found():
    assert rr_steps.last_event(DUMP, 12) == 101
    assert rr_steps.last_event(DUMP, 11) is None


@pytest.mark.parametrize("trace, word", [
    ("15  0x55  F() (a.cc:31)\n16  0x56  F() (a.cc:31)\n    central evictions: 0x0 -> 0x1\n", "central evictions"),
    ("6225  d  stores to slot 3 blocks[15]: 0x5 -> 0x8\n6228  d  stores to slot 3 log_count: 0x8 -> 0x0\n", "slot 3 log_count"),
    ("15  0x55  F() (a.cc:31)\n", ""),
])
def test_the_corrupted_word_is_that_of_the_last_store(trace, word):
    assert rr_steps.corrupted_word(trace) == word


def test_the_script_goes_back_to_the_writer():
    lines = rr_steps.gdb_script("central evictions", "step").splitlines()
    assert lines.index("lightning watch central evictions") < lines.index("reverse-continue") < lines.index("lightning where")
    assert "break lightning::faults::SimEngine::Note" in rr_steps.gdb_script("", "sim")


@pytest.mark.parametrize("pid, option", [(11, "-f"), (12, "-p")])
def test_the_command_stops_in_the_right_process(pid, option):
    process = next(its for its in rr_steps.read_processes(PS) if its.pid == pid)
    assert rr_steps.replay_command(process, 101, "f/rr-1.gdb", "f/rr-1") == f"rr replay {option} {pid} -g 101 -x f/rr-1.gdb f/rr-1"


RR = """#!/bin/sh
case $1 in
  pack) echo packed >"$2/packed" ;;
  ps) cat "${0%/*}/ps" ;;
  dump) cat "${0%/*}/dump" ;;
esac
"""


def steps(tmp_path, ps=PS, dump=DUMP):
    """What follows a recording, with a program in rr's place that prints what rr prints."""
    folder, tools = tmp_path / "failure", tmp_path / "tools"
    (folder / "rr-1").mkdir(parents=True)
    (folder / "rr-2").mkdir()
    (folder / "verdict.json").write_text(json.dumps({"engine": "step"}))
    (folder / "trace.txt").write_text("15  0x55  F() (a.cc:31)\n    central evictions: 0x0 -> 0x1\n")
    tools.mkdir()
    for name, text in (("rr", RR), ("ps", ps), ("dump", dump)):
        (tools / name).write_text(text)
    (tools / "rr").chmod(0o755)
    return folder, subprocess.run([sys.executable, SCRIPT, folder], capture_output=True, text=True, timeout=60, check=False,
                                  env=dict(os.environ, PATH=f"{tools}:{os.environ['PATH']}"))


def test_the_newest_recording_is_packed_and_the_command_goes_to_the_writer(tmp_path):
    folder, done = steps(tmp_path)
    assert done.returncode == 0, done
    assert (folder / "rr-2/packed").exists() and not (folder / "rr-1/packed").exists()
    assert done.stdout.splitlines()[1:] == [
        "the failing store happened before event 101 of process 12; the word: central evictions",
        f"back to its writer: rr replay -p 12 -g 101 -x {folder}/rr-2.gdb {folder}/rr-2"]
    assert str(ROOT) not in (folder / "rr-2.gdb").read_text(), "it needs no sources where it goes"


def test_where_no_process_made_the_store_the_whole_recording_is_offered(tmp_path):
    folder, done = steps(tmp_path, PS.splitlines()[0] + "\n")
    assert done.returncode == 1 and f"again: rr replay {folder}/rr-2" in done.stdout, done


@pytest.mark.skipif(not shutil.which("gdb"), reason="gdb is not installed")
def test_gdb_knows_the_stores_words_by_the_script_alone(tmp_path):
    folder, _ = steps(tmp_path)
    script = (folder / "rr-2.gdb").read_text().rpartition("\nlightning watch central")[0] + "\n"
    (tmp_path / "words.gdb").write_text(script + "lightning help\n")
    done = subprocess.run(["gdb", "-q", "-nx", "-batch", "-x", tmp_path / "words.gdb"], capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 0 and "lightning watch" in done.stdout, done
