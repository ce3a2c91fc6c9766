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


def test_what_ran_where_is_recorded_and_what_did_not_run(tmp_path):
    kept = tmp_path / "last.json"
    rows = [row(), row(verdict="skipped", reason="no AVX-512", test="other")]
    (tmp_path / "hardware.json").write_text(json.dumps(rows))
    (tmp_path / "hardware.exit").write_text("0\n")
    command = ["/usr/bin/python3", str(ROOT / "ci/isolation_report.py"), str(tmp_path), "--record", str(kept), "--rows"]
    assert subprocess.run([*command, "3"], capture_output=True, check=False).returncode == 1
    assert not kept.exists()
    assert subprocess.run([*command, "2"], capture_output=True, check=False).returncode == 0
    last = json.loads(kept.read_text())
    assert [(lane["mode"], lane["lane"], lane["rows"]) for lane in last["lanes"]] == [("mprotect", "hardware", 1)]
    assert last["not_run"] == {"other": "no AVX-512"}


def proof(**changes):
    return {"test": "Isolation/mprotect.mov/index/main_thread", "weakness": "silent-act", "skipped": False, "immune": "",
            "as_expected": True, "reason": "", **changes}


def test_a_weakened_row_that_does_not_fail_fails(tmp_path):
    (tmp_path / "proof-silent-act-hardware.exit").write_text("0\n")
    proofs = [proof(), proof(immune="it has no mapping"), proof(skipped=True)]
    (tmp_path / "proof-silent-act-hardware.json").write_text(json.dumps(proofs))
    status, text, rows = report(tmp_path, [row()])
    assert (status, len(rows)) == (0, 1)
    assert "weakened by silent-act: 1 of 1 stopped rows fail, as they must" in text
    assert "1 immune: it has no mapping" in text
    bad = proof(as_expected=False, reason="weakened by silent-act it does not fail: stopped")
    (tmp_path / "proof-silent-act-hardware.json").write_text(json.dumps([*proofs, bad]))
    status, text, _ = report(tmp_path, [row()])
    assert status == 1
    assert "mov/index/main_thread: weakened by silent-act it does not fail" in text


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
