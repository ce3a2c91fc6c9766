#!/usr/bin/env python3
"""What ci/fuzz does. Run it by that name, from anywhere: ci/fuzz --help tells how.

ci/fuzz says what its exit status means.
Example: ci/fuzz ops --seconds 60
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "ci")]

import summarize  # noqa: E402
from fuzz import grown, tasks  # noqa: E402

COMMANDS = ("adopt", "replay", "seeds")


def parse(arguments):
    parser = argparse.ArgumentParser(prog="ci/fuzz", add_help=False)
    parser.add_argument("what", nargs="*")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", choices=tasks.TARGETS)
    for flag in ("--all", "--list", "--coverage", "--mutants", "--merge"):
        parser.add_argument(flag, action="store_true")
    options = parser.parse_args(arguments)
    if options.seconds is not None and not 0 < options.seconds < 1e6:
        parser.error("--seconds must be more than zero")
    caller = Path(os.environ.get("LIGHTNING_FUZZ_CALLER", "."))
    if options.json:
        options.json = caller / options.json
    modes = [options.all, options.list, options.coverage, options.mutants, bool(options.what)]
    if sum(modes) != 1:
        parser.error("give one of: a target, adopt, replay, seeds, --all, --list, --coverage, --mutants")
    if options.what and options.what[0] in ("adopt", "replay"):
        wanted = 3 if options.what[0] == "adopt" else 2
        if len(options.what) != wanted:
            parser.error(f"{options.what[0]} takes a FILE" + (" and a NAME" if wanted == 3 else ""))
        options.what[1] = caller / options.what[1]
        if not options.what[1].is_file():
            parser.error(f"{options.what[1]} is no file")
    elif options.what and (len(options.what) > 1 or options.what[0] not in (*tasks.TARGETS, "seeds")):
        parser.error(f"no target {' '.join(options.what)}; ci/fuzz --list shows them")
    if options.what and options.what[0] in tasks.TARGETS and options.seconds is None:
        parser.error("say for how long: --seconds N")
    if options.all and options.seconds is None:
        parser.error("say for how long: --seconds N")
    return options


def write_json(path, value):
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value, indent=2) + "\n")


def fuzz(options):
    names = list(tasks.TARGETS) if options.all else options.what
    tasks.build(names)
    results = []
    for name in names:
        seconds = options.seconds / len(names)
        results.append(tasks.run(name, seconds * (1 - grown.SHARE if options.merge else 1), options.seed))
        result = results[-1]
        if options.merge and not result["artifacts"] and "unfinished" not in result:
            result["merged"] = grown.merge_down(name, seconds * grown.SHARE, result["per_second"], options.seed)
        operations = result.get("operations_per_execution")
        print("{target}: {executions} executions, {per_second} a second of processor time".format(**result) +
              (f", {operations} operations each" if operations else "") + f", {len(result['artifacts'])} artifacts" +
              (", {} files of the corpus are {} now".format(*result["merged"]) if result.get("merged") else ""))
    write_json(options.json, results if options.all else results[0])
    for result in results:
        if "unfinished" in result:
            print(f"ci/fuzz: {result['target']} {result['unfinished']}", file=sys.stderr)
    return 3 if any("unfinished" in its for its in results) else 1 if any(its["artifacts"] for its in results) else 0


def adopt(options):
    file, name = options.what[1], options.what[2]
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        print("ci/fuzz: a name is made of small letters, digits and -", file=sys.stderr)
        return 2
    target = options.target or tasks.target_of(file)
    if not target:
        print("ci/fuzz: say of which target it is: --target TARGET", file=sys.stderr)
        return 2
    to = ROOT / "fuzz" / "regressions" / target / name
    if to.exists():
        print(f"ci/fuzz: there is a regression test {target}/{name} already", file=sys.stderr)
        return 2
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, to)
    program = "fuzz_store_tests" if target in tasks.STORE_TARGETS else "fuzz_sim_tests"
    print(f"{to.relative_to(ROOT)} is the test Regression.{target}/{name}. It runs in ci/test, and alone so:")
    print(f"build/release/bin/{program} --gtest_filter='{summarize.gtest_filter([f'Regression.{target}/{name}'])}'")
    return 0


def replay(options):
    target = options.target or tasks.target_of(options.what[1])
    if not target:
        print("ci/fuzz: say of which target it is: --target TARGET", file=sys.stderr)
        return 2
    tasks.build([target])
    environ = tasks.environment(leaks=tasks.sees_leaks(target))
    return 1 if subprocess.call(tasks.command(target) + [str(options.what[1])], env=environ) else 0


def main():
    options = parse(sys.argv[1:])
    os.chdir(ROOT)
    if options.list:
        for name, target in tasks.TARGETS.items():
            print(f"{name:8} {target.about}")
        return 0
    if options.what[:1] == ["adopt"]:
        return adopt(options)
    if options.json:  # or a run that does not get so far would leave that of another
        options.json.unlink(missing_ok=True)
    # What is missing then, the build says.
    if subprocess.call(["ci/setup", "--with-fuzz"]):
        tasks.say("going on with what is there")
    if options.coverage:
        from fuzz import coverage
        return coverage.run(lambda value: write_json(options.json, value))
    if options.mutants:
        from fuzz import mutants
        return mutants.run(options.seconds or 60, lambda value: write_json(options.json, value))
    if options.what and options.what[0] == "replay":
        return replay(options)
    if options.what and options.what[0] == "seeds":
        from fuzz import seeds
        return seeds.run(options.seconds or 20, options.seed)
    return fuzz(options)


def command():
    """The exit status."""
    try:
        return main()
    except tasks.CannotRun as error:
        print(f"ci/fuzz: cannot run here: {error}", file=sys.stderr)
        return 77
    except (tasks.NotDone, subprocess.SubprocessError) as error:
        print(f"ci/fuzz: not run to its end: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 3


if __name__ == "__main__":
    sys.exit(command())
