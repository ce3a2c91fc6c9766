"""gdb's way into a failure that `lightning-faults replay --vm` has recorded: on to the store that changed the corrupted word last.

  lightning-machine SOCKET OUTPUT PROGRAM
  lightning-machine-end

SOCKET: where the machine waits that replays the recording (ci/pku-vm --replay FILE --gdb SOCKET). OUTPUT: what the
recorded replay printed, with its trace. PROGRAM: whose store it was. gdb sees one processor with its whole machine, kernel
and all processes; programs of interest have addresses that do not change. reverse-stepi goes back from there.
"""

import re

import gdb

PIE = 0x555555554000  # where a program begins whose addresses are not random
KERNEL = 1 << 63


class Trace:
    """What the replay printed of the instructions that led to the failure."""

    def __init__(self, text):
        begin = re.search(r"^# The program begins at (0x\w+)\.$", text, re.MULTILINE)
        self.begin = int(begin[1], 16) if begin else PIE
        stepped = re.findall(r"^\d+  (0x\w+)  ", text, re.MULTILINE)
        self.first = int(stepped[0], 16) if stepped else None
        changes = re.findall(r"^    (\S.*?): .* -> .*?  at (0x\w+)$", text, re.MULTILINE)
        self.word, self.address = (changes[-1][0], int(changes[-1][1], 16)) if changes else ("", None)
        self.changes = sum(int(address, 16) == self.address for _, address in changes)


def user_frame():
    """The newest frame of a program. A watchpoint is told of when the kernel has been entered behind the store."""
    frame = gdb.newest_frame()
    while frame is not None and frame.pc() >= KERNEL:
        frame = frame.older()
    return frame


def place(frame):
    line = frame.find_sal()
    name = frame.name() or "?"
    return f"{name} ({line.symtab.filename}:{line.line})" if line.symtab else name


def to_the_writer(trace):
    gdb.execute(f"hbreak *{trace.first:#x}", to_string=True)
    gdb.execute("continue", to_string=True)
    gdb.execute("delete")
    print(f"the client is about to be stepped; {trace.word} stands at {trace.address:#x}")
    gdb.execute(f"watch *(unsigned long *) {trace.address:#x}", to_string=True)
    for number in range(1, trace.changes + 1):
        gdb.execute("continue", to_string=True)
        value = int.from_bytes(gdb.selected_inferior().read_memory(trace.address, 8).tobytes(), "little")
        print(f"change {number} of {trace.changes}: {trace.word} is {value:#x}, by {place(user_frame())}")
    gdb.execute("delete")
    # From the kernel back to the store, whose own callers gdb can name.
    while gdb.newest_frame().pc() >= KERNEL:
        gdb.execute("reverse-stepi", to_string=True)
    gdb.execute("x/i $pc")
    gdb.execute("backtrace 8")


class Machine(gdb.Command):
    """Runs a recorded machine up to its failure: lightning-machine SOCKET OUTPUT PROGRAM"""

    def __init__(self):
        super().__init__("lightning-machine", gdb.COMMAND_RUNNING)

    def invoke(self, argument, from_tty):
        socket, output, program = gdb.string_to_argv(argument)
        with open(output, encoding="utf-8", errors="replace") as text:
            trace = Trace(text.read())
        gdb.execute("set architecture i386:x86-64", to_string=True)
        gdb.execute(f"symbol-file {program} -o {trace.begin:#x}", to_string=True)
        gdb.execute(f"target remote {socket}", to_string=True)
        if trace.first is not None and trace.address is not None:
            to_the_writer(trace)
            return
        # No trace of instructions: a simulation, which is one process.
        gdb.execute("hbreak lightning::faults::SimEngine::Note", to_string=True)
        gdb.execute("continue", to_string=True)
        print("the failure is being noted")
        gdb.execute("backtrace 8")


class End(gdb.Command):
    """Ends a recorded machine: lightning-machine-end"""

    def __init__(self):
        super().__init__("lightning-machine-end", gdb.COMMAND_RUNNING)

    def invoke(self, argument, from_tty):
        try:
            gdb.execute("kill")
        except gdb.error:
            pass  # it went without a word


Machine()
End()
