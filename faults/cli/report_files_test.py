"""The files that a run leaves, as other programs read them.

The program is in $LIGHTNING_BIN_DIR, else in build/release/bin.
"""

import json
import os
import pathlib
import subprocess
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("LIGHTNING_BIN_DIR") or ROOT / "build/release/bin") / "lightning-faults"


def run(*args):
    return subprocess.run([PROGRAM, *args], capture_output=True, text=True, timeout=200)


def test_a_short_campaign_leaves_files_that_agree(tmp_path):
    files = {kind: tmp_path / kind for kind in ("html", "junit", "lcov", "data", "json")}
    options = [word for kind, file in files.items() for word in (f"--{kind}", str(file))]
    done = run("campaign", "--seconds", "12", "--quiet", *options)
    assert done.returncode == 0, done
    assert done.stdout.splitlines()[-2].endswith(str(files["html"]))

    suites = xml.etree.ElementTree.parse(files["junit"]).getroot()
    assert {"step", "sim", "kills", "ops", "stray"} == {suite.get("name") for suite in suites}
    assert not list(suites.iter("failure"))

    page = files["html"].read_text()
    assert "nothing was found" in page and "store/log/" in page
    assert "http:" not in page and "https:" not in page and "<script" not in page

    lines = files["lcov"].read_text().splitlines()
    assert any(line == "SF:store/log/transaction.h" for line in lines)
    hit = sum(line.startswith("DA:") and not line.endswith(",0") for line in lines)
    assert hit == sum(int(line[3:]) for line in lines if line.startswith("LH:")) > 200
    data = json.loads(files["data"].read_text())
    assert hit == sum(row[2] > 0 for rows in data["files"].values() for row in rows)

    again = tmp_path / "again.lcov"
    done = run("coverage", "--data", str(files["data"]), "--lcov", str(again))
    assert done.returncode == 0 and "store/heap/" in done.stdout, done
    assert again.read_text() == files["lcov"].read_text()


def test_a_file_that_cannot_be_written_is_wrong_usage_before_the_work(tmp_path):
    assert run("step", "--op", "delete", "--html", str(tmp_path / "no" / "x")).returncode == 2
    assert run("coverage", "--data", str(tmp_path / "none")).returncode == 2
