"""ci/isolation_report.py: a row without a verdict, a run that died and a verdict that was not expected all fail."""

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("LIGHTNING_SOURCE_DIR", Path(__file__).resolve().parent.parent))


def row(**changes):
    return {"route": "mov", "target": "index", "context": "main_thread", "mode": "mprotect", "lane": "hardware",
            "expectation": "stopped", "verdict": "stopped", "test": "Isolation/mprotect.mov/index/main_thread",
            "seen": "SIGSEGV", "as_expected": True, **changes}


def report(folder, rows, status=0, total=None):
    if rows is not None:
        (folder / "hardware.json").write_text(json.dumps(rows))
    (folder / "hardware.exit").write_text(f"{status}\n")
    out = folder / "out.json"
    total = len(rows or []) if total is None else total
    run = subprocess.run(["/usr/bin/python3", str(ROOT / "ci/isolation_report.py"), str(folder), "--rows", str(total),
                          "--json", str(out)], capture_output=True, text=True, check=False)
    return run.returncode, run.stdout, json.loads(out.read_text())


def test_rows_as_expected_or_skipped_pass_and_keep_their_names(tmp_path):
    skipped = row(verdict="skipped", reason="the processor has no AVX-512", seen="")
    status, text, rows = report(tmp_path, [row(), skipped])
    assert status == 0
    assert "2 of 2 rows as expected" in text
    assert "1 in lane hardware: the processor has no AVX-512" in text
    names = {"route", "target", "context", "mode", "lane", "expectation", "verdict", "test", "seen"}
    assert set(rows[0]) == names
    assert set(rows[1]) == names | {"reason"}


@pytest.mark.parametrize("rows, status, total, says", [
    ([row(verdict="landed", reason="8 bytes changed", as_expected=False)], 1, 1, "expected stopped, landed"),
    ([row()], 0, 2, "2 rows were to run, and 1 have a verdict"),
    ([row()], 139, 1, "did not come to its end"),
    (None, 124, 1, "did not come to its end"),
])
def test_what_is_not_shown_fails(tmp_path, rows, status, total, says):
    code, text, _ = report(tmp_path, rows, status, total)
    assert code == 1
    assert says in text
