"""The seed corpora: from what campaigns produce and what the fuzzer then makes of it, merged down to those that reach
what all reach.

plan: plans that seeds expand to, and the examples of docs/plan-format.md. history: of lightning-faults make-history, with
each violation that it can plant. cli: the examples of each command's help. ops: plans of a campaign of the simulation.
image and log: what killed clients left. capi: calls that children need. Then a campaign of the target itself begins with these.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from fuzz import killed, plan_bytes, tasks

BIN = Path(os.environ.get("LIGHTNING_BIN_DIR", tasks.ROOT / "build" / "release" / "bin"))
PROGRAM = BIN / "lightning-faults"
PLANS = 64  # of a campaign, for `ops`
CLI = ("create --size 1M", "put answer 42", "get answer --json", "put k v --metadata m --json", "list --json",
       "list --long", "list --long --json", "list --key-hex 61", "list --key-hex zz", "stat", "stat --json",
       "stat --audit", "stat --audit --json", "check", "check --json", "check -s answer", "check -s none", "recover",
       "recover --json", "dump", "dump --json", "dump --values", "dump --values --json", "delete answer --json",
       "delete absent", "delete absent --json", "delete --key-hex 616e73776572", "put --batch a=1 b=2",
       "put --batch a=1 b=2 --json", "put --batch a", "put --batch a=1 --if-version 1", "put answer 43 --if-version 1",
       "put answer 43 --if-version 9 --json", "get --key-hex 6b", "get answer --metadata", "get answer -o out",
       "get answer -o out --json", "get absent --json", "--help", "put --help", "put k", "put k -", "put k -f -",
       "put k -f segment", "put k -f none", "put k v w", "put k -f - v", "put --key-hex 00ff v",
       "put x - --create --size 1M", "put x v --create --size 1M -s other --eviction lru --events 4 --json",
       "create --size 300K --max-objects 8 --eviction lru -s other", "create --size 1M -s other --prefault --huge-pages",
       "create --size 1X -s other", "create --size 99999999T -s other", "create --if-absent", "create --if-absent --json",
       "create --size 1M -s other --json", "stat --isolation hidden --json", "stat --isolation mprotect",
       "stat --isolation keys", "stat --isolation none", "reap --once", "reap --once --json",
       "top --count 2 --interval 0.01", "top --count 1 --interval 0.01 --json", "watch --timeout 0.001",
       "watch --count 1 --timeout 0.001 --json", "evict", "put \u00e9\u20ac\U0001f600 v --json\n\nlist --json",
       "list --key-hex c3a9e282acf09f9880ff --json",
       "create --size 1M -s .", "stat -s .", "put k -f .", "get answer -o .",
       "put --batch " + " ".join(f"{number}=" for number in range(70)))


# Keys of `capi`, by first letter and length, that all belong into one bucket: put and deleted, they make a chain and undo it.
ONE_BUCKET = ((0, 1), (1, 1), (6, 1), (1, 2), (7, 2), (0, 3), (7, 3), (2, 4), (5, 4), (0, 5), (7, 5), (1, 6))


def plans(seed):
    """Inputs of `ops`: what `lightning-faults run --engine sim` expands seeds to, as near as an input comes to it."""
    for number in range(PLANS):
        shape = ["--clients", str(1 + number % 3), "--operations", str(3 + number % 6), "--kills", str(number % 3), "--stops",
                 str(number % 2), "--killed-recoverers", str(number // 4 % 2)]
        more = (["--eviction"] if number % 3 == 0 else []) + (["--events"] if number % 5 == 0 else [])
        made = subprocess.run([str(PROGRAM), "plan", "expand", "--engine", "sim", "--seed", str(seed + number), *shape, *more],
                              capture_output=True, text=True, check=True)
        try:
            yield plan_bytes.encode_nearly(made.stdout, seed + number)
        except ValueError:
            pass  # its schedule says more than an input can


def produce(name, folder, seed):
    """Writes the beginning of a corpus. Where the release is not built, campaigns leave nothing."""
    if name == "ops":
        write(folder, list(plans(seed)) if PROGRAM.exists() else [])
    elif name == "image":
        segments = killed.segments(BIN, seed) if PROGRAM.exists() else []
        write(folder, [killed.as_image(segment, number * 7 % 128) for number, segment in enumerate(segments)])
    elif name == "log" and PROGRAM.exists():
        places = killed.offsets(BIN)
        inputs = (killed.as_log(segment, *places) for segment in killed.segments(BIN, seed))
        write(folder, [its for its in inputs if its])
    elif name == "plan":
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
    elif name == "capi":
        # A client opens the segment, and a child hardens itself or damages a mapping (fuzz/capi_child.cc), in each mode.
        write(folder, [bytes([mode, 0xC4, 3, 0, 0, 0, 240, mapping, what, 0])
                       for mode in range(3) for what in range(16) for mapping in range(2) if what % 2 == 0 or mapping == 0] +
              [bytes([0, 0]) + b"".join(bytes([23, 0, 16 + number, 0]) for number in range(16)),  # texts of codes
               bytes([0, 0xC5, 3, 0, 0, 0]) +
               b"".join(bytes([call, 16 * letter + -letter % 3, eights, 0x80]) for call in (0, 2) for letter, eights in ONE_BUCKET)])


def write(folder, texts):
    for number, text in enumerate(texts):
        (folder / f"seed-{number:03}").write_bytes(text)


def merge(name, folders, to):
    """The fewest files that reach what all of them reach."""
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    # By lines of code alone: how often each ran would keep hundreds.
    done = subprocess.run(tasks.command(name) + ["-merge=1", "-use_counters=0", str(to), *map(str, folders)], env=tasks.environment(),
                          capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise tasks.NotDone(f"merging the corpus of {name} failed:\n{done.stderr[-3000:]}")


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
        result = tasks.finished(tasks.run(name, seconds, seed))
        if result["artifacts"]:
            return 1
        merge(name, [first, grown, *([kept] if kept.is_dir() else [])], merged)
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        for file in merged.iterdir():
            shutil.copyfile(file, kept / file.name[:16])
        if name == "capi":  # what a child of the target reaches, merging does not see
            for file in first.iterdir():
                shutil.copyfile(file, kept / file.name)
        print(f"{name}: {len(list(kept.iterdir()))} files reach what {len(list(grown.iterdir()))} do", flush=True)
    return 0
