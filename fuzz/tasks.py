"""Building fuzz targets, running one, and what becomes of its artifacts. For ci/fuzz (fuzz/run.py)."""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
FAILURES = ROOT / "lightning-failures" / "fuzz"
GROWN = ROOT / "build" / "fuzz-corpus"  # corpora that grow from run to run; fuzz/corpus is what the repository keeps


class CannotRun(Exception):
    """This machine lacks something."""


class NotDone(Exception):
    """It did not run to its end, so that what it says of the store is not known."""


SEGMENT = 332 * 1024  # bytes of the one that `image` damages: an input may be all of it


class Target(NamedTuple):
    about: str
    max_len: int  # bytes of an input
    options: tuple = ()
    leaks: str = "each"  # looked for after "each" execution that freed less than it allocated, or at the "end" of a run


# Entropic scheduling weighs rare features, which takes longer than an execution of these takes.
QUICK = ("-entropic=0",)
TARGETS = {
    # Of its small inputs a smaller one is no gain: looking whether each execution makes one takes a thirtieth of the time.
    "ops": Target("plans of several clients with kills, on the simulation engine, before the model", 108,
                  (*QUICK, "-reduce_inputs=0"),
                  # What it keeps from one execution to the next grows in most: looking takes four fifths of its time.
                  "end"),
    "image": Target("arbitrary and damaged segments: attach, check, recover, list, get, dump", 4 + SEGMENT, QUICK),
    "log": Target("arbitrary undo logs in a sound segment: recovery refuses or heals, byte for byte", 724, QUICK),
    "plan": Target("the parser of plans", 4096),
    "history": Target("histories: their parser, and the checker before the checker by definition", 2048, QUICK),
    # What a command says of wrong usage is no news.
    "cli": Target("the command line in process; a strict parser reads what --json prints", 1024, ("-close_fd_mask=2",)),
    "capi": Target("the C API, with handles in wrong states", 200, QUICK),
}
STORE_TARGETS = ("cli", "capi")  # those that run the store as it is released


def say(text):
    print(f"== {text}", file=sys.stderr, flush=True)


def environment(extra="", leaks=False):
    """For a target: deep stacks of each allocation take a tenth of the time, and what is kept freed fits the processor's
    cache: many executions of most targets."""
    return dict(os.environ, ASAN_OPTIONS=f"detect_leaks={leaks:d}:malloc_context_size=2:quarantine_size_mb=1:"
                "thread_local_quarantine_size_kb=256:allocator_may_return_null=0" + extra,
                UBSAN_OPTIONS="print_stacktrace=1")


NO_LEAKS = "LeakSanitizer has encountered a fatal error"  # it may not stop the threads of its own process


def sees_leaks(name, root=ROOT):
    """Whether the leak detector works here: it needs ptrace of the process itself."""
    with tempfile.TemporaryDirectory(prefix="lightning-leaks-") as folder:  # a target that leaks leaves an artifact where it runs
        return NO_LEAKS not in execute([command(name, root)[0], "-runs=0"], environment(leaks=True), 60, folder)[0]


def build(names, preset="fuzz", root=ROOT):
    """The programs of these targets, in build/PRESET/bin under `root`."""
    if not shutil.which("clang++"):
        raise CannotRun("no clang++; ci/setup --with-fuzz installs it")
    runtime = subprocess.run(["clang++", "-print-resource-dir"], capture_output=True, text=True, check=True)
    if not list(Path(runtime.stdout.strip()).glob("lib/linux/libclang_rt.fuzzer-x86_64.a")):
        raise CannotRun("clang has no libFuzzer; ci/setup --with-fuzz installs it")
    folder = root / "build" / preset
    folder.mkdir(parents=True, exist_ok=True)
    environ = dict(os.environ, CCACHE_BASEDIR=str(root), CCACHE_NOHASHDIR="1")
    configure = ["cmake", "--preset", preset]
    if shutil.which("ccache"):
        configure.append("-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for step in (configure, ["cmake", "--build", str(folder), "--target", *(f"fuzz-{name}" for name in names)]):
            done = subprocess.run(step, cwd=root, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, check=False)
            if done.returncode:
                print(done.stdout[-6000:], file=sys.stderr)
                raise NotDone("the build failed")


def command(name, root=ROOT):
    """The program with the limits under which it runs: no execution takes longer or allocates more."""
    target = TARGETS[name]
    return [str(root / "build" / "fuzz" / "bin" / f"fuzz-{name}"), "-timeout=10", f"-detect_leaks={target.leaks == 'each':d}",
            "-rss_limit_mb=2048", "-malloc_limit_mb=256", f"-max_len={target.max_len}", *target.options]


def dictionary(name):
    file = ROOT / "fuzz" / "dictionaries" / f"{name}.dict"
    return [f"-dict={file}"] if file.exists() else []


def kept(name):
    """What the repository keeps: its corpus, and what once failed."""
    folders = [ROOT / "fuzz" / "corpus" / name, ROOT / "fuzz" / "regressions" / name]
    return [str(folder) for folder in folders if folder.is_dir()]


def corpus(name):
    """Where new inputs go, and what the repository keeps."""
    grown = GROWN / name
    grown.mkdir(parents=True, exist_ok=True)
    return [str(grown), *kept(name)]


def execute(arguments, environ, limit, folder=None):
    """Runs it, in `folder` if that is given: output, exit status, seconds."""
    began = time.monotonic()
    with subprocess.Popen(arguments, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", start_new_session=True) as process:
        try:
            output = process.communicate(timeout=limit)[0]
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)  # with what it started: the end of `with` waits for it
            raise
    return output, process.returncode, time.monotonic() - began


def number(pattern, text):
    found = re.findall(pattern, text)
    return int(found[-1]) if found else None


def run(name, seconds, seed, root=ROOT, where=None, corpora=None):
    """Lets a target run for so long. The object that ci/fuzz writes; it has `unfinished` where the target did
    not run as it should. New inputs go into the first folder of `corpora`."""
    folder = where or FAILURES / name
    folder.mkdir(parents=True, exist_ok=True)
    # A folder of its own: libFuzzer names an artifact by its bytes, and one that was found before is found again.
    new = Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
    leaks = sees_leaks(name, root)
    arguments = command(name, root) + dictionary(name) + [
        f"-max_total_time={max(1, round(seconds))}", f"-seed={seed}", f"-artifact_prefix={new}/",
        "-print_final_stats=1", "-verbosity=1", *(corpora or corpus(name))]
    say(f"{name}: {seconds:.0f} seconds")
    used, ended = os.times(), True
    try:
        output, status, wall = execute(arguments, environment(leaks=leaks), seconds + 300)
        if status and LEAKED in output and not any(new.glob("leak-*")):
            for file in new.iterdir():
                file.unlink()  # at the end of a run libFuzzer takes that for a crash of no input
            find_leak(name, new, corpora or corpus(name), root)
    except subprocess.TimeoutExpired as error:
        output, status, wall, ended = (error.output or b"").decode(errors="replace"), 0, error.timeout, False
    finally:
        artifacts = sorted(file.replace(folder / file.name) for file in new.iterdir())
        new.rmdir()
    spent = os.times()
    processor = max(spent.children_user + spent.children_system - used.children_user - used.children_system, 1e-3)
    result = dict(read(name, output, wall, processor), artifacts=[str(file) for file in artifacts])
    for file in artifacts if where is None else ():
        report(name, file, output)
    if not ended:
        result["unfinished"] = "did not end"
    elif not artifacts and (status or not result["executions"]):
        result["unfinished"] = f"ended with status {status} and left no artifact" if status else "executed nothing"
    if "unfinished" in result:
        print(output[-6000:], file=sys.stderr)
    if not leaks:
        result["leaks_skipped"] = "LeakSanitizer cannot stop its own process here (ptrace)"
        say(f"{name}: leaks were not looked for: {result['leaks_skipped']}")
    return result


LEAKED = "LeakSanitizer: detected memory leaks"


def find_leak(name, folder, corpora, root=ROOT):
    """Which input leaks, where that was seen at the end of a run only: what leaked reached something new as a rule, and is in the
    corpus. Leaves an artifact, or none where it was another input."""
    say(f"{name}: it leaks; looking for the input")
    execute(command(name, root) + ["-detect_leaks=1", "-runs=0", f"-artifact_prefix={folder}/", *corpora],
            environment(leaks=True), 300)


def read(name, output, wall, processor):
    """What a target's output says of its run."""
    executions = number(r"stat::number_of_executed_units:\s*(\d+)", output) or number(r"(?m)^#(\d+)\s", output) or 0
    counted = re.search(r"lightning-fuzz: (\d+) operations in (\d+) executions", output)
    result = {"target": name, "executions": executions, "per_second": round(executions / processor),
              "seconds": round(wall, 1), "processor_seconds": round(processor, 1), "loaded": "\tINITED" in output}
    if counted and int(counted.group(1)):
        result["operations_per_execution"] = round(int(counted.group(1)) / int(counted.group(2)), 1)
    return result


def finished(result):
    """The same. Raises NotDone."""
    if "unfinished" in result:
        raise NotDone(f"{result['target']} {result['unfinished']}")
    return result


def report(name, file, output):
    """Shows an artifact: what was wrong, the smallest input that shows it, and how to see it again."""
    wrong = [line for line in output.splitlines() if "FAILURE" in line or "SUMMARY" in line or "runtime error" in line]
    for line in wrong[:3]:
        print(f"{name}: {line.strip()}", file=sys.stderr)
    minimise(name, file)
    print(f"artifact {file} ({file.stat().st_size} bytes). To see it again, and to make it a test:")
    print(f"ci/fuzz replay {file}")
    print(f"ci/fuzz adopt {file} NAME", flush=True)


def minimise(name, file, seconds=20):
    """In place, as far as that gets within the time. A timeout stays as it is."""
    if file.name.startswith(("timeout", "slow", "oom")):
        return
    smaller = file.with_name(file.name + ".smaller")
    arguments = command(name) + ["-minimize_crash=1", f"-max_total_time={seconds}", f"-exact_artifact_path={smaller}",
                                 str(file)]
    try:
        execute(arguments, environment(leaks=file.name.startswith("leak")), seconds + 60)
    except subprocess.TimeoutExpired:
        pass  # the artifact stays as it is, or as small as it got
    # What it leaves fails; whether it is smaller, its size says.
    if smaller.exists():
        if 0 < smaller.stat().st_size < file.stat().st_size:
            smaller.replace(file)
        else:
            smaller.unlink()


def target_of(file):
    """From where an artifact lies: lightning-failures/fuzz/TARGET/FILE, fuzz/regressions/TARGET/NAME."""
    parent = Path(file).resolve().parent.name
    return parent if parent in TARGETS else None
