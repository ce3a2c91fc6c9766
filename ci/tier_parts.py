"""The parts of ci/nightly and ci/soak: which command each runs, and how its results are read. For ci/tier.py.

A part yields checks. A check that did nothing is a failure: a figure of zero says that something is broken.
"""

import random
import shlex
import shutil
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

import summarize
from sanitize import PRESETS
from tier_checks import CANNOT_RUN, Check, absent, again_of, of_status, read_json
from tier_fuzz import distributed, fuzz, fuzz_coverage, fuzz_mutants
from tier_isolation import fire, isolation, stray

# What must not be zero, by the parts of a campaign.
FIGURES = {"stray": "fired", "ops": "count", "kills": "count", "sim": "schedules", "step": "crash_states",
           "cross_check": "stepped"}
# A finding's part, where it is called otherwise.
PART_NAMES = {"cross": "cross_check"}


def engine_checks(report, again):
    """Checks of an object with `failures` and parts with figures, as lightning-faults writes them."""
    checks, broken = [], set()
    for failure in report.get("failures", []):
        name = PART_NAMES.get(failure.get("part", ""), failure.get("part", "?"))
        broken.add(name)
        checks.append(Check(name, "failed", failure.get("what", "?"), again_of(failure.get("reproduce")) or again))
    for name, figure in FIGURES.items():
        if name in broken or name not in report:
            continue
        part = report[name]
        if part.get("cannot_run"):
            checks.append(Check(name, "skipped", part["cannot_run"]))
        elif part.get(figure):
            checks.append(Check(name, "passed", f"{part[figure]:,} {figure.replace('_', ' ')}"))
        else:
            checks.append(Check(name, "failed", f"{figure} is 0: it did nothing", again))
        for key, what in (("cannot_recycle", "recycled pids"), ("cannot_fill", "a full directory")):
            if part.get(key):
                checks.append(Check(f"{name}, {what}", "skipped", part[key]))
    return checks


def campaign(work):
    """All engines: stepping, simulation, real kills, stray stores, random operations."""
    report = work.results / "campaign.json"
    again = f"ci/campaign --seconds {work.seconds:.0f} --seed {work.seed}"
    command = ["ci/campaign", "--seconds", f"{work.seconds:.0f}", "--seed", str(work.seed), "--json", str(report),
               "--folder", str(work.failures / "engines"), "--quiet"]
    for option, file in (("html", "report.html"), ("junit", "campaign.xml"), ("lcov", "coverage.lcov"),
                         ("data", "coverage.json")):
        command += [f"--{option}", str(work.results / file)]
    result = work.run("campaign", command, 3 * work.seconds + 300)
    read = read_json(report)
    if read is None or result.status not in (0, 1):
        return [of_status(result, "campaign", again)]
    checks = engine_checks(read, again)
    if result.status == 1 and not any(check.outcome == "failed" for check in checks):
        checks.append(Check("campaign", "failed", f"exit status 1 without a finding: {result.last_line()}", again))
    work.did += [check.name + " " + check.detail for check in checks if check.outcome == "passed"]
    return checks


def kills(work):
    """Processes at full speed, killed, stopped and forked."""
    report = work.results / "kills.json"
    command = ["build/release/bin/lightning-faults", "run", "--engine", "real", "--seconds", f"{work.seconds:.0f}",
               "--seed", str(work.seed)]
    again = " ".join(command)
    result = work.run("kills", [*command, "--json", str(report), "--folder", str(work.failures / "engines"), "--quiet"],
                      3 * work.seconds + 120)
    read = read_json(report)
    if read is None or result.status not in (0, 1):
        return [of_status(result, "kills", again)]
    work.did.append(f"{read.get('count', 0):,} killed, {read.get('reads', 0):,} reads checked")
    # `run` names no part, since it has one, and calls the command that repeats a failure otherwise than `campaign`.
    failures = [{"part": "kills", "what": its.get("what", "?"), "reproduce": its.get("replay")}
                for its in read["failures"]]
    checks = engine_checks({"failures": failures, "kills": read}, again)
    if result.status == 1 and not any(check.outcome == "failed" for check in checks):
        checks.append(Check("kills", "failed", f"exit status 1 without a finding: {result.last_line()}", again))
    return checks


MUTANTS_ALL, SANITIZERS_ALL = 1400, 3600  # from so many seconds on all are tried, however long that takes


def in_turn(work, names, try_one, all_from):
    """Checks of try_one(work, name), a list, for each name in the order that the seed says.

    Below all_from seconds of as many as there is time for, and at least of one; the others are skipped by name.
    """
    names = random.Random(work.seed).sample(names, len(names))
    began = work.clock()
    for number, name in enumerate(names):
        if number and work.seconds < all_from and work.clock() - began >= work.seconds:
            reason = f"no time: {number} of {len(names)} were tried; all are from {all_from} seconds on"
            work.checks += [Check(rest, "skipped", reason) for rest in names[number:]]
            break
        work.checks += try_one(work, name)
    return work.checks


def mutants(work):
    """Planted bugs, each of which must be caught."""
    missing = absent(work, "ci/mutants")
    if missing:
        return missing
    names = sorted(path.stem for path in (work.root / "faults/mutants").glob("*.patch"))
    if not names:
        return [Check("mutants", "failed", "faults/mutants has no patch", "ls faults/mutants")]
    checks = in_turn(work, names, mutant, MUTANTS_ALL)
    caught = sum(check.outcome == "passed" for check in checks)
    work.did.append(f"{caught} caught of {len(names)}")
    return checks


def mutant(work, name):
    report = work.results / f"mutant-{name}.json"
    command = ["ci/mutants", "--only", name, "--no-control", "--seed", str(work.seed), "--quiet"]
    again = " ".join(command)
    result = work.run(f"mutant-{name}", [*command, "--json", str(report)], 1800)
    read = read_json(report)
    if not read:
        return [of_status(result, name, again)]
    its = read[0]
    if its["caught"]:
        return [Check(name, "passed", f"by {its['by']}")]
    if result.status == CANNOT_RUN:
        return [Check(name, "skipped", its.get("error") or result.last_line())]
    return [Check(name, "failed", its.get("error") or "not caught", again)]


def sanitizers(work):
    """The test suite under the sanitizers, by each compiler, and watched for what it does inside windows."""
    missing = absent(work, "ci/sanitize")
    if missing:
        return missing
    return in_turn(work, [f"{sanitizer} by {compiler}" for sanitizer, compiler in PRESETS], sanitizer_lane, SANITIZERS_ALL)


def sanitizer_lane(work, name):
    sanitizer, _, compiler = name.split()
    report = work.results / f"sanitize-{sanitizer}-{compiler}.json"
    command = ["ci/sanitize", sanitizer, "--compiler", compiler]
    again = " ".join(command)
    result = work.run(report.stem, [*command, "--json", str(report)], 10800)  # with a build of everything
    read = read_json(report)
    if read is None or result.status not in (0, 1):
        return [of_status(result, name, again)]
    if read.get("folder"):  # goes where all that is needed elsewhere is
        kept = work.failures / report.stem
        work.failures.mkdir(parents=True, exist_ok=True)
        shutil.move(read["folder"], kept)
        again = f"ci/replay {shlex.quote(str(kept))}"
    checks = [Check(f"{its['suite']}: {its['test']}", "failed", its["message"], again) for its in read["failures"]]
    checks += [Check(f"{its['suite']}: {its['test']}", "skipped", its["reason"]) for its in read["skips"]]
    checks += [Check(f"{name}: test {number + 1}", "passed") for number in range(read["passed"])]
    if not read["passed"] and not read["failures"]:
        checks.append(Check(name, "failed", "no test ran", again))
    work.did.append(f"{name}: {read['passed']:,} tests")
    return checks


SLOW_TESTS = ("ci", "crashtests", "faults", "pkeys_tests", "python", "store")


def slow(work):
    """The tests that ci/test has no time for: those marked `slow`."""
    report = work.results / "slow.xml"
    folders = [folder for folder in SLOW_TESTS if (work.root / folder).is_dir()]
    command = ["env", "LIGHTNING_SLOW_TESTS=1", "/usr/bin/python3", "-m", "pytest", "-q", "-m", "slow", *folders]
    again = " ".join(command)
    result = work.run("slow", [*command, f"--junitxml={report}"], 3 * work.seconds + 1800)
    try:
        cases = summarize.cases_of_xml(report)
    except (OSError, ElementTree.ParseError):
        cases = []
    checks = [Check(case.name, case.outcome, case.detail, again if case.outcome == "failed" else "") for case in cases]
    work.did.append(f"{len(checks)} tests")
    if not checks or result.status and not any(check.outcome == "failed" for check in checks):
        checks.append(Check("slow", "failed", f"exit status {result.status}: {result.last_line()}", again))
    return checks


@dataclass
class Part:
    name: str
    run: object
    weight: int  # its share of the time, in seconds of an hour
    least: int = 0  # seconds: with a smaller share it is skipped, and the others have its time
    built: bool = True  # whether it needs the release built before


PARTS = [
    Part("campaign", campaign, 310),
    Part("kills", kills, 225),
    Part("stray", stray, 130),
    Part("fuzz", fuzz, 450, built=False),
    Part("fuzz-coverage", fuzz_coverage, 60, least=30, built=False),
    Part("fuzz-mutants", fuzz_mutants, 110, least=55, built=False),
    Part("oss-fuzz", distributed, 70, least=35, built=False),
    Part("isolation", isolation, 90),
    Part("fire", fire, 310),
    Part("mutants", mutants, 1400),
    Part("slow", slow, 125, least=60),
    Part("sanitizers", sanitizers, 320, least=300, built=False),
]
# The parts to which another seed is news.
SEEDED = ("campaign", "kills", "fuzz")
