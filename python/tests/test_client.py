"""Clients: lines, signals and states, on ordinary commands."""

import signal

import pytest

from lightning_faults import Client, count, spread


def test_lines_go_both_ways(clients):
    cat = clients.start(["cat"])
    assert cat.ask("one") == "one"
    cat.send("two")
    cat.send("three")
    assert cat.wait_for_line("three") == ["two"]
    cat.kill()
    assert cat.ask("four") == "no answer"


def test_what_never_comes_is_a_failure(clients):
    with pytest.raises(AssertionError, match="waited for the line 'b' and got \\['a'\\]"):
        clients.start(["echo", "a"]).wait_for_line("b")
    with pytest.raises(AssertionError, match="did not end"):
        clients.start(["sleep", "1000"]).wait(timeout=0.01)
    with pytest.raises(AssertionError, match="not stopped"):
        clients.start(["cat"]).wait_for_state("stopped", timeout=0.01)


def test_stopped_continued_killed(clients):
    cat = clients.start(["cat"])
    cat.stop()
    assert cat.state() == "T"
    cat.send("late")
    cat.go_on()
    assert cat.receive() == "late"
    cat.wait_for_state("sleeping")
    cat.kill(reap=False)
    assert cat.state() == "Z"
    assert cat.wait() == -signal.SIGKILL
    assert cat.state() == "gone"


def test_the_end_and_its_status(clients):
    assert clients.run(["sh", "-c", "echo $WHO; exit 3"], status=3, env={"WHO": "me"}) == "me\n"
    with pytest.raises(AssertionError, match="ended with 1, not 0: why"):
        clients.run(["sh", "-c", "echo why; exit 1"])


def test_all_clients_end_with_their_test(pytester):
    client = Client(["cat"])
    client.end()
    assert client.state() == "gone"
    client.end()


def test_a_count_is_the_same_each_time(tracer):
    command = ["/bin/sh", "-c", "echo a; echo b; echo c"]
    first = count(command, after_line="a", until_line="b")
    assert first == count(command, after_line="a", until_line="b")
    assert first["system_calls"] == 1
    assert 10 < first["instructions"] < count(command, after_line="a", until_line="c")["instructions"]
    with pytest.raises(RuntimeError, match="never"):
        count(command, after_line="never")


def test_spread():
    assert spread(100, 3) == [0, 50, 100]
    assert spread(2, 10) == [0, 1, 2]
    assert spread(0, 10) == [0]
