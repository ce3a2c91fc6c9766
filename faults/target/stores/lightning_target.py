"""Serves a Python object as a target of `lightning-faults target`.

    class Store:
        NAME = "my store 1.0"
        def __init__(self, directory): ...    # attach
        @staticmethod
        def create(directory): ...
        def put(self, key, value): ...
        def remove(self, key): ...
        def list(self): ...                   # gives pairs of texts
        # these may be left out:
        def recover(self): ...
        def check(self): ...                  # gives sentences
        def detach(self): ...
        @staticmethod
        def shared(directory): ...            # gives absolute paths; without it, every file in the directory counts

    lightning_target.serve(Store)

The program is started with the directory as its argument. An exception is the answer `error TEXT`. The commands stand in
faults/target/target_host.h.
"""

import os
import sys


def answer(kind, state, directory, words):
    """The lines before the last one."""
    verb = words[0]
    if verb == "name":
        return ["name " + kind.NAME]
    if verb == "create":
        kind.create(directory)
    elif verb == "attach":
        state["client"] = kind(directory)
    elif verb == "shared":
        return ["shared " + path for path in getattr(kind, "shared", lambda _: [])(directory)]
    elif verb == "list":
        return [f"item {key} {value}" for key, value in state["client"].list()]
    elif verb == "check":
        return ["violation " + text for text in getattr(state["client"], "check", list)()]
    elif verb in ("put", "remove"):
        getattr(state["client"], verb)(*words[1:])
    elif verb in ("recover", "detach"):
        getattr(state["client"], verb, lambda: None)()
    else:
        raise ValueError("no such command: " + verb)
    return []


def serve(kind):
    """Until standard input ends. Each answer is one write: the harness looks for it."""
    state = {}
    pending = b""
    while True:
        line, newline, rest = pending.partition(b"\n")
        if not newline:
            more = os.read(0, 65536)
            if not more:
                return
            pending += more
            continue
        pending = rest
        try:
            lines = answer(kind, state, sys.argv[1], line.decode().split(" ")) + ["ok"]
        except Exception as error:  # whatever it is, the harness wants to know it
            lines = ["error " + " ".join(f"{type(error).__name__}: {error}".split())]
        os.write(1, "".join(text + "\n" for text in lines).encode(errors="replace"))
