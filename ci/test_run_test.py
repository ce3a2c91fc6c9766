"""ci/test in a tree whose test programs are small scripts: nothing is left out unsaid, a failure leaves all."""

import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess

import pytest

CI = pathlib.Path(__file__).resolve().parent
PROGRAMS = ("crash_tests", "store_tests", "faults_tests", "sim_tests", "pkeys_tests", "bench_tests", "fuzz_sim_tests",
            "fuzz_store_tests", "isolation-tests")
PASSES = '<testsuites><testcase classname="A" name="x"/></testsuites>'
FAILS = PASSES.replace("/></", '/><testcase classname="A" name="y"><failure message="lost"/></testcase></')


def program(path, xml="", status=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/usr/bin/env bash\necho \"${0##*/} $* from $LIGHTNING_BIN_DIR\" >>calls\n"
                    "for option; do\n"
                    f"  [[ $option != --gtest_output=xml:* ]] || echo '{xml}' >\"${{option#*xml:}}\"\n"
                    f"done\nexit {status}\n")
    path.chmod(0o755)


@pytest.fixture(name="tree")
def fake_tree(tmp_path):
    tree = tmp_path / "a tree"
    (tree / "ci").mkdir(parents=True)
    for name in ("common.sh", "test", "summarize.py", "kept.py"):
        shutil.copy(CI / name, tree / "ci" / name)
    for name in ("setup", "build", "keys-lane"):
        program(tree / "ci" / name)
    for name in PROGRAMS:
        program(tree / "build/debug/bin" / name, PASSES)
    (tree / "store").mkdir()
    (tree / "store/it_test.py").write_text("def test_it():\n    pass\n")
    for command in ("init -q", "add store", "-c user.name=n -c user.email=e commit -qm m"):
        subprocess.run(["git", *command.split()], cwd=tree, check=True)
    return tree


def run(tree):
    done = subprocess.run([tree / "ci/test", "--preset", "debug"], cwd=tree, capture_output=True, text=True,
                          timeout=120, check=False)
    return done.returncode, done.stdout.splitlines(), done.stderr


def test_every_suite_is_counted_and_the_budget_is_told(tree):
    status, lines, errors = run(tree)
    assert (status, lines[-1]) == (0, "10 passed, 0 failed, 0 skipped"), (lines, errors)
    assert errors.splitlines()[0].startswith("== test: about 10 minutes")
    assert not (tree / "lightning-failures").exists()


@pytest.mark.parametrize("gone", ["build/debug/bin/sim_tests", "build/debug/bin/crash_tests", "store/it_test.py"])
def test_a_suite_that_is_not_there_is_a_failure(tree, gone):
    (tree / gone).unlink()
    status, lines, _ = run(tree)
    assert (status, lines[-1]) == (1, "9 passed, 1 failed, 0 skipped"), lines


def test_a_failure_leaves_a_folder_and_ends_with_its_command(tree):
    (tree / "store/it_test.py").write_text("def test_it():\n    assert False\n")
    program(tree / "build/debug/bin/store_tests", FAILS, 1)
    status, lines, _ = run(tree)
    assert (status, lines[-1]) == (1, "9 passed, 2 failed, 0 skipped"), lines
    (folder,) = (tree / "lightning-failures").glob("test-*")
    assert lines[-5].endswith(str(folder))
    assert lines[-2] == f"again, all of it, here or elsewhere: ci/replay '{folder}'"
    about = json.loads((folder / "about.json").read_text())
    assert about["command"] == "ci/test --preset debug" and len(about["commit"]) == 40
    assert "assert False" in (folder / "source.patch").read_text()
    assert (folder / "bin/store_tests").is_file() and (folder / "output/store_tests.command").is_file()
    assert "assert False" in (folder / "output/pytest.log").read_text()
    again = [line.removeprefix("again: ") for line in lines[-4:-2]]
    # In again.txt they name neither this tree nor its build.
    commands = [line.strip() for line in (folder / "again.txt").read_text().splitlines() if re.match(r"  \S", line)]
    assert len(commands) == 2 and not [line for line in commands if str(tree) in line], commands
    words = [shlex.split(line) for line in commands]
    assert ["bin/store_tests", "--gtest_filter=A.y"] in [its[-2:] for its in words]
    assert all("LIGHTNING_BIN_DIR=bin" in its and "LIGHTNING_SOURCE_DIR=." in its for its in words)
    # Both repeat it from a shell that knows nothing of this run.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LIGHTNING_")}
    assert "pytest" in shlex.split(again[0]) and f"LIGHTNING_BIN_DIR={tree}/build/debug/bin" in shlex.split(again[0])
    for command in again:
        done = subprocess.run(["bash", "-c", command], cwd=tree, env=clean, capture_output=True, timeout=60, check=False)
        assert done.returncode == 1, done
    called = (tree / "calls").read_text().splitlines()[-1]
    assert called == f"store_tests --gtest_filter=A.y from {tree}/build/debug/bin"
