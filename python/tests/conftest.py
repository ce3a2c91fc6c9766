"""What the plugin's own tests share: toy programs, and pytest runs of their own."""

import pathlib
import shutil

import pytest

from lightning_faults.points import Tracer
from toys import TOY

PACKAGES = str(pathlib.Path(__file__).resolve().parents[1])

@pytest.fixture(params=["lightning-faults", "python"])
def tracer(request, monkeypatch):
    """Each of the two programs that trace."""
    if request.param == "python":
        monkeypatch.setenv("LIGHTNING_TRACER", "python")
    else:
        build = pathlib.Path(PACKAGES).parent / "build/release/bin"
        if not shutil.which("lightning-faults") and (build / "lightning-faults").exists():
            monkeypatch.setenv("PATH", str(build), prepend=":")
        monkeypatch.delenv("LIGHTNING_TRACER", raising=False)
        if Tracer.command()[-1] != "kill-at":
            pytest.skip("lightning-faults is not built")
    return request.param


@pytest.fixture
def inner(pytester, monkeypatch):
    """A folder for a project of somebody else, whose tests have the plugin."""
    monkeypatch.setenv("PYTHONPATH", PACKAGES)
    pytester.makepyfile(toy=TOY)

    class Inner:
        path = pytester.path

        @staticmethod
        def write(text, **files):
            pytester.makepyfile(test_it=text, **files)

        @staticmethod
        def run(*arguments):
            return pytester.runpytest_subprocess("-p", "lightning_faults.plugin", "-p", "no:cacheprovider", *arguments)

    return Inner
