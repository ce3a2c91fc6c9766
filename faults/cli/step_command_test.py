"""lightning-faults step --plan, as a script sees it.

The program is in $LIGHTNING_BIN_DIR, else in build/release/bin.
"""

import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("LIGHTNING_BIN_DIR") or ROOT / "build/release/bin") / "lightning-faults"
PLAN = b"""lightning plan 1
client a {
  before {
    put "k" size 100 tag 1
    pin "k"
  }
}
client b {
  delete "k"
}
"""


def run(*args, text=None):
    return subprocess.run([PROGRAM, "step", "--no-keep", *args], input=text, capture_output=True, timeout=120)


def test_a_plan_is_stepped(tmp_path):
    file = tmp_path / "delete.plan"
    file.write_bytes(PLAN)
    done = run("--plan", file, "--depth", "1")
    assert done.returncode == 0, done
    assert b"in 1 stepped recoveries" in done.stdout
    assert b"at depth 1" in done.stdout
    assert done.stdout.endswith(b"nothing was found\n")


def test_one_state_of_a_plan_is_judged():
    for at in ("200", "200,3000"):
        done = run("--plan", "-", "--at", at, text=PLAN)
        assert done.returncode == 0, done
    assert run("--plan", "-", "--at", "200", "--kill", text=PLAN).returncode == 0


def test_what_cannot_be_stepped_is_a_finding_or_wrong_usage(tmp_path):
    done = run("--plan", "-", text=b"lightning plan 1\nclient a {\n}\n")
    assert done.returncode == 1
    assert b"no client of the plan has an operation to step" in done.stdout
    done = run("--plan", "-", text=b"lightning plan 1\nclient a {\n")
    assert done.returncode == 2
    assert done.stderr.startswith(b"-:3:1: ")
    for args in (("--at", "5"), ("--op", "nothing"), ("--op", "delete", "--plan", "x"), ("--plan", "-", "--kill")):
        assert run(*args, text=PLAN).returncode == 2, args
