#!/usr/bin/env python3
"""What ci/sanitize does. Run it by that name; ci/sanitize --help has the options.

Exit status: 0 all that ran passed, 1 something failed or nothing ran, 2 wrong usage, 77 cannot run here.
Example: ci/sanitize thread
"""

import argparse
import collections
import fnmatch
import itertools
import os
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

import summarize

ROOT = Path(__file__).resolve().parent.parent
PRESETS = {("address", "gcc"): "asan", ("address", "clang"): "asan-clang", ("thread", "gcc"): "tsan",
           ("thread", "clang"): "tsan-clang", ("windows", "gcc"): "watched"}
PROGRAMS = ("store_tests", "faults_tests", "sim_tests", "pkeys_tests", "bench_tests", "crash_tests", "isolation-tests",
            "fuzz_sim_tests", "fuzz_store_tests")
OPTIONS_OF = {"isolation-tests": ["--sample"]}
# Those of the store's own clients. The others start the harness, which counts instructions and judges machine code that
# would be the sanitizer's; its own code runs in faults_tests and sim_tests.
PYTHON_TESTS = ("store", "crashtests")
CANNOT_RUN = 77
# Of the lane that watches windows: its processes step through none, since a debugger steps them or they would take too long.
# What a process asks for inside windows is recorded all the same (store/watch/).
UNSTEPPED = "unstepped"
AS_UNSTEPPED = {"LIGHTNING_WINDOW_UNSTEPPED": "1"}
# Seconds that one fixture of a program may take, the Python tests, and all in the emulated machine.
LIMIT, PYTHON_LIMIT, KEYS_LIMIT = 900, 3600, 3600

# The store has its own handlers for SIGSEGV and the like, and tests that mean to meet them; a report goes to a file, so
# that none gets lost in the output of a process that nobody reads. Undefined behaviour ends the process, or a test that
# does not look would pass.
OPTIONS = {
    "address": {
        "ASAN_OPTIONS": "handle_segv=0:handle_sigbus=0:handle_sigill=0:handle_sigfpe=0:handle_abort=0:"
                        "detect_stack_use_after_return=0:log_path={reports}",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:log_path={reports}",
        "LSAN_OPTIONS": "log_path={reports}",
    },
    "thread": {
        "TSAN_OPTIONS": "handle_segv=0:handle_sigbus=0:handle_sigill=0:handle_sigfpe=0:handle_abort=0:"
                        "die_after_fork=0:second_deadlock_stack=1:log_path={reports}",
    },
    "windows": {  # no sanitizer, but a build that reports in the same way (store/watch/)
        "LIGHTNING_WINDOW_REPORTS": "{reports}",
        "LIGHTNING_WINDOW_COUNTS": "{counts}",
    },
}

# What a sanitizer says of its own limits, and is no finding.
REMARKS = (
    "ASan is ignoring requested __asan_handle_no_return",  # rows of the matrix leave a stack for another on purpose
    "ASan doesn't fully support makecontext/swapcontext",  # so do these
    "LeakSanitizer has encountered a fatal error",  # it looks for leaks by ptrace, and the harness traces already
    "LeakSanitizer does not work under ptrace",
)


def finding_of(report):
    """The line that says what a sanitizer's report is about; None where it has nothing but remarks, or nothing: the crash
    tests kill processes also while these begin to look for leaks."""
    if not report.strip():
        return None
    remarked = [line for line in report.splitlines() if any(remark in line for remark in REMARKS)]
    wrong = [line.strip() for line in report.splitlines() if line not in remarked and
             ("ERROR" in line or "WARNING" in line or "runtime error" in line)]
    if wrong:
        return wrong[0]
    return None if remarked else "see"


class Exclusion(NamedTuple):
    lane: str  # a sanitizer, or with a compiler: address-clang; or "unstepped", which runs all the same
    program: str  # or pytest
    pattern: str  # of names as GoogleTest has them; of pytest: of files
    reason: str


def read_exclusions(text):
    """One a line: LANE PROGRAM PATTERN REASON... Raises ValueError where a line lacks its reason."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        words = line.split(None, 3)
        if len(words) < 4 or words[0] not in (*OPTIONS, UNSTEPPED, *("-".join(lane) for lane in PRESETS)):
            raise ValueError(f"ci/sanitize-exceptions.txt:{number}: {'|'.join(OPTIONS)}[-COMPILER]|{UNSTEPPED} "
                             "PROGRAM PATTERN REASON")
        found.append(Exclusion(*words))
    return found


def split(names, exclusions):
    """(those that run, [(name, reason)] of those that do not, the exclusions that exclude nothing)."""
    excluded, used = [], set()
    for name in names:
        for exclusion in exclusions:
            if fnmatch.fnmatchcase(name, exclusion.pattern):
                excluded.append((name, exclusion.reason))
                used.add(exclusion)
                break
    gone = {name for name, _ in excluded}
    return [name for name in names if name not in gone], excluded, [e for e in exclusions if e not in used]


def parse_list(text):
    """Full names out of what --gtest_list_tests prints."""
    names, suite = [], ""
    for line in text.splitlines():
        word = line.split("#")[0].rstrip()
        if word.startswith("  "):
            names.append(suite + word.strip())
        elif word.endswith("."):
            suite = word
    return names


def fixture_of(test):
    return test.rsplit(".", 1)[0]


def fixed_addresses():
    """The sanitizers' shadow lies at fixed addresses, which a kernel that randomises more bits may have given away."""
    setarch = ["setarch", os.uname().machine, "-R"]
    works = subprocess.run([*setarch, "true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return setarch if works.returncode == 0 else []


def together(commands):
    """One command for several runs of one program, with the tests of all; "" of none."""
    words = [shlex.split(command) for command in commands]
    tests = [word.partition("=")[2] for each in words for word in each if word.startswith("--gtest_filter=")]
    return shlex.join([*(word for word in words[-1] if not word.startswith("--gtest_")),
                       f"--gtest_filter={':'.join(tests)}"]) if words else ""


class Lane:
    """One build and its tests. Leaves NAME.exit, .xml, .log and .command for each suite, as ci/summarize.py reads them."""

    def __init__(self, sanitizer, compiler, results, exclusions, test_filter, every_window=False):
        self.every_window = every_window and sanitizer == "windows"
        self.sanitizer, self.compiler, self.results, self.filter = sanitizer, compiler, results, test_filter
        self.preset = PRESETS[sanitizer, compiler]
        self.bin = ROOT / "build" / self.preset / "bin"
        self.counts = results / f"{sanitizer}-{compiler}.counts"
        self.exclusions = [its for its in exclusions if its.lane in (sanitizer, f"{sanitizer}-{compiler}")]
        self.unstepped = [its for its in exclusions if its.lane == UNSTEPPED and sanitizer == "windows"]
        self.skipped_for_keys = {}  # the tests, by program and whether their windows are stepped

    def environment(self, suite):
        reports = self.results / f"{suite}.report"
        own = {name: value.format(reports=reports, counts=self.counts) for name, value in OPTIONS[self.sanitizer].items()}
        if self.every_window:
            own["LIGHTNING_WINDOW_EVERY"] = "1"
        return dict(os.environ, LIGHTNING_BIN_DIR=str(self.bin), LIGHTNING_BIN=str(self.bin),
                    LIGHTNING_SOURCE_DIR=str(ROOT), LIGHTNING_SANITIZER=self.sanitizer, **own)

    def run(self, suite, command, limit, more=None):
        """Runs one command to its end, with `more` in its environment, and leaves its files. What it left, read."""
        environment = dict(self.environment(suite), **(more or {}))
        shown = [f"{key}={value}" for key, value in environment.items() if os.environ.get(key) != value]
        command = [*fixed_addresses(), *command]
        (self.results / f"{suite}.command").write_text(shlex.join(["env", *shown, *command]) + "\n")
        with (self.results / f"{suite}.log").open("w") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=subprocess.STDOUT, start_new_session=True)
            try:
                status = process.wait(limit)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # with what it started
                process.wait()
                status = 124
        (self.results / f"{suite}.exit").write_text(f"{status if status >= 0 else 128 - status}\n")
        return self.read(suite)

    def read(self, suite, folder=None, name=None):
        """What `suite` left, in another folder and under another name where these are given; its reports are its own."""
        read = summarize.read_suite(folder or self.results, name or suite)
        for file in sorted(self.results.glob(f"{suite}.report.*")):
            finding = finding_of(file.read_text(errors="replace"))
            if finding:
                read.fail("(a report)", f"{finding} {file}")
        return read

    def fixture(self, suite, program, tests, whole, stepped):
        """The tests of one fixture, in a process of their own: one that hangs or dies takes no other fixture with it."""
        fixture = fixture_of(tests[0])
        name = f"{suite}.{fixture.replace('/', '-')}" + ("" if stepped else f".{UNSTEPPED}")
        chosen = summarize.gtest_filter([f"{fixture}.*"] if whole else tests)
        return self.run(name, [*program, f"--gtest_filter={chosen}", f"--gtest_output=xml:{self.results}/{name}.xml"], LIMIT,
                        {} if stepped else AS_UNSTEPPED)

    def fixtures(self, suite, program, tests, sizes, stepped):
        """Runs these tests, and adds what they left to `suite`. `sizes`: how many tests each fixture has."""
        chosen = [list(its) for _, its in itertools.groupby(tests, fixture_of)]
        failed = []
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            # Named as a whole where nothing of it is left out, so that the command that repeats it can be read.
            started = [pool.submit(self.fixture, suite.name, program, its,
                                   self.filter == "*" and len(its) == sizes[fixture_of(its[0])], stepped) for its in chosen]
            for done, run in enumerate(as_completed(started), 1):
                read = run.result()
                suite.cases += read.cases
                counted = ", ".join(f"{read.count(its)} {its}" for its in ("passed", "failed", "skipped") if read.count(its))
                print(f"[{done}/{len(started)}] {read.name}: {counted}", file=sys.stderr, flush=True)
                failed += [read.command] if read.count("failed") else []
        suite.command = together(failed) or suite.command

    def program(self, name):
        """Its suites: of the tests whose windows are stepped where any are, and of those whose are not."""
        suite = summarize.Suite(f"{self.sanitizer}-{self.compiler}.{name}")
        program = [str(self.bin / name), *OPTIONS_OF.get(name, [])]
        if not (self.bin / name).is_file():
            suite.fail("(outside any test)", f"{program[0]} is not there: it was not built")
            return [suite]
        listed = subprocess.run([*fixed_addresses(), *program, "--gtest_list_tests", f"--gtest_filter={self.filter}"],
                                cwd=ROOT, env=self.environment(f"{name}.list"), capture_output=True, text=True, check=False)
        all_names = parse_list(listed.stdout)
        sizes = collections.Counter(map(fixture_of, all_names))
        names, excluded, unused = split(all_names, [e for e in self.exclusions if e.program == name])
        stepped, unstepped, unused_too = split(names, [e for e in self.unstepped if e.program == name])
        if listed.returncode:
            suite.fail("(outside any test)", f"--gtest_list_tests: {summarize.meaning(listed.returncode)}")
        suites = [suite, summarize.Suite(f"{suite.name}.{UNSTEPPED}")]
        for its, tests, way in zip(suites, (stepped, [test for test, _ in unstepped]), (True, False)):
            its.command = shlex.join([*program, "--gtest_filter=*"])
            self.fixtures(its, program, tests, sizes, way)
            self.skipped_for_keys[name, way] = [case.name for case in its.cases if case.outcome == "skipped"
                                                and summarize.FOR_KEYS.search(case.detail)]
        suite.cases += [summarize.Case(test, "skipped", reason) for test, reason in excluded]
        if self.filter == "*":
            for exclusion in unused + unused_too:
                suite.fail("(ci/sanitize-exceptions.txt)", f"{exclusion.pattern} excludes nothing")
        return [its for its in suites if its.cases]

    def python(self):
        files = sorted(str(path.relative_to(ROOT)) for folder in PYTHON_TESTS
                       for path in (*(ROOT / folder).rglob("test_*.py"), *(ROOT / folder).rglob("*_test.py")))
        files, excluded, unused = split(files, [e for e in self.exclusions if e.program == "pytest"])
        suite = f"{self.sanitizer}-{self.compiler}.pytest"
        print(f"== {suite}: {len(files)} files", file=sys.stderr, flush=True)
        read = self.run(suite, ["/usr/bin/python3", "-m", "pytest", "-p", "no:cacheprovider", "-ra", "--tb=short",
                                f"--junitxml={self.results}/{suite}.xml", *files], PYTHON_LIMIT,
                        AS_UNSTEPPED) if files else summarize.Suite(suite)  # their clients wait 20 ms for each other
        for exclusion in unused:
            read.fail("(ci/sanitize-exceptions.txt)", f"{exclusion.pattern} excludes nothing")
        read.cases += [summarize.Case(file, "skipped", reason) for file, reason in excluded]
        return read

    def keys(self, natives):
        """What was skipped for want of keys, in the emulated machine: a suite a program. A sanitizer would look no further
        there than in the other modes, but in this mode other code opens and closes the windows."""
        if self.sanitizer != "windows":
            return []
        suites = []
        for (program, stepped), tests in self.skipped_for_keys.items():
            if not tests:
                continue
            suite = f"{summarize.LANE}.{program}" + ("" if stepped else f".{UNSTEPPED}")
            print(f"== {suite}", file=sys.stderr, flush=True)
            folder = self.results / suite  # the lane empties it
            folder.mkdir()
            (folder / "plan").write_text(f"{program} {summarize.gtest_filter(tests)}\n")
            subprocess.run(["ci/keys-lane", "--results", str(folder), "--plan", str(folder / "plan")], cwd=ROOT,
                           env=dict(self.environment(suite), **({} if stepped else AS_UNSTEPPED),
                                    LIGHTNING_TEST_TIMEOUT=str(KEYS_LIMIT)),
                           stdin=subprocess.DEVNULL, check=False)
            unable = folder / f"{summarize.LANE}.skipped"
            if unable.exists():
                return [summarize.Suite(summarize.LANE, cases=[
                    summarize.Case("the whole lane", "skipped", unable.read_text().strip())])]
            suites.append(self.read(suite, folder, f"{summarize.LANE}.{program}"))
            for native in natives:
                if native.name == f"{self.sanitizer}-{self.compiler}.{program}" + ("" if stepped else f".{UNSTEPPED}"):
                    native.count_in(suites[-1])
        return suites

    def watched(self):
        """What was watched, by name; empty where this lane counts nothing."""
        if self.sanitizer != "windows":
            return {}
        words = self.counts.read_bytes() if self.counts.exists() else bytes(48)
        return dict(zip(("windows", "stepped", "instructions", "cut", "recorded", "unseen"), struct.unpack("<6Q", words)))


def judge_watched(watched):
    """A case where not all that was opened was watched."""
    if not watched["instructions"] or not watched["recorded"]:
        return [summarize.Case("(what was watched)", "failed", f"nothing: {watched}")]
    return [summarize.Case("(windows whose system calls nobody saw)", "skipped",
                           f"{watched['unseen']} windows: the kernel has no syscall user dispatch (Linux 5.11), or a handler "
                           "opened them inside another one")] if watched["unseen"] else []


def lanes_of(options):
    sanitizers = OPTIONS if options.sanitizer == "all" else (options.sanitizer,)
    compilers = [options.compiler] if options.compiler else ["gcc", "clang"] if options.sanitizer == "all" else ["gcc"]
    return [(sanitizer, compiler) for sanitizer in sanitizers for compiler in compilers if (sanitizer, compiler) in PRESETS]


def build(lane, results):
    """Suite with one failure or skip where it cannot be built; None where it is built."""
    setup = subprocess.run(["ci/setup", "--with-lint"], cwd=ROOT, check=False)
    if setup.returncode == 0 and lane.compiler == "clang":
        subprocess.run(["ci/setup", "--with-fuzz"], cwd=ROOT, stderr=subprocess.DEVNULL, check=False)  # clang's runtimes
    log = results / f"build-{lane.preset}.log"
    with log.open("w") as output:
        status = subprocess.run(["ci/build", lane.preset], cwd=ROOT, stdout=output, stderr=subprocess.STDOUT,
                                check=False).returncode
    if status == 0:
        return None
    outcome = "skipped" if status == CANNOT_RUN else "failed"
    suite = summarize.Suite(f"{lane.sanitizer}-{lane.compiler}", f"ci/build {lane.preset}")
    suite.cases.append(summarize.Case("build", outcome, f"exit status {status}; see {log}"))
    return suite


def parse(argv):
    if {"-h", "--help"} & set(argv):
        print(__doc__)
        sys.exit(0)
    parser = argparse.ArgumentParser(prog="ci/sanitize", add_help=False, allow_abbrev=False)
    parser.add_argument("sanitizer", nargs="?", choices=(*OPTIONS, "all"), default="address")
    parser.add_argument("--compiler", choices=("gcc", "clang"))
    parser.add_argument("--filter", default="*")
    parser.add_argument("--every-window", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--caller", type=Path, default=Path.cwd())
    return parser.parse_args(argv)


def main(argv):
    options = parse(argv)
    exclusions = read_exclusions((ROOT / "ci/sanitize-exceptions.txt").read_text())
    results = ROOT / "build" / "sanitize"
    lanes = [Lane(*lane, results, exclusions, options.filter, options.every_window) for lane in lanes_of(options)]
    if not lanes:
        raise ValueError("windows are watched in the build by gcc alone")
    if options.list:
        for lane in lanes:
            print(f"{lane.sanitizer}, {lane.compiler}: preset {lane.preset}: {' '.join(PROGRAMS)} pytest, "
                  f"{len(lane.exclusions)} exclusions")
        return 0
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True)
    suites, watched = [], {}
    for lane in lanes:
        unbuilt = build(lane, results)
        if unbuilt:
            suites.append(unbuilt)
            continue
        suites += [suite for name in PROGRAMS for suite in lane.program(name)]
        suites += lane.keys(suites)
        if options.filter == "*":
            suites.append(lane.python())
        for name, count in lane.watched().items():
            watched[name] = watched.get(name, 0) + count
    if watched:
        print("{windows} windows opened: {recorded} of them recorded; {stepped} stepped through, {instructions} instructions, "
              "{cut} of these recorded from some instruction on".format(**watched))
        suites[-1].cases += judge_watched(watched)
    keep_in = summarize.KeepIn(ROOT / "lightning-failures" / time.strftime("sanitize-%Y%m%d-%H%M%S", time.gmtime()),
                               shlex.join(["ci/sanitize", *(argv[2:] if argv[:1] == ["--caller"] else argv)]),
                               {f"bin/{lane.preset}": lane.bin for lane in lanes})
    return summarize.finish(suites, results, options.json and options.caller / options.json, more=watched, keep_in=keep_in)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ValueError as error:
        sys.exit(f"ci/sanitize: {error}")
