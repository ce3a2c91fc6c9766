"""Real client processes (crash-client), started by the pytest plugin of python/, and one segment for each test.

The programs are in $LIGHTNING_BIN_DIR, else in build/release/bin.
"""

import pathlib
import shutil
import tempfile

import pytest

from driver import Client, program


class World:
    """A folder for segments, and the clients on them, which the plugin ends."""

    def __init__(self, folder, clients):
        self.folder = folder
        self.segment = str(folder / "segment")
        self.clients = clients

    def start(self, *options, segment=None, prefix=(), at=None):
        """A client process that has not attached yet."""
        return self.clients.start([*prefix, program(), segment or self.segment, *options], make=Client, at=at)

    def client(self, *options, **more):
        """An attached one."""
        client = self.start(*options, **more)
        client.ok("attach")
        return client


@pytest.fixture
def world(clients):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lightning-crash-", dir="/dev/shm"))
    yield World(folder, clients)
    clients.end()
    shutil.rmtree(folder)
