"""The parts of ci/nightly and ci/soak that are about isolation, in every mode. For ci/tier_parts.py."""

import re

from tier_checks import CANNOT_RUN, Check, absent, has_keys, of_status, read_json

# From so many seconds on what needs keys runs in the emulated machine, where the processor has none. Others take seconds.
ISOLATION_EMULATED = 25
# And from so many on what stops a row is taken away, so that it must fail: each row three times.
ISOLATION_PROOF = 90
NOT_KEYS = "mprotect.*:hidden.*:none.*"


def isolation(work):
    """Each way in which a stray write could reach the store, in each mode."""
    missing = absent(work, "ci/isolation")
    if missing:
        return missing
    report = work.results / "isolation.json"
    command, checks = ["ci/isolation"], []
    if work.seconds < ISOLATION_EMULATED and not has_keys():
        command += ["--filter", NOT_KEYS]
        checks.append(Check("rows of mode keys", "skipped", "no protection keys here, and no time for the emulated machine: "
                            f"from {ISOLATION_EMULATED} seconds on"))
    if work.seconds < ISOLATION_PROOF:
        command.append("--no-proof")
    again = " ".join(f"'{word}'" if "*" in word else word for word in command)
    result = work.run("isolation", [*command, "--json", str(report)], 3 * work.seconds + 3600)
    rows = read_json(report)
    if rows is None or result.status not in (0, 1):
        return [of_status(result, "isolation", again), *checks]
    work.did.append(f"{len(rows):,} rows")
    # What a row should have been, ci/isolation knows; it names each that was not.
    wrong = dict(re.findall(r"^  (Isolation/\S+): ((?:expected|weakened) .*)$", result.text, re.MULTILINE))
    for row in rows:
        name = row["test"].removeprefix("Isolation/")
        if row["test"] in wrong:
            checks.append(Check(name, "failed", wrong.pop(row["test"]), f"ci/isolation --filter '{name}'"))
        elif row["verdict"] == "skipped":
            checks.append(Check(name, "skipped", row.get("reason", "no reason given")))
        else:
            checks.append(Check(name, "passed"))
    if not rows:
        checks.append(Check("isolation", "failed", "no row", again))
    if result.status and not any(check.outcome == "failed" for check in checks):
        checks.append(Check("isolation", "failed", f"exit status {result.status}: {result.last_line()}", again))
    return checks


STRAY_FLOOR = 1_000_000  # stores a minute, of each mode


def stray(work):
    """Stray stores beside clients at work, in each mode, and how many a minute.

    How many depends on the machine and on what else runs there: the floor is reported, and decides nothing.
    """
    checks = [] if has_keys() else [Check("keys", "skipped", "no protection keys here")]
    modes = ["mprotect", "hidden"] + ["keys"] * has_keys()
    for mode in modes:
        report = work.results / f"stray-{mode}.json"
        command = ["build/release/bin/lightning-faults", "run", "--engine", "real", "--stray", "--mode", mode,
                   "--seconds", f"{max(1, work.seconds / len(modes)):.0f}", "--seed", str(work.seed)]
        again = " ".join(command)
        result = work.run(f"stray-{mode}", [*command, "--json", str(report), "--folder", str(work.failures / "engines"),
                                            "--quiet"], 3 * work.seconds + 120)
        read = read_json(report)
        if read is None or "stray" not in read or result.status not in (0, 1):
            checks.append(of_status(result, mode, again))
            continue
        its = read["stray"]
        reached = "at least" if its["per_minute"] >= STRAY_FLOOR else "fewer than"
        rate = f"{its['per_minute']:,.0f} a minute, {reached} {STRAY_FLOOR:,}"
        work.did.append(f"{mode} {rate}")
        if result.status or read["failures"]:
            what = "; ".join(failure.get("what", "?") for failure in read["failures"]) or result.last_line()
            checks.append(Check(mode, "failed", what, again))
        elif not its["fired"]:
            checks.append(Check(mode, "failed", "fired is 0: it did nothing", again))
        else:
            checks.append(Check(mode, "passed", f"{its['fired']:,} fired ({rate}), {its['landed']:,} landed"))
    return checks


FIRE_ALL, FIRE_WINDOWS = 300, 10_000_000  # from so many seconds on each mode opens so many windows
FIRE_EMULATED = 2_000                     # windows of mode keys in the emulated machine, for each second


def fire(work):
    """Windows under a storm of signals, threads and forks, in each mode."""
    missing = absent(work, "ci/isolation")
    if missing:
        return missing
    windows = max(100_000, round(FIRE_WINDOWS * min(1, work.seconds / FIRE_ALL)))
    emulated = max(40_000, round(FIRE_EMULATED * work.seconds)) if work.seconds >= ISOLATION_EMULATED else 0
    command = ["ci/isolation", "--fire", str(windows), "--emulated", str(emulated)]
    again = " ".join(command)
    result = work.run("fire", command, 3 * work.seconds + 3600)
    checks = []
    for mode in ("keys", "mprotect", "hidden", "none"):
        did = re.search(rf"^{mode}: (([0-9]+) windows, .*)$", result.text, re.MULTILINE)
        ends = re.findall(rf"^\[ +(OK|FAILED) +\] Modes/FireTest\.\w+/{mode}\b.* ms\)", result.text, re.MULTILINE)
        left_out = re.search(r"mode keys is left out: (.*)", result.text)
        if ends == ["OK"] and did and int(did.group(2)):
            checks.append(Check(mode, "passed", did.group(1)))
            work.did.append(f"{mode} {int(did.group(2)):,}")
        elif mode == "keys" and left_out and not ends:
            checks.append(Check(mode, "skipped", left_out.group(1)))
        else:
            checks.append(Check(mode, "failed", did.group(1) if did else f"no result: {result.last_line()}", again))
    if result.status not in (0, CANNOT_RUN) and all(check.outcome != "failed" for check in checks):
        checks.append(Check("fire", "failed", f"exit status {result.status}: {result.last_line()}", again))
    return checks
