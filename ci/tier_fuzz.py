"""The parts of ci/nightly that are about fuzzing: the targets, what their corpora reach, whether they find planted bugs, and
whether they build for a service that distributes them. For ci/tier_parts.py."""

import re
import shlex
import shutil
from pathlib import Path

from tier_checks import CANNOT_RUN, Check, absent, of_status, read_json


def fuzz(work):
    """Each target of ci/fuzz in turn."""
    missing = absent(work, "ci/fuzz")
    if missing:
        return missing
    work.run("fuzz-setup", ["ci/setup", "--with-fuzz"], 1200)  # what is missing then, ci/fuzz says
    listed = work.run("fuzz-list", ["ci/fuzz", "--list"], 300)
    targets = [line.split()[0] for line in listed.text.splitlines() if line.strip() and not line.startswith("==")]
    if listed.status or not targets:
        return [of_status(listed, "ci/fuzz --list", "ci/fuzz --list")]
    each = max(1, round(work.seconds / len(targets)))
    for target in targets:
        work.checks += fuzz_target(work, target, each)
    return work.checks


def fuzz_target(work, target, seconds):
    report = work.results / f"fuzz-{target}.json"
    command = ["ci/fuzz", target, "--seconds", str(seconds), "--seed", str(work.seed)]
    again = " ".join(command)
    command.append("--merge")  # or the corpora that nights keep would grow without end
    # The first target builds all that they share.
    result = work.run(f"fuzz-{target}", [*command, "--json", str(report)], 3 * seconds + 2400)
    read = read_json(report)
    if read is None or result.status not in (0, 1, 3):
        return [of_status(result, target, again)]
    artifacts = [Path(path) if Path(path).is_absolute() else work.root / path for path in read.get("artifacts", [])]
    checks = []
    for path in artifacts:
        kept = work.failures / "fuzz" / target / path.name
        kept.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            shutil.copyfile(path, kept)
        checks.append(Check(target, "failed", f"artifact {path.name}", f"ci/fuzz replay {shlex.quote(str(kept))}"))
    if result.status == 3:
        checks.append(Check(target, "failed", read.get("unfinished") or result.last_line(), again))
    if not checks and result.status:
        checks.append(Check(target, "failed", f"exit status 1 without an artifact: {result.last_line()}", again))
    if not checks and not read.get("executions"):
        checks.append(Check(target, "failed", "no execution", again))
    work.did.append(f"{target} {read.get('executions', 0):,}")
    if read.get("leaks_skipped"):
        work.checks.append(Check(f"{target}, leaks", "skipped", read["leaks_skipped"]))
    return checks or [Check(target, "passed", f"{read['executions']:,} executions, {read['per_second']:,} a second")]


def fuzz_coverage(work):
    """The lines that the corpora of the repository reach: 95 % of store/ at least."""
    missing = absent(work, "ci/fuzz")
    if missing:
        return missing
    report, again = work.results / "fuzz-coverage.json", "ci/fuzz --coverage"
    result = work.run("fuzz-coverage", ["ci/fuzz", "--coverage", "--json", str(report)], 3 * work.seconds + 3600)
    read = read_json(report)
    if read is None or result.status not in (0, 1, CANNOT_RUN):
        return [of_status(result, "coverage", again)]
    reached = read["folders"].get("store", {}).get("percent", 0)
    work.did.append(f"{reached} % of store/")
    if not reached:
        return [Check("coverage of store/", "failed", "no line was counted", again)]
    for what, reason in read.get("skipped", {}).items():
        work.checks.append(Check(f"coverage, {what}", "skipped", reason))
    if result.status == CANNOT_RUN:  # below the aim, of which what was skipped is a part
        return [*work.checks, Check("coverage of store/", "skipped", result.last_line())]
    told = f"{reached} %, the aim is {read['goal']:g} %"
    return [*work.checks, Check("coverage of store/", "failed" if result.status else "passed", told, again if result.status else "")]


PLANTED = 11  # bugs of fuzz/mutants.py


def fuzz_mutants(work):
    """Planted bugs, each of which a target must find from the corpora without what fails on it."""
    missing = absent(work, "ci/fuzz")
    if missing:
        return missing
    report = work.results / "fuzz-mutants.json"
    command = ["ci/fuzz", "--mutants", "--seconds", str(max(5, round(work.seconds / PLANTED)))]  # at most, each
    result = work.run("fuzz-mutants", [*command, "--json", str(report)], 3 * work.seconds + 7200)
    read = read_json(report)
    if read is None or result.status not in (0, 1):
        return [of_status(result, "planted bugs", " ".join(command))]
    checks = [Check(its["name"], "passed", f"by {its['target']} after {its['seconds']} s") if its["found"] else
              Check(its["name"], "failed", f"{its['target']} did not find it", " ".join(command)) for its in read]
    work.did.append(f"{sum(its['found'] for its in read)} of {len(read)} found")
    return checks or [Check("planted bugs", "failed", "none was planted", " ".join(command))]


def distributed(work):
    """ci/oss-fuzz-check: each target built and started as a fuzzing service does, with libFuzzer and AFL++."""
    missing = absent(work, "ci/oss-fuzz-check")
    if missing:
        return missing
    result = work.run("oss-fuzz", ["ci/oss-fuzz-check"], 3 * work.seconds + 7200)
    outcomes = {"ok": "passed", "FAIL": "failed", "SKIP": "skipped"}
    checks = [Check(f"{engine} {name}", outcomes[word], detail, "ci/oss-fuzz-check" if word == "FAIL" else "")
              for word, engine, name, detail in re.findall(r"(?m)^(ok|FAIL|SKIP) +(\S+) (.*?)(?:: (.*))?$", result.text)]
    work.did.append(f"{sum(check.outcome == 'passed' for check in checks)} builds, parts and starts")
    if not checks or result.status and not any(check.outcome == "failed" for check in checks):
        checks.append(of_status(result, "oss-fuzz-check", "ci/oss-fuzz-check"))
    return checks
