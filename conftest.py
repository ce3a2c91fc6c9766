"""The tests of this repository use its own pytest plugin, from the sources: nothing needs to be installed."""

import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "python"))
pytest_plugins = ["lightning_faults.plugin", "pytester"]

SLOW = "LIGHTNING_SLOW_TESTS"


def pytest_configure(config):
    config.addinivalue_line("markers", f"slow: takes minutes, and runs only where {SLOW} is set, as ci/nightly does")


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("slow") and not os.environ.get(SLOW):
            item.add_marker(pytest.mark.skip(reason=f"takes minutes: ci/nightly --only slow runs it, or {SLOW}=1"))
