#!/usr/bin/env python3
"""What ci/isolation says at its end, from the results that it left in a folder.

  ci/isolation_report.py RESULTS --rows N [--json FILE] [--record FILE]

RESULTS holds NAME.json and NAME.exit of each run of isolation-tests; those that are named proof-... ran weakened rows.
All N rows must be there.
--record writes what ran where, for docs/isolation.md, if all is as expected.
Exit status: 0 each row came out as expected or was skipped, and each weakened one as it must; 1 otherwise. Example: see
ci/isolation
"""

import argparse
import collections
import json
import platform
import sys
from pathlib import Path

FIELDS = ("route", "target", "context", "mode", "lane", "expectation", "verdict", "reason", "test", "seen")


def read(results):
    """All rows, all weakened rows, and a sentence for each run that did not come to its end."""
    rows, proofs, broken = [], [], []
    for path in sorted(results.glob("*.exit")):
        status = int(path.read_text())
        listed = path.with_suffix(".json")
        if listed.exists():
            (proofs if path.stem.startswith("proof-") else rows).extend(json.loads(listed.read_text()))
        if not listed.exists() or status not in (0, 1):
            broken.append(f"the run in lane {path.stem} did not come to its end (exit status {status}); "
                          f"see {path.with_suffix('.log')}")
    return rows, proofs, broken


def tell_proofs(proofs):
    """What the weakened rows showed; returns those that showed nothing."""
    wrong = [proof for proof in proofs if not proof["as_expected"]]
    ran = [proof for proof in proofs if not proof["skipped"]]
    for weakness in sorted({proof["weakness"] for proof in ran}):
        those = [proof for proof in ran if proof["weakness"] == weakness]
        immune = collections.Counter(proof["immune"] for proof in those if proof["immune"])
        failed = sum(proof["as_expected"] and not proof["immune"] for proof in those)
        print(f"weakened by {weakness}: {failed} of {len(those) - immune.total()} stopped rows fail, as they must")
        for reason, number in sorted(immune.items()):
            print(f"  {number} immune: {reason}")
    return wrong


def table(rows):
    counts = collections.defaultdict(collections.Counter)
    for row in rows:
        count = counts[row["mode"], row["lane"]]
        count["rows"] += 1
        count[row["verdict"]] += 1
        count["unexpected"] += not row["as_expected"]
    columns = ("rows", "stopped", "detected", "landed", "skipped", "unexpected")
    print("\n{:<10} {:<9}".format("mode", "lane"), *("{:>10}".format(column) for column in columns))
    for (mode, lane), count in sorted(counts.items()):
        print("{:<10} {:<9}".format(mode, lane), *("{:>10}".format(count[column]) for column in columns))


def processor(cpuinfo="/proc/cpuinfo"):
    for line in Path(cpuinfo).read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def record(rows, path):
    machines = {"hardware": f"{processor()}, Linux {'.'.join(platform.release().split('.')[:2])}",
                "emulated": "QEMU's software processor, Linux 6.12 or later"}
    ran = collections.Counter((row["mode"], row["lane"]) for row in rows if row["verdict"] != "skipped")
    lanes = [{"mode": mode, "lane": lane, "machine": machines[lane], "rows": number}
             for (mode, lane), number in sorted(ran.items())]
    not_run = {row["test"]: row["reason"] for row in rows if row["verdict"] == "skipped"}
    path.write_text(json.dumps({"lanes": lanes, "not_run": not_run}, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--record", type=Path, metavar="FILE")
    options = parser.parse_args()
    rows, proofs, problems = read(options.results)
    if len(rows) != options.rows:
        problems.append(f"{options.rows} rows were to run, and {len(rows)} have a verdict")
    if options.json:
        listed = [{field: row[field] for field in FIELDS if field in row} for row in rows]
        options.json.write_text(json.dumps(listed, indent=1) + "\n")

    table(rows)
    skips = collections.Counter((row["reason"], row["lane"]) for row in rows if row["verdict"] == "skipped")
    if skips:
        print("\nskipped:")
    for (reason, lane), number in sorted(skips.items()):
        print(f"  {number} in lane {lane}: {reason}")
    beyond = [row for row in rows if row["expectation"] == "out of scope"]
    landed = sum(row["verdict"] == "landed" for row in beyond)
    print(f"\nout of scope: {len(beyond)}, of which {landed} landed")
    wrong = [row for row in rows if not row["as_expected"]]
    unproved = tell_proofs(proofs)
    if wrong or unproved or problems:
        print("\nnot as expected:")
    for row in wrong:
        print(f"  {row['test']}: expected {row['expectation']}, {row['verdict']}: {row.get('reason', row['seen'])}")
        print(f"    again: ci/isolation --filter '{row['test'].removeprefix('Isolation/')}'")
    for proof in unproved:
        print(f"  {proof['test']}: {proof['reason']}")
        print(f"    again: ci/isolation --filter '{proof['test'].removeprefix('Isolation/')}'")
    for problem in problems:
        print(f"  {problem}")
    print(f"\n{len(rows) - len(wrong)} of {options.rows} rows as expected")
    failed = wrong or unproved or problems
    if options.record and not failed:
        record(rows, options.record)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
