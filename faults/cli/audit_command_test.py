"""lightning-faults audit, as a script sees it.

The program is in $LIGHTNING_BIN_DIR, else in build/release/bin.
"""

import json
import os
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("LIGHTNING_BIN_DIR") or ROOT / "build/release/bin")
PLANTED = BIN.parent / "lib" / "targets"


def audit(*args):
    return subprocess.run([BIN / "lightning-faults", "audit", *args], capture_output=True, text=True, timeout=200)


# The library, and no program: in a program the place of the harness's code decides whether it has the bytes of WRPKRU
# by chance. binary_audit_test.cc judges all programs, by their sources.
def test_the_library_is_well(tmp_path):
    done = audit("--json", tmp_path / "audit.json", BIN.parent / "lib" / "liblightning.so")
    assert done.returncode == 0, done
    report = json.loads((tmp_path / "audit.json").read_text())
    assert report["well"] is True and report["violations"] == 0
    assert report["opens"] + report["closes"] + report["warnings"] == len(report["items"]) > 20
    lines = done.stdout.splitlines()
    for item in report["items"]:
        assert item["address"] and item["function"] and item["source"]
        [line] = [line for line in lines if line.startswith(f"{item['address']:#x} ")]
        assert item["function"] in line and re.search(r"\.(cc|h):\d+", line), line


def test_a_lone_write_is_refused_with_address_function_and_reason(tmp_path):
    file = PLANTED / "planted_window_lone.so"
    done = audit("--json", tmp_path / "audit.json", file)
    assert done.returncode == 1, done
    [item] = json.loads((tmp_path / "audit.json").read_text())["items"]
    assert item["verdict"] == "violation" and item["function"] == "planted" and "RDPKRU" in item["reason"]
    assert f"{item['address']:#x}" in done.stdout and item["reason"] in done.stdout
    assert "planted_windows.cc" in done.stdout and "  planted (" in done.stdout.splitlines()[0]
    assert audit("--allow", "plant?d", file).returncode == 0
    assert audit("--allow", "other*", file).returncode == 1


def test_libraries_are_audited_when_asked_for():
    done = audit("--quiet", "--with-libraries", BIN / "lightning-store")
    assert "libc.so.6: " in done.stdout, done
    assert done.returncode in (0, 1)  # what the machine's C library has


def test_what_is_no_program_is_wrong_usage(tmp_path):
    (tmp_path / "text").write_text("text")
    for args in ((tmp_path / "text",), (tmp_path / "none",), (), ("--json", tmp_path / "no" / "x", PLANTED / "planted_window_nothing.so")):
        assert audit(*args).returncode == 2, args
