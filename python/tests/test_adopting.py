"""What docs/adopting.md promises somebody else: the example, copied elsewhere, with the plugin as pip installs it."""

import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
NO_NETWORK = re.compile(r"Could not find a version|No matching distribution|Failed to establish|Temporary failure|timed out")
LINE = "        self.put(FLAG, 1)\n"  # what makes its update atomic
WORDS = "delete `self.put(FLAG, 1)`: of its 39 tests the four or five then fail whose point falls between the stores"
POINT = re.compile(r"^tests/test_crash.py::test_killed_at_an_instruction_of_an_add\[instruction-(\d+)\] (PASSED|FAILED) ", re.M)


def run(*command, cwd):
    # Nothing of this repository's: no PYTHONPATH, no lightning-faults in PATH.
    return subprocess.run([str(word) for word in command], cwd=cwd, env={"PATH": "/usr/bin:/bin", "HOME": str(cwd)},
                          capture_output=True, text=True, timeout=600, check=False)


@pytest.fixture(name="python")
def fresh_venv(tmp_path):
    venv = tmp_path / "crash-venv"
    made = run(sys.executable, "-m", "venv", venv, cwd=tmp_path)
    if made.returncode and "ensurepip" in made.stdout + made.stderr:
        pytest.skip("python3-venv is not installed")
    assert made.returncode == 0, made
    shutil.copytree(ROOT / "python", tmp_path / "plugin", ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    installed = run(venv / "bin/pip", "install", "-q", "pytest", tmp_path / "plugin", cwd=tmp_path)
    if installed.returncode and NO_NETWORK.search(installed.stderr):
        pytest.skip("pip reaches no index of packages")
    assert installed.returncode == 0, installed
    return venv / "bin/python"


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="how many points hit the window depends on the interpreter: 3.11's")
def test_the_example_passes_and_its_planted_bug_fails_the_tests_that_the_guide_says(python, tmp_path):
    guide = " ".join((ROOT / "docs/adopting.md").read_text().split())
    assert WORDS in guide
    workflow = yaml.safe_load((ROOT / "examples/crash-suite/.github/workflows/crash.yml").read_text())
    suite = tmp_path / "crash-suite"
    shutil.copytree(ROOT / "examples/crash-suite", suite, ignore=shutil.ignore_patterns("__pycache__"))
    sound = run(python, "-m", "pytest", "tests", cwd=suite)
    assert sound.returncode == 0 and re.search(r"= 39 passed in ", sound.stdout), sound

    program = suite / "counters.py"
    assert program.read_text().count(LINE) == 1
    program.write_text(program.read_text().replace(LINE, ""))
    broken = run(python, "-m", "pytest", "-v", "--junitxml=crash.xml", "tests", cwd=suite)
    points = POINT.findall(broken.stdout)
    failed = [number for number, (_, outcome) in enumerate(points) if outcome == "FAILED"]
    assert broken.returncode == 1 and len(points) == 30 and len(failed) in (4, 5), broken
    assert failed == list(range(failed[0], failed[-1] + 1)), "one window, and every point in it"
    assert f"= {len(failed)} failed, {39 - len(failed)} passed in " in broken.stdout, "no other test fails"
    commands = re.findall(r"^again: (.*)$", broken.stdout, re.M)
    assert len(commands) == len(failed)
    (step,) = [its for its in workflow["jobs"]["crash"]["steps"] if "::error" in its.get("run", "")]
    told = run("bash", "-ec", step["run"], cwd=suite).stdout
    assert re.findall("%0Aagain: (.*)$", told, re.M) == commands, "the workflow annotates each"
    again = run("bash", "-c", commands[0], cwd="/")
    assert again.returncode == 1 and "= 1 failed in " in again.stdout and "half an update is left" in again.stdout, again
