"""ci/fuzz around its targets, which are small scripts here: artifacts, time limits, and the copy of the sources."""

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

from fuzz import mutants, run, tasks  # noqa: E402

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
    monkeypatch.setattr(tasks.run, "__defaults__", (tmp_path, None))
    monkeypatch.setattr(tasks.command, "__defaults__", (tmp_path,))
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
