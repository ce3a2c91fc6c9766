#!/usr/bin/env python3
"""What a failure leaves for another machine, beside the failure itself. For ci/tier.py, ci/summarize.py and ci/replay.

  ci/kept.py FOLDER

Runs the commands of FOLDER/again.txt, each line there that begins with two spaces: from the sources' root, with the programs
that FOLDER/bin has. Exit status: the first command's that neither passed nor was unable to run; 77 if one was unable, else 0.
Example: ci/kept.py lightning-failures/test-20260101-120000
"""

import itertools
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# Those that find failures, and those that tests start.
PROGRAMS = ("lightning-faults", "lightning-faults-sim", "planted-victim", "crash-client", "lightning-bench")
CANNOT_RUN = 77


def source_patch(root):
    """What differs from HEAD, with the files that git neither has nor ignores; through an index of its own."""
    def git(*words):
        return subprocess.run(["git", *words], cwd=root, env=environment, capture_output=True, check=False).stdout

    with tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ)
        try:
            index = root / git("rev-parse", "--git-path", "index").decode().strip()
            environment["GIT_INDEX_FILE"] = f"{folder}/index"
            if index.is_file():
                shutil.copyfile(index, environment["GIT_INDEX_FILE"])
            git("add", "--intent-to-add", ".")
            return git("diff", "--binary", "HEAD")
        except OSError:
            return b""


def describe(root, folder, command, programs=PROGRAMS, builds=None, **more):
    """Sources and machine. The programs too: instructions have their numbers in one build alone.

    `builds`: folders of programs, each by where they go in FOLDER: "bin", or "bin/NAME" for one of several.
    """
    def output(*words):
        try:
            return subprocess.run(words, cwd=root, capture_output=True, text=True, check=False).stdout
        except OSError:
            return ""

    (folder / "source.patch").write_bytes(source_patch(root))
    (folder / "about.json").write_text(json.dumps({
        "command": command, **more, "commit": output("git", "rev-parse", "HEAD").strip(),
        "machine": " ".join(os.uname()), "processors": os.cpu_count(),
        "compilers": [line for name in ("g++", "clang++") for line in output(name, "--version").splitlines()[:1]],
    }, indent=2) + "\n")
    builds = builds or {"bin": root / "build/release/bin"}
    for (place, built), name in itertools.product(builds.items(), programs):
        program = built / name
        if program.is_file():
            (folder / place).mkdir(parents=True, exist_ok=True)
            shutil.copy2(program, folder / place / name)
    if (folder / "again.txt").is_file():
        make_relative(folder, root, builds)


def essence(line):
    """A command without what says which tests, and where their results go."""
    try:
        words = shlex.split(line)
    except ValueError:
        return None
    return [word for word in words if not word.startswith(("--gtest_output", "--gtest_filter"))]


def make_relative(folder, root, builds):
    """The commands in again.txt name this tree and its build: elsewhere both have other names.

    A command is known by output/NAME.command. Every other line is a test's own text, and is indented otherwise.
    """
    commands = [essence(file.read_text()) for file in (folder / "output").glob("*.command")]
    lines = []
    for line in (folder / "again.txt").read_text().splitlines():
        if line.startswith("  ") and essence(line) in commands:
            line = "  " + shlex.join(relative(word, folder, root, builds) for word in shlex.split(line))
        elif line.startswith("  "):
            line = "  " + line
        lines.append(line + "\n")
    (folder / "again.txt").write_text("".join(lines))


def relative(word, folder, root, builds):
    name, equals, value = word.rpartition("=")
    for place, built in builds.items():
        if value == str(built):
            return name + equals + place
        if Path(value).parent == built and (folder / place / Path(value).name).is_file():
            return f"{name}{equals}{place}/{Path(value).name}"
    return name + equals + ("." if value == str(root) else value.replace(f"{root}/", ""))


def run_again(folder, root):
    """Runs what again.txt says; the exit status."""
    kept = folder / "bin"
    for program in filter(Path.is_file, kept.rglob("*")):
        program.chmod(program.stat().st_mode | 0o111)  # a downloaded artifact has lost that
    lines = [line.strip() for line in (folder / "again.txt").read_text().splitlines() if line[:2] == "  " and line[2:3].strip()]
    statuses = []
    for line in dict.fromkeys(lines):
        words = [absolute(word, kept, root) for word in shlex.split(line)]
        print(f"== {shlex.join(words)}", file=sys.stderr, flush=True)
        for results in ("test-results", "sanitize"):  # where some leave their results
            (root / "build" / results).mkdir(parents=True, exist_ok=True)
        try:
            status = subprocess.run(words, cwd=root, check=False).returncode
        except OSError as error:
            print(f"ci/replay: {words[0]}: {error.strerror}", file=sys.stderr)
            status = 127
        statuses.append(status if status >= 0 else 128 - status)
    if not statuses:
        print(f"ci/replay: {folder}/again.txt has no command", file=sys.stderr)
        return 2
    bad = [status for status in statuses if status]
    return next((status for status in bad if status != CANNOT_RUN), CANNOT_RUN if bad else 0)


def absolute(word, kept, root):
    name, equals, value = word.rpartition("=")
    if value == "bin" or value.startswith("bin/"):
        value = str(kept / value[4:])
    elif value == ".":
        value = str(root)
    return name + equals + value


def main():
    if sys.argv[1:] in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    if len(sys.argv) != 2:
        print("ci/kept.py: one folder (see --help)", file=sys.stderr)
        return 2
    return run_again(Path(sys.argv[1]).resolve(), Path(__file__).resolve().parent.parent)


if __name__ == "__main__":
    sys.exit(main())
