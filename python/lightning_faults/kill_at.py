"""Runs a program of any project under ptrace and kills it at one exact point: what `lightning-faults kill-at` does, for
where that program is not installed. Options and report are the same (see its --help); several times slower.

  python3 -m lightning_faults.kill_at --instructions 250 --after-line ready -- ./client store.db put key value

Linux on x86-64. Exit status: that of the program, or its signal; before it began: 2 wrong usage, 77 no ptrace here.
"""

import argparse
import ctypes
import json
import os
import platform
import resource
import signal
import struct
import sys

# <sys/ptrace.h>, <sys/personality.h>, <asm/unistd_64.h>
TRACEME, CONT, SINGLESTEP, GETREGS, DETACH, SYSCALL = 0, 7, 9, 12, 17, 24
SETOPTIONS, GETSIGINFO, PEEKTEXT = 0x4200, 0x4202, 1
TRACESYSGOOD, TRACEEXEC, EXITKILL = 1, 0x10, 0x100000
ADDR_NO_RANDOMIZE = 0x0040000
WRITE, MMAP, WRITEV = 1, 9, 20
TRAP_BRKPT, TRAP_TRACE = 1, 2
STEP, SYSTEM_CALL, OTHER, ENDED = range(4)

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
LIBC.ptrace.restype = ctypes.c_long


class Registers(ctypes.Structure):
    """user_regs_struct"""
    _fields_ = [(name, ctypes.c_ulonglong) for name in (
        "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base "
        "ds es fs gs").split()]


class KillAt:
    def __init__(self, options):
        self.options = options
        self.registers, self.siginfo = Registers(), (ctypes.c_int * 32)()
        self.signal = self.instructions = self.system_calls = self.status = 0
        self.killed = self.marker = False
        self.partial = b""
        self.where = ""

    def ptrace(self, request, data=None, address=None):
        return LIBC.ptrace(request, self.pid, address, data)

    def start(self):
        # Both on one processor: a step is then a switch and no wake-up across processors.
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        self.pid = os.fork()
        if self.pid == 0:
            for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGXFSZ):  # this program ignores them
                signal.signal(number, signal.SIG_DFL)
            LIBC.ptrace(TRACEME, 0, None, None)
            LIBC.personality(ADDR_NO_RANDOMIZE)
            os.kill(os.getpid(), signal.SIGSTOP)
            try:
                os.execvp(self.options.command[0], self.options.command)
            except OSError:
                os._exit(127)
        _, status = os.waitpid(self.pid, 0)
        if not os.WIFSTOPPED(status) or self.ptrace(SETOPTIONS, TRACESYSGOOD | TRACEEXEC | EXITKILL) != 0:
            os.kill(self.pid, signal.SIGKILL)
            sys.stderr.write(f"kill_at: ptrace: {os.strerror(ctypes.get_errno())}\n")
            sys.exit(77)
        self.ptrace(CONT)
        _, status = os.waitpid(self.pid, 0)
        if not os.WIFSTOPPED(status):
            sys.stderr.write(f"kill_at: {self.options.command[0]}: cannot be executed\n")
            sys.exit(2)

    def next(self, request):
        self.ptrace(request, self.signal)
        self.signal = 0
        _, status = os.waitpid(self.pid, 0)
        if not os.WIFSTOPPED(status):
            self.status = status
            return ENDED
        if os.WSTOPSIG(status) == signal.SIGTRAP | 0x80:
            return SYSTEM_CALL
        if status >> 16:
            return OTHER  # an exec
        if self.ptrace(GETSIGINFO, ctypes.byref(self.siginfo)) != 0:
            return OTHER  # stopped together with its group
        if self.siginfo[0] == signal.SIGTRAP and self.siginfo[2] in (TRAP_TRACE, TRAP_BRKPT):
            return STEP
        self.signal = self.siginfo[0]
        return OTHER

    def read_registers(self):
        self.ptrace(GETREGS, ctypes.byref(self.registers))
        return self.registers

    def memory(self, address, size):
        try:
            with open(f"/proc/{self.pid}/mem", "rb", buffering=0) as memory:
                memory.seek(address)
                return memory.read(size)
        except (OSError, OverflowError, ValueError):
            return b""

    def wrote(self, number, line):
        """Whether the system call `number`, which has returned, completed this line of standard output."""
        r = self.registers
        if r.rdi != 1 or number not in (WRITE, WRITEV) or not 0 < r.rax < 1 << 31:
            return False
        if number == WRITE:
            self.partial += self.memory(r.rsi, r.rax)
        else:
            parts = struct.iter_unpack("QQ", self.memory(r.rsi, 16 * min(r.rdx, 1024)))
            self.partial += b"".join(self.memory(*part) for part in parts)[:r.rax]
        *lines, self.partial = self.partial.split(b"\n")
        return line.encode() in lines

    def is_marker(self):
        r = self.read_registers()
        if self.options.after_line:
            return self.wrote(r.orig_rax, self.options.after_line)
        try:
            return r.orig_rax == MMAP and os.readlink(f"/proc/{self.pid}/fd/{r.r8}") == self.options.after_map
        except OSError:
            return False

    def run_to_marker(self):
        if not self.options.after_line and not self.options.after_map:
            return True
        inside = True  # of the exec
        while True:
            stop = self.next(SYSCALL)
            if stop == ENDED:
                return False
            if stop == SYSTEM_CALL:
                inside = not inside
                if not inside and self.is_marker():
                    self.partial = b""
                    return True

    def kill(self):
        self.killed = True
        self.where = self.place(self.read_registers().rip)
        os.kill(self.pid, signal.SIGKILL)
        while True:
            _, self.status = os.waitpid(self.pid, 0)
            if not os.WIFSTOPPED(self.status):
                return

    def place(self, address):
        with open(f"/proc/{self.pid}/maps") as maps:
            for line in maps:
                words = line.split()
                begin, end = (int(part, 16) for part in words[0].split("-"))
                if begin <= address < end and len(words) > 5:
                    return f"{os.path.basename(words[5])}+{address - begin + int(words[2], 16):#x}"
        return ""

    def count_instructions(self):
        limit = self.options.instructions
        while True:
            if limit is not None and self.instructions >= limit:
                return self.kill()
            call = None
            if limit is None and LIBC.ptrace(PEEKTEXT, self.pid, self.read_registers().rip, None) & 0xffff == 0x050f:
                call = self.registers.rax
            stop = self.next(SINGLESTEP)
            if stop == ENDED:
                return None
            if stop == STEP:
                self.instructions += 1
                if call is not None and self.counted_all(call):
                    return None

    def counted_all(self, call):
        self.system_calls += 1
        self.read_registers()
        if not self.options.until_line or not self.wrote(call, self.options.until_line):
            return False
        self.ptrace(DETACH)
        _, self.status = os.waitpid(self.pid, 0)
        return True

    def count_system_calls(self):
        inside = not self.options.after_line and not self.options.after_map
        while True:
            stop = self.next(SYSCALL)
            if stop == ENDED:
                return
            if stop == SYSTEM_CALL:
                inside = not inside
                if inside:
                    self.system_calls += 1
                    if self.system_calls >= self.options.system_calls:
                        self.kill()
                        return

    def run(self):
        self.start()
        self.marker = self.run_to_marker()
        if self.marker and self.options.system_calls is not None:
            self.count_system_calls()
        elif self.marker:
            self.count_instructions()
        ended = {"signal": os.WTERMSIG(self.status)} if os.WIFSIGNALED(self.status) else {
            "status": os.WEXITSTATUS(self.status)}
        return {"marker": self.marker, "killed": self.killed, "instructions": self.instructions,
                "system_calls": self.system_calls, "address": hex(self.registers.rip if self.killed else 0),
                "where": self.where, **ended}


def parse(arguments):
    parser = argparse.ArgumentParser(prog="kill_at", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    point = parser.add_mutually_exclusive_group(required=True)
    point.add_argument("--instructions", type=int, metavar="N")
    point.add_argument("--system-calls", type=int, metavar="N")
    point.add_argument("--count", action="store_true")
    marker = parser.add_mutually_exclusive_group()
    marker.add_argument("--after-line", default="", metavar="LINE")
    marker.add_argument("--after-map", default="", metavar="FILE")
    parser.add_argument("--until-line", default="", metavar="LINE")
    parser.add_argument("--report", metavar="FILE")
    parser.add_argument("command", nargs="+", metavar="COMMAND")
    options = parser.parse_args(arguments)
    instructions, calls = options.instructions, options.system_calls
    below = instructions is not None and instructions < 0 or calls is not None and calls < 1
    if below or options.until_line and not options.count:
        parser.error("points begin with 0 (instructions) and 1 (system calls); --until-line is for --count")
    if options.after_map:
        options.after_map = os.path.realpath(options.after_map)
    return options


def main(arguments=None):
    options = parse(arguments)
    if platform.machine() != "x86_64" or sys.platform != "linux":
        sys.stderr.write("kill_at: cannot run here: this is not Linux on x86-64\n")
        return 77
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    report = json.dumps(KillAt(options).run())
    if options.report:
        with open(options.report, "w") as file:
            file.write(report + "\n")
    if options.count:
        sys.stderr.write(report + "\n")
    sys.stderr.flush()
    ended = json.loads(report)
    if "signal" in ended:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if ended["signal"] not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(ended["signal"], signal.SIG_DFL)
        os.kill(os.getpid(), ended["signal"])
    return ended["status"]


if __name__ == "__main__":
    sys.exit(main())
