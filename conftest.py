"""The tests of this repository use its own pytest plugin, from the sources: nothing needs to be installed."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "python"))
pytest_plugins = ["lightning_faults.plugin", "pytester"]
