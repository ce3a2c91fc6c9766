"""The plugin, as another project's tests see it: pytest runs of their own, on a toy store with a planted bug and one
without."""

import re
import subprocess

from toys import TEST


def failing_points(result):
    return re.findall(r"FAILED test_it\.py::test_fields_are_equal\[(instruction-\d+)\]", result.stdout.str())


def test_a_sweep_finds_the_update_that_has_no_log(inner, tracer):
    inner.write(f'METHOD = "plain"\n{TEST}')
    result = inner.run("-rf")
    assert result.ret == 1
    failed = failing_points(result)
    assert failed, "the planted bug was not found"
    assert len(failed) < 24, "only between the two stores"
    result.stdout.fnmatch_lines(["*the client was killed at instruction:*", "again: cd *"])


def test_a_sweep_passes_the_update_that_has_one(inner, tracer):
    inner.write(f'METHOD = "log"\n{TEST}')
    result = inner.run()
    result.assert_outcomes(passed=24)


def test_the_replay_command_shows_the_same_failure_in_another_shell(inner, tracer):
    inner.write(f'METHOD = "plain"\n{TEST}')
    result = inner.run("-rf")
    point = failing_points(result)[0]
    commands = [line[len("again: "):] for line in result.outlines if line.startswith("again: ")]
    (command,) = [c for c in commands if f"[{point}]" in c]
    for _ in range(2):
        again = subprocess.run(["env", "-i", "PATH=/usr/bin:/bin", "/bin/sh", "-c", command], cwd="/",
                               capture_output=True, text=True, timeout=120, check=False)
        assert again.returncode == 1, again.stdout + again.stderr
        assert "1 failed in" in again.stdout
        assert f"test_fields_are_equal[{point}]" in again.stdout
        assert f"again: {command}\n" in again.stdout


def test_a_point_can_be_asked_for_that_is_not_in_the_sweep(inner):
    inner.write(f'METHOD = "log"\n{TEST}')
    inner.run("--kill-at", "system-call:1", "-v").stdout.fnmatch_lines(["*[[]system-call-1[]] PASSED*", "*1 passed*"])
    inner.run("--kill-at", "line:begin", "-v").stdout.fnmatch_lines(["*[[]line-begin[]] PASSED*"])
    assert inner.run("--kill-at", "instruction:x").ret == 4
    # A point that is asked for alone must be reached.
    result = inner.run("--kill-at", "instruction:100000000")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*ended before instruction:100000000*"])


NEVER = '''
import sys
import pytest

@pytest.mark.kill_at(instructions=range(0, 2), after_line="never")
def test_marker(clients, kill_point):
    clients.start(["/bin/echo", "begin"], at=kill_point).wait()

@pytest.mark.kill_at(lines=["begin"])
def test_no_client(clients, kill_point):
    clients.run(["/bin/echo", "begin"])

@pytest.mark.kill_at(lines=["never"])
def test_running(clients, kill_point):
    clients.start(["/bin/cat"], at=kill_point)
'''


def test_a_sweep_that_kills_nobody_fails(inner):
    inner.write(NEVER)
    result = inner.run()
    # The second point of the first test may lie behind the client's end; its first may not.
    result.assert_outcomes(failed=3, passed=1)
    result.stdout.fnmatch_lines(["*its marker never came*", "*nobody was killed*", "*still running at the end*"])


LINES = '''
import pytest

@pytest.mark.kill_at(lines=["two", "one"])
def test_lines(clients, kill_point, tmp_path):
    client = clients.start(["/bin/sh", "-c", f"echo one; echo two; echo three; echo x >{tmp_path}/after"], at=kill_point)
    assert client.wait() == -9
    assert client.output == {"one": "one\\n", "two": "one\\ntwo\\n"}[kill_point.point.value]
    assert not (tmp_path / "after").exists()

@pytest.mark.kill_at(system_calls=range(1, 3), after_line="one")
def test_system_calls(clients, kill_point):
    """Before the first one, no second line; the second call is after that line."""
    client = clients.start(["/bin/sh", "-c", "echo one; echo two; exit"], at=kill_point)
    client.wait()
    assert client.output == ("one\\n" if kill_point.point.value == "1" else "one\\ntwo\\n")
    assert kill_point.reached

@pytest.mark.kill_at(instructions=range(0, 100000), after_line="one", sample=3)
def test_sample(clients, kill_point):
    clients.start(["/bin/sh", "-c", "echo one; sleep 0; echo two"], at=kill_point).wait()
'''


def test_lines_and_system_calls_are_exact_points(inner, tracer):
    inner.write(LINES)
    result = inner.run("-k", "lines or calls")
    result.assert_outcomes(passed=4)


def test_a_sample_follows_from_its_seed(inner):
    inner.write(LINES)

    def points(*options):
        return re.findall(r"instruction-\d+", inner.run("-k", "sample", "--collect-only", "-q", *options).stdout.str())

    assert len(points()) == 3
    assert points()[0] == "instruction-0"
    assert points() == points()
    assert points() != points("--kill-seed", "2")


PLAIN = '''
import pytest

def test_plain(clients):
    client = clients.start(["/bin/cat"])
    assert client.ask("hello") == "other"
'''


def test_a_failure_without_a_sweep_has_its_command_too(inner):
    inner.write(PLAIN)
    inner.run("--tb=short").stdout.fnmatch_lines(["again: cd * test_it.py::test_plain"])


def test_wrong_marks_are_errors(inner):
    for text in ('@pytest.mark.kill_at(instruction=[1])\ndef test_x(kill_point): pass',
                 '@pytest.mark.kill_at()\ndef test_x(kill_point): pass',
                 '@pytest.mark.kill_at(lines=["x"])\ndef test_x(clients): pass'):
        inner.write(f"import pytest\n{text}")
        assert inner.run().ret not in (0, 5), text
    inner.write("def test_x(kill_point): pass")
    inner.run().assert_outcomes(errors=1)
