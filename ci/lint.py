#!/usr/bin/env python3
"""The checks of ci/lint that read the sources.

  ci/lint.py                       dependency direction, sizes of files and functions, Python syntax
  ci/lint.py --registration FILE   FILE, compile_commands.json, has every source; pytest collects every Python test
  ci/lint.py --list cc|py|sh       the files that are checked

Each finding is a line `CHECK SUBJECT: what is wrong`. A line `CHECK SUBJECT REASON` in ci/lint-exceptions.txt lets it
pass. Exit status: 0 well, 1 something was found, 2 wrong usage. Example: ci/lint.py --list cc
"""

import argparse
import ast
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAX_FILE = 400
MAX_FUNCTION = 70

# Dependencies point one way. A folder may include from folders of a lower rank, and from itself. Two folders of one
# rank may not include each other, except that segment and kernel may in one direction (see cycles()).
RANKS = {
    "store/segment": 0, "store/kernel": 0, "store/gate": 1, "store/watch": 2, "store/log": 2, "store/heap": 3, "store/index": 4,
    "store/client": 5, "store/cli": 6, "store/python": 6,
    # What the tests of the store share, and the tests themselves, wherever in store/ they stand.
    "store/testing": 6, "store/*_test.cc": 7,
    "faults": 10, "crashtests": 20, "pkeys_tests": 20, "fuzz": 20,
    "bench": 10, "proofs": 10,
}
TOP = sorted({folder.split("/")[0] for folder in RANKS})
LOWEST = {"store/segment", "store/kernel"}
# Public headers: these two say only words that every layer speaks; the others are the clients' interface.
PUBLIC = "store/include/lightning/"
PUBLIC_LOWEST = {"isolation.h", "options.h", "status.h"}
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
PYTHON_TEST = re.compile(r"(^|/)(test_[^/]*|[^/]*_test)\.py$")


def files(kind):
    """Tracked files and new ones that git does not ignore, relative to the root."""
    listing = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True,
                             check=True).stdout.splitlines()
    found = []
    for name in sorted(set(listing)):
        path = ROOT / name
        if not path.is_file():
            continue  # deleted, and not committed yet
        if kind == "cc" and path.suffix in (".cc", ".h", ".c"):
            found.append(name)
        elif kind == "py" and path.suffix == ".py":
            found.append(name)
        elif kind == "sh" and (path.suffix == ".sh" or path.suffix == "" and is_shell(path)):
            found.append(name)
    return found


def is_shell(path):
    with path.open("rb") as file:
        return re.match(rb"#!.*\b(ba|da)?sh\b", file.readline()) is not None


# --- dependency direction


def folder_of(name):
    """The unit of the layering that a file belongs to, or None for a public header of the lowest rank."""
    if name.startswith(PUBLIC):
        return None if name[len(PUBLIC):] in PUBLIC_LOWEST else "store/client"
    parts = name.split("/")
    if parts[0] == "store" and name.endswith("_test.cc"):
        return "store/*_test.cc"
    return "/".join(parts[:2]) if parts[0] == "store" else parts[0]


def target_of(name, quote, include):
    """The file of the repository that an #include means, or None for one from elsewhere. Raises ValueError."""
    if include.startswith("lightning/"):
        return "store/include/" + include
    if (ROOT / include).is_file():
        return include
    elsewhere = (ROOT / name).parent, *(ROOT / folder for folder in TOP)
    if quote == '"' and any((folder / include).is_file() for folder in elsewhere):
        raise ValueError(f'"{include}": write it relative to the root of the repository')
    if include.split("/")[0] in TOP:
        raise ValueError(f'"{include}" does not exist')
    return None


def check_includes():
    edges = {}  # between the two folders of the lowest rank
    for name in files("cc"):
        for number, line in enumerate((ROOT / name).read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            try:
                target = target_of(name, *match.groups())
            except ValueError as error:
                yield f"include {name}:{number}", str(error)
                continue
            source_folder, target_folder = folder_of(name), target and folder_of(target)
            if not target_folder or source_folder == target_folder:
                continue
            if source_folder in LOWEST and target_folder in LOWEST:
                edges.setdefault((source_folder, target_folder), f"{name}:{number}")
            elif name.startswith(PUBLIC) and not target.startswith(PUBLIC):
                yield f"include {name}:{number}", f"a public header includes {target}, which is not installed"
            elif not allowed(source_folder, target_folder):
                yield f"include {name}:{number}", f"{source_folder or 'a public header'} may not include {target}"
    if len(edges) == 2:
        yield "include " + list(edges.values())[1], "segment and kernel include each other (also {})".format(
            list(edges.values())[0])


def allowed(source, target):
    if source is None:
        return False
    if source not in RANKS or target not in RANKS:
        return False
    if source == "bench" or source == "proofs":
        return target.startswith("store/")
    return RANKS[target] < RANKS[source] and target not in ("bench", "proofs")


# --- sizes


def blank(match):
    return re.sub(r"[^\n]", " ", match.group())


NOISE = re.compile(
    r'R"([^()\\\s]{0,16})\(.*?\)\1"'  # raw strings first: they may hold anything
    r"|//[^\n]*|/\*.*?\*/"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'",
    re.DOTALL)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
NOT_FUNCTION = re.compile(r"\b(namespace|class|struct|union|enum)\b[^()]*$|^\s*(extern\s*)?$|=\s*$")


def functions(text):
    """(line, last line, head) of each function: each brace outside of functions whose head has parentheses."""
    text = DIRECTIVE.sub(blank, NOISE.sub(blank, text))
    head_start, depth, function_depth, found, start = 0, 0, None, [], 0
    for match in re.finditer(r"[{};]", text):
        position, mark = match.start(), match.group()
        if mark == "{":
            head = text[head_start:position]
            depth += 1
            if function_depth is None and "(" in head and not NOT_FUNCTION.search(head):
                function_depth = depth
                start = head_start + len(head) - len(head.lstrip())
        elif mark == "}":
            if depth == function_depth:
                head = " ".join(text[start:text.index("{", start)].split())
                found.append((text.count("\n", 0, start) + 1, text.count("\n", 0, position) + 1, head))
                function_depth = None
            depth -= 1
        head_start = position + 1
    return found


def function_name(head):
    match = re.match(r"TEST\w*\s*\(\s*(\w+)\s*,\s*(\w+)", head)
    if match:
        return ".".join(match.groups())
    match = re.search(r"([\w:~]+|operator\s*\S+?)\s*\(", head)
    return match.group(1).replace(" ", "") if match else head[:40]


def check_sizes():
    for name in files("cc") + files("py") + files("sh"):
        text = (ROOT / name).read_text()
        lines = text.count("\n")
        if lines > MAX_FILE:
            yield f"file-size {name}", f"{lines} lines, more than {MAX_FILE}"
        if name.endswith((".cc", ".h", ".c")):
            found = [(first, last, function_name(head)) for first, last, head in functions(text)]
        elif name.endswith(".py"):
            found = python_functions(text)
        else:
            found = []
        for first, last, function in found:
            if last - first + 1 > MAX_FUNCTION:
                size = last - first + 1
                yield f"function-size {name}:{function}", f"{size} lines from {first}, more than {MAX_FUNCTION}"


def python_functions(text):
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return []  # check_python reports it
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [(node.lineno, node.end_lineno, node.name) for node in ast.walk(tree) if isinstance(node, kinds)]


def check_python():
    for name in files("py"):
        try:
            ast.parse((ROOT / name).read_text(), name)
        except SyntaxError as error:
            yield f"python {name}", f"line {error.lineno}: {error.msg}"


# --- registration


def check_registration(commands):
    compiled = {Path(entry["directory"], entry["file"]).resolve() for entry in json.loads(Path(commands).read_text())}
    for name in files("cc"):
        if name.endswith((".cc", ".c")) and (ROOT / name).resolve() not in compiled:
            what = "test program" if name.endswith("_test.cc") else "target"
            yield f"registration {name}", f"no {what} compiles it"
    tests = [name for name in files("py") if PYTHON_TEST.search(name)]
    suites = ("crashtests/", "pkeys_tests/", "store/", "faults/", "python/", "examples/", "ci/")  # as ci/test looks for them
    for name in tests:
        if not name.startswith(suites):
            yield f"registration {name}", "ci/test looks for Python tests in {}".format(", ".join(suites))
    if tests:
        yield from check_collected(tests)


def check_collected(tests):
    run = subprocess.run(["/usr/bin/python3", "-m", "pytest", "-p", "no:cacheprovider", "--collect-only", "-q", *tests],
                         cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode not in (0, 5):
        yield "registration pytest", "cannot collect:\n" + run.stdout[-2000:] + run.stderr[-2000:]
    collected = {line.split("::")[0] for line in run.stdout.splitlines() if "::" in line}
    for name in tests:
        if name not in collected:
            yield f"registration {name}", "pytest collects no test from it"


# --- the whole


def read_exceptions():
    exceptions = {}
    for number, line in enumerate((ROOT / "ci/lint-exceptions.txt").read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        words = line.split(None, 2)
        if len(words) < 3:
            sys.exit(f"ci/lint-exceptions.txt:{number}: CHECK SUBJECT REASON, and the reason is not optional")
        exceptions[" ".join(words[:2])] = words[2]
    return exceptions


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--registration", metavar="FILE")
    parser.add_argument("--list", choices=("cc", "py", "sh"))
    options = parser.parse_args()
    if options.list:
        print("\n".join(files(options.list)))
        return 0
    exceptions, used, found = read_exceptions(), set(), 0
    if options.registration:
        findings = list(check_registration(options.registration))
    else:
        findings = [*check_includes(), *check_sizes(), *check_python()]
    for subject, problem in findings:
        # An exception for an include names the file, not the line, which moves.
        excuse = re.sub(r"^(include \S+?):\d+$", r"\1", subject)
        if excuse in exceptions:
            used.add(excuse)
            continue
        found += 1
        print(f"{subject}: {problem}")
    for excuse in sorted(set(exceptions) - used):
        if excuse.startswith("registration ") == bool(options.registration):
            found += 1
            print(f"exception {excuse}: excuses nothing")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
