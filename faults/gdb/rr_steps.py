#!/usr/bin/env python3
"""From a recording by rr to the writer of the corrupted word: the end of `lightning-faults replay --rr`.

  rr_steps.py FOLDER

Packs the newest recording FOLDER/rr-N, finds the process and the event at which the failing store had happened, writes
FOLDER/rr-N.gdb, and prints the command. The folder needs nothing beside it: it may go to another machine.
Exit status: 0, or 1 after what is missing; 2 wrong usage.
Example: faults/gdb/rr_steps.py lightning-failures/step-0123456789abcdef
"""

import argparse
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

PRINTERS = Path(__file__).resolve().parent / "lightning_printers.py"
KILLED = -9


class Process(NamedTuple):
    pid: int
    status: int
    command: str


def read_processes(text):
    """Of `rr ps`: PID, PPID, EXIT and CMD, between tabs; a process of another namespace has its own number behind its PID."""
    found = []
    for line in text.splitlines()[1:]:
        words = line.split("\t", 3)
        if len(words) == 4 and re.match(r"\d+", words[0]):
            found.append(Process(int(words[0].split()[0]), int(words[2]), words[3]))
    return found


def choose(processes, engine):
    """The process that made the failing store: the simulation itself, else the last that was killed."""
    if engine == "sim":
        fitting = [process for process in processes if "lightning-faults-sim" in process.command.split(" ")[0]]
    else:
        fitting = [process for process in processes if process.status == KILLED]
    return fitting[-1] if fitting else None


def last_event(text, pid):
    """Of `rr dump`: the last event of this process, or None."""
    events = re.findall(r"global_time:(\d+), event:`[^\n]*tid:(\d+)", text)
    mine = [int(event) for event, tid in events if int(tid) == pid]
    return mine[-1] if mine else None


def corrupted_word(trace):
    """The name of the word that the last store of trace.txt changed, or ""."""
    words = re.findall(r"^(?:    |.* stores to )(\S.*?): 0x", trace, re.MULTILINE)
    return words[-1] if words else ""


def gdb_script(word, engine):
    """At the end of the process that made the failing store: back to the last write of the word."""
    lines = ["set pagination off", "set confirm off", "set width 0", "python", PRINTERS.read_text(), "end"]
    if engine == "sim":
        # Where the failure is noted every client's memory is still there.
        lines += ["break lightning::faults::SimEngine::Note", "reverse-continue", "backtrace 5", "delete"]
    if word:
        lines += [f"lightning watch {word}", "reverse-continue"]
    lines += ["lightning where", "backtrace 10"]
    return "\n".join(lines) + "\n"


def replay_command(process, event, script, trace):
    which = "-f" if process.command == "(forked without exec)" else "-p"
    return shlex.join(["rr", "replay", which, str(process.pid), "-g", str(event), "-x", str(script), str(trace)])


def rr(*arguments):
    return subprocess.run(["rr", *map(str, arguments)], capture_output=True, text=True, check=True).stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    traces = sorted((path for path in folder.glob("rr-*") if path.is_dir()), key=lambda path: int(path.name[3:]))
    if not traces:
        print(f"rr_steps.py: {folder} has no recording", file=sys.stderr)
        return 1
    trace = traces[-1]
    rr("pack", trace)
    engine = json.loads((folder / "verdict.json").read_text()).get("engine", "")
    process = choose(read_processes(rr("ps", trace)), engine)
    event = process and last_event(rr("dump", trace), process.pid)
    print(f"packed: {trace}")
    if not event:
        print(f"which process made the failing store is not clear: rr ps {trace}\nagain: rr replay {trace}")
        return 1
    trace_file = folder / "trace.txt"
    word = corrupted_word(trace_file.read_text(errors="replace")) if trace_file.exists() else ""
    script = trace.with_suffix(".gdb")
    script.write_text(gdb_script(word, engine))
    print(f"the failing store happened before event {event} of process {process.pid}" + (f"; the word: {word}" if word else ""))
    print(f"back to its writer: {replay_command(process, event, script, trace)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
