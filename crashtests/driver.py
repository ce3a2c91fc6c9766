"""One crash-client process (client.Client of the pytest plugin, with the words that crash-client answers). Also used
inside other pid namespaces, without pytest."""

import os
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "python"))

import lightning_faults  # noqa: E402


FUTEX = "202"  # the number of the system call, on x86-64


def program(name="crash-client"):
    path = pathlib.Path(os.environ.get("LIGHTNING_BIN_DIR") or ROOT / "build/release/bin") / name
    assert os.access(path, os.X_OK), f"{path} is no program: build it, or set LIGHTNING_BIN_DIR"
    return str(path)


class Client(lightning_faults.Client):
    def ok(self, command):
        """The words after `ok`."""
        answer = self.ask(command)
        assert answer.split(" ")[0] == "ok", f"{command}: {answer}"
        return answer.split(" ")[1:]

    def stat(self):
        return {name: int(value) for name, value in (word.split("=") for word in self.ok("stat"))}

    def fact(self, name):
        """What /proc says of it, without the line's end."""
        return (pathlib.Path("/proc") / str(self.pid) / name).read_text().rstrip("\n")

    def wait_until(self, true, what, timeout=60):
        """Until true() is: a fact that comes by itself, and that nobody is told of."""
        deadline = time.monotonic() + timeout
        while not true():
            assert time.monotonic() < deadline, f"{self.command}, pid {self.pid}, is not yet {what}"
            time.sleep(0.0005)

    def wait_until_it_waits(self):
        """Until it sleeps in a futex, as whoever waits for a key or an event does; not in a read of its next command."""
        self.wait_until(lambda: self.fact("syscall").split()[0] == FUTEX, "waiting in a futex")

    def recovered(self):
        """How many dead clients one recover of this client healed, and how many are alive."""
        return [int(word) for word in self.ok("recover")]


def everything_is_back(client):
    """Deletes all that is left; then no byte and no object may be missing."""
    client.ok("recover")
    assert client.ask("check") == "ok"
    for key in client.ok("list"):
        client.ok(f"delete {key}")
    client.ok("recover")
    stat = client.stat()
    assert stat["objects"] == 0
    assert stat["bytes_free"] == stat["bytes_total"]
    assert client.ask("check") == "ok"
