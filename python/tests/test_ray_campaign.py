"""Many seeds, here and over Ray: the same verdicts and counts, and failures' folders come home."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from lightning_faults import ray_campaign

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Fails for seeds divisible by five, as an engine would: a report, a folder, status 1.
FAKE = '''#!/usr/bin/env python3
import json, pathlib, sys
words = {w: sys.argv[n + 1] for n, w in enumerate(sys.argv[:-1]) if w.startswith("--")}
seed = int(words["--seed"])
failures = []
if seed % 5 == 0:
    folder = pathlib.Path(words["--folder"]) / f"sim-{seed:04}"
    folder.mkdir(parents=True)
    (folder / "plan.txt").write_text(f"plan {seed}")
    failures = [{"class": "lost", "what": f"lost {seed}", "folder": str(folder), "replay": ""}]
report = {"schedules": int(words["--schedules"]), "kills": seed, "seconds": 0.1, "failures": failures}
if seed != 13:
    pathlib.Path(words["--json"]).write_text(json.dumps(report))
sys.exit(3 if seed == 13 else 1 if failures else 0)
'''


def python_with_ray():
    for python in (os.environ.get("LIGHTNING_PYTHON"), sys.executable, ROOT / "build/ray-venv/bin/python3"):
        if python and os.path.exists(python) and subprocess.run(
                [python, "-c", "import ray"], capture_output=True, check=False).returncode == 0:
            return str(python)
    pytest.skip("ray is not installed: ci/setup --with-ray")


@pytest.fixture
def fake(tmp_path):
    program = tmp_path / "lightning-faults"
    program.write_text(FAKE)
    program.chmod(0o700)
    return program


def campaign(tmp_path, python, program, *options, name):
    """The exit status and the merged object."""
    run = subprocess.run([python, "-m", "lightning_faults.ray_campaign", "--program", program, *options, "--json",
                          tmp_path / f"{name}.json", "--folder", tmp_path / name], capture_output=True, text=True,
                         env={**os.environ, "PYTHONPATH": str(ROOT / "python")}, timeout=300, check=False)
    assert (tmp_path / f"{name}.json").exists(), run.stdout + run.stderr
    return run.returncode, json.loads((tmp_path / f"{name}.json").read_text())


def same(merged):
    """What must not depend on where it ran."""
    failures = [(f["seed"], f["class"], f["what"]) for f in merged["failures"]]
    return {**{n: merged[n] for n in (*ray_campaign.COUNTS, "runs", "seeds") if n in merged}, "failures": failures}


def test_every_seed_goes_to_one_task():
    shares = [ray_campaign.seeds_of_task(7, 10, task, 3) for task in range(3)]
    assert shares == [[7, 10, 13, 16], [8, 11, 14], [9, 12, 15]]
    assert ray_campaign.seeds_of_task(1, 1, 1, 2) == []


def test_failures_come_home_and_counts_are_sums(tmp_path, fake):
    status, merged = campaign(tmp_path, sys.executable, fake, "--seed", "3", "--seeds", "11", "--schedules", "7",
                              name="here")
    assert status == 1
    assert merged["schedules"] == 70, "seed 13 had no report"
    assert merged["kills"] == sum(range(3, 13))
    assert [failure["seed"] for failure in merged["failures"]] == [5, 10, 13]
    folder = pathlib.Path(merged["failures"][0]["folder"])
    assert (folder / "plan.txt").read_text() == "plan 5"
    assert merged["failures"][0]["replay"] == f"lightning-faults replay {folder}"
    assert "exit status 3" in merged["failures"][2]["what"]


def test_two_tasks_of_ray_find_what_one_machine_finds(tmp_path, fake):
    python = python_with_ray()
    options = ("--seed", "3", "--seeds", "11", "--schedules", "7")
    there = campaign(tmp_path, python, fake, *options, "--ray", "local", "--tasks", "2", name="there")
    here = campaign(tmp_path, sys.executable, fake, *options, name="here")
    assert there[0] == here[0] == 1
    assert same(there[1]) == same(here[1])
    for one, other in zip(there[1]["failures"], here[1]["failures"]):
        if one["folder"]:
            assert (pathlib.Path(one["folder"]) / "plan.txt").read_bytes() == (
                pathlib.Path(other["folder"]) / "plan.txt").read_bytes()


def test_the_simulation_over_ray_has_the_counts_of_one_machine(tmp_path):
    python = python_with_ray()
    program = pathlib.Path(os.environ.get("LIGHTNING_BIN_DIR") or ROOT / "build/release/bin") / "lightning-faults"

    def run(name, *options):
        done = subprocess.run([program, "run", "--seed", "40", "--seeds", "6", "--schedules", "40", "--json",
                               tmp_path / f"{name}.json", "--folder", tmp_path / name, *options], capture_output=True,
                              text=True, env={**os.environ, "LIGHTNING_PYTHON": python}, timeout=300, check=False)
        assert done.returncode in (0, 1), done.stdout + done.stderr
        return done.returncode, same(json.loads((tmp_path / f"{name}.json").read_text()))

    here = run("here")
    assert here[1]["schedules"] == 240 or here[1]["failures"]
    assert here == run("there", "--ray", "local", "--tasks", "2")


def test_without_ray_it_says_what_is_missing(tmp_path, fake):
    (tmp_path / "ray.py").write_text("raise ImportError('none')")
    run = subprocess.run([sys.executable, "-m", "lightning_faults.ray_campaign", "--program", fake, "--ray", "auto"],
                         capture_output=True, text=True, check=False,
                         env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT / 'python'}"})
    assert run.returncode == 77
    assert "pip install ray" in run.stderr


def test_without_a_cluster_it_says_so(tmp_path, fake):
    run = subprocess.run([python_with_ray(), "-m", "lightning_faults.ray_campaign", "--program", fake, "--ray", "auto"],
                         capture_output=True, text=True, check=False, timeout=300,
                         env={**os.environ, "PYTHONPATH": str(ROOT / "python"), "RAY_ADDRESS": ""})
    assert run.returncode == 77, run.stderr
    assert "cannot run here: Ray" in run.stderr
