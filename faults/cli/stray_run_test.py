"""lightning-faults run --engine real --stray, as a script sees it.

The program is in $LIGHTNING_BIN_DIR, else in build/release/bin.
"""

import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("LIGHTNING_BIN_DIR") or ROOT / "build/release/bin") / "lightning-faults"


def run(*args):
    return subprocess.run([PROGRAM, "run", "--quiet", "--no-keep", *args], capture_output=True, text=True, timeout=200)


def test_the_figures_add_up_and_nothing_lands_while_no_window_is_open(tmp_path):
    file = tmp_path / "stray.json"
    done = run("--engine", "real", "--stray", "--mode", "mprotect", "--seconds", "2", "--json", file)
    assert done.returncode == 0, done
    report = json.loads(file.read_text())
    stray = report["stray"]
    assert report["isolation"] == "mprotect" and report["failures"] == []
    assert stray["fired"] == stray["faulted"] + stray["private"] + stray["landed"] > 0
    assert stray["per_minute"] > 0 and stray["landed_in_window"] == stray["landed"]
    assert stray["control_landed"] == stray["control_fired"] > 0
    targets = stray["targets"]
    assert set(targets) == {"aimed", "anywhere", "view", "near", "wild", "private"}
    assert sum(target["fired"] for target in targets.values()) == stray["fired"]
    assert all(targets[name]["landed"] == 0 for name in ("view", "near", "private"))


def test_what_makes_no_sense_is_wrong_usage():
    assert run("--engine", "sim", "--stray").returncode == 2
    assert run("--engine", "real", "--stray", "--mode", "none").returncode == 2
    assert run("--engine", "real", "--stray", "--mode", "nothing").returncode == 2
