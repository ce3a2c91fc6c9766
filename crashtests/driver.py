"""One crash-client process (client.Client of the pytest plugin, with the words that crash-client answers). Also used
inside other pid namespaces, without pytest."""

import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "python"))

import lightning_faults  # noqa: E402


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
