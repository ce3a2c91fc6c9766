"""lightning-store under Valgrind's memcheck, isolation none: no byte is read that nobody wrote, none outside, none twice freed.

Memcheck does not know the system calls that protect the segment in the other modes. The fixtures are in conftest.py.
"""

import os
import re
import shutil
import subprocess

import pytest

CLEAN, ERROR = 0, 99

pytestmark = [
    pytest.mark.skipif(not shutil.which("valgrind"), reason="valgrind is not installed (package valgrind)"),
    pytest.mark.skipif("LIGHTNING_SANITIZER" in os.environ, reason="a program of a sanitizer does not run in valgrind"),
]

COMMANDS = [
    ("create", "--size", "4M"), ("put", "answer", "42"), ("put", "answer", "43"), ("get", "answer"), ("list", "--json"),
    ("stat", "--json"), ("dump",), ("check",), ("recover",), ("delete", "answer"), ("get", "absent"), ("check", "--json"),
    ("reap", "--once"), ("top", "--interval", "0.05", "--count", "1"), ("watch", "--timeout", "0.1"),
]


def under_valgrind(*command):
    return subprocess.run(["valgrind", "--quiet", f"--error-exitcode={ERROR}", *command], capture_output=True, text=True,
                          timeout=300, check=False)


def test_every_command_runs_without_an_error_of_memory(tool):
    told = subprocess.run([tool.program, "--help"], capture_output=True, text=True, timeout=60, check=True).stdout
    every = set(re.findall(r"^  (\w+) {2}", told.partition("Subcommands:")[2], re.MULTILINE))
    assert {name for name, *_ in COMMANDS} == every
    for name, *arguments in COMMANDS:
        done = under_valgrind(tool.program, "--isolation", "none", "-s", tool.segment, name, *arguments)
        expected = 1 if arguments == ["absent"] else CLEAN
        assert done.returncode == expected and "==" not in done.stderr, (name, done.returncode, done.stdout, done.stderr)


def test_an_error_of_memory_is_seen(tmp_path):
    """Memcheck itself, on a program with a planted read of what nobody wrote."""
    source = tmp_path / "planted.c"
    source.write_text("#include <stdlib.h>\nint main(void) { volatile int *p = malloc(4); return *p == 5; }\n")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    assert compiler, "no C compiler, though one built the program under test"
    subprocess.run([compiler, "-O0", "-o", tmp_path / "planted", source], check=True, timeout=60)
    done = under_valgrind(tmp_path / "planted")
    assert done.returncode == ERROR and "uninitialised" in done.stderr, done.stderr
