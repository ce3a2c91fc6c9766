#!/usr/bin/env python3
"""What ci/nightly and ci/soak do: shares the time out, runs the parts, keeps what failures leave, and counts.

  ci/tier.py nightly|soak --caller FOLDER [OPTIONS of ci/nightly or ci/soak]

Run it by those names; their --help has the options.
One that is stopped (SIGTERM, SIGINT) tells what it found until then, and names what it did not run as skipped.
Exit status: 0 all that ran passed, 1 something failed, nothing ran or it was stopped, 2 wrong usage, 77 cannot run here.
Example: ci/nightly --seconds 60 --seed 7
"""

import argparse
import json
import math
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from kept import describe
from summarize import write_junit
from tier_checks import CANNOT_RUN, Check, Result, Work, read_json, seed_of
from tier_parts import PARTS, SEEDED

ROOT = Path(__file__).resolve().parent.parent
OUTCOMES = ("passed", "failed", "skipped")
HOUR = 3600
LEAST_ROUND = 60  # seconds: what is left of a soak below that is no round


class Stopped(BaseException):
    """By a signal, of that name. No Exception: a part's own failures are those."""


def stop(number, _):
    for its in (signal.SIGTERM, signal.SIGINT):
        signal.signal(its, signal.SIG_IGN)  # what it found is told whatever follows
    raise Stopped(signal.Signals(number).name)


def say(text):
    print(text, flush=True)


@dataclass
class Run:
    """One part in one round, and afterwards what came of it. Suite and cases as ci/summarize.py has them."""

    part: object
    round: int
    seconds: float
    seed: int
    name: str
    tier_seed: int  # what repeats this part alone
    cases: list = field(default_factory=list)
    did: str = ""
    took: float = 0

    def count(self, outcome):
        return sum(case.outcome == outcome for case in self.cases)


def shares(parts, seconds):
    """How many seconds each part gets, by weight; None for those whose share would be less than they need."""
    chosen = list(parts)
    while chosen:
        total = sum(part.weight for part in chosen)
        short = [part for part in chosen if seconds * part.weight / total < part.least]
        if not short:
            break
        # The one that lacks most goes first: with its time the others may reach theirs.
        chosen.remove(max(short, key=lambda part: part.least - seconds * part.weight / total))
    total = sum(part.weight for part in chosen) or 1
    return {part.name: seconds * part.weight / total if part in chosen else None for part in parts}


def plan(tier, seconds, seed, only):
    """The runs of a tier, in order."""
    rounds = [seconds]
    if tier == "soak":
        rounds = [HOUR] * int(seconds // HOUR)
        rest = seconds - sum(rounds)
        if rest >= LEAST_ROUND or not rounds:
            rounds.append(rest)
    runs = []
    for number, length in enumerate(rounds):
        names = only or ([part.name for part in PARTS] if number == 0 else SEEDED)
        parts = [part for part in PARTS if part.name in names]
        its_seed = seed if tier == "nightly" else seed_of(seed, f"round {number}")
        for name, share in shares(parts, length).items():
            part = next(part for part in parts if part.name == name)
            shown = name if len(rounds) == 1 else f"{name}, round {number + 1}"
            runs.append(Run(part, number, share, seed_of(its_seed, name), shown, its_seed))
            if share is None:
                runs[-1].cases = [Check(name, "skipped", f"it needs {part.least} seconds, more than its share")]
    return runs


def print_budget(tier, seconds, seed, runs):
    say(f"{tier}: {seconds:.0f} seconds, building aside; seed {seed}")
    for run in runs:
        what = (run.part.run.__doc__ or "").splitlines()[0]
        time_of = "no time" if run.seconds is None else f"{run.seconds:.0f} s"
        say(f"  {run.name:<22} {time_of:>8}  seed {run.seed:<10}  {what}")


class Runner:
    """Runs commands from the root, each in a process group of its own, its output in a file."""

    def __init__(self, root):
        self.root = root
        self.group = None

    def run(self, log, command, limit):
        log.parent.mkdir(parents=True, exist_ok=True)
        log.with_suffix(".command").write_text(shlex.join(command) + "\n")
        with log.open("w") as output:
            try:
                process = subprocess.Popen(command, cwd=self.root, stdin=subprocess.DEVNULL, stdout=output,
                                           stderr=subprocess.STDOUT, start_new_session=True)
            except OSError as error:
                output.write(f"{command[0]}: {error.strerror}\n")
                status = 127
            else:
                self.group = process.pid
                status = self.end_of(process, limit)
        return Result(status, log, log.read_text(errors="replace"))

    def end_of(self, process, limit):
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            status = 124
        self.stop()
        process.wait()
        return status if status >= 0 else 128 - status

    def stop(self):
        """Ends what a command left behind, which would disturb the next."""
        if self.group is not None:
            try:
                os.killpg(self.group, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.group = None


def execute(run, runner, results, failures):
    """Runs one part. What it throws is a failure of the part: the others go on."""
    results, failures = results / f"{run.round + 1}-{run.part.name}", failures / f"{run.round + 1}-{run.part.name}"
    results.mkdir(parents=True, exist_ok=True)
    work = Work(runner.root, run.seconds, run.seed, results, failures,
                lambda name, command, limit: runner.run(results / f"{name}.log", command, limit), time.monotonic)
    began, stopped = time.monotonic(), None
    try:
        run.cases = run.part.run(work)
    except Stopped as by:
        stopped = by
        runner.stop()
        run.cases = unfinished(run, work, f"stopped by {by} in the middle, after {time.monotonic() - began:.0f} s")
    except Exception as error:  # pylint: disable=broad-except
        run.cases = [Check(run.part.name, "failed", f"its results cannot be read: {type(error).__name__}: {error}")]
    run.took = time.monotonic() - began
    run.did = "; ".join(work.did)
    if not run.cases:
        run.cases = [Check(run.part.name, "failed", "it ran nothing")]
    whole = f"ci/nightly --only {run.part.name} --seconds {run.seconds:.0f} --seed {run.tier_seed}"
    for case in run.cases:
        if case.outcome == "failed" and not case.again:
            case.again = whole
    if run.count("failed"):
        keep(run, results, failures)
    if stopped:
        raise stopped


def unfinished(run, work, why):
    """What a part that did not end has found: its own checks, and each failure that lies in its folder."""
    found = [Check(run.part.name, "failed", (read_json(file) or {}).get("what", "?"), f"ci/replay {shlex.quote(str(file.parent))}")
             for file in sorted(work.failures.rglob("verdict.json"))]
    return [*work.checks, *found, Check(run.part.name, "skipped", why)]


def keep(run, results, failures):
    """All of a part's output beside its failures, with what was built and where: enough to go on elsewhere."""
    failures.mkdir(parents=True, exist_ok=True)
    shutil.copytree(results, failures / "output", dirs_exist_ok=True)
    (failures / "again.txt").write_text("".join(
        f"{case.name}: {case.detail}\n  {case.again}\n" for case in run.cases if case.outcome == "failed"))


def grouped_skips(run):
    """One entry for each reason: all names, or the first few where there are very many."""
    by_reason = {}
    for case in run.cases:
        if case.outcome == "skipped":
            by_reason.setdefault(case.detail, []).append(case.name)
    for reason, names in by_reason.items():
        shown = ", ".join(names[:100]) + (f" and {len(names) - 100} more (junit.xml has all)" if names[100:] else "")
        yield f"{run.name}: {len(names)}: {reason}: {shown}"


def report(runs, failures):
    say("\n{:<22} {:>8} {:>8} {:>7} {:>7} {:>8}  {}".format("part", "budget", "took", *OUTCOMES, "did"))
    for run in runs:
        budget = "-" if run.seconds is None else f"{run.seconds:.0f} s"
        say("{:<22} {:>8} {:>8} {:>7} {:>7} {:>8}  {}".format(run.name, budget, f"{run.took:.0f} s",
                                                              *map(run.count, OUTCOMES), run.did))
    skips = [line for run in runs for line in grouped_skips(run)]
    if skips:
        say("\nskipped:")
    for line in skips:
        say("  " + line)
    bad = [(run, case) for run in runs for case in run.cases if case.outcome == "failed"]
    if bad:
        say("\nfailed:")
    for run, case in bad:
        say(f"  {run.name}: {case.name}: {case.detail}")
    if bad:
        say(f"\nall that is needed elsewhere: {failures}")
    for again in dict.fromkeys(case.again for _, case in bad):
        say(f"again: {again}")


def as_json(tier, seconds, seed, runs, failures):
    totals = {outcome: sum(run.count(outcome) for run in runs) for outcome in OUTCOMES}
    return {
        "tier": tier, "seed": seed, "seconds": seconds, **totals,
        "parts": [{"name": run.name, "seed": run.seed, "seconds": run.seconds, "took": round(run.took, 1),
                   "did": run.did, **{outcome: run.count(outcome) for outcome in OUTCOMES}} for run in runs],
        "failures": [{"part": run.name, "test": case.name, "message": case.detail, "again": case.again}
                     for run in runs for case in run.cases if case.outcome == "failed"],
        "skips": [{"part": run.name, "test": case.name, "reason": case.detail}
                  for run in runs for case in run.cases if case.outcome == "skipped"],
        "folder": str(failures) if totals["failed"] else None,
    }


def positive(text):
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not more than zero")
    return value


def parse(argv):
    if {"-h", "--help"} & set(argv):
        print(__doc__)
        sys.exit(0)
    parser = argparse.ArgumentParser(prog=f"ci/{argv[0]}" if argv else None, add_help=False, allow_abbrev=False)
    parser.add_argument("tier", choices=("nightly", "soak"))
    parser.add_argument("--caller", type=Path, default=Path.cwd())
    parser.add_argument("--seed", type=int)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", nargs="+", choices=[part.name for part in PARTS])
    parser.add_argument("--budget", action="store_true")
    if argv[:1] == ["soak"]:
        parser.add_argument("--hours", type=positive, required=True)
    else:
        parser.add_argument("--seconds", type=positive, default=HOUR)
    options = parser.parse_args(argv)
    if options.tier == "soak":
        options.seconds = options.hours * HOUR
    if options.seed is not None and not 0 <= options.seed < 2**63:
        parser.error("--seed is a number from 0 on, below 2^63")
    if options.json:
        options.json = options.caller / options.json
        if options.json.is_dir() or not os.access(options.json.parent, os.W_OK):
            parser.error(f"--json {options.json} cannot be written")
    return options


def prepare(runner, results, runs):
    """Installs and builds what the parts share, which is not on their time. None, or the check for what went wrong."""
    commands = [["ci/setup", "--with-lint"], ["ci/build"]]
    if not any(run.part.built and run.seconds is not None for run in runs):
        commands.pop()
    for number, command in enumerate(commands):
        say(f"== {shlex.join(command)}")
        result = runner.run(results / f"prepare-{number}.log", command, 4 * HOUR)
        if result.status and command[0] == "ci/build":
            say("\n".join(result.text.splitlines()[-30:]))
            if result.status == CANNOT_RUN:
                return Check("ci/build", "skipped", result.last_line())
            return Check("ci/build", "failed", f"exit status {result.status}: {result.last_line()}", "ci/build")
        if result.status:
            say(f"going on with what is there: {result.last_line()}")
    return None


def unable(tier, unbuilt):
    """The exit status where nothing ran: 77 if this machine cannot even build, else a failure."""
    print(f"ci/{tier}: nothing ran", file=sys.stderr)
    return CANNOT_RUN if unbuilt else 1


def main(argv, root=ROOT):
    options = parse(argv)
    seed = secrets.randbelow(2**31) if options.seed is None else options.seed
    runs = plan(options.tier, options.seconds, seed, options.only)
    print_budget(options.tier, options.seconds, seed, runs)
    if options.budget:
        return 0
    results, failures = root / "build" / options.tier, root / "lightning-failures" / f"{options.tier}-{seed}"
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True)
    runner = Runner(root)
    length = ["--hours", f"{options.hours:g}"] if options.tier == "soak" else ["--seconds", f"{options.seconds:g}"]
    only = ["--only", *options.only] if options.only else []
    command = shlex.join([f"ci/{options.tier}", *length, "--seed", str(seed), *only])
    described, stopped, unbuilt = False, None, None
    try:
        for its in (signal.SIGTERM, signal.SIGINT):
            signal.signal(its, stop)
        unbuilt = prepare(runner, results, runs)
        for run in runs:
            if run.seconds is None:
                continue
            if unbuilt and run.part.built:
                run.cases = [unbuilt]
                continue
            say(f"== {run.name}: {run.seconds:.0f} s, seed {run.seed}")
            execute(run, runner, results, failures)
            say("   {:.0f} s: {}".format(run.took, ", ".join(f"{run.count(outcome)} {outcome}" for outcome in OUTCOMES)))
            if run.count("failed") and not described:  # at once: whoever ends this may leave no time later
                describe(root, failures, command, seed=seed)
                described = True
    except Stopped as by:
        stopped = by
        for run in runs:
            run.cases = run.cases or [Check(run.part.name, "skipped", f"not run: stopped by {by} before")]
    finally:
        runner.stop()
    outcomes = Counter(case.outcome for run in runs for case in run.cases)
    if outcomes["failed"] and not described:
        failures.mkdir(parents=True, exist_ok=True)
        describe(root, failures, command, seed=seed)
    report(runs, failures)
    write_junit(runs, results / "junit.xml")
    read = as_json(options.tier, options.seconds, seed, runs, failures)
    text = json.dumps({**read, **({"stopped": str(stopped)} if stopped else {})}, indent=2) + "\n"
    for file in [results / "tier.json"] + ([options.json] if options.json else []):
        file.write_text(text)
    say("{} passed, {} failed, {} skipped".format(*(outcomes[outcome] for outcome in OUTCOMES)))
    if outcomes["failed"] or stopped:
        return 1
    if outcomes["passed"]:
        return 0
    return unable(options.tier, unbuilt)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
