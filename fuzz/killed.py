"""Segments that real clients left which `lightning-faults kill-at` killed inside an operation, as inputs of `image` and `log`."""

import json
import random
import re
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

from fuzz import tasks

# The specimen of fuzz/specimen.cc: its size, and its tables.
SHAPE = ("--size", str(tasks.SEGMENT), "--max-objects", "16", "--max-clients", "4", "--max-pins", "8", "--events", "4")
PAGE, CENTRAL, SLOTS = 4096, 4096, 3 * 4096
BEFORE = ("put a first", "put b {big} --metadata m", "put long-{key} {big}", "put key-1 x", "put key-2 y", "put key-2 yy", "delete key-1")
# What is killed: inserting, replacing in place and elsewhere, several, taking away, all that a full segment does, healing.
KILLED = ("put z new", "put a second", "put b small", "put long-{key} {big}{big}", "put --batch a=1 batch=2 key-2=3", "delete b",
          "delete long-{key}", "evict", "put new {big} --metadata {key}", "recover")
KILLS = 3  # of each
# Instructions from the mapping of the file on: attaching ends there, and the operation of these clients is done.
FIRST, LAST = 14_000, 34_000
RAW_RUNS, OVER_NOTHING, ALL_DEAD = 0xF0, 4, 2  # flags of an input of `image`
GAP = 16  # zeroes that end a run
ENTRY, HELD = 0, 4  # kinds of records of `log`
ANY_CELL = 6  # a place of a record of `log`: a cell by its number


def run(program, *arguments):
    return subprocess.run([str(program), *arguments], capture_output=True, text=True, check=False)


def words(command):
    return command.format(big="v" * 3000, key="k" * 100).split()


def segments(bin_folder, seed):
    """The bytes of each, in the order of KILLED. Nothing where a client cannot be killed here."""
    chance, store = random.Random(f"{seed} killed"), bin_folder / "lightning-store"
    with tempfile.TemporaryDirectory(prefix="lightning-seeds-", dir="/dev/shm") as folder:
        fresh, file = Path(folder) / "fresh", Path(folder) / "segment"
        where = ("-s", str(file), "--isolation", "none")
        for eviction in ("none", "lru"):
            fresh.unlink(missing_ok=True)
            file.unlink(missing_ok=True)
            run(store, "create", *where, *SHAPE, "--eviction", eviction)
            for command in BEFORE:
                run(store, *words(command), *where)
            shutil.copyfile(file, fresh)
            for command in KILLED:
                for _ in range(KILLS if eviction == "none" else 1):
                    shutil.copyfile(fresh, file)
                    report = Path(folder) / "report.json"
                    run(bin_folder / "lightning-faults", "kill-at", "--instructions", str(chance.randint(FIRST, LAST)), "--after-map",
                        str(file), "--report", str(report), "--", str(store), *words(command), *where)
                    if report.is_file() and json.loads(report.read_text())["killed"]:
                        yield file.read_bytes()


def runs(segment, gap=GAP):
    """[(offset, bytes)] of what is not zero, with no more than `gap` zeroes inside each."""
    return [(found.start(), found[0]) for found in re.finditer(rb"[^\0](?:\0{0,%d}[^\0])*" % gap, segment)]


def as_image(segment, choice=0):
    """The input of `image` that is this segment, everybody in it dead. At most 64 runs are read of one."""
    gap = GAP
    while len(runs(segment, gap)) > 64:
        gap *= 2
    return bytes([0, 0, RAW_RUNS | OVER_NOTHING | ALL_DEAD, choice]) + b"".join(
        bytes([0]) + offset.to_bytes(3, "little") + struct.pack("<I", len(its)) + its for offset, its in runs(segment, gap))


def offsets(bin_folder):
    """Where in a slot its log and its held locks stand, and the size of a slot, by the debug information of the program."""
    asked = ["(long)&((lightning::Slot*)0)->log_count", "(long)&((lightning::Slot*)0)->held_count", "sizeof(lightning::Slot)"]
    told = run("gdb", "-batch", *(word for ask in asked for word in ("-ex", f"print {ask}")), str(bin_folder / "lightning-store"))
    return [int(number) for number in re.findall(r"(?m)^\$\d+ = (\d+)$", told.stdout)]


def as_log(segment, log, held, size):
    """The input of `log` whose victim has the log and the locks of the client that died here; None where none has a log. Old
    values are cut to the forty bits that an input has for them."""
    stride = -(-size // PAGE) * PAGE
    for slot in range(SLOTS, SLOTS + 4 * stride, stride):
        entries, = struct.unpack_from("<Q", segment, slot + log)
        locks, = struct.unpack_from("<Q", segment, slot + held)
        if 0 < entries <= 1536 and locks <= 64:
            records = []
            for i in range(entries):
                offset, old = struct.unpack_from("<QQ", segment, slot + log + 16 + 16 * i)
                records.append(record(ENTRY, 0, offset, old))
            locked = struct.unpack_from(f"<{locks}Q", segment, slot + held + 8)
            records = [record(HELD, 1, offset, 0) for offset in locked] + records
            return bytes([2, 1, 1, 0]) + b"".join(records[:60])
    return None


def record(what, place, offset, value):
    return struct.pack("<BBHQ", what, ANY_CELL, place, (offset - CENTRAL) // 8 << 40 | value & 0xFF_FFFF_FFFF)
