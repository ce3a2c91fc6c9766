"""Corpora that grow from night to night, merged down within some seconds."""

import hashlib
import random
import shutil
import subprocess
from pathlib import Path

from fuzz import tasks

SHARE = 0.1  # of a run's time


def merge_down(name, seconds, rate, seed):
    """Of what grew, those files go that reach nothing which the others and the repository's do not. As many are looked at as
    `rate` executions a second allow, at random where that is not all. (before, after), or None where it did not end in time.

    For the end of a run that found nothing: an input that fails would be lost here.
    """
    grown = tasks.GROWN / name
    files = sorted(grown.iterdir())
    count = min(len(files), max(1, int(min(rate, 1000) * seconds / 4)))  # to note what a quick one reached takes longer than it
    chosen = random.Random(seed).sample(files, count)
    work = tasks.GROWN.parent / "fuzz-merging" / name
    shutil.rmtree(work, ignore_errors=True)
    for folder in ("from", "to"):
        (work / folder).mkdir(parents=True)
    for file in chosen:
        shutil.copyfile(file, work / "from" / file.name)
    try:
        output, status, _ = tasks.execute(tasks.command(name) + ["-merge=1", f"-artifact_prefix={work}/", str(work / "to"),
                                                                 *tasks.kept(name), str(work / "from")],
                                          tasks.environment(), max(seconds, 1))
    except subprocess.TimeoutExpired:
        tasks.say(f"{name}: its corpus was not merged within {seconds:.0f} seconds")
        return None
    if status or any(file.is_file() for file in work.iterdir()):
        raise tasks.NotDone(f"merging the corpus of {name} ended with status {status}:\n{output[-3000:]}")
    needed = {digest(file) for file in (work / "to").iterdir()}
    needed -= {digest(file) for folder in tasks.kept(name) for file in Path(folder).iterdir()}
    for file in chosen:
        if digest(file) not in needed:
            file.unlink()
    shutil.rmtree(work)
    return len(files), len(list(grown.iterdir()))


def digest(file):
    return hashlib.sha1(file.read_bytes()).hexdigest()
