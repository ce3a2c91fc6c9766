#!/usr/bin/python3
"""A table in multiprocessing.shared_memory, as one would write it first, as a target.

  lightning-faults target --target faults/target/stores/python_shm_target.py

16 rows of 256 bytes: whether the row is used, the length of the key, that of the value, the two texts. Writers and
readers hold a lock of a file, which the kernel releases when its holder dies: nobody can wait for a dead one.
"""

import contextlib
import fcntl
import os
import sys
from multiprocessing import shared_memory

import lightning_target

ROWS, ROW = 16, 256
USED, KEY_LENGTH, VALUE_LENGTH, TEXT = 0, 1, 2, 3


def name_in(directory):
    """Shared memory has one flat space of names."""
    return directory.strip("/").replace("/", "-")


class Store:
    NAME = "multiprocessing.shared_memory, Python {}.{}.{}".format(*sys.version_info[:3])

    def __init__(self, directory):
        self.memory = shared_memory.SharedMemory(name_in(directory))
        self.lock = os.open(directory + "/lock", os.O_RDWR)

    @staticmethod
    def create(directory):
        shared_memory.SharedMemory(name_in(directory), create=True, size=ROWS * ROW).close()
        os.close(os.open(directory + "/lock", os.O_RDWR | os.O_CREAT, 0o600))

    @staticmethod
    def shared(directory):
        return ["/dev/shm/" + name_in(directory)]

    @contextlib.contextmanager
    def locked(self):
        fcntl.lockf(self.lock, fcntl.LOCK_EX)
        try:
            yield self.memory.buf
        finally:
            fcntl.lockf(self.lock, fcntl.LOCK_UN)

    def row_of(self, table, key):
        """Where the key's row begins, else where a free one does."""
        free = None
        for at in range(0, ROWS * ROW, ROW):
            if not table[at + USED]:
                free = at if free is None else free
            elif bytes(table[at + TEXT:at + TEXT + table[at + KEY_LENGTH]]) == key:
                return at, True
        return free, False

    def put(self, key, value):
        key, value = key.encode(), value.encode()
        with self.locked() as table:
            at, _ = self.row_of(table, key)
            table[at + KEY_LENGTH] = len(key)
            table[at + VALUE_LENGTH] = len(value)
            table[at + TEXT:at + TEXT + len(key)] = key
            table[at + TEXT + len(key):at + TEXT + len(key) + len(value)] = value
            table[at + USED] = 1

    def remove(self, key):
        with self.locked() as table:
            at, found = self.row_of(table, key.encode())
            if not found:
                raise KeyError(key)
            table[at + USED] = 0

    def list(self):
        with self.locked() as table:
            rows = [bytes(table[at:at + ROW]) for at in range(0, ROWS * ROW, ROW) if table[at + USED]]
        for row in rows:
            value = TEXT + row[KEY_LENGTH]
            yield row[TEXT:value].decode(), row[value:value + row[VALUE_LENGTH]].decode()

    def detach(self):
        self.memory.close()
        os.close(self.lock)


if __name__ == "__main__":
    lightning_target.serve(Store)
