"""One crash-client process: asked by lines, killed by signals. Also used inside other pid namespaces, without pytest."""

import os
import pathlib
import select
import signal
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[1]


def program(name="crash-client"):
    path = pathlib.Path(os.environ.get("LIGHTNING_BIN_DIR") or ROOT / "build/release/bin") / name
    assert os.access(path, os.X_OK), f"{path} is no program: build it, or set LIGHTNING_BIN_DIR"
    return str(path)


class Client:
    def __init__(self, segment, *options, prefix=()):
        self.process = subprocess.Popen([*prefix, program(), segment, *options], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, bufsize=0)
        self.pid = self.process.pid

    def send(self, command):
        self.process.stdin.write(command.encode() + b"\n")

    def receive(self, timeout=60):
        line = b""
        while not line.endswith(b"\n"):
            ready = select.select([self.process.stdout], [], [], timeout)[0]
            byte = self.process.stdout.read(1) if ready else b""
            if not byte:
                return "no answer"
            line += byte
        return line.decode().rstrip("\n")

    def ask(self, command):
        self.send(command)
        return self.receive()

    def ok(self, command):
        """The words after `ok`."""
        answer = self.ask(command)
        assert answer.split(" ")[0] == "ok", f"{command}: {answer}"
        return answer.split(" ")[1:]

    def stat(self):
        return {name: int(value) for name, value in (word.split("=") for word in self.ok("stat"))}

    def recovered(self):
        """How many dead clients one recover of this client healed, and how many are alive."""
        return [int(word) for word in self.ok("recover")]

    def signal(self, number):
        os.kill(self.pid, number)

    def kill(self, reap=True):
        self.signal(signal.SIGKILL)
        if reap:
            self.process.wait()
        else:
            # Dead, and its parent has not looked: a zombie.
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


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
