#!/usr/bin/env python3
"""Counts the results that ci/test left in a folder and prints them, the totals on a line of their own at the end.

  ci/summarize.py RESULTS [--json FILE] [--isolation MODE] [--keep FOLDER --command COMMAND]
  ci/summarize.py --skipped-for-keys RESULTS

A suite NAME is NAME.exit (exit status), NAME.xml (JUnit XML), NAME.log (output) and NAME.command (how to run it again).
A suite that died before it wrote its XML counts what its log shows as passed, and at least one failure. A test that was
skipped natively and ran in the keys lane is counted once, by the lane.

--keep makes FOLDER when something failed, with all that is needed elsewhere: results, COMMAND, commit and difference,
and the programs of $LIGHTNING_BIN_DIR that failed.
--skipped-for-keys prints one line `NAME FILTER` for each GoogleTest suite with tests skipped for want of keys.
Exit status: 0 something ran and nothing failed, 1 otherwise, 2 wrong usage. Example: ci/summarize.py build/test-results
"""

import argparse
import json
import os
import re
import shlex
import shutil
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import kept

ROOT = Path(__file__).resolve().parent.parent
LANE = "keys-lane"
FOR_KEYS = re.compile(r"protection key|\bkeys\b|pkey|ospke", re.IGNORECASE)


@dataclass
class Case:
    name: str
    outcome: str  # "passed", "failed" or "skipped"
    detail: str = ""


@dataclass
class Suite:
    name: str
    command: str = ""
    cases: list = field(default_factory=list)

    def count(self, outcome):
        return sum(case.outcome == outcome for case in self.cases)

    def fail(self, name, detail):
        self.cases.append(Case(name, "failed", detail))

    def count_in(self, lane):
        """Leaves to a lane what was skipped here and ran there."""
        ran = {case.name for case in lane.cases}
        self.cases = [case for case in self.cases if case.outcome != "skipped" or case.name not in ran]


def text_of(element):
    """The message of a <failure>, <error> or <skipped>, without the place where a skip stands."""
    message = element.get("message") or (element.text or "")
    lines = [line for line in message.strip().splitlines() if line.strip()]
    if element.tag == "skipped" and len(lines) > 1 and re.match(r"\S+:\d+$", lines[0]):
        lines = lines[1:]
    return "\n".join(lines)


def cases_of_xml(path):
    cases = []
    for element in ElementTree.parse(path).getroot().iter("testcase"):
        name = "{}.{}".format(element.get("classname", ""), element.get("name", "")).lstrip(".")
        bad = [child for child in element if child.tag in ("failure", "error")]
        skipped = element.find("skipped")
        if bad:
            cases.append(Case(name, "failed", "\n".join(text_of(child) for child in bad)))
        elif skipped is not None:
            cases.append(Case(name, "skipped", text_of(skipped) or "no reason given"))
        elif element.get("status") == "notrun":
            cases.append(Case(name, "skipped", "disabled in its source"))
        else:
            cases.append(Case(name, "passed"))
    return cases


def cases_of_log(path):
    """What GoogleTest's output shows, for a program that died. Also returns the test that was running."""
    cases, running = [], None
    for line in path.read_text(errors="replace").splitlines() if path.exists() else []:
        # A child or a test may have left the line before without its end.
        match = re.search(r"\[( RUN      |       OK |  FAILED  |  SKIPPED )\] ([^\s,]+\.[^\s,]+)(,.*)?( \(\d+ ms\))?$", line)
        if not match:
            continue
        mark, name = match.group(1).strip(), match.group(2)
        if mark == "RUN":
            running = name
        elif name == running:
            outcome = {"OK": "passed", "FAILED": "failed", "SKIPPED": "skipped"}[mark]
            cases.append(Case(name, outcome, "" if outcome == "passed" else "see the log; the program died later"))
            running = None
    return cases, running


def meaning(status):
    if status in (126, 127):
        return "it is not there, or no program"
    if status == 124:
        return "no end within its time (LIGHTNING_TEST_TIMEOUT)"
    if status == 125:
        return "never ran to its end in the emulated machine"
    if status > 128:
        return f"killed by signal {status - 128}"
    return f"exit status {status}"


def read_suite(results, name):
    status = int((results / f"{name}.exit").read_text())
    command = results / f"{name}.command"
    suite = Suite(name, command.read_text().strip() if command.exists() else "")
    try:
        suite.cases = cases_of_xml(results / f"{name}.xml")
        whole = True
    except (OSError, ElementTree.ParseError):
        whole = False
    if not whole:
        suite.cases, running = cases_of_log(results / f"{name}.log")
        suite.fail(running or "(outside any test)", f"the suite died here: {meaning(status)}")
    elif not suite.cases:
        suite.fail("(no test)", f"the suite ran no test: {meaning(status)}")
    elif status != 0 and not suite.count("failed"):
        suite.fail("(after the tests)", f"every test passed, then: {meaning(status)}")
    return suite


def read_all(results):
    names = sorted(path.name[: -len(".exit")] for path in results.glob("*.exit"))
    suites = [read_suite(results, name) for name in names]
    by_name = {suite.name: suite for suite in suites}
    for suite in suites:
        native = by_name.get(suite.name[len(LANE) + 1 :]) if suite.name.startswith(LANE + ".") else None
        if native:
            native.count_in(suite)
    unable = results / f"{LANE}.skipped"
    if unable.exists():
        suites.append(Suite(LANE, cases=[Case("the whole lane", "skipped", unable.read_text().strip())]))
    return suites


def skipped_for_keys(results):
    for path in sorted(results.glob("*.exit")):
        suite = read_suite(results, path.name[: -len(".exit")])
        names = [c.name for c in suite.cases if c.outcome == "skipped" and FOR_KEYS.search(c.detail)]
        if names and suite.name != "pytest" and not suite.name.startswith(LANE):
            print(suite.name, gtest_filter(names))


def report(suites, totals):
    print("\n{:<28} {:>7} {:>7} {:>8}".format("suite", "passed", "failed", "skipped"))
    for suite in suites:
        print("{:<28} {:>7} {:>7} {:>8}".format(suite.name, *(suite.count(outcome) for outcome in totals)))
    for outcome in ("skipped", "failed"):
        if totals[outcome]:
            print(f"\n{outcome}:")
        for suite in suites:
            for case in suite.cases:
                if case.outcome == outcome:
                    print(f"  {suite.name}: {case.name}: {case.detail.splitlines()[0] if case.detail else ''}")


def write_junit(suites, path):
    root = ElementTree.Element("testsuites")
    for suite in suites:
        node = ElementTree.SubElement(
            root, "testsuite", name=suite.name, tests=str(len(suite.cases)),
            failures=str(suite.count("failed")), skipped=str(suite.count("skipped")))
        for case in suite.cases:
            element = ElementTree.SubElement(node, "testcase", classname=suite.name, name=case.name)
            if case.outcome != "passed":
                tag = "failure" if case.outcome == "failed" else "skipped"
                detail = re.sub(r"[^\t\n\x20-\uD7FF\uE000-\uFFFD]", "?", case.detail)  # what XML 1.0 can hold
                ElementTree.SubElement(element, tag, message=detail)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def gtest_filter(names):
    """The filter of these tests and no others: from a dash on, GoogleTest would read what is left out."""
    return ":".join(name.replace("-", "?") for name in names)


def again(suite):
    """The command that repeats what failed: of a GoogleTest program those tests alone."""
    names = [case.name for case in suite.cases if case.outcome == "failed"]
    if "--gtest_" not in suite.command or any(name.startswith("(") for name in names) or len(names) > 20:
        return suite.command
    words = [word for word in shlex.split(suite.command) if not word.startswith(("--gtest_output", "--gtest_filter"))]
    return " ".join([shlex.join(words), f"'--gtest_filter={gtest_filter(names)}'"])


class KeepIn(NamedTuple):
    """Where failures are kept: the command that found them, and its programs' folders as kept.describe has them."""
    folder: Path
    command: str
    builds: dict


def keep(suites, results, where):
    """The results beside what describes them: the next run clears the results."""
    shutil.copytree(results, where.folder / "output")
    (where.folder / "again.txt").write_text("".join(
        f"{suite.name}: {case.name}: {case.detail}\n  {again(suite)}\n"
        for suite in suites for case in suite.cases if case.outcome == "failed"))
    failed = [part for suite in suites if suite.count("failed") for part in suite.name.split(".")]  # one is the program
    kept.describe(ROOT, where.folder, where.command, dict.fromkeys([*kept.PROGRAMS, "lightning-store", *failed]), where.builds)


def finish(suites, results, file=None, isolation=None, keep_in=None, more=None):
    """Prints and writes the whole, the commands that repeat failures right above the totals. The exit status."""
    totals = {outcome: sum(suite.count(outcome) for suite in suites) for outcome in ("passed", "failed", "skipped")}
    report(suites, totals)
    write_junit(suites, results / "junit.xml")
    failed = [suite for suite in suites if suite.count("failed")]
    folder = keep_in.folder if failed and keep_in else None
    if file:
        file.write_text(json.dumps({
            **totals,
            **(more or {}),
            "folder": folder and str(folder),
            **({"isolation": isolation} if isolation else {}),
            "suites": [{"name": s.name, **{outcome: s.count(outcome) for outcome in totals}} for s in suites],
            "failures": [{"suite": s.name, "test": c.name, "message": c.detail, "again": again(s)}
                         for s in suites for c in s.cases if c.outcome == "failed"],
            "skips": [{"suite": s.name, "test": c.name, "reason": c.detail}
                      for s in suites for c in s.cases if c.outcome == "skipped"],
        }, indent=2) + "\n")
    print(f"\nisolation on this machine: {isolation}" if isolation else "")
    if failed:
        if folder:
            keep(suites, results, keep_in)
        print(f"output, JUnit XML and commands of all suites: {folder or results}")
    for suite in failed:
        if suite.command:
            print(f"again: {again(suite)}")
    if folder:
        print(f"again, all of it, here or elsewhere: ci/replay {shlex.quote(str(folder))}")
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**totals))
    return 0 if totals["passed"] and not totals["failed"] else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--isolation", default="unknown", metavar="MODE")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    parser.add_argument("--command", default="ci/test")
    parser.add_argument("--skipped-for-keys", action="store_true")
    options = parser.parse_args()
    if options.skipped_for_keys:
        skipped_for_keys(options.results)
        return 0

    built = Path(os.environ.get("LIGHTNING_BIN_DIR") or ROOT / "build/release/bin")
    return finish(read_all(options.results), options.results, options.json, options.isolation,
                  KeepIn(options.keep, options.command, {"bin": built}) if options.keep else None)


if __name__ == "__main__":
    sys.exit(main())
