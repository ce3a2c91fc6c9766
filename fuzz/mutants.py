"""Ten bugs of faults/mutants, planted in a copy of the sources one at a time: how long does a fuzzer take to find each?"""

import os
import shutil
import subprocess
import time
from pathlib import Path

from fuzz import tasks

TREE = tasks.ROOT / "build" / "fuzz-mutants" / "tree"
# Which target is to find which.
MUTANTS = (
    ("log-after-store", "ops"), ("rollback-forwards", "log"), ("locks-before-commit", "ops"),
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
        raise SystemExit(f"ci/fuzz: {name} does not apply: {done.stdout}{done.stderr}")


def one(name, target, seconds):
    copy_tree()
    patch(name)
    try:
        tasks.say(f"building {target} with {name}")
        tasks.build([target], root=TREE)
        where = TREE.parent / "artifacts" / name
        shutil.rmtree(where, ignore_errors=True)
        began = time.monotonic()
        # What once failed is left out: one of those is how this very bug was found.
        grown = where / "corpus"
        grown.mkdir(parents=True)
        corpora = [str(grown), str(tasks.ROOT / "fuzz" / "corpus" / target)]
        result = tasks.run(target, seconds, 1, root=TREE, where=where, corpora=corpora)
        took = round(time.monotonic() - began, 1)
    finally:
        patch(name, "-R")
    found = bool(result["artifacts"])
    print(f"{'found ' if found else 'MISSED'} {name:32} by {target:4} after {took:6.1f} s, "
          f"{result['executions']} executions", flush=True)
    for file in result["artifacts"]:
        print(f"  again, on the store with the bug: patch -p1 < faults/mutants/{name}.patch && "
              f"ci/fuzz replay {file} --target {target}")
    return {"name": name, "target": target, "found": found, "seconds": took, "executions": result["executions"],
            "artifacts": result["artifacts"]}


def run(seconds, write_json):
    results = [one(name, target, seconds) for name, target in MUTANTS]
    write_json(results)
    missed = sum(not result["found"] for result in results)
    print(f"{len(results) - missed} of {len(results)} found")
    return 1 if missed else 0
