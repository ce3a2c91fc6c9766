"""One process under test: asked by lines, stopped, continued and killed by signals. Needs no pytest.

Every wait is for a fact (a line, a state, an end) and has a limit in seconds; a limit that passes is an AssertionError
that says what was waited for, so that a hang is a failure and never a pass.
"""

import contextlib
import os
import pathlib
import select
import signal
import subprocess
import time

from .points import repeatable

WAIT = 60
STATES = {"stopped": "T", "traced": "t", "zombie": "Z", "sleeping": "S"}


class Client:
    """A started command. `point`: where it is to be killed (points.Point), or None for a process that nobody traces.

    Standard input and output are pipes; standard error goes where `stderr` says (default: to that of the tests).
    """

    def __init__(self, command, *, point=None, env=None, cwd=None, stderr=None):
        self.command = [os.fspath(word) for word in command]
        self.point = point
        self._traced = None if point is None else point.trace(self.command)
        if self._traced is not None:
            env = repeatable(env)
        self.process = subprocess.Popen(
            self.command if self._traced is None else self._traced.command, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=stderr, env=env, cwd=cwd, bufsize=0)
        self.pid = self.process.pid
        self.output = ""

    # --- lines

    def send(self, line):
        self.process.stdin.write(line.encode() + b"\n")

    def receive(self, timeout=WAIT):
        """The next line without its end; "no answer" when none comes in time, or the process is gone."""
        line = b""
        deadline = time.monotonic() + timeout
        while not line.endswith(b"\n"):
            ready = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))[0]
            byte = self.process.stdout.read(1) if ready else b""
            if not byte:
                return "no answer"
            line += byte
        return line.decode(errors="replace").rstrip("\n")

    def ask(self, line, timeout=WAIT):
        """One line to it, one line from it. Also of a process that may be dead already: "no answer" then."""
        with contextlib.suppress(BrokenPipeError):
            self.send(line)
        return self.receive(timeout)

    def wait_for_line(self, line, timeout=WAIT):
        """Reads until this line came, and returns those before it."""
        before = []
        deadline = time.monotonic() + timeout
        while True:
            got = self.receive(max(0, deadline - time.monotonic()))
            if got == line:
                return before
            assert got != "no answer", f"{self.command}: waited for the line {line!r} and got {before}"
            before.append(got)

    # --- signals

    def signal(self, number):
        os.kill(self.pid, number)

    def stop(self):
        """SIGSTOP, and returns when it is stopped. Not for one that is to be killed at a point: it is traced."""
        assert self._traced is None, "a client with a kill point is traced and cannot be stopped"
        self.signal(signal.SIGSTOP)
        self.wait_for_state("stopped")

    def go_on(self):
        self.signal(signal.SIGCONT)

    def kill(self, reap=True):
        """SIGKILL, and returns when it is dead; with reap=False it stays a zombie, as of a parent that does not look."""
        self.signal(signal.SIGKILL)
        if reap:
            self.process.wait()
        else:
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)

    # --- states

    def state(self):
        """The kernel's letter for its main thread, or "gone"."""
        try:
            return pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return "gone"

    def wait_for_state(self, *names, timeout=WAIT):
        """Until it is in one of these states ("stopped", "sleeping", "zombie", "traced", or "gone")."""
        wanted = {STATES.get(name, name) for name in names}
        deadline = time.monotonic() + timeout
        while self.state() not in wanted:
            assert time.monotonic() < deadline, f"{self.command} is {self.state()}, not {' or '.join(names)}"
            time.sleep(0.0005)

    def wait(self, timeout=WAIT):
        """Closes its standard input and waits until it has ended or was killed: its exit status, or -SIGNAL as subprocess
        has it. What it still writes is kept in `output`."""
        try:
            rest, _ = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.command} did not end within {timeout} s") from None
        self.output = rest.decode(errors="replace")
        return self.process.returncode

    def outcome(self):
        """Of one with a kill point, after its end: what the tracer reported (points.Traced.report)."""
        return None if self._traced is None else self._traced.report()

    def end(self):
        """SIGKILL if it still runs, and closes its pipes. May be called again."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self._traced is not None:
            self._traced.close()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
