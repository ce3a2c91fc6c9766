"""Kill points: which, of which kind, and the tracer that kills a command exactly there. Needs no pytest.

A point is written KIND:VALUE, in options and, with a dash, in test ids:

  instruction:250    after 250 machine instructions of the main thread
  system-call:7      before the 7th system call takes effect
  line:stored 3      at the return of the write that completed this line of standard output

The first two count from a marker: a line (after_line), a mapping of a file (after_map), or the program's beginning.
"""

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

INSTRUCTION, SYSTEM_CALL, LINE = "instruction", "system-call", "line"


def repeatable(env=None):
    """The environment in which a program written in Python does the same in each run, and others what they always do."""
    return {"PYTHONHASHSEED": "0", **(os.environ if env is None else env)}


class Tracer:
    """The program that traces: `lightning-faults kill-at` where there is one (in $LIGHTNING_BIN_DIR or PATH), else the
    module kill_at of this package, which does the same several times slower."""

    @staticmethod
    def command():
        folder = os.environ.get("LIGHTNING_BIN_DIR")
        program = shutil.which("lightning-faults", path=folder) if folder else shutil.which("lightning-faults")
        if os.environ.get("LIGHTNING_TRACER") == "python" or not program:
            return [sys.executable, str(pathlib.Path(__file__).with_name("kill_at.py"))]
        return [program, "kill-at"]


class Traced:
    """A command with the tracer in front of it, and what the tracer reports."""

    def __init__(self, command, options):
        handle, self._report = tempfile.mkstemp(prefix="lightning-kill-at-")
        os.close(handle)
        self._text = ""
        self.command = [*Tracer.command(), *options, "--report", self._report, "--", *command]

    def report(self):
        """{"marker", "killed", "instructions", "system_calls", "address", "where", "status" or "signal"}; None when the
        tracer itself was killed, or has not ended."""
        if not self._text and os.path.exists(self._report):
            self._text = pathlib.Path(self._report).read_text()
        return json.loads(self._text) if self._text else None

    def close(self):
        self.report()
        if os.path.exists(self._report):
            os.unlink(self._report)


@dataclasses.dataclass(frozen=True)
class Point:
    kind: str
    value: str
    after_line: str = ""
    after_map: str = ""

    @classmethod
    def parse(cls, text, **marker):
        kind, colon, value = text.partition(":")
        if kind not in (INSTRUCTION, SYSTEM_CALL, LINE) or not colon or (kind != LINE and not value.isdecimal()):
            raise ValueError(f"{text!r} is no kill point: instruction:N, system-call:N or line:TEXT")
        return cls(kind, value, **marker)

    def __str__(self):
        return f"{self.kind}:{self.value}"

    @property
    def id(self):
        return f"{self.kind}-{self.value}"

    def options(self):
        if self.kind == LINE:
            return ["--after-line", self.value, "--instructions", "0"]
        marker = [*(["--after-line", self.after_line] if self.after_line else []),
                  *(["--after-map", self.after_map] if self.after_map else [])]
        return [f"--{self.kind}s", self.value, *marker]

    def trace(self, command):
        return Traced(command, self.options())


def count(command, *, after_line="", until_line="", env=None, cwd=None, timeout=600):
    """Runs the command to its end, step by step, with nothing in its standard input. What it does between the two
    lines: {"instructions", "system_calls", ...}."""
    options = ["--count", *(["--after-line", after_line] if after_line else []),
               *(["--until-line", until_line] if until_line else [])]
    traced = Traced([os.fspath(word) for word in command], options)
    run = subprocess.run(traced.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                         env=repeatable(env), cwd=cwd, timeout=timeout, check=False)
    traced.close()
    report = traced.report()
    if report is None:
        raise RuntimeError(f"cannot count {command}: {run.stderr.decode()}")
    if not report["marker"]:
        raise RuntimeError(f"cannot count {command}: it never wrote the line {after_line!r}")
    return report


def spread(total, points):
    """At most so many numbers from 0 to `total`, evenly spread, both ends among them."""
    if points < 2 or total < 1:
        return [0]
    return sorted({total * i // (points - 1) for i in range(points)})
