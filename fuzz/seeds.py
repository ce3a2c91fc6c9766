"""The seed corpora: from what campaigns produce and what the fuzzer then makes of it, merged down to a few dozen files.

plan: plans that seeds expand to, and the examples of docs/plan-format.md. history: of lightning-faults make-history, with
each violation that it can plant. cli: the examples of each command's help. The others: a campaign of the target itself,
which begins with nothing.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from fuzz import tasks

KEPT = 40  # files of a target, the smallest first: each brings something that those before do not have
PROGRAM = Path(os.environ.get("LIGHTNING_BIN_DIR", tasks.ROOT / "build" / "release" / "bin")) / "lightning-faults"
CLI = ("create --size 1M", "put answer 42", "get answer --json", "put k v --metadata m --json", "list --json", "list --long",
       "stat --json", "check --json", "recover --json", "dump --values --json", "delete answer --json", "delete absent",
       "put --batch a=1 b=2 --json", "put k v --if-version 1", "get --key-hex 6b", "get k --metadata", "--help", "put --help",
       "create --size 300K --max-objects 8 --eviction lru", "put x - --create --size 1M", "get k -o out --json",
       "reap --once --json", "top --count 1", "watch --count 1 --timeout 0.1", "evict", "create --if-absent")


def produce(name, folder, seed):
    """Writes the beginning of a corpus."""
    if name == "plan":
        text = (tasks.ROOT / "docs" / "plan-format.md").read_text()
        texts = re.findall(r"```\n(lightning plan 1\n.*?)```", text, re.DOTALL)
        for number in range(24 if PROGRAM.exists() else 0):
            shape = ["--clients", str(1 + number % 4), "--operations", str(1 + number % 6), "--kills", str(number % 3)]
            made = subprocess.run([str(PROGRAM), "plan", "expand", "--seed", str(seed + number), *shape],
                                  capture_output=True, text=True, check=False)
            texts.append(made.stdout)
        write(folder, [text.encode() for text in texts if text])
    elif name == "history":
        texts = []
        for number, plant in enumerate(("", "stale-read", "lost-update", "") if PROGRAM.exists() else ()):
            out = folder / "made"
            subprocess.run([str(PROGRAM), "make-history", "--operations", "12", "--clients", "3", "--keys", "2", "--seed",
                            str(seed + number), "--out", str(out), *(["--plant", plant] if plant else [])],
                           capture_output=True, check=False)
            if out.exists():
                texts.append(b"\0" + out.read_bytes())
                out.unlink()
        write(folder, texts)
    elif name == "cli":
        setup = "create --size 1M\n\nput answer 42\n\n".replace(" ", "\n")
        write(folder, [(setup + command.replace(" ", "\n") + "\n").encode() for command in CLI])


def write(folder, texts):
    for number, text in enumerate(texts):
        (folder / f"seed-{number:03}").write_bytes(text)


def merge(name, folders, to):
    """The fewest files that reach what all of them reach."""
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    done = subprocess.run(tasks.command(name) + ["-merge=1", str(to), *map(str, folders)], env=tasks.environment(),
                          capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise SystemExit(f"ci/fuzz: merging the corpus of {name} failed:\n{done.stderr[-3000:]}")


def run(seconds, seed):
    tasks.build(tasks.TARGETS)
    for name in tasks.TARGETS:
        kept = tasks.ROOT / "fuzz" / "corpus" / name
        work = tasks.ROOT / "build" / "fuzz-seeds" / name
        shutil.rmtree(work, ignore_errors=True)
        first, merged = work / "first", work / "merged"
        first.mkdir(parents=True)
        produce(name, first, seed)
        grown = tasks.GROWN / name
        grown.mkdir(parents=True, exist_ok=True)
        for file in first.iterdir():
            shutil.copyfile(file, grown / file.name)
        result = tasks.run(name, seconds, seed)
        if result["artifacts"]:
            return 1
        merge(name, [first, grown, *([kept] if kept.is_dir() else [])], merged)
        # -merge takes the small ones first; those that follow bring ever less.
        files = sorted(merged.iterdir(), key=lambda file: (file.stat().st_size, file.name))
        step = max(1, -(-len(files) // KEPT))
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        for file in files[::step]:
            shutil.copyfile(file, kept / file.name[:16])
        print(f"{name}: {len(files)} files reach all, {len(list(kept.iterdir()))} are kept")
    return 0
