"""The real lightning-store, and one segment of its own for each test.

The program is $LIGHTNING_BIN (the program, or the folder that holds it), else build/release/bin/lightning-store.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def find_program():
    path = pathlib.Path(os.environ.get("LIGHTNING_BIN") or ROOT / "build/release/bin")
    if path.is_dir():
        path = path / "lightning-store"
    assert os.access(path, os.X_OK), f"{path} is no program: build it, or set LIGHTNING_BIN"
    return str(path)


class Tool:
    """Runs commands on one segment."""

    def __init__(self, folder):
        self.program = find_program()
        self.folder = folder
        self.segment = str(folder / "segment")
        self.started = []

    def arguments(self, *args):
        # The options stand in front: behind a "--" of the test they would be keys.
        return [self.program, args[0], "-s", self.segment, *args[1:]]

    def run(self, *args, code=0, **more):
        done = subprocess.run(self.arguments(*args), capture_output=True, timeout=60, **more)
        assert done.returncode == code, (args, done.returncode, done.stdout[-500:], done.stderr)
        if code == 0:
            assert done.stderr == b"", (args, done.stderr)
        return done

    def out(self, *args, **more):
        return self.run(*args, **more).stdout

    def json(self, *args, **more):
        return json.loads(self.out(*args, "--json", **more))

    def fails(self, *args, code=1, name, **more):
        """Exactly one line on standard error, of the form that scripts rely on."""
        done = self.run(*args, code=code, **more)
        line = done.stderr.decode()
        assert re.fullmatch(r"lightning-store: [A-Z_]+: [^\n]+\n", line), line
        assert line.split(": ")[1] == name, line
        return line

    def create(self, *args):
        self.run("create", "--size", "8M", "--max-objects", "512", *args)

    def start(self, *args, **more):
        # Unbuffered, so that select() on a pipe tells the truth.
        more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "bufsize": 0, **more}
        process = subprocess.Popen(self.arguments(*args), **more)
        self.started.append(process)
        return process

    def watch(self, *args):
        """A watcher that has subscribed already."""
        process = self.start("watch", *args)
        assert process.stderr.readline().startswith(b"lightning-store: watching ")
        return process


@pytest.fixture(scope="session")
def program():
    return find_program()


@pytest.fixture
def tool():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lightning-cli-test-", dir="/dev/shm"))
    made = Tool(folder)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.kill()
        process.communicate()
    shutil.rmtree(folder)
