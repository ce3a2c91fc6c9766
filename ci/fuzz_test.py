"""ci/fuzz around its targets, which are small scripts here: artifacts, time limits, and the copy of the sources."""

import os
import select
import subprocess
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from fuzz import mutants, run, tasks  # noqa: E402

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


# As libFuzzer 14 and a target print it.
RAN = """#!/usr/bin/env bash
echo '#20000	DONE   cov: 3017 ft: 13472 corp: 836/67Kb lim: 108 exec/s: 2000 rss: 444Mb'
echo 'stat::number_of_executed_units: 20000'
echo 'stat::average_exec_per_sec:     2000'
echo 'lightning-fuzz: 334000 operations in 20000 executions'
"""


def test_the_figures_are_those_that_the_target_printed(tree):
    (tree / "build/fuzz/bin/fuzz-ops").write_text(RAN)
    result = tasks.run("ops", 1, 1)
    assert result["executions"] == 20000 and result["operations_per_execution"] == 16.7 and not result["artifacts"]
    assert result["per_second"] == pytest.approx(20000 / max(result["processor_seconds"], 1e-3), rel=0.5) or \
        result["processor_seconds"] < 0.1  # rounded to tenths


def test_a_target_that_executed_nothing_is_no_success(tree):
    (tree / "build/fuzz/bin/fuzz-ops").write_text("#!/usr/bin/env bash\nexit 0\n")
    with pytest.raises(SystemExit, match="executed nothing"):
        tasks.run("ops", 1, 1)


def test_what_adopt_prints_runs_the_test_that_it_made_and_no_other(tree, monkeypatch, capsys):
    built = os.environ.get("LIGHTNING_BIN_DIR", os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                                            "build/release/bin"))
    if not os.path.exists(os.path.join(built, "fuzz_sim_tests")):
        pytest.skip("fuzz_sim_tests is not built")
    file = tree / "ops" / "crash-1"
    file.parent.mkdir()
    file.write_bytes(b"123")
    monkeypatch.setattr(run, "ROOT", tree)
    # A name that the repository's own program has, with dashes in it.
    assert run.adopt(run.parse(["adopt", str(file), "check-while-a-pool-grows", "--target", "ops"])) == 0
    assert (tree / "fuzz/regressions/ops/check-while-a-pool-grows").read_bytes() == b"123"
    command = capsys.readouterr().out.splitlines()[-1].split(" ", 1)
    listed = subprocess.run([os.path.join(built, os.path.basename(command[0])), "--gtest_list_tests",
                             command[1].replace("'", "")], capture_output=True, text=True, check=True).stdout
    assert listed.split() == ["Regression.", "ops/check-while-a-pool-grows"]
