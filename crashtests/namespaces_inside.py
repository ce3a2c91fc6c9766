"""What test_namespaces.py runs inside another pid namespace: python3 namespaces_inside.py SCENARIO SEGMENT.

Ends with status 0, or with the assertion that failed.
"""

import os
import subprocess
import sys
import time

from driver import Client, everything_is_back, program


def attached(segment):
    client = Client([program(), segment])
    client.ok("attach")
    return client


def process_with_pid(pid):
    """Starts a process that has this pid. Its predecessor must be gone."""
    for _ in range(100):
        with open("/proc/sys/kernel/ns_last_pid", "w") as last:
            last.write(str(pid - 1))
        process = subprocess.Popen(["/bin/sleep", "1000"])
        if process.pid == pid:
            return process
        process.kill()
        process.wait()
    raise AssertionError(f"pid {pid} cannot be had")


def kill_and_let_a_tick_pass(victim):
    """Whoever starts afterwards has another start time, since those are counted in ticks (10 ms)."""
    started = int(victim.fact("stat").rpartition(")")[2].split()[19])
    victim.kill()
    ticks = os.sysconf("SC_CLK_TCK")
    victim.wait_until(lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME) * ticks // 10**9 > started, "of an earlier tick")


def pid_reuse(segment):
    """Another process gets the pid of a dead client: the client is dead all the same."""
    survivor = attached(segment)
    for i in range(5):
        victim = attached(segment)
        victim.ok(f"create key{i} 100 1")
        kill_and_let_a_tick_pass(victim)
        other = process_with_pid(victim.pid)
        assert os.path.exists(f"/proc/{victim.pid}/stat")
        assert survivor.recovered() == [1, 1]
        survivor.ok(f"put key{i} 100 2")
        assert survivor.stat()["recoveries"] == i + 1
        other.kill()
        other.wait()
    everything_is_back(survivor)


def pid_reuse_by_a_client(segment):
    """The pid of a dead client is now that of a living one, in another slot: only the dead one is recovered."""
    survivor = attached(segment)
    victim = attached(segment)
    victim.ok("put key 100 1")
    victim.ok("create unsealed 100 1")
    kill_and_let_a_tick_pass(victim)
    for _ in range(100):
        with open("/proc/sys/kernel/ns_last_pid", "w") as last:
            last.write(str(victim.pid - 1))
        heir = Client([program(), segment])
        if heir.pid == victim.pid:
            break
        heir.end()
    assert heir.pid == victim.pid
    heir.ok("attach")
    heir.ok("create mine 100 1")
    assert survivor.recovered() == [1, 2]
    heir.ok("seal mine")
    assert survivor.ok("list") == ["key", "mine"]
    heir.ok("close")
    everything_is_back(survivor)


def own_clients(segment):
    """Clients of one namespace, whatever /proc shows there: the living are never recovered, the dead are."""
    clients = [attached(segment) for _ in range(4)]
    for client in clients:
        client.ok(f"create key{client.pid} 100 1")
    for client in clients:
        assert client.recovered() == [0, 4], "a living client was recovered"
    for client in clients:
        client.ok(f"seal key{client.pid}")
        client.ok(f"create more{client.pid} 100 1")
    for client in clients[1:]:
        client.kill()
    assert clients[0].recovered() == [3, 1]
    clients[0].ok(f"seal more{clients[0].pid}")
    everything_is_back(clients[0])


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2])
