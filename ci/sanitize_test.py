"""ci/sanitize: what is left out is named with its reason, and no report gets lost."""

import itertools
import json
import pathlib
import shlex

import pytest

import sanitize
import summarize
import tier_checks
import tier_parts


def test_an_exclusion_needs_its_reason():
    text = "# comment\n\nthread faults_tests Step* it steps with ptrace\n"
    assert sanitize.read_exclusions(text) == [sanitize.Exclusion("thread", "faults_tests", "Step*", "it steps with ptrace")]
    for wrong in ("thread faults_tests Step*", "memory faults_tests Step* no such sanitizer"):
        with pytest.raises(ValueError):
            sanitize.read_exclusions(wrong)


def test_an_exclusion_may_be_of_one_compiler_alone(tmp_path):
    exclusions = sanitize.read_exclusions("thread-clang p A.* why\nthread p B.* why\n")
    assert [len(sanitize.Lane("thread", compiler, tmp_path, exclusions, "*").exclusions) for compiler in ("gcc", "clang")] == [1, 2]
    with pytest.raises(ValueError):
        sanitize.read_exclusions("windows-clang p A.* there is no such lane\n")


def test_the_repositorys_own_exclusions_can_be_read():
    sanitize.read_exclusions((sanitize.ROOT / "ci/sanitize-exceptions.txt").read_text())


def test_names_are_split_and_what_excludes_nothing_is_told():
    used, unused = (sanitize.Exclusion("thread", "p", pattern, "why") for pattern in ("A.*", "C.*"))
    run, excluded, nothing = sanitize.split(["A.x", "B.x"], [used, unused])
    assert (run, excluded, nothing) == (["B.x"], [("A.x", "why")], [unused])


def test_names_are_read_as_gtest_lists_them():
    text = "Running main() from gtest_main.cc\nA.\n  x\n  y\nModes/B.\n  z/keys  # GetParam() = 4\n"
    assert sanitize.parse_list(text) == ["A.x", "A.y", "Modes/B.z/keys"]


def fake_lane(tmp_path, exit_status=0):
    suite = "address-gcc.store_tests"
    (tmp_path / f"{suite}.exit").write_text(f"{exit_status}\n")
    (tmp_path / f"{suite}.command").write_text("env A=b store_tests --gtest_filter=*\n")
    (tmp_path / f"{suite}.xml").write_text('<testsuites><testcase classname="A" name="x"/></testsuites>')
    return sanitize.Lane("address", "gcc", tmp_path, [], "*"), suite


def test_a_program_that_is_not_there_is_a_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(sanitize, "ROOT", tmp_path)
    lane = sanitize.Lane("address", "gcc", tmp_path, [], "*")
    suite, = lane.program("store_tests")
    assert suite.count("failed") == 1


def test_a_report_of_any_process_is_a_failure_though_every_test_passed(tmp_path):
    lane, suite = fake_lane(tmp_path)
    assert lane.read(suite).count("failed") == 0
    (tmp_path / f"{suite}.report.123").write_text("==123==ERROR: AddressSanitizer: heap-use-after-free\n")
    read = lane.read(suite)
    assert (read.count("passed"), read.count("failed")) == (1, 1)
    assert "heap-use-after-free" in read.cases[-1].detail


def test_what_a_sanitizer_says_of_its_own_limits_is_no_finding_and_all_else_is_one():
    remark = "==7==WARNING: ASan doesn't fully support makecontext/swapcontext functions and may produce false positives"
    assert sanitize.finding_of(remark) is None
    assert sanitize.finding_of(remark + "\n==7==ERROR: AddressSanitizer: heap-use-after-free") == \
        "==7==ERROR: AddressSanitizer: heap-use-after-free"
    assert sanitize.finding_of("WARNING: ThreadSanitizer: data race (pid=7)").startswith("WARNING: ThreadSanitizer")
    assert sanitize.finding_of("a.cc:1: runtime error: shift") == "a.cc:1: runtime error: shift"
    assert sanitize.finding_of("something new") == "see" and sanitize.finding_of("") is None
    assert sanitize.finding_of("==7==LeakSanitizer has encountered a fatal error.") is None


PROGRAM = """#!/bin/sh
case "$*" in
  *--gtest_list_tests*) printf 'A.\n  x\n  y\nB.\n  hangs\n'; exit ;;
  *'filter=B.'*) echo '[ RUN      ] B.hangs'; exec sleep 60 ;;
esac
for word; do case $word in --gtest_output=xml:*) file=${word#*xml:} ;; esac; done
echo '<testsuites><testcase classname="A" name="x"/><testcase classname="A" name="y"/></testsuites>' >"$file"
"""


def lane_of_a_program(tmp_path, monkeypatch, exclusions, sanitizer="address"):
    monkeypatch.setattr(sanitize, "ROOT", tmp_path)
    monkeypatch.setattr(sanitize, "LIMIT", 0.5)
    lane = sanitize.Lane(sanitizer, "gcc", tmp_path, [sanitize.Exclusion(sanitizer, "p", its, "why") for its in exclusions],
                         "*")
    lane.bin.mkdir(parents=True, exist_ok=True)
    (lane.bin / "p").write_text(PROGRAM)
    (lane.bin / "p").chmod(0o755)
    return lane


def test_a_test_that_hangs_is_named_and_takes_no_other_fixture_with_it(tmp_path, monkeypatch):
    suite, = lane_of_a_program(tmp_path, monkeypatch, []).program("p")
    assert [(case.name, case.outcome) for case in sorted(suite.cases, key=lambda its: its.name)] == [
        ("A.x", "passed"), ("A.y", "passed"), ("B.hangs", "failed")]
    assert summarize.again(suite).endswith("'--gtest_filter=B.hangs'")


def test_all_fixtures_that_failed_are_in_the_command_that_repeats_them(tmp_path, monkeypatch):
    def failing(lane, suite, *arguments):
        read = fixture(lane, suite, *arguments)
        read.fail("(a report)", "of no test")
        return read

    fixture = sanitize.Lane.fixture
    monkeypatch.setattr(sanitize.Lane, "fixture", failing)
    suite, = lane_of_a_program(tmp_path, monkeypatch, []).program("p")
    words = summarize.again(suite).split()
    assert sorted(words[-1].partition("=")[2].strip("'").split(":")) == ["A.*", "B.*"] and words.count(words[-2]) == 1


def test_a_fixture_of_which_nothing_is_left_out_is_named_as_a_whole(tmp_path, monkeypatch):
    lane_of_a_program(tmp_path, monkeypatch, ["B.*"]).program("p")
    assert (tmp_path / "address-gcc.p.A.command").read_text().split("gtest_filter=")[1].startswith("A.*'")
    lane_of_a_program(tmp_path, monkeypatch, ["A.y", "B.*"]).program("p")
    assert (tmp_path / "address-gcc.p.A.command").read_text().split("gtest_filter=")[1].startswith("A.x ")


def test_an_exclusion_that_excludes_nothing_is_a_failure(tmp_path, monkeypatch):
    suite, = lane_of_a_program(tmp_path, monkeypatch, ["B.*", "Z.*"]).program("p")
    assert [case.detail for case in suite.cases if case.outcome == "failed"] == ["Z.* excludes nothing"]
    assert suite.count("passed") == 2 and suite.count("skipped") == 1


KEYS_LANE = """#!/bin/sh
cp "$4" plan # what is to run
cd "$2" && rm -f keys-lane* && echo 0 >keys-lane.p.exit
echo '<testsuites><testcase classname="A" name="y/keys"/></testsuites>' >keys-lane.p.xml
echo 'ERROR: inside a window: a system call' >"$LIGHTNING_WINDOW_REPORTS.7"
"""


def test_what_was_skipped_for_want_of_keys_is_watched_in_the_emulated_machine_and_counted_once(tmp_path, monkeypatch):
    monkeypatch.setattr(sanitize, "ROOT", tmp_path)
    (tmp_path / "ci").mkdir()
    (tmp_path / "ci/keys-lane").write_text(KEYS_LANE)
    (tmp_path / "ci/keys-lane").chmod(0o755)
    lane = sanitize.Lane("windows", "gcc", tmp_path, [], "*")
    lane.skipped_for_keys = {("p", True): ["A.y/keys"]}
    native = summarize.Suite("windows-gcc.p", cases=[summarize.Case("A.y/keys", "skipped", "no keys")])
    suite, = lane.keys([native])
    assert (tmp_path / "plan").read_text() == "p A.y/keys\n"
    assert (suite.count("passed"), suite.count("failed"), native.cases) == (1, 1, [])
    assert "a system call" in suite.cases[-1].detail
    assert sanitize.Lane("address", "gcc", tmp_path, [], "*").keys([native]) == []


def test_what_was_watched_is_counted_and_nothing_is_zero(tmp_path):
    names = ("windows", "stepped", "instructions", "cut", "recorded", "unseen")
    lane = sanitize.Lane("windows", "gcc", tmp_path, [], "*")
    assert lane.watched() == dict.fromkeys(names, 0)
    lane.counts.write_bytes(b"".join(number.to_bytes(8, "little") for number in (7, 3, 2000, 1, 3, 1)))
    assert lane.watched() == dict(zip(names, (7, 3, 2000, 1, 3, 1)))
    assert sanitize.Lane("address", "gcc", tmp_path, [], "*").watched() == {}


def test_windows_that_nobody_watched_are_told():
    def judged(stepped, instructions, recorded, unseen):
        counts = {"windows": stepped + recorded + unseen, "stepped": stepped, "instructions": instructions, "cut": 0,
                  "recorded": recorded, "unseen": unseen}
        return [(case.outcome, case.detail) for case in sanitize.judge_watched(counts)]
    assert judged(3, 2000, 4, 0) == []
    assert [outcome for outcome, _ in judged(0, 0, 0, 0) + judged(7, 2000, 0, 0) + judged(0, 0, 7, 0)] == ["failed"] * 3
    (outcome, detail), = judged(3, 2000, 2, 2)
    assert outcome == "skipped" and "2 windows" in detail


def test_a_test_whose_windows_are_not_stepped_runs_and_says_so(tmp_path, monkeypatch):
    """What a debugger steps, or would take too long: the rest of its fixture is stepped all the same."""
    monkeypatch.setattr(sanitize, "ROOT", tmp_path)
    program = tmp_path / "build/watched/bin/p"
    program.parent.mkdir(parents=True)
    program.write_text("""#!/usr/bin/env python3
import os, sys
filter, = [word.partition("=")[2] for word in sys.argv if word.startswith("--gtest_filter=")]
if "--gtest_list_tests" in sys.argv:
    print("A.\\n  x\\n  y\\nB.\\n  z")
else:
    output, = [word.partition("xml:")[2] for word in sys.argv if word.startswith("--gtest_output=")]
    how = "unstepped" if "LIGHTNING_WINDOW_UNSTEPPED" in os.environ else "stepped"
    open(output, "w").write(f'<testsuites><testcase classname="{filter}" name="{how}"/></testsuites>')
""")
    program.chmod(0o755)
    (tmp_path / "results").mkdir()
    exclusions = [sanitize.Exclusion("unstepped", "p", "A.y", "takes too long"), sanitize.Exclusion("unstepped", "p", "C.*", "gone")]
    stepped, unstepped = sanitize.Lane("windows", "gcc", tmp_path / "results", exclusions, "*").program("p")
    assert sorted(case.name for case in stepped.cases if case.outcome == "passed") == ["A.x.stepped", "B.*.stepped"]
    assert [case.name for case in unstepped.cases] == ["A.y.unstepped"]
    assert [case.detail for case in stepped.cases if case.outcome == "failed"] == ["C.* excludes nothing"]
    assert sanitize.Lane("address", "gcc", tmp_path / "results", exclusions, "*").unstepped == []


def test_what_failed_is_repeated_in_the_way_it_ran(tmp_path, monkeypatch):
    lane = lane_of_a_program(tmp_path, monkeypatch, [], "windows")
    lane.unstepped = [sanitize.Exclusion("unstepped", "p", "A.*", "why")]
    (lane.bin / "p").write_text(PROGRAM.replace('<testcase classname="A" name="y"/>', '<testcase classname="A" name="y"><failure/></testcase>'))
    stepped, unstepped = lane.program("p")
    assert "LIGHTNING_WINDOW_UNSTEPPED=1" in summarize.again(unstepped) and summarize.again(unstepped).endswith("=A.y'")
    assert "LIGHTNING_WINDOW_UNSTEPPED" not in summarize.again(stepped) and summarize.again(stepped).endswith("=B.hangs'")


def test_the_closing_lines_repeat_what_failed(tmp_path, capsys):
    suite = summarize.Suite("store_tests", "bin/store_tests --gtest_output=xml:x.xml")
    suite.cases = [summarize.Case("A.x", "passed"), summarize.Case("A.y", "failed", "lost")]
    assert summarize.finish([suite], tmp_path, tmp_path / "out.json") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == ["again: bin/store_tests '--gtest_filter=A.y'", "1 passed, 1 failed, 0 skipped"]


def test_every_window_is_asked_of_the_lane_that_watches_windows_alone(tmp_path):
    for sanitizer in sanitize.OPTIONS:
        for every in (False, True):
            lane = sanitize.Lane(sanitizer, "gcc", tmp_path, [], "*", every)
            assert ("LIGHTNING_WINDOW_EVERY" in lane.environment("a")) == (every and sanitizer == "windows")


def test_a_failure_leaves_a_folder_with_the_programs_of_each_build_and_the_last_command_names_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(summarize, "ROOT", tmp_path)
    results, folder = tmp_path / "build/sanitize", tmp_path / "lightning-failures/sanitize-1"
    results.mkdir(parents=True)
    suites, builds = [], {}
    for preset, sanitizer in (("asan", "address"), ("tsan", "thread")):
        built = tmp_path / "build" / preset / "bin"
        built.mkdir(parents=True)
        (built / "store_tests").write_text(preset)
        builds[f"bin/{preset}"] = built
        suite = summarize.Suite(f"{sanitizer}-gcc.store_tests.unstepped", f"env LIGHTNING_BIN_DIR={built} {built}/store_tests --gtest_filter=A.*")
        suite.fail("A.y", "lost")
        (results / f"{suite.name}.A.command").write_text(suite.command + "\n")
        suites.append(suite)
    assert summarize.finish(suites, results, tmp_path / "its.json", keep_in=summarize.KeepIn(folder, "ci/sanitize all", builds)) == 1
    assert json.loads((tmp_path / "its.json").read_text())["folder"] == str(folder)
    assert capsys.readouterr().out.splitlines()[-2] == f"again, all of it, here or elsewhere: ci/replay {folder}"
    assert (folder / "bin/asan/store_tests").read_text() == "asan" and (folder / "bin/tsan/store_tests").read_text() == "tsan"
    commands = [line.strip() for line in (folder / "again.txt").read_text().splitlines() if line.startswith("  env")]
    assert commands == [f"env LIGHTNING_BIN_DIR=bin/{preset} bin/{preset}/store_tests --gtest_filter=A.y" for preset in ("asan", "tsan")]
    assert json.loads((folder / "about.json").read_text())["command"] == "ci/sanitize all"


def test_a_run_of_nothing_fails(tmp_path, capsys):
    suite = summarize.Suite("store_tests")
    suite.cases = [summarize.Case("A.x", "skipped", "why")]
    assert summarize.finish([suite], tmp_path) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "0 passed, 0 failed, 1 skipped"


def test_a_night_runs_as_many_lanes_as_it_has_time_for_at_least_one_and_names_the_others(tmp_path):
    (tmp_path / "ci").mkdir()
    (tmp_path / "ci/sanitize").touch()

    def lanes(seconds, each):
        """How many ran, where each takes so long."""
        def ran(name, command, _):
            pathlib.Path(command[-1]).write_text('{"passed": 3, "failed": 0, "skipped": 0, "failures": [], "skips": []}')
            return tier_checks.Result(0, tmp_path / name)
        moments = itertools.count(0, each)
        work = tier_checks.Work(tmp_path, seconds, 5, tmp_path, tmp_path, ran, lambda: next(moments))
        checks = tier_parts.sanitizers(work)
        assert sum(check.outcome == "passed" for check in checks) == 3 * len(work.did)
        skipped = {check.name for check in checks if check.outcome == "skipped"}
        assert len(work.did) + len(skipped) == len(sanitize.PRESETS) == len(skipped | {did.split(":")[0] for did in work.did})
        return len(work.did)
    assert (lanes(320, 200), lanes(320, 10_000), lanes(3600, 10_000)) == (2, 1, len(sanitize.PRESETS))


def test_what_a_lane_of_a_night_found_lies_where_the_night_leaves_its_failures(tmp_path):
    (tmp_path / "ci").mkdir()
    (tmp_path / "ci/sanitize").touch()

    def ran(name, command, _):
        (tmp_path / "left").mkdir()
        (tmp_path / "left/again.txt").touch()
        failure = {"suite": "p", "test": "A.x", "message": "lost", "again": "env p --gtest_filter=A.x"}
        pathlib.Path(command[-1]).write_text(json.dumps({"passed": 3, "failures": [failure], "skips": [], "folder": str(tmp_path / "left")}))
        return tier_checks.Result(1, tmp_path / name)
    moments = itertools.count(0, 1000)
    work = tier_checks.Work(tmp_path, 320, 5, tmp_path, tmp_path / "the night's", ran, lambda: next(moments))
    failed, = [check for check in tier_parts.sanitizers(work) if check.outcome == "failed"]
    kept, = (tmp_path / "the night's").glob("*/again.txt")
    assert failed.again == f"ci/replay {shlex.quote(str(kept.parent))}" and not (tmp_path / "left").exists()


def test_every_combination_has_a_preset():
    presets = {its["name"]: its for its in json.loads((sanitize.ROOT / "CMakePresets.json").read_text())["configurePresets"]}
    for sanitizer, compiler in [lane for what in ("address", "thread", "windows", "all") for lane in
                                sanitize.lanes_of(sanitize.parse([what]))]:
        assert sanitize.PRESETS[sanitizer, compiler] in presets
