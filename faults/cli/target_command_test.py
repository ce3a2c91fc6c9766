"""lightning-faults target, as a script sees it.

The program is in $LIGHTNING_BIN_DIR, else in build/release/bin.
"""

import json
import os
import pathlib
import shlex
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("LIGHTNING_BIN_DIR") or ROOT / "build/release/bin")
TARGETS = BIN.parent / "lib/targets"
STORES = ROOT / "faults/target/stores"


def run(*args, **options):
    return subprocess.run([BIN / "lightning-faults", "target", *args], capture_output=True, text=True, timeout=500,
                          **options)


def test_a_planted_bug_is_found_and_its_command_shows_it_again(tmp_path):
    report = tmp_path / "report.json"
    done = run("--target", TARGETS / "planted_drift.so", "--operations", "1", "--first", "--quiet", "--json", report)
    assert done.returncode == 1, done
    found = json.loads(report.read_text())["findings"][0]
    assert found["kind"] == "invariant"
    assert "planted_target.c:" in found["line"]
    assert found["reproduce"] in done.stdout
    command = shlex.split(found["reproduce"])
    assert command[0] == "lightning-faults"
    again = subprocess.run([BIN / command[0], *command[1:]], capture_output=True, text=True, timeout=120)
    assert again.returncode == 1, again
    assert found["what"] in again.stdout and found["reproduce"] in again.stdout


def test_nothing_is_found_in_a_store_without_bugs():
    done = run("--target", TARGETS / "planted_nothing.so", "--operations", "1", "--quiet")
    assert done.returncode == 0, done
    assert done.stdout.endswith("nothing was found\n")


def test_python_takes_the_memory_away_with_the_first_client_that_ends():
    done = run("--target", STORES / "python_shm_target.py", "--operations", "1", "--first", "--quiet")
    assert done.returncode == 1, done
    assert "FileNotFoundError" in done.stdout, done


def test_wrong_usage(tmp_path):
    no_target = tmp_path / "empty.so"
    source = tmp_path / "empty.c"
    source.write_text("")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", no_target, source], check=True)
    for args, words in (
            (("--target", tmp_path / "absent.so"), "No such file"),
            (("--target", source), "neither a shared object (.so) nor a program"),
            (("--target", no_target), "exports no lightning_target_get"),
            (("--target", TARGETS / "planted_nothing.so", "--at", "1"), "--at wants"),
            (("--target", TARGETS / "planted_nothing.so", "--healer", "nobody"), "no such healer"),
    ):
        done = run(*args)
        assert done.returncode == 2, (args, done)
        assert words in done.stderr, done
