"""lightning-faults plan: expand, check, print, as a script sees them.

The program is in $LIGHTNING_BIN_DIR, else in build/release/bin.
"""

import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("LIGHTNING_BIN_DIR") or ROOT / "build/release/bin") / "lightning-faults"


def run(*args, text=None):
    return subprocess.run([PROGRAM, "plan", *args], input=text, capture_output=True, timeout=60)


def test_an_expanded_plan_is_well_and_canonical():
    plan = run("expand", "--seed", "7", "--kills", "2", "--killed-recoverers", "1", "--events").stdout
    assert plan.startswith(b"lightning plan 1\nseed 7\nengine sim\n")
    assert run("check", "-", text=plan).returncode == 0
    assert run("print", "-", text=plan).stdout == plan
    assert run("expand", "--seed", "8").stdout != run("expand", "--seed", "9").stdout


def test_the_shape_is_what_was_asked_for():
    plan = run("expand", "--seed", "3", "--engine", "step", "--clients", "2", "--operations", "5", "--kills", "0").stdout
    assert b"engine step\n" in plan
    assert plan.count(b"\nclient ") == 2
    assert b"\nkill " not in plan


def test_a_scenario_of_the_step_engine_is_a_plan():
    plan = run("expand", "--seed", "3", "--scenario", "put-heals").stdout
    assert b"client dead {\n" in plan
    assert run("print", "-", text=plan).stdout == plan
    assert run("expand", "--seed", "3", "--scenario", "put").returncode == 2


def test_an_error_names_file_line_and_column(tmp_path):
    file = tmp_path / "wrong.plan"
    file.write_text("lightning plan 1\nclient a {\n  putt \"k\"\n}\n")
    for command in ("check", "print"):
        done = run(command, file)
        assert done.returncode == 2
        assert done.stdout == b""
        assert done.stderr.decode().startswith(f"{file}:3:3: expected an operation or \"}}\", not \"putt\"")
        assert done.stderr.count(b"\n") == 1
    done = run("check", "-", text=b"")
    assert done.returncode == 2
    assert done.stderr.startswith(b"-:1:1: ")


def test_print_makes_it_canonical(tmp_path):
    file = tmp_path / "loose.plan"
    file.write_text("lightning plan 1 # by hand\nclient a {\nevict 0x800\n}\nseed 0\n")
    done = run("print", file)
    assert done.returncode == 0
    assert done.stdout == b"lightning plan 1\nclient a {\n  evict 2K\n}\n"
    assert run("check", file).stdout == b""


def test_what_cannot_be_read_is_wrong_usage(tmp_path):
    for name in (tmp_path / "absent", tmp_path):
        done = run("check", name)
        assert done.returncode == 2
        assert done.stderr.decode().startswith(f"{name}:")
    for args in ((), ("expand",), ("expand", "--seed", "x"), ("expand", "--seed", "1", "--engine", "warp"), ("check",)):
        assert run(*args).returncode == 2, args


def test_help_has_examples():
    for args in ((), ("expand",), ("check",), ("print",)):
        done = run(*args, "--help")
        assert done.returncode == 0
        assert b"Example: lightning-faults plan" in done.stdout, args
