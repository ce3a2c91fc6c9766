"""Real client processes (crash-client), and one segment of its own for each test.

The programs are in $LIGHTNING_BIN_DIR, else in build/release/bin.
"""

import pathlib
import shutil
import tempfile

import pytest

from driver import Client


class World:
    """A folder for segments, and the clients that were started on them."""

    def __init__(self, folder):
        self.folder = folder
        self.segment = str(folder / "segment")
        self.started = []

    def start(self, *options, segment=None, prefix=()):
        """A client process that has not attached yet."""
        client = Client(segment or self.segment, *options, prefix=prefix)
        self.started.append(client)
        return client

    def client(self, *options, **more):
        """An attached one."""
        client = self.start(*options, **more)
        client.ok("attach")
        return client


@pytest.fixture
def world():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lightning-crash-", dir="/dev/shm"))
    made = World(folder)
    yield made
    for client in made.started:
        client.end()
    shutil.rmtree(folder)
