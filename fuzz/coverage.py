"""Which lines the corpora reach: every input of every target once, in programs built for llvm-cov."""

import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from fuzz import tasks

CANNOT_RUN = 77
GOAL = 95.0  # percent of the lines of store/


def has_keys():
    return "ospke" in Path("/proc/cpuinfo").read_text()


def profile(folder):
    """Runs all inputs, those of the store as it is released in mode keys too; the merged profile, and why keys were left out."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in tasks.TARGETS:
        environ = dict(tasks.environment(), LLVM_PROFILE_FILE=str(folder / f"{name}-%m.profraw"))
        program = str(tasks.ROOT / "build" / "fuzz-coverage" / "bin" / f"fuzz-{name}")
        done = subprocess.run([program, "-runs=0", "-close_fd_mask=2" if name == "cli" else "-verbosity=0",
                               *tasks.kept(name)], env=environ, capture_output=True, text=True, errors="replace",
                              check=False)
        if done.returncode:
            print(done.stderr[-3000:], file=sys.stderr)
            raise SystemExit(f"ci/fuzz: an input of {name} fails")
    skipped = "" if has_keys() else in_mode_keys(folder)
    merged = folder / "all.profdata"
    raw = [str(file) for file in folder.glob("*.profraw")]
    subprocess.run(["llvm-profdata", "merge", "-sparse", "-o", str(merged), *raw], check=True)
    return merged, skipped


def in_mode_keys(folder):
    """The same in the emulated machine, which has keys. The missing fact where it cannot run."""
    script = "".join(f"LLVM_PROFILE_FILE={folder}/keys-{name}-%m.profraw {folder.parent}/bin/fuzz-{name} -runs=0 "
                     f"-close_fd_mask=3 {' '.join(tasks.kept(name))} || exit 1\n" for name in tasks.STORE_TARGETS)
    done = subprocess.run([str(tasks.ROOT / "ci" / "pku-vm"), "--timeout", "900", "--writable", str(folder), "--", "bash", "-c",
                           script], cwd=tasks.ROOT, env=tasks.environment(), capture_output=True, text=True,
                          errors="replace", check=False)
    if done.returncode == CANNOT_RUN:
        return done.stderr.strip().splitlines()[-1]
    if done.returncode:
        print(done.stderr[-3000:], file=sys.stderr)
        raise SystemExit("ci/fuzz: an input fails in mode keys, in the emulated machine")
    return ""


def lines(merged):
    """{file: {line: how often}} of the sources under store/ and of the checkers under faults/."""
    programs = [str(tasks.ROOT / "build" / "fuzz-coverage" / "bin" / f"fuzz-{name}") for name in tasks.TARGETS]
    objects = [programs[0]] + [argument for program in programs[1:] for argument in ("-object", program)]
    lcov = subprocess.run(["llvm-cov", "export", "-format=lcov", f"-instr-profile={merged}", *objects],
                          capture_output=True, text=True, check=True).stdout
    found, file = defaultdict(lambda: defaultdict(int)), None
    for line in lcov.splitlines():
        key, _, value = line.partition(":")
        if key == "SF":
            file = os.path.relpath(os.path.realpath(value), tasks.ROOT)
        elif key == "DA":
            number, count = value.split(",")[:2]
            found[file][int(number)] += int(count)
    return {name: counts for name, counts in found.items() if name.startswith(("store/", "faults/plan", "faults/check"))}


def run(write_json):
    for tool in ("llvm-profdata", "llvm-cov"):
        if not shutil.which(tool):
            raise tasks.CannotRun(f"no {tool}; ci/setup --with-fuzz installs it")
    tasks.build(tasks.TARGETS, "fuzz-coverage")
    merged, skipped = profile(tasks.ROOT / "build" / "fuzz-coverage" / "profiles")
    counts = lines(merged)
    folders = defaultdict(lambda: [0, 0])
    for name, by_line in counts.items():
        parent = str(Path(name).parent)
        for folder in {parent, name.split("/")[0]}:
            folders[folder][0] += sum(count > 0 for count in by_line.values())
            folders[folder][1] += len(by_line)
    result = {"goal": GOAL, "folders": {}, "unreached": {}, "skipped": {"mode keys": skipped} if skipped else {}}
    if skipped:
        print(f"mode keys: skipped, {skipped}")
    for folder in sorted(folders):
        reached, total = folders[folder]
        result["folders"][folder] = {"reached": reached, "lines": total, "percent": round(100 * reached / total, 1)}
        print(f"{folder:28} {reached:6} of {total:6} lines  {100 * reached / total:5.1f} %")
    for name in sorted(counts):
        missing = [number for number, count in sorted(counts[name].items()) if count == 0]
        if missing and name.startswith("store/"):
            result["unreached"][name] = missing
            print(f"not reached: {name}:{ranges(missing)}")
    write_json(result)
    reached, total = folders["store"]
    if not total:
        raise tasks.NotDone("no line of store/ was counted")
    if 100 * reached / total >= GOAL:
        return 0
    if skipped:
        raise tasks.CannotRun(f"the aim of {GOAL:.0f} % of store/ counts mode keys: {skipped}")
    print(f"store/ is below the aim of {GOAL:.0f} %")
    return 1


def ranges(numbers):
    """3,4,5,9 as 3-5,9."""
    parts = []
    for number in numbers:
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


if __name__ == "__main__":
    sys.exit(run(lambda value: print(json.dumps(value))))
