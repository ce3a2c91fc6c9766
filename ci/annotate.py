#!/usr/bin/env python3
"""Shows the failures of a tier where a pull request's reader looks: annotations, and the step's summary.

  ci/annotate.py [--title NAME] FILE...

FILE is what ci/lint, ci/test, ci/campaign, ci/nightly, ci/soak, ci/sanitize, ci/fuzz, ci/isolation or ci/mutants wrote
with --json. Each failure becomes a line `::error title=...::...` with the command that repeats it, as GitHub Actions
reads them; the table goes to $GITHUB_STEP_SUMMARY where that is set. A FILE that is not there becomes an error too:
the tier ended before it could write it. Exit status: 0 well, 2 wrong usage. Example: ci/annotate.py nightly.json
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

from tier_checks import again_of

MOST = 10  # annotations a file: GitHub shows no more of one step


class Failure(NamedTuple):
    where: str
    what: str
    again: str


def failures_of(read):
    """Of any of the files that the scripts write."""
    if isinstance(read, list):
        return [failure for its in read for failure in failures_of_row(its)]
    if "artifacts" in read:
        return failures_of_row(read)
    found = []
    for its in read.get("failures", []):
        where = ": ".join(its[key] for key in ("part", "suite", "test") if its.get(key))
        found.append(Failure(where, its.get("message") or its.get("what") or "?",
                             its.get("again") or again_of(its.get("reproduce"))))
    return found


def failures_of_row(its):
    if "verdict" in its:
        return failures_of_isolation(its)
    if "found" in its:  # a planted bug, whose artifacts are what was hoped for
        missed = Failure(its["name"], f"{its.get('target', 'fuzzing')} did not find it", "ci/fuzz --mutants")
        return [] if its["found"] else [missed]
    if "artifacts" in its:
        found = [Failure(its["target"], "artifact " + Path(file).name, f"ci/fuzz replay {file}") for file in its["artifacts"]]
        if "unfinished" in its:
            found.append(Failure(its["target"], its["unfinished"], f"ci/fuzz {its['target']} --seconds 60"))
        return found
    if "caught" in its and not its["caught"]:
        return [Failure(its["name"], its.get("error") or "not caught", f"ci/mutants --only {its['name']}")]
    return []


def failures_of_isolation(its):
    """What is out of scope may land, and need not."""
    if its["verdict"] in ("skipped", its["expectation"]) or its["expectation"] == "out of scope":
        return []
    name = its["test"].removeprefix("Isolation/")
    why = its.get("reason") or its.get("seen") or "?"
    return [Failure(name, f"expected {its['expectation']}, {its['verdict']}: {why}", f"ci/isolation --filter '{name}'")]


def escaped(text, of_property=False):
    """As workflow commands want it."""
    for plain, code in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A")) + (((":", "%3A"), (",", "%2C")) if of_property else ()):
        text = text.replace(plain, code)
    return text


def cell(text):
    return text.replace("|", "\\|").replace("\n", " ")[:300]


def read_file(path):
    """(object, failures)."""
    try:
        read = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}, [Failure(path.name, "it is not there, or no JSON: the tier ended before its end", "")]
    return read, failures_of(read)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--title", default="")
    options = parser.parse_args()
    summary = []
    for path in options.files:
        read, failures = read_file(path)
        title = options.title or path.stem
        for failure in failures[:MOST]:
            message = failure.what + (f"\nagain: {failure.again}" if failure.again else "")
            print(f"::error title={escaped(f'{title}: {failure.where}', True)}::{escaped(message)}")
        if len(failures) > MOST:
            print(f"::error title={escaped(title, True)}::and {len(failures) - MOST} more failures; the artifact has all")
        counts = [f"{read[key]} {key}" for key in ("passed", "failed", "skipped") if isinstance(read, dict) and key in read]
        seed = f", seed {read['seed']}" if isinstance(read, dict) and "seed" in read else ""
        summary.append(f"### {title}: {', '.join(counts) or ('FAILED' if failures else 'nothing was found')}{seed}\n")
        if failures:
            summary.append("| where | what | again |\n|---|---|---|\n" + "".join(
                f"| {cell(its.where)} | {cell(its.what)} | `{cell(its.again)}` |\n" for its in failures))
    if os.environ.get("GITHUB_STEP_SUMMARY"):
        with open(os.environ["GITHUB_STEP_SUMMARY"], "a", encoding="utf-8") as file:
            file.write("\n".join(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
