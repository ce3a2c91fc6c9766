"""The pytest plugin: the fixtures `clients` and `kill_point`, the mark `kill_at`, and a command that replays a failure.

  @pytest.mark.kill_at(instructions=range(0, 400), after_line="ready")
  def test_a_put_is_there_whole_or_not_at_all(clients, kill_point, tmp_path):
      victim = clients.start(["./client", tmp_path / "db"], at=kill_point)
      victim.wait_for_line("ready")
      victim.ask("put key value")
      victim.wait()
      ...

The mark takes instructions=, system_calls= (numbers) and lines= (lines of standard output), any of them together, and
after_line= or after_map=, from which the first two count; `sample=N` takes N of all points, by --kill-seed. The first
point of a sweep must be reached, else the sweep would kill nobody and pass: that is a failure. Later points may lie
behind the end of the client, which then has done all of its work.
"""

import os
import random
import shlex
import sys

import pytest

from .client import Client
from .points import INSTRUCTION, LINE, SYSTEM_CALL, Point

MARK_OPTIONS = {"instructions", "system_calls", "lines", "after_line", "after_map", "sample"}
STATE = pytest.StashKey()


def pytest_addoption(parser):
    group = parser.getgroup("kill_at", "lightning_faults: processes killed at exact points")
    group.addoption("--kill-at", action="append", default=[], metavar="POINT",
                    help="instead of all points of each sweep only this one: instruction:N, system-call:N, line:TEXT")
    group.addoption("--kill-seed", type=int, default=1, metavar="N", help="which points a sample takes (default: 1)")


def pytest_configure(config):
    config.addinivalue_line("markers", "kill_at(instructions, system_calls, lines, after_line, after_map, sample): "
                                       "runs the test once for each point at which its client is to be killed")
    try:
        for text in config.getoption("--kill-at"):
            Point.parse(text)
    except ValueError as error:
        raise pytest.UsageError(f"--kill-at: {error}") from None


# --- the sweep


def points_of(mark, config, name):
    """The points of a mark, each with whether it is the first of its kind."""
    unknown = set(mark.kwargs) - MARK_OPTIONS
    if unknown or mark.args:
        raise pytest.UsageError(f"kill_at takes {', '.join(sorted(MARK_OPTIONS))}, and no {unknown or mark.args}")
    marker = {key: os.fspath(mark.kwargs.get(key, "")) for key in ("after_line", "after_map")}
    chosen = config.getoption("--kill-at")
    if chosen:
        return [(Point.parse(text, **marker), True) for text in chosen]
    found = []
    for kind, key in ((INSTRUCTION, "instructions"), (SYSTEM_CALL, "system_calls"), (LINE, "lines")):
        points = [Point(kind, str(value), **marker) for value in mark.kwargs.get(key, ())]
        found += [(point, n == 0) for n, point in enumerate(points)]
    sample = mark.kwargs.get("sample")
    if sample is not None and sample < len(found):
        # The first ones stay: they show that the sweep kills at all.
        first, rest = [p for p in found if p[1]], [p for p in found if not p[1]]
        taken = random.Random(f"{config.getoption('--kill-seed')} {name}").sample(range(len(rest)), max(
            0, sample - len(first)))
        found = first + [rest[n] for n in sorted(taken)]
    if not found:
        raise pytest.UsageError(f"{name}: kill_at has no points")
    return found


def pytest_generate_tests(metafunc):
    mark = metafunc.definition.get_closest_marker("kill_at")
    if mark is None:
        return
    if "kill_point" not in metafunc.fixturenames:
        raise pytest.UsageError(f"{metafunc.definition.nodeid}: kill_at needs the fixture kill_point")
    points = points_of(mark, metafunc.config, metafunc.definition.nodeid)
    metafunc.parametrize("kill_point", points, ids=[point.id for point, _ in points], indirect=True)


class KillPoint:
    """Where one client of this test is killed. After its end: `reached`, and `report` as of points.Traced."""

    def __init__(self, point, first):
        self.point, self.first = point, first
        self.client = None

    @property
    def report(self):
        return None if self.client is None else self.client.outcome()

    @property
    def reached(self):
        report = self.report
        return bool(report and report["killed"])

    def describe(self):
        report = self.report
        if not report:
            return f"to be killed at {self.point}"
        if not report["killed"]:
            return f"ended before {self.point}" + ("" if report["marker"] else ", and its marker never came")
        return f"killed at {self.point}, next was {report['where'] or report['address']}"


@pytest.fixture
def kill_point(request):
    """The point of this run of the test. Hand it to clients.start(..., at=kill_point), once."""
    if not hasattr(request, "param"):
        pytest.fail("kill_point without @pytest.mark.kill_at(...): nobody says where", pytrace=False)
    made = KillPoint(*request.param)
    request.node.stash[STATE] = made
    # The clients end first: what was reached is known then.
    request.getfixturevalue("clients")
    return made


# --- the clients


class Clients:
    """Starts processes, and ends them with the test."""

    def __init__(self):
        self.started = []

    def start(self, command, *, at=None, env=None, cwd=None, stderr=None, make=Client):
        """A process with pipes (client.Client). `command`: the program and its arguments. `at`: the fixture kill_point.
        `env`: variables besides those of the tests. `make`: a class of one's own in place of Client."""
        if at is not None and at.client is not None:
            raise ValueError("this kill point has its client already")
        env = None if env is None else {**os.environ, **env}
        client = make(command, point=None if at is None else at.point, env=env, cwd=cwd, stderr=stderr)
        self.started.append(client)
        if at is not None:
            at.client = client
        return client

    def run(self, command, *, status=0, timeout=60, **more):
        """A process from its beginning to its end, which must have this status: what it wrote. None: any status."""
        client = self.start(command, **more)
        got = client.wait(timeout)
        assert status is None or got == status, f"{client.command} ended with {got}, not {status}: {client.output}"
        return client.output

    def end(self):
        for client in self.started:
            client.end()


@pytest.fixture
def clients(request):
    """Processes of this test; all of them end with it."""
    made = Clients()
    yield made
    made.end()


@pytest.hookimpl(trylast=True)
def pytest_runtest_call(item):
    """After the test itself passed: a sweep that cannot kill is a failure."""
    state = item.stash.get(STATE, None)
    if state is not None:
        check_reached(state)


def check_reached(state):
    if state.client is None:
        pytest.fail("no client was started with at=kill_point: nobody was killed", pytrace=False)
    if state.client.process.poll() is None:
        pytest.fail(f"the client is still running at the end of the test and was not killed at {state.point}",
                    pytrace=False)
    if state.first and not state.reached:
        pytest.fail(f"the client {state.describe()}: it has a status of {state.client.process.returncode}, and this "
                    "point must be reached, or the sweep kills nobody", pytrace=False)


# --- replay


def replay_command(item):
    """What runs exactly this test with the same point, from any folder and in a new shell."""
    config = item.config
    words = ["env"]
    for name in ("PYTHONPATH", "LIGHTNING_BIN_DIR", "LIGHTNING_TRACER"):
        if os.environ.get(name):
            absolute = [os.path.abspath(part) for part in os.environ[name].split(os.pathsep)]
            words.append(f"{name}={os.environ[name] if name == 'LIGHTNING_TRACER' else os.pathsep.join(absolute)}")
    words = words if len(words) > 1 else []
    words += [sys.executable, "-m", "pytest"]
    if config.inipath is not None and config.inipath.parent != config.rootpath:
        words += ["-c", str(config.inipath), f"--rootdir={config.rootpath}"]
    given = list(config.invocation_params.args)
    for n, word in enumerate(given):
        if word == "-p" and n + 1 < len(given):
            words += ["-p", str(given[n + 1])]
        elif str(word).startswith("-p") and not str(word).startswith("--") and len(str(word)) > 2:
            words.append(str(word))
    words.append(item.nodeid)
    state = item.stash.get(STATE, None)
    if state is not None:
        words += ["--kill-at", str(state.point)]
    return f"cd {shlex.quote(str(config.rootpath))} && {shlex.join(words)}"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if not report.failed or not {"clients", "kill_point"} & set(getattr(item, "fixturenames", ())):
        return
    state = item.stash.get(STATE, None)
    text = f"again: {replay_command(item)}"
    if state is not None:
        text = f"the client was {state.describe()}\n{text}"
    if hasattr(report.longrepr, "addsection"):
        report.longrepr.addsection("replay", text)
    else:
        report.longrepr = f"{report.longrepr}\n{text}"
