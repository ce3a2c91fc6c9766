"""The release client killed at exact points of one operation, by the plugin's own sweep: what the step engine does
inside, seen from outside, on processes that talk through pipes."""

import os

import pytest

from driver import everything_is_back

# From the answer to `attach` to the answer to `put` it retires so many instructions, dynamic linking among them.
TOTAL = 27_000


def alone(survivor):
    """Its statistics, once it has healed what the others left."""
    survivor.ok("recover")
    stat = survivor.stat()
    assert stat["clients"] == 1
    return stat


@pytest.mark.kill_at(instructions=range(0, TOTAL, 911), system_calls=range(1, 3), after_line="ok none")
def test_a_replaced_value_is_the_old_or_the_new(world, kill_point):
    survivor = world.client("--isolation", "none")
    survivor.ok("put key 100 1")
    victim = world.client("--isolation", "none", at=kill_point)
    answer = victim.ask("put key 100 2")
    victim.wait()
    assert survivor.ok("get key")[1] in (["2"] if answer.startswith("ok") else ["1", "2"])
    alone(survivor)
    everything_is_back(survivor)


# What a client answers to any word before it has attached: from there on the points below count.
UNATTACHED = "CLOSED"


@pytest.mark.kill_at(system_calls=range(1, 40), instructions=range(0, 60_000, 8_009), after_line=UNATTACHED)
def test_a_segment_is_there_whole_under_its_name_or_not_at_all(world, kill_point):
    victim = world.start("--isolation", "none", at=kill_point)
    victim.ask("check")
    victim.ask("attach")
    victim.wait()
    assert set(os.listdir(world.folder)) <= {"segment"}, "something else was left behind"
    everything_is_back(world.client())


@pytest.mark.kill_at(system_calls=range(1, 30), instructions=range(0, 58_000, 8_009), after_line=UNATTACHED)
def test_who_dies_attaching_leaves_every_slot_to_others(world, kill_point):
    survivor = world.client()
    victim = world.start("--isolation", "none", at=kill_point)
    victim.ask("check")
    victim.ask("attach")
    victim.wait()
    stat = alone(survivor)
    assert stat["recoveries"] <= 1
    others = [world.client() for _ in range(7)]
    assert world.start().ask("attach") == "TOO_MANY_CLIENTS"
    for other in others:
        other.ok("close")
    everything_is_back(survivor)


@pytest.mark.kill_at(system_calls=range(1, 30), instructions=range(0, 60_000, 8_009), after_line="not held")
def test_who_dies_detaching_leaves_nothing(world, kill_point):
    survivor = world.client()
    victim = world.client("--isolation", "none", at=kill_point)
    victim.ok("put key 100 1")
    victim.ok("create unsealed 70000 1")
    victim.ok("subscribe")
    victim.ok("hold key")
    survivor.ok("delete key")
    victim.ask("release nothing")
    victim.ask("close")
    victim.wait()
    stat = alone(survivor)
    assert stat["bytes_retired"] == 0
    everything_is_back(survivor)
