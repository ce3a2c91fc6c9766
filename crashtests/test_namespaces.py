"""Clients in different pid namespaces on one segment in /dev/shm, and pids that are used again. Needs root."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

from driver import everything_is_back

UNSHARE = ["unshare", "--pid", "--fork", "--kill-child"]


def why_not():
    try:
        run = subprocess.run([*UNSHARE, "--mount-proc", "/bin/true"], capture_output=True, text=True, check=False)
    except OSError as error:
        return f"no unshare: {error}"
    return run.stderr.strip() if run.returncode else None


REASON = why_not()
pytestmark = pytest.mark.skipif(REASON is not None, reason=f"pid namespaces cannot be made here: {REASON}")


def inside(scenario, segment, *unshare_options):
    script = pathlib.Path(__file__).with_name("namespaces_inside.py")
    run = subprocess.run([*UNSHARE, *unshare_options, sys.executable, "-B", str(script), scenario, segment],
                         capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def children_of(pid):
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def foreign(world, *unshare_options, options=()):
    """A client in a pid namespace of its own, and its pid out here."""
    client = world.client(*options, prefix=(*UNSHARE, *unshare_options))
    (pid,) = children_of(client.pid)
    return client, pid


def test_a_pid_used_again_by_another_process_does_not_keep_the_dead_alive(world):
    inside("pid_reuse", world.segment, "--mount-proc")


def test_a_pid_used_again_by_another_client_is_that_of_the_living_alone(world):
    inside("pid_reuse_by_a_client", world.segment, "--mount-proc")


@pytest.mark.parametrize("options", [("--mount-proc",), ()], ids=["with_its_proc", "with_the_proc_of_outside"])
def test_clients_of_one_other_namespace_know_each_other(world, options):
    inside("own_clients", world.segment, *options)


@pytest.mark.parametrize("options", [("--mount-proc",), ()], ids=["with_its_proc", "with_the_proc_of_outside"])
def test_a_client_in_another_namespace_is_alive_until_it_dies(world, options):
    here = world.client()
    there, pid = foreign(world, *options)
    there.ok("create key 100 1")
    # Its own number for itself is 1, which is somebody else out here.
    assert pathlib.Path(f"/proc/{pid}/status").read_text().split("NSpid:")[1].split("\n")[0].split()[-1] == "1"
    assert here.recovered() == [0, 2]
    assert here.ask("put key 100 2") == "BEING_CREATED"
    assert there.recovered() == [0, 2]
    # Stopped it is alive too.
    os.kill(pid, signal.SIGSTOP)
    assert here.recovered() == [0, 2]
    os.kill(pid, signal.SIGCONT)
    there.ok("seal key")
    assert here.ok("get key")[1] == "1"
    there.ok("create other 100 1")
    os.kill(pid, signal.SIGKILL)
    there.process.wait()
    assert here.recovered() == [1, 1]
    here.ok("put other 100 2")
    everything_is_back(here)


def test_two_namespaces_with_the_same_pids_heal_each_other(world):
    (first, first_pid), (second, second_pid) = foreign(world, "--mount-proc"), foreign(world, "--mount-proc")
    for round_ in range(4):
        assert first.recovered() == [0, 2]
        assert second.recovered() == [0, 2]
        second.ok(f"create key{round_} 100 1")
        assert first.ask(f"put key{round_} 100 2") == "BEING_CREATED"
        os.kill(second_pid, signal.SIGKILL)
        second.process.wait()
        first.ok(f"put key{round_} 100 2")
        assert first.recovered()[1] == 1
        assert first.stat()["recoveries"] == round_ + 1
        # The other way round next.
        newcomer = foreign(world, "--mount-proc")
        (first, first_pid), (second, second_pid) = newcomer, (first, first_pid)
    everything_is_back(second)


def test_at_full_speed_across_namespaces(world):
    # How long one waits for the other is the machine's affair.
    patient = ("--timeout", "60000")
    here = world.client(*patient)
    for number in range(6):
        there, pid = foreign(world, "--mount-proc", options=patient)
        there.ok(f"churn {number}")
        for i in range(200):
            answer = here.ask(f"put common-{i % 12} 100 {i + 1}")
            assert answer.split()[0] in ("ok", "BEING_CREATED"), answer
        assert here.stat()["recoveries"] == number, "a living client was recovered"
        os.kill(pid, signal.SIGKILL)
        there.process.wait()
        for i in range(12):
            here.ok(f"put common-{i} 100 1")
        here.ok("recover")
        assert here.stat()["recoveries"] == number + 1
    everything_is_back(here)
