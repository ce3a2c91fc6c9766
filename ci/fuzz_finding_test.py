"""From a bug to its test, by the commands that each step prints, in a copy of the sources: planted, found by the fuzzer, made
small, replayed, adopted under a name; that test fails with the bug and passes without it."""

import os
import re
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from fuzz import mutants, tasks  # noqa: E402

TREE = tasks.ROOT / "build" / "fuzz-finding" / "tree"
NAME, MUTANT, TARGET = "found-by-the-fuzzer", "credit-lost", "ops"
CANNOT_RUN = 77


def shell(command):
    environ = dict(os.environ, CCACHE_BASEDIR=str(TREE), CCACHE_NOHASHDIR="1")  # what the sources' own builds left serves
    done = subprocess.run(["bash", "-c", command], cwd=TREE, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", timeout=1800, check=False)
    if done.returncode == CANNOT_RUN:
        pytest.skip(done.stdout.strip().splitlines()[-1])
    return done.returncode, done.stdout


def well(command):
    status, output = shell(command)
    assert status == 0, (command, status, output[-3000:])
    return output


@pytest.mark.slow
def test_what_the_fuzzer_finds_becomes_a_test_that_fails_with_the_bug_alone():
    mutants.copy_tree(tasks.ROOT, TREE)
    for folder in (TREE / "lightning-failures", TREE / "build" / "fuzz-corpus"):
        shutil.rmtree(folder, ignore_errors=True)
    # What it would find at once is the finding of this mutant, adopted before.
    shutil.rmtree(TREE / "fuzz" / "regressions" / TARGET, ignore_errors=True)
    patch = f"patch -p1 -s -f --no-backup-if-mismatch -i {tasks.ROOT}/faults/mutants/{MUTANT}.patch"
    well(patch)
    status, output = shell(f"ci/fuzz {TARGET} --seconds 60")
    assert status == 1 and "FAILURE" in output, output[-3000:]
    size, = re.findall(r"(?m)^artifact \S+ \((\d+) bytes\)", output)
    assert int(size) <= tasks.TARGETS[TARGET].max_len // 2, "made small before it was shown"
    replay, = re.findall(r"(?m)^ci/fuzz replay \S+$", output)
    adopt, = re.findall(r"(?m)^ci/fuzz adopt \S+ NAME$", output)
    status, output = shell(replay)
    assert status == 1 and "FAILURE" in output, output[-3000:]
    alone = re.search(r"(?m)^build/release/bin/\S+ --gtest_filter=\S+$", well(adopt.replace("NAME", NAME)))[0]
    build = f"ci/build --target {alone.split('/')[3].split()[0]}"
    well(build)
    status, output = shell(alone)
    assert status == 1 and f"[  FAILED  ] Regression.{TARGET}/{NAME}" in output, output[-3000:]
    well(f"{patch} -R")
    well(build)
    assert "[  PASSED  ] 1 test." in well(alone)
