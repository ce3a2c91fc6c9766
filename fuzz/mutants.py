"""Bugs of faults/mutants, planted in a copy of the sources one at a time: how long does a fuzzer take to find each?"""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

from fuzz import tasks

TREE = tasks.ROOT / "build" / "fuzz-mutants" / "tree"
# Which target is to find which.
MUTANTS = (
    ("log-after-store", "ops"), ("rollback-forwards", "ops"), ("undo-forwards", "log"), ("locks-before-commit", "ops"),
    ("log-cleared-before-undo", "ops"), ("block-freed-twice", "ops"), ("credit-lost", "ops"),
    ("replace-in-two-transactions", "ops"), ("log-count-one-short", "ops"), ("locks-of-the-dead-stay", "log"),
    ("drain-ignores-pins", "ops"),
)


def copy_tree(root=tasks.ROOT, tree=TREE):
    """What git tracks or would, with the times of the files that did not change kept, so that little is built anew."""
    tree.mkdir(parents=True, exist_ok=True)
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=root, capture_output=True,
                            check=True).stdout.decode().split("\0")
    names = {name for name in listed if name and (root / name).is_file()}
    # What was renamed would be compiled under both names.
    for folder, folders, files in os.walk(tree):
        if Path(folder) == tree and "build" in folders:
            folders.remove("build")
        for file in (Path(folder, file) for file in files):
            if str(file.relative_to(tree)) not in names:
                file.unlink()
    for name in names:
        source, to = root / name, tree / name
        if to.is_file() and to.read_bytes() == source.read_bytes():
            continue
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, to)
        shutil.copymode(source, to)


def patch(name, *options):
    file = tasks.ROOT / "faults" / "mutants" / f"{name}.patch"
    done = subprocess.run(["patch", "-p1", "-s", "-f", "--no-backup-if-mismatch", *options, "-i", str(file)], cwd=TREE,
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise tasks.NotDone(f"{name} does not apply: {done.stdout}{done.stderr}")


def sound(target, files, root=TREE):
    """Those of these inputs that find nothing: what a corpus knows already is no measure of the fuzzer."""
    left = [str(file) for file in files]
    while left:
        output, status, _ = tasks.execute(tasks.command(target, root) + left, tasks.environment(":symbolize=0"),
                                          60 + 10 * len(left))
        if status == 0:
            break
        running = re.findall(r"(?m)^Running: (.+)$", output)
        if not running or running[-1] not in left:
            raise tasks.NotDone(f"{target} ended with status {status} outside any input")
        left.remove(running[-1])
    return [Path(file) for file in left]


def corpora(name, target):
    """The folder in which new inputs are kept, and that of the corpus without what fails; how many inputs do. Regressions are
    left out: one of them is the finding of a mutant."""
    grown, kept = (TREE.parent / "corpora" / name / folder for folder in ("grown", "kept"))
    shutil.rmtree(grown.parent, ignore_errors=True)
    grown.mkdir(parents=True)
    kept.mkdir()
    files = sorted((tasks.ROOT / "fuzz" / "corpus" / target).iterdir())
    left = sound(target, files)
    for file in left:
        shutil.copyfile(file, kept / file.name)
    return [str(grown), str(kept)], len(files) - len(left)


def again(name, target, artifact):
    """The command that shows it once more, in the copy of the sources."""
    patch_file = shlex.quote(str(tasks.ROOT / "faults" / "mutants" / f"{name}.patch"))
    return (f"(cd {shlex.quote(str(TREE))} && patch -p1 -s -i {patch_file} && ci/fuzz replay {shlex.quote(artifact)} "
            f"--target {target}; patch -p1 -s -R -i {patch_file})")


def one(name, target, seconds):
    copy_tree()
    patch(name)
    try:
        tasks.say(f"building {target} with {name}")
        tasks.build([target], root=TREE)
        where = TREE.parent / "artifacts" / name
        shutil.rmtree(where, ignore_errors=True)
        folders, failing = corpora(name, target)
        result = tasks.finished(tasks.run(target, seconds, 1, root=TREE, where=where, corpora=folders))
    finally:
        patch(name, "-R")
    found = bool(result["artifacts"])
    loading = ", while loading the corpus" if found and not result["loaded"] else ""
    print(f"{'found ' if found else 'MISSED'} {name:32} by {target:4} after {result['seconds']:6.1f} s, "
          f"{result['executions']} executions{loading}; {failing} inputs of the corpus fail, and were left out", flush=True)
    for artifact in result["artifacts"]:
        print(f"again: {again(name, target, artifact)}", flush=True)
    return {"name": name, "target": target, "found": found, "failing_inputs": failing,
            **{key: result[key] for key in ("loaded", "seconds", "executions", "artifacts")}}


def run(seconds, write_json):
    results = [one(name, target, seconds) for name, target in MUTANTS]
    write_json(results)
    missed = sum(not result["found"] for result in results)
    print(f"{len(results) - missed} of {len(results)} found")
    return 1 if missed else 0
