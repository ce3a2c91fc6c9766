"""What a pull request shows of a failure: each of the scripts' files, and the command that repeats it."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).resolve().parent / "annotate.py"


def annotate(tmp_path, read, name="tier.json"):
    file, summary = tmp_path / name, tmp_path / "summary.md"
    if read is not None:
        file.write_text(json.dumps(read))
    done = subprocess.run([sys.executable, SCRIPT, file], env=dict(os.environ, GITHUB_STEP_SUMMARY=str(summary)),
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done
    return done.stdout.splitlines(), summary.read_text()


def row(target, expectation="stopped", verdict="stopped", **more):
    return {"test": f"Isolation/keys.mov/{target}/main", "expectation": expectation, "verdict": verdict,
            "seen": "SIGSEGV", **more}


@pytest.mark.parametrize("read, command", [
    ({"failures": [{"part": "kills", "test": "x", "message": "lost", "again": "ci/replay folder"}]}, "ci/replay folder"),
    ({"failures": [{"suite": "store_tests", "test": "A.b", "message": "lost", "again": "store_tests A.b"}]}, "store_tests A.b"),
    ({"failures": [{"part": "sim", "what": "lost", "reproduce": "lightning-faults replay /f/sim-1"}]}, "ci/replay /f/sim-1"),
    ({"target": "ops", "artifacts": ["/f/crash-1"]}, "ci/fuzz replay /f/crash-1"),
    ({"target": "ops", "artifacts": [], "unfinished": "did not end"}, "ci/fuzz ops --seconds 60"),
    ([{"name": "undo-forwards", "caught": False}, {"name": "b", "caught": True}], "ci/mutants --only undo-forwards"),
    ([{"name": "a", "found": True, "artifacts": ["/f/crash-1"]}, {"name": "b", "found": False, "artifacts": []}],
     "ci/fuzz --mutants"),
    ([row("a"), row("b", verdict="landed"), row("c", verdict="skipped", reason="no such instruction"),
      row("d", expectation="out of scope", verdict="landed"), row("e", expectation="out of scope", verdict="stopped")],
     "ci/isolation --filter 'keys.mov/b/main'"),
])
def test_each_failure_becomes_an_annotation_with_its_command(tmp_path, read, command):
    lines, summary = annotate(tmp_path, read)
    assert len(lines) == 1 and lines[0].startswith("::error title=tier%3A ")
    assert lines[0].endswith("%0Aagain: " + command)
    assert f"`{command}`" in summary


def test_what_would_end_the_annotation_is_escaped(tmp_path):
    lines, summary = annotate(tmp_path, {"failures": [{"part": "a,b::c", "what": "50 %\n::error::x|y"}]})
    assert lines == ["::error title=tier%3A a%2Cb%3A%3Ac::50 %25%0A::error::x|y"]
    assert "x\\|y" in summary


def test_a_file_that_was_never_written_is_an_error(tmp_path):
    lines, summary = annotate(tmp_path, None)
    assert len(lines) == 1 and "ended before its end" in lines[0]
    assert "FAILED" in summary


def test_what_passed_leaves_its_counts_alone(tmp_path):
    lines, summary = annotate(tmp_path, {"passed": 4, "failed": 0, "skipped": 1, "seed": 9, "failures": []})
    assert not lines
    assert summary.strip() == "### tier: 4 passed, 0 failed, 1 skipped, seed 9"


def test_of_very_many_failures_the_rest_is_counted(tmp_path):
    lines, summary = annotate(tmp_path, {"failures": [{"part": f"p{i}", "what": "w"} for i in range(13)]})
    assert len(lines) == 11 and "3 more" in lines[-1]
    assert summary.count("| p") == 13
