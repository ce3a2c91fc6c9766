"""docs/tutorial.md, block by block, in an empty directory: a reader who copies what stands there gets what it says.

A block ```c NAME or ```diff NAME is a file; the lines of a block ```sh are commands, with `# exit status N` where it is
not 0. A block that is indented after commands must be among what they printed, but for lines with `...`.
"""

import os
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("LIGHTNING_BIN_DIR") or ROOT / "build/release/bin")
BLOCK = re.compile(r"^```(c|diff|sh)(?: (\S+))?\n(.*?)^```$|((?:^    [^\n]+\n)+)", re.MULTILINE | re.DOTALL)
NUMBERS = re.compile(r"[\d,.]+ s |\d+,\d+|\d+")


def shape(text):
    """Without numbers, which depend on compiler and library, and without blanks."""
    return " ".join(NUMBERS.sub("N ", text).split())


def test_the_tutorial_does_what_it_says(tmp_path):
    environment = dict(os.environ, LIGHTNING=str(ROOT), PATH=f"{BIN}:{os.environ['PATH']}")
    text = (ROOT / "docs/tutorial.md").read_text()
    printed, commands, shown = "", 0, 0
    for kind, name, body, output in BLOCK.findall(text):
        if kind in ("c", "diff"):
            (tmp_path / name).write_text(body)
        elif kind == "sh":
            printed = ""
            for line in body.splitlines():
                status = re.search(r"# exit status (\d+)", line)
                done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True,
                                      text=True, timeout=500)
                assert done.returncode == int(status.group(1) if status else 0), (line, done)
                printed += done.stdout + done.stderr
                commands += 1
        else:
            for line in output.splitlines():
                for part in line.split("..."):
                    assert shape(part) in shape(printed), (part, printed)
            shown += 1
    assert commands >= 8 and shown >= 3
