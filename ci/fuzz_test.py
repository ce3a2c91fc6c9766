"""ci/fuzz around its targets, which are small scripts here: artifacts, time limits, and the copy of the sources."""

import json
import os
import select
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

import sanitize
import summarize

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from fuzz import coverage, mutants, run, tasks  # noqa: E402

BIN = Path(os.environ.get("LIGHTNING_BIN_DIR", Path(__file__).parent.parent / "build/release/bin"))
CRASHES = """#!/usr/bin/env bash
for option; do
  case $option in
    -artifact_prefix=*) echo bytes >"${option#*=}crash-1"; echo 'SUMMARY: it crashed'; exit 1 ;;
    -exact_artifact_path=*) printf b >"${option#*=}" ;;
  esac
done
"""


@pytest.fixture(name="tree")
def fake_tree(tmp_path, monkeypatch):
    monkeypatch.setattr(tasks, "ROOT", tmp_path)
    monkeypatch.setattr(tasks, "FAILURES", tmp_path / "failures")
    monkeypatch.setattr(tasks, "GROWN", tmp_path / "grown")
    monkeypatch.setattr(tasks.run, "__defaults__", (tmp_path, None, None))
    monkeypatch.setattr(tasks.command, "__defaults__", (tmp_path,))
    for its in (tasks.sees_leaks, tasks.find_leak):
        monkeypatch.setattr(its, "__defaults__", (tmp_path,))
    program = tmp_path / "build/fuzz/bin/fuzz-ops"
    program.parent.mkdir(parents=True)
    program.write_text(CRASHES)
    program.chmod(0o755)
    return tmp_path


def test_a_crash_that_is_found_again_is_an_artifact_again(tree, capsys):
    for _ in range(2):
        result = tasks.run("ops", 1, 1)
        assert result["artifacts"] == [str(tree / "failures/ops/crash-1")]
        assert (tree / "failures/ops/crash-1").read_text() == "b", "minimised in place"
        assert f"ci/fuzz replay {tree}/failures/ops/crash-1" in capsys.readouterr().out
    assert [path.name for path in (tree / "failures/ops").iterdir()] == ["crash-1"]


@pytest.mark.parametrize("arguments, expected", [
    (["ops", "--seconds", "1"], ["ci/setup --with-fuzz", "build"]), (["--coverage"], ["ci/setup --with-fuzz", "build"]),
    (["--list"], []), (["nonsense"], []),
])
def test_what_is_to_be_built_is_installed_before_and_nothing_else_installs(tree, monkeypatch, arguments, expected):
    def build(*_, **__):
        events.append("build")
        raise tasks.CannotRun

    events = []
    monkeypatch.setattr(run.subprocess, "call", lambda command: events.append(" ".join(command)))
    monkeypatch.setattr(tasks, "build", build)
    monkeypatch.setattr(run, "ROOT", tree)
    monkeypatch.setattr(sys, "argv", ["ci/fuzz", *arguments])
    monkeypatch.chdir(tree)
    try:
        run.main()
    except (tasks.CannotRun, SystemExit):
        pass
    assert events == expected


def test_a_program_without_an_end_is_ended_with_what_it_started(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    began = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        tasks.execute(["bash", "-c", f"exec 3>{pipe}; sleep 120 & sleep 120"], dict(os.environ), 0.5)
    # The end of the pipe shows when its last writer is gone.
    assert select.select([reader], [], [], 60)[0] and os.read(reader, 1) == b""
    os.close(reader)
    assert time.monotonic() - began < 60


def test_a_source_that_was_renamed_leaves_the_copy(tmp_path):
    root, tree = tmp_path / "root", tmp_path / "tree"
    for name in ("old.cc", "kept.cc"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(name)
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    mutants.copy_tree(root, tree)
    (tree / "build").mkdir()
    (tree / "build/built.o").touch()
    copied = (tree / "kept.cc").stat().st_mtime_ns
    (root / "old.cc").rename(root / "new.cc")
    mutants.copy_tree(root, tree)
    found = {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()}
    assert found == {"new.cc", "kept.cc", "build/built.o"}
    assert (tree / "kept.cc").stat().st_mtime_ns == copied, "what did not change is not built anew"


def adopted(tree, monkeypatch, capsys, name):
    """The command that `ci/fuzz adopt` prints."""
    monkeypatch.setattr(run, "ROOT", tree)
    monkeypatch.setattr(sys, "argv", ["ci/fuzz", "adopt", str(tree / "found"), name, "--target", "ops"])
    monkeypatch.chdir(tree)
    (tree / "found").write_bytes(b"bytes")
    assert run.main() == 0
    assert (tree / "fuzz/regressions/ops" / name).read_bytes() == b"bytes"
    return shlex.split(capsys.readouterr().out.splitlines()[-1])


@pytest.mark.skipif(not (BIN / "fuzz_sim_tests").is_file(), reason=f"fuzz_sim_tests is not built in {BIN}")
def test_the_command_that_adopt_prints_runs_that_test_and_no_other(tree, monkeypatch, capsys):
    command = adopted(tree, monkeypatch, capsys, "check-while-a-pool-grows")
    assert command[0] == "build/release/bin/fuzz_sim_tests"
    listed = subprocess.run([BIN / "fuzz_sim_tests", *command[1:], "--gtest_list_tests"], capture_output=True, text=True,
                            check=True)
    assert sanitize.parse_list(listed.stdout) == ["Regression.ops/check-while-a-pool-grows"]


def test_a_regression_that_ends_its_program_is_named(tmp_path):
    (tmp_path / "fuzz_sim_tests.exit").write_text("134\n")
    (tmp_path / "fuzz_sim_tests.command").write_text("bin/fuzz_sim_tests --gtest_output=xml:x.xml\n")
    (tmp_path / "fuzz_sim_tests.log").write_text(
        "[ RUN      ] Corpus.ops\n[       OK ] Corpus.ops (83 ms)\n[ RUN      ] Regression.ops/a-b\nFAILURE\n")
    suite = summarize.read_suite(tmp_path, "fuzz_sim_tests")
    assert [(case.name, case.outcome) for case in suite.cases] == [
        ("Corpus.ops", "passed"), ("Regression.ops/a-b", "failed")]
    assert summarize.again(suite).endswith("--gtest_filter=Regression.ops/a?b'")


# What fuzz-ops printed in one run, most lines left out.
OUTPUT = """INFO: seed corpus: files: 212 min: 4b max: 108b total: 13744b rss: 33Mb
#213\tINITED cov: 2907 ft: 11272 corp: 201/12648b exec/s: 0 rss: 44Mb
#214\tNEW    cov: 2907 ft: 11274 corp: 202/12724b lim: 108 exec/s: 0 rss: 44Mb L: 76/108 MS: 1 CustomCrossOver-
#11738\tREDUCE cov: 2971 ft: 13266 corp: 743/58Kb lim: 108 exec/s: 2934 rss: 50Mb L: 52/108 MS: 4 Custom-Custom-CustomCrossOver-CustomCrossOver-
#11768\tDONE   cov: 2971 ft: 13266 corp: 743/58Kb lim: 108 exec/s: 2353 rss: 50Mb
Done 11768 runs in 5 second(s)
stat::number_of_executed_units: 11768
stat::average_exec_per_sec:     2353
stat::new_units_added:          693
stat::slowest_unit_time_sec:    0
stat::peak_rss_mb:              50
lightning-fuzz: 188461 operations in 11768 executions
"""


def test_what_a_run_did_is_read_from_its_output():
    assert tasks.read("ops", OUTPUT, 5.04, 4.0) == {
        "target": "ops", "executions": 11768, "per_second": 2942, "seconds": 5.0, "processor_seconds": 4.0, "loaded": True,
        "operations_per_execution": 16.0}
    # One that was killed has no statistics; its last line counts.
    killed = tasks.read("ops", OUTPUT[:OUTPUT.index("#11768")], 5, 4)
    assert killed["executions"] == 11738 and "operations_per_execution" not in killed
    assert not tasks.read("ops", OUTPUT[:OUTPUT.index("#213")], 5, 4)["loaded"]


def program(tree, text):
    file = tree / "build/fuzz/bin/fuzz-ops"
    file.write_text("#!/usr/bin/env bash\n" + text)


def status_of(tree, monkeypatch, build=lambda *_, **__: None):
    """The exit status of `ci/fuzz ops`, and the JSON that it leaves where an older one lay."""
    monkeypatch.setattr(run.subprocess, "call", lambda command: 0)
    monkeypatch.setattr(tasks, "build", build)
    monkeypatch.setattr(run, "ROOT", tree)
    monkeypatch.chdir(tree)
    (tree / "ops.json").write_text('"of an older run"')
    monkeypatch.setattr(sys, "argv", ["ci/fuzz", "ops", "--seconds", "1", "--json", str(tree / "ops.json")])
    left = run.command()
    return left, json.loads((tree / "ops.json").read_text()) if (tree / "ops.json").exists() else None


@pytest.mark.parametrize("text, status, unfinished", [
    ("echo 'stat::number_of_executed_units: 7'", 0, None),
    (CRASHES.split("\n", 1)[1], 1, None),
    ("echo 'INFO: Seed: 1'", 3, "executed nothing"),
    ("echo 'stat::number_of_executed_units: 7'; exit 9", 3, "ended with status 9 and left no artifact"),
])
def test_the_exit_status_tells_what_was_found_from_what_did_not_run(tree, monkeypatch, text, status, unfinished):
    program(tree, text)
    left, result = status_of(tree, monkeypatch)
    assert left == status and result.get("unfinished") == unfinished, result


def test_a_build_that_fails_is_no_finding_and_leaves_no_results(tree, monkeypatch):
    def build(*_, **__):
        raise tasks.NotDone("the build failed")

    assert status_of(tree, monkeypatch, build) == (3, None)


def test_a_target_that_hangs_has_its_artifacts_reported(tree, monkeypatch, capsys):
    program(tree, CRASHES.split("\n", 1)[1].replace("exit 1", "sleep 60"))
    execute = tasks.execute
    monkeypatch.setattr(tasks, "execute", lambda arguments, environ, limit, *folder: execute(arguments, environ, min(limit, 1), *folder))
    left, result = status_of(tree, monkeypatch)
    assert left == 3 and result["unfinished"] == "did not end" and len(result["artifacts"]) == 1
    shown = capsys.readouterr()
    assert f"ci/fuzz replay {result['artifacts'][0]}" in shown.out and "ops: SUMMARY: it crashed" in shown.err


# Fails with inputs that hold a b, as libFuzzer does that runs files; as a fuzzer it finds something and stays alive.
FAILS = """
for option; do
  case $option in
    -artifact_prefix=*) prefix=${option#*=} ;;
    -*) ;;
    *) [[ -f $option ]] && { echo "Running: $option"; grep -q b "$option" && exit 77; } ;;
  esac
done
[[ $prefix ]] || exit 0
echo "$@" >"${prefix}crash-1"; echo 'stat::number_of_executed_units: 7'; exit 77
"""


def test_a_mutant_is_sought_without_what_fails_already(tree, monkeypatch, capsys):
    copy = tree / "copy/tree"
    monkeypatch.setattr(mutants, "TREE", copy)
    monkeypatch.setattr(mutants, "copy_tree", lambda: None)
    monkeypatch.setattr(mutants, "patch", lambda *_: None)
    monkeypatch.setattr(mutants.tasks, "build", lambda *_, **__: None)
    monkeypatch.setattr(mutants.sound, "__defaults__", (copy,))
    program(tree, FAILS)
    (copy / "build/fuzz/bin").mkdir(parents=True)
    (tree / "build/fuzz/bin/fuzz-ops").rename(copy / "build/fuzz/bin/fuzz-ops")
    for name, text in (("corpus/ops/1", "b"), ("corpus/ops/2", "a"), ("corpus/ops/3", "b"), ("regressions/ops/known", "b")):
        (tree / "fuzz" / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / "fuzz" / name).write_text(text)
    result = mutants.one("credit-lost", "ops", 1)
    assert result["found"] and result["failing_inputs"] == 2 and not result["loaded"]
    artifact = Path(result["artifacts"][0])
    folders = [word for word in artifact.read_text().split() if not word.startswith("-")]
    assert folders == [str(tree / "copy/corpora/credit-lost" / folder) for folder in ("grown", "kept")]
    assert [path.name for path in Path(folders[1]).iterdir()] == ["2"]
    shown = capsys.readouterr().out
    assert "while loading the corpus; 2 inputs of the corpus fail" in shown
    assert f"ci/fuzz replay {artifact} --target ops" in shown and not (tree / "grown").exists()


def test_looking_whether_leaks_are_seen_leaves_nothing_behind(tree, monkeypatch):
    """A target that leaks at its end leaves an artifact of an empty input in its working folder."""
    program(tree, """#!/bin/sh
touch crash-da39
exit 1
""")
    (tree / "here").mkdir()
    monkeypatch.chdir(tree / "here")
    assert tasks.sees_leaks("ops") and not list((tree / "here").iterdir())


def test_an_artifact_is_replayed_by_the_program_of_its_target(tree, monkeypatch):
    monkeypatch.setattr(tasks, "build", lambda *_: None)
    artifact = tree / "failures/ops/crash-1"
    artifact.parent.mkdir(parents=True)
    for text, status in (("a", 0), ("b", 1)):
        artifact.write_text(text)
        program(tree, FAILS)
        assert run.replay(run.parse(["replay", str(artifact)])) == status


def test_coverage_is_that_of_what_the_repository_keeps(tree, monkeypatch):
    bin_folder = tree / "build/fuzz-coverage/bin"
    bin_folder.mkdir(parents=True)
    for name in (*(f"fuzz-{target}" for target in tasks.TARGETS), "llvm-profdata"):
        (bin_folder / name).write_text(f'#!/bin/sh\necho "$@" >{tree}/{name}.called\n')
        (bin_folder / name).chmod(0o755)
    for target in tasks.TARGETS:
        (tree / "fuzz/corpus" / target).mkdir(parents=True)
    (tree / "fuzz/regressions/ops").mkdir(parents=True)
    tasks.corpus("ops")  # as an earlier run left it
    monkeypatch.setenv("PATH", f"{bin_folder}:{os.environ['PATH']}")
    monkeypatch.setattr(coverage, "has_keys", lambda: True)
    coverage.profile(tree / "profiles")
    words = (tree / "fuzz-ops.called").read_text().split()
    assert words[2:] == [str(tree / "fuzz/corpus/ops"), str(tree / "fuzz/regressions/ops")]


@pytest.mark.parametrize("reached, skipped, status", [(95, "", 0), (94, "", 1), (94, "no emulator", 77)])
def test_coverage_below_the_aim_fails(tree, monkeypatch, reached, skipped, status):
    monkeypatch.setattr(coverage.shutil, "which", lambda tool: tool)
    monkeypatch.setattr(tasks, "build", lambda *_: None)
    monkeypatch.setattr(coverage, "profile", lambda folder: (folder, skipped))
    counts = {line: int(line < reached) for line in range(100)}
    monkeypatch.setattr(coverage, "lines", lambda merged: {"store/heap/a.cc": counts, "faults/check/b.cc": {1: 0}})
    monkeypatch.setattr(run, "main", lambda: coverage.run(lambda value: None))
    assert run.command() == status


# As libFuzzer's merge: each text that no folder has yet goes to the first, under the name of its bytes.
MERGES = """
merge=
for option; do case $option in -merge=1) merge=1 ;; -*) ;; *) folders+=("$option") ;; esac; done
[[ $merge ]] || { echo 'stat::number_of_executed_units: 4000'; exit 0; }
echo merged >>"$(dirname "$0")/calls"
[[ ! ${HANGS:-} ]] || exec tail -f /dev/null
for file in "${folders[@]:1}"; do
  for its in "$file"/*; do
    grep -qrxf "$its" "${folders[0]}" || cp "$its" "${folders[0]}/$(sha1sum <"$its" | cut -d' ' -f1)"
  done
done
"""


def merged(tree, monkeypatch, text, *options):
    """What is left of a corpus that grew: two files of one text, one that the repository has, one that is new."""
    program(tree, text)
    kept = tree / "fuzz/corpus/ops"
    kept.mkdir(parents=True, exist_ok=True)
    (kept / "kept").write_text("known\n")
    folder = tree / "grown/ops"
    folder.mkdir(parents=True, exist_ok=True)
    for name, its in (("1", "known\n"), ("2", "new\n"), ("3", "new\n")):
        (folder / name).write_text(its)
    monkeypatch.setattr(tasks, "build", lambda *_: None)
    status = run.fuzz(run.parse(["ops", "--seconds", "20", *options, "--json", str(tree / "ops.json")]))
    return status, sorted(file.read_text() for file in folder.iterdir()), json.loads((tree / "ops.json").read_text())


def test_what_grew_is_merged_down_and_what_is_new_stays(tree, monkeypatch):
    status, left, result = merged(tree, monkeypatch, MERGES, "--merge")
    assert status == 0 and set(left) == {"new\n"} and result["merged"] == [3, len(left)]
    assert merged(tree, monkeypatch, MERGES)[1] == ["known\n", "new\n", "new\n"], "and only where that is asked for"


def test_a_merge_that_takes_too_long_leaves_what_there_is(tree, monkeypatch):
    monkeypatch.setenv("HANGS", "1")
    status, left, result = merged(tree, monkeypatch, MERGES, "--merge")
    assert status == 0 and len(left) == 3 and result["merged"] is None
    assert (tree / "build/fuzz/bin/calls").exists()


def test_what_found_something_is_not_merged(tree, monkeypatch):
    status, left, _ = merged(tree, monkeypatch, FAILS, "--merge")
    assert status == 1 and len(left) == 3


# Leaks at its end; with libFuzzer's check after each input it leaves the one that did.
LEAKS = """
[[ $ASAN_OPTIONS == *detect_leaks=1* ]] || exit 0
for option; do
  case $option in -artifact_prefix=*) prefix=${option#*=} ;; -runs=0) check=1 ;; -detect_leaks=1) each=1 ;; esac
done
[[ ! ${NO_PTRACE:-} ]] || { echo '==1==LeakSanitizer has encountered a fatal error.'; exit 1; }
[[ $prefix ]] || exit 0
[[ ! ($check && $each) ]] || { echo b >"${prefix}leak-1"; exit 77; }
echo >"${prefix}crash-of-no-input"; echo 'stat::number_of_executed_units: 7'; echo 'ERROR: LeakSanitizer: detected memory leaks'; exit 23
"""


def test_a_leak_that_shows_at_the_end_of_a_run_becomes_an_artifact(tree, monkeypatch):
    program(tree, LEAKS)
    left, result = status_of(tree, monkeypatch)
    assert left == 1 and [Path(path).name for path in result["artifacts"]] == ["leak-1"], result


def test_where_nobody_may_stop_threads_leaks_are_skipped_by_name(tree, monkeypatch, capsys):
    program(tree, LEAKS.replace("|| exit 0", "|| { echo 'stat::number_of_executed_units: 7'; exit 0; }", 1))
    monkeypatch.setenv("NO_PTRACE", "1")
    left, result = status_of(tree, monkeypatch)
    assert left == 0 and result["executions"] == 7 and "ptrace" in result["leaks_skipped"]
    assert "leaks were not looked for" in capsys.readouterr().err
