#!/usr/bin/env python3
"""Two counters in a mapped file that are always equal, also when the process that changes them is killed.

  counters.py FILE add | show

An update is logged before it is made: the old value, then a flag, then the two counters, then no flag. Whoever opens
the file undoes an update whose flag still stands. Example: counters.py /dev/shm/my-counters add
"""

import mmap
import os
import struct
import sys

LEFT, RIGHT, OLD, FLAG = 0, 8, 16, 24


class Counters:
    def __init__(self, path):
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(file, 4096)
        self.memory = mmap.mmap(file, 4096)
        os.close(file)
        if self.get(FLAG):
            self.put(LEFT, self.get(OLD))
            self.put(RIGHT, self.get(OLD))
            self.put(FLAG, 0)

    def get(self, at):
        return struct.unpack_from("<Q", self.memory, at)[0]

    def put(self, at, value):
        struct.pack_into("<Q", self.memory, at, value)

    def add(self):
        value = self.get(LEFT)
        self.put(OLD, value)
        self.put(FLAG, 1)
        self.put(LEFT, value + 1)
        self.put(RIGHT, value + 1)
        self.put(FLAG, 0)


def main():
    if len(sys.argv) != 3 or sys.argv[2] not in ("add", "show"):
        sys.exit(__doc__)
    counters = Counters(sys.argv[1])
    if sys.argv[2] == "show":
        print(counters.get(LEFT), counters.get(RIGHT))
        return
    print("begin", flush=True)  # kill points are counted from here
    counters.add()
    print("end", flush=True)
    os._exit(0)  # nothing is left to do, and the interpreter's end has more instructions than all the rest


if __name__ == "__main__":
    main()
