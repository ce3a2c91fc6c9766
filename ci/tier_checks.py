"""What a part of ci/nightly and ci/soak is given, and what it gives back."""

import json
import random
import re
from dataclasses import dataclass, field
from pathlib import Path

CANNOT_RUN = 77


@dataclass
class Check:
    name: str
    outcome: str  # "passed", "failed" or "skipped"
    detail: str = ""
    again: str = ""  # the command that repeats a failure


@dataclass
class Result:
    """How one command ended."""

    status: int  # as a shell has it; 124: no end within its limit
    log: Path
    text: str = ""

    def last_line(self):
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        return lines[-1] if lines else f"exit status {self.status}, and no output"


@dataclass
class Work:
    """What a part is given: its seconds and seed, a folder for results, one for failures, and how to run a command."""

    root: Path
    seconds: float
    seed: int
    results: Path
    failures: Path
    run: object  # run(name, command, limit in seconds) -> Result
    clock: object  # () -> seconds; only differences mean something
    did: list = field(default_factory=list)  # figures for the table
    checks: list = field(default_factory=list)  # of a part of many steps, those so far: all there are if it is stopped


def read_json(path):
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def seed_of(seed, name):
    """Each part's own, the same wherever the part stands and whatever else runs."""
    return random.Random(f"{seed} {name}").randrange(1, 2**31)


def absent(work, script):
    """A script that is not there is a failure, not a skip: the tier would be weaker than it says."""
    if (work.root / script).is_file():
        return []
    return [Check(script, "failed", f"{script} is not in this tree", f"ls {script}")]


def of_status(result, name, again):
    """The check for a command that left no results: it cannot run here, or it broke."""
    if result.status == CANNOT_RUN:
        return Check(name, "skipped", result.last_line())
    if result.status == 124:
        return Check(name, "failed", f"no end within its limit; see {result.log}", again)
    return Check(name, "failed", f"exit status {result.status} and no results: {result.last_line()}", again)


def again_of(reproduce):
    """How a failure is repeated from the root of the repository."""
    kept = re.fullmatch(r"lightning-faults replay (\S+)", reproduce or "")
    if kept:
        return f"ci/replay {kept.group(1)}"
    return f"build/release/bin/{reproduce}" if reproduce else ""


def has_keys(cpuinfo="/proc/cpuinfo"):
    return re.search(r"\bospke\b", Path(cpuinfo).read_text()) is not None
