"""The release client killed at exact points of one operation, by the plugin's own sweep: what the step engine does
inside, seen from outside, on processes that talk through pipes."""

import pytest

from driver import everything_is_back

# From the answer to `attach` to the answer to `put` it retires so many instructions, dynamic linking among them.
TOTAL = 27_000


@pytest.mark.kill_at(instructions=range(0, TOTAL, 911), system_calls=range(1, 3), after_line="ok none")
def test_a_replaced_value_is_the_old_or_the_new(world, kill_point):
    survivor = world.client("--isolation", "none")
    survivor.ok("put key 100 1")
    victim = world.client("--isolation", "none", at=kill_point)
    answer = victim.ask("put key 100 2")
    victim.wait()
    assert survivor.ok("get key")[1] in (["2"] if answer.startswith("ok") else ["1", "2"])
    survivor.ok("recover")
    assert survivor.stat()["clients"] == 1
    everything_is_back(survivor)
