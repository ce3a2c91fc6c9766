"""The counters, with their process killed at points all over one update."""

import pathlib
import sys

import pytest

from lightning_faults import count, spread

PROGRAM = [sys.executable, "-s", "-S", pathlib.Path(__file__).parents[1] / "counters.py"]


def instructions_of_an_add(tmp="/dev/shm/crash-suite-example-count"):
    """How many there are; counted once, when pytest collects this file."""
    pathlib.Path(tmp).unlink(missing_ok=True)
    total = count([*PROGRAM, tmp, "add"], after_line="begin", until_line="end")["instructions"]
    pathlib.Path(tmp).unlink()
    return total


@pytest.mark.kill_at(instructions=spread(instructions_of_an_add(), 30), after_line="begin")
def test_killed_at_an_instruction_of_an_add(clients, kill_point, tmp_path):
    counters = tmp_path / "counters"
    clients.run([*PROGRAM, counters, "add"])
    clients.start([*PROGRAM, counters, "add"], at=kill_point).wait()
    left, right = clients.run([*PROGRAM, counters, "show"]).split()
    assert left == right, "half an update is left"
    assert left in ("1", "2")


@pytest.mark.kill_at(system_calls=range(1, 40, 6))
def test_killed_before_a_system_call_of_the_start(clients, kill_point, tmp_path):
    counters = tmp_path / "counters"
    clients.start([*PROGRAM, counters, "add"], at=kill_point).wait()
    assert clients.run([*PROGRAM, counters, "show"]) in ("0 0\n", "1 1\n")


@pytest.mark.kill_at(lines=["begin", "end"])
def test_killed_right_after_it_said_something(clients, kill_point, tmp_path):
    counters = tmp_path / "counters"
    clients.start([*PROGRAM, counters, "add"], at=kill_point).wait()
    expected = {"begin": "0 0\n", "end": "1 1\n"}[kill_point.point.value]
    assert clients.run([*PROGRAM, counters, "show"]) == expected
