"""Clients that do everything at full speed, killed at random: the others go on, and at the end nothing is missing."""

import random
import time

import pytest

from driver import everything_is_back


@pytest.mark.parametrize("mode", ["mprotect", "hidden", "none"])
def test_survivors_go_on_and_nothing_leaks(world, mode):
    # How long one waits for another is the machine's affair.
    options = ("--isolation", mode, "--max-objects", "1024", "--timeout", "60000")
    survivor = world.client(*options)
    chance = random.Random(mode)
    number = 0

    def start():
        nonlocal number
        number += 1
        client = world.client(*options)
        client.ok(f"churn {number}")
        return client

    workers = [start() for _ in range(3)]
    for _ in range(40):
        # Any moment of any operation is what this is about: exact points are the step engine's.
        time.sleep(chance.random() * 0.03)
        victim = chance.randrange(3)
        assert workers[victim].process.poll() is None, "it died by itself, or stopped: " + workers[victim].receive(1)
        workers[victim].kill()
        # Whatever the dead held, a key that everybody uses can be written and read at once.
        answer = survivor.ask("put common-0 200 1")
        assert answer.startswith("ok") or answer == "BEING_CREATED", answer
        answer = survivor.ask("get common-1")
        assert answer.startswith("ok") or answer == "NOT_FOUND", answer
        workers[victim] = start()
    for worker in workers:
        worker.kill()
    seeds = {survivor.ok(f"get {key}")[1] for key in survivor.ok("list") if key.startswith("batch-")}
    survivor.ok("recover")
    assert len(seeds) <= 1, "a batch is there whole or not at all"
    stat = survivor.stat()
    assert stat["clients"] == 1
    everything_is_back(survivor)


def test_a_client_stopped_again_and_again_is_never_recovered(world):
    survivor = world.client("--timeout", "20")
    worker = world.client("--timeout", "60000")
    worker.ok("churn 1")
    chance = random.Random(7)
    timeouts = 0
    for _ in range(60):
        worker.stop()
        for key in range(4):
            answer = survivor.ask(f"put common-{key} 100 1")
            assert answer.split()[0] in ("ok", "TIMEOUT", "BEING_CREATED"), answer
            timeouts += answer == "TIMEOUT"
        worker.go_on()
        # It runs on to anywhere: where it stops next must not matter.
        time.sleep(chance.random() * 0.005)
    assert worker.process.poll() is None, worker.receive(1)
    assert survivor.stat()["recoveries"] == 0
    assert survivor.stat()["clients"] == 2
    worker.kill()
    assert survivor.recovered() == [1, 1]
    everything_is_back(survivor)
    print(f"{timeouts} of 240 operations met a lock of the stopped client")
