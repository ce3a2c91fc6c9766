"""lightning-faults check-history and make-history: exit codes, JSON, errors with their places, the page.

The program is in $LIGHTNING_BIN_DIR, else in build/release/bin.
"""

import html.parser
import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("LIGHTNING_BIN_DIR") or ROOT / "build/release/bin") / "lightning-faults"

STALE = """\
{"client": "a", "op": "put", "key": "k", "value": "old", "call": 1, "return": 2}
{"client": "b", "op": "put", "key": "k", "value": "new", "call": 3, "return": 4}
{"client": "b", "op": "get", "key": "other", "value": null, "call": 5, "return": 6}
{"client": "a", "op": "get", "key": "k", "value": "old", "call": 5, "return": 6}
"""


def run(*args, code=0, text=None):
    done = subprocess.run([str(PROGRAM), *args], capture_output=True, timeout=60, text=True, input=text)
    assert done.returncode == code, (args, done.returncode, done.stdout[-500:], done.stderr)
    return done


def check(text, *args, code=0):
    return run("check-history", "-", *args, code=code, text=text)


def make(*args):
    return run("make-history", *args).stdout


@pytest.mark.parametrize("command", ["check-history", "make-history"])
def test_help_shows_an_example(command):
    assert f"Example: lightning-faults {command} " in run(command, "--help").stdout


def test_a_legal_history_is_ok():
    text = make("--operations", "2000", "--interrupted-percent", "10")
    assert check(text).stdout.startswith("ok: 2000 operations of ")
    answer = json.loads(check(text, "--json").stdout)
    assert answer["verdict"] == "ok"
    assert answer["operations"] == 2000
    assert answer["keys"] == 10
    assert answer["seconds"] >= 0
    assert "smallest_part" not in answer


def test_an_illegal_history_is_shown():
    shown = check(STALE, code=1).stdout
    assert shown.startswith("illegal: 4 operations of 2 clients on 2 keys")
    assert "of its 3 operations these 3 fit no order" in shown
    assert "├─ put old ─┤" in shown and "├─ get: old ─┤" in shown
    assert "a's \"get: old\" had to happen before it returned at 6, and could not: new was there." in shown
    answer = json.loads(check(STALE, "--json", code=1).stdout)
    assert answer["verdict"] == "illegal"
    assert answer["failing_key"] == "k"
    assert [operation["line"] for operation in answer["smallest_part"]] == [1, 2, 4]
    assert answer["longest_order"] == [1, 2]
    assert answer["stuck"] == 4
    given = json.loads(STALE.splitlines()[3])
    assert answer["smallest_part"][2] == {**given, "line": 4}


def test_a_budget_that_runs_out_is_no_pass():
    text = make("--operations", "5000", "--keys", "1", "--values", "2")
    done = check(text, "--states", "2", code=3)
    assert done.stdout.startswith("unknown: ")
    assert json.loads(check(text, "--states", "2", "--json", code=3).stdout)["verdict"] == "unknown"
    assert json.loads(check(text, "--seconds", "0.000000001", "--json", code=3).stdout)["verdict"] == "unknown"


@pytest.mark.parametrize("plant", ["stale-read", "lost-update", "dirty-delete", "future-read", "double-replace"])
def test_what_is_planted_is_found(plant):
    args = ["--operations", "5000", "--clients", "8", "--keys", "20", "--seed", "4"]
    assert json.loads(check(make(*args), "--json").stdout)["verdict"] == "ok"
    text = make(*args, "--plant", plant)
    answer = json.loads(check(text, "--json", code=1).stdout)
    # What it shows is a violation by itself.
    part = [{key: value for key, value in operation.items() if key != "line"} for operation in answer["smallest_part"]]
    again = json.loads(check("\n".join(map(json.dumps, part)), "--json", code=1).stdout)
    assert again["operations"] == len(part) <= 7


def test_the_same_seed_makes_the_same_history():
    assert make("--seed", "3") == make("--seed", "3")
    assert make("--seed", "3") != make("--seed", "4")


@pytest.mark.parametrize(
    "text, where",
    [
        ("", "no operation in it"),
        ("nonsense", ":1:1: expected an object"),
        (STALE + '{"op": "get", "x": 1}', ':5:15: unknown field "x"'),
        (STALE.replace('"get"', '"look"', 1), ":3:23: unknown operation"),
        (STALE.replace('"return": 4', '"return": 2'), ':2:79: "return" 2 is before "call" 3'),
        (STALE.replace('"call": 5', '"call": 3'), ":3: client b has an operation on line 2 that overlaps"),
    ],
)
def test_an_error_has_its_place(text, where):
    done = check(text, code=2)
    assert done.stdout == ""
    assert done.stderr.startswith("lightning-faults: standard input:")
    assert where in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "args",
    [
        ["check-history"],
        ["check-history", "/nonexistent/history"],
        ["check-history", "-", "--seconds", "0"],
        ["check-history", "-", "--nonsense"],
        ["make-history", "--operations", "0"],
        ["make-history", "--plant", "nonsense"],
        ["make-history", "--plant", "stale-read", "--values", "3"],
        ["make-history", "--plant", "double-replace", "--operations", "2"],
        ["make-history", "--out", "/nonexistent/history"],
    ],
)
def test_wrong_usage(args):
    assert run(*args, code=2, text=STALE).stderr


class Page(html.parser.HTMLParser):
    """Balanced, and without anything from elsewhere."""

    def __init__(self):
        super().__init__()
        self.open, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        assert not {"src", "href"} & {name for name, _ in attrs}, (tag, attrs)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_page_shows_the_violation_and_needs_nothing_else(tmp_path):
    path = tmp_path / "page.html"
    text = STALE.replace('"old"', '"<b>&old"')
    check(text, "--html", str(path), code=1)
    content = path.read_text()
    page = Page()
    page.feed(content)
    page.close()
    assert page.open == []
    assert "get: <b>&old" in page.text and "Not linearizable" in page.text
    assert "prefers-color-scheme" in content and "url(" not in content and "<script" not in content
    check(STALE.splitlines()[0], "--html", str(path))
    assert "Linearizable" in path.read_text()
    check(STALE, "--html", "/nonexistent/page", code=2)
