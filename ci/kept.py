"""What a failure leaves for another machine, beside the failure itself. For ci/tier.py and ci/summarize.py."""

import json
import os
import shutil
import subprocess

PROGRAMS = ("lightning-faults", "lightning-faults-sim")


def describe(root, folder, command, programs=PROGRAMS, built=None, **more):
    """Sources and machine. The programs too: instructions have their numbers in one build alone."""
    def output(*words):
        try:
            return subprocess.run(words, cwd=root, capture_output=True, text=True, check=False).stdout
        except OSError:
            return ""

    (folder / "source.patch").write_text(output("git", "diff", "HEAD"))
    (folder / "about.json").write_text(json.dumps({
        "command": command, **more, "commit": output("git", "rev-parse", "HEAD").strip(),
        "machine": " ".join(os.uname()), "processors": os.cpu_count(),
        "compilers": [line for name in ("g++", "clang++") for line in output(name, "--version").splitlines()[:1]],
    }, indent=2) + "\n")
    for name in programs:
        program = (built or root / "build/release/bin") / name
        if program.is_file():
            (folder / "bin").mkdir(exist_ok=True)
            shutil.copy2(program, folder / "bin" / name)
