"""What counts as dead, what as alive, and what the dead leave behind. Real processes, real signals."""

import os
import random
import signal
import time

from driver import everything_is_back


def test_a_killed_client_is_recovered_by_the_next_operation_that_meets_it(world):
    survivor, victim = world.client(), world.client()
    victim.ok("create key 100 1")
    victim.kill()
    survivor.ok("put key 100 2")
    assert survivor.ok("get key")[1] == "2"
    assert survivor.stat()["recoveries"] == 1
    assert survivor.stat()["clients"] == 1
    everything_is_back(survivor)


def test_a_zombie_is_dead(world):
    survivor, victim = world.client(), world.client()
    victim.ok("create key 100 1")
    victim.kill(reap=False)
    assert survivor.recovered() == [1, 1]
    survivor.ok("put key 100 2")
    everything_is_back(survivor)


def test_a_stopped_client_is_alive(world):
    survivor, other = world.client(), world.client()
    other.ok("create key 100 1")
    other.stop()
    assert survivor.recovered() == [0, 2]
    assert survivor.ask("put key 100 2") == "BEING_CREATED"
    other.go_on()
    other.ok("seal key")
    assert survivor.ok("get key")[1] == "1"
    assert survivor.stat()["recoveries"] == 0


def test_a_child_that_outlives_its_parent_client_does_not_keep_it_alive(world):
    survivor, victim = world.client(), world.client()
    victim.ok("create key 100 1")
    child = int(victim.ok("fork")[0])
    try:
        victim.kill()
        os.kill(child, 0)
        assert survivor.recovered() == [1, 1]
        survivor.ok("put key 100 2")
        everything_is_back(survivor)
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_child_that_dies_leaves_its_parent_client_alive(world):
    survivor, other = world.client(), world.client()
    other.ok("create key 100 1")
    os.kill(int(other.ok("fork")[0]), signal.SIGKILL)
    assert survivor.recovered() == [0, 2]
    other.ok("seal key")


def test_a_child_must_connect_a_client_of_its_own(world):
    parent = world.client()
    assert parent.ask("fork-attach key") == "FORKED ok 1"
    assert parent.receive().startswith("ok ")
    assert parent.ok("get key")[1] == "1"
    assert parent.recovered() == [1, 1], "the child left without detaching"
    everything_is_back(parent)


def test_a_client_that_executes_another_program_is_dead(world):
    """Its pid lives on, with the same start time."""
    survivor = world.client()
    for delay in (0, 1, 3, 10, 30):
        victim = world.client()
        recoveries = survivor.stat()["recoveries"]
        victim.ok("create unsealed 100 1")
        victim.ok(f"exec {delay} put key 100 #")
        victim.wait_until(lambda: victim.fact("comm") == "sleep", "another program")
        survivor.ok("put key 100 2")
        survivor.ok("put unsealed 100 2")
        survivor.ok("recover")
        assert survivor.stat()["clients"] == 1
        assert survivor.stat()["recoveries"] == recoveries + 1
        everything_is_back(survivor)


def test_memory_that_only_the_dead_had_pinned_comes_back(world):
    survivor, victim = world.client(), world.client()
    for i in range(8):
        survivor.ok(f"put key{i} 5000 1")
        victim.ok(f"hold key{i}")
    for i in range(8):
        survivor.ok(f"delete key{i}" if i % 2 else f"put key{i} 5000 2")
    assert victim.ok("held") == ["8"]
    assert survivor.stat()["bytes_retired"] >= 8 * 5000
    victim.kill()
    survivor.ok("recover")
    assert survivor.stat()["bytes_retired"] == 0
    everything_is_back(survivor)


def test_pinned_memory_that_the_dead_had_deleted_comes_back_when_its_reader_lets_go(world):
    reader, victim = world.client(), world.client()
    victim.ok("put key 5000 1")
    reader.ok("hold key")
    victim.ok("delete key")
    victim.kill()
    assert reader.recovered()[0] == 1
    assert reader.stat()["bytes_retired"] >= 5000
    assert reader.ok("held") == ["1"]
    reader.ok("release key")
    everything_is_back(reader)


def test_a_killed_subscriber_is_forgotten_and_others_miss_nothing(world):
    survivor, victim, other = world.client(), world.client(), world.client()
    victim.ok("subscribe")
    other.ok("subscribe")
    survivor.ok("put first 100 1")
    victim.kill()
    survivor.ok("put second 100 1")
    survivor.ok("recover")
    survivor.ok("delete first")
    events = [other.ok("next 1000") for _ in range(3)]
    assert [event[1:] for event in events] == [["sealed", "first"], ["sealed", "second"], ["deleted", "first"]]
    sequences = [int(event[0]) for event in events]
    assert sequences == list(range(sequences[0], sequences[0] + 3))
    other.ok("close")
    everything_is_back(survivor)


def test_a_subscriber_that_is_killed_while_it_waits_is_forgotten(world):
    survivor, victim = world.client(), world.client()
    victim.ok("subscribe")
    victim.send("next 60000")
    victim.wait_until_it_waits()
    victim.kill()
    assert survivor.recovered() == [1, 1]
    survivor.ok("put key 100 1")
    everything_is_back(survivor)


def test_a_getter_that_is_killed_while_it_waits_is_forgotten(world):
    survivor, victim = world.client(), world.client()
    victim.send("get key 60000")
    victim.wait_until_it_waits()
    victim.kill()
    assert survivor.recovered() == [1, 1]
    survivor.ok("put key 100 1")
    everything_is_back(survivor)


def test_racing_creators_end_up_in_one_segment_also_when_some_are_killed(world):
    chance = random.Random(4)
    for i in range(10):
        segment = str(world.folder / f"race{i}")
        racers = [world.start(segment=segment) for _ in range(5)]
        for racer in racers:
            racer.send("attach")
        victim = chance.randrange(5)
        # At any moment of a race between five, which no exact point of one of them describes.
        time.sleep(chance.random() * 0.003)
        racers[victim].kill()
        others = [racer for n, racer in enumerate(racers) if n != victim]
        assert [racer.receive().split()[0] for racer in others] == ["ok"] * 4
        others[0].ok("put key 100 5")
        assert [racer.ok("get key")[1] for racer in others] == ["5"] * 4
        others[0].ok("recover")
        assert others[0].stat()["clients"] == 4
        assert os.listdir(world.folder) == [f"race{i}"]
        for racer in others:
            racer.end()
        os.unlink(segment)


def test_one_that_recovered_while_it_attached_is_in_nobodys_way(world):
    living = []
    for round_ in range(3):
        dead = [world.client("--timeout", "1000") for _ in range(8 - len(living))]
        for client in dead:
            client.kill()
        # No slot is free: this one has to recover the dead first, and those before it, who did the same, are still there.
        living.append(world.client("--timeout", "1000"))
        assert living[-1].stat()["clients"] == round_ + 1
    everything_is_back(living[0])
