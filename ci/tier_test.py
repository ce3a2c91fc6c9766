"""ci/nightly and ci/soak in a tree whose parts are small scripts: sharing, counting, and what a failure leaves."""

import json
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import sys

import pytest

import tier
import tier_fuzz
from tier_checks import has_keys
from tier_parts import PARTS, SLOW_TESTS, Part

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from fuzz import mutants  # noqa: E402

CI = pathlib.Path(__file__).resolve().parent
ENGINES = {"failures": [], "stray": {"fired": 5}, "ops": {"count": 5}, "kills": {"count": 5}, "sim": {"schedules": 5},
           "step": {"crash_states": 5}, "cross_check": {"stepped": 5}}
REAL = {"failures": [], "count": 7, "reads": 9, "stray": {"fired": 9, "per_minute": 2_000_000, "landed": 0}}
# What ci/isolation says with --fire, where keys run in the emulated machine.
FIRE = "\n".join(f"{mode}: 500 windows, 9 signals\n[       OK ] Modes/FireTest.NoWindow/{mode} (3 ms)"
                 for mode in ("mprotect", "hidden", "none", "keys"))
ROWS = [{"test": f"Isolation/none.mov/{name}", "verdict": verdict, "reason": "no such instruction"}
        for name, verdict in (("a", "landed"), ("b", "skipped"))]
FUZZ = {"target": "ops", "executions": 10, "per_second": 5, "artifacts": []}
COVERAGE = {"goal": 95, "folders": {"store": {"reached": 961, "lines": 1000, "percent": 96.1}}, "skipped": {}}
PLANTED = [{"name": "x", "target": "ops", "found": True, "seconds": 0.5}, {"name": "y", "target": "log", "found": True, "seconds": 1}]
SERVICE = "== building\nok   libfuzzer-address parts of fuzz-ops\nok   libfuzzer-address fuzz-ops\nSKIP afl fuzz-ops: no AFL++"
SANITIZED = {"passed": 3, "failed": 0, "skipped": 0, "failures": [], "skips": []}


def script(path, answer, status=0, says=""):
    """A part that writes its JSON to the file behind --json, says something, and ends with that status."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('#!/usr/bin/env bash\necho "$0 $*" >>calls\n'
                    'if [[ $1 == --list ]]; then echo "ops  plans"; echo "log  logs"; exit 0; fi\n'
                    'mode=$1; while (($#)); do if [[ $1 == --json ]]; then file=$2; fi; shift; done\n'
                    f"[[ ! $file ]] || cat >\"$file\" <<'END'\n{answer if isinstance(answer, str) else json.dumps(answer)}\nEND\n"
                    '[[ ! $file || ! -f $0$mode.json ]] || cat "$0$mode.json" >"$file"\n'
                    f"cat <<'END'\n{says}\nEND\nexit {status}\n")
    path.chmod(0o755)


@pytest.fixture(name="tree")
def fake_tree(tmp_path):
    for name in ("nightly", "soak", "common.sh", "tier.py", "tier_checks.py", "tier_fuzz.py", "tier_isolation.py",
                 "tier_parts.py", "sanitize.py", "summarize.py", "kept.py"):
        (tmp_path / "ci").mkdir(exist_ok=True)
        shutil.copy(CI / name, tmp_path / "ci" / name)
    for name in ("setup", "build"):
        script(tmp_path / "ci" / name, "{}")
    script(tmp_path / "ci/campaign", ENGINES)
    script(tmp_path / "build/release/bin/lightning-faults", REAL)
    script(tmp_path / "ci/fuzz", FUZZ)
    (tmp_path / "ci/fuzz--coverage.json").write_text(json.dumps(COVERAGE))
    (tmp_path / "ci/fuzz--mutants.json").write_text(json.dumps(PLANTED))
    script(tmp_path / "ci/oss-fuzz-check", "", says=SERVICE)
    script(tmp_path / "ci/isolation", ROWS, says=FIRE)
    script(tmp_path / "ci/mutants", [{"name": "x", "caught": True, "by": "sim"}])
    script(tmp_path / "ci/sanitize", SANITIZED)
    (tmp_path / "faults/mutants").mkdir(parents=True)
    (tmp_path / "faults/late_test.py").write_text("import pytest\n\n\n@pytest.mark.slow\ndef test_late():\n    pass\n")
    for name in ("one", "two"):
        (tmp_path / "faults/mutants" / f"{name}.patch").touch()
    return tmp_path


def run(tree, *arguments, name="nightly", status=0):
    done = subprocess.run([tree / "ci" / name, *arguments], cwd=tree, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return done.stdout.splitlines()


def test_every_part_runs_and_is_counted(tree):
    lines = run(tree, "--seconds", "3600", "--seed", "5", "--json", "n.json")
    # 6 engines, kills, stray stores in 3 modes, 2 targets, their coverage, 2 bugs for them, 3 lines of a service's build of which
    # one is skipped, 2 rows of which one is skipped, 4 modes under fire, 2 mutants,
    # a slow test, 3 tests in each of 5 lanes
    keys = has_keys()
    assert lines[-1] == f"{39 + keys} passed, 0 failed, {3 - keys} skipped"
    assert any("no such instruction: none.mov/b" in line for line in lines), "the skip is named"
    read = json.loads((tree / "n.json").read_text())
    assert (read["passed"], read["failed"], read["skipped"], read["seed"]) == (39 + keys, 0, 3 - keys, 5)
    assert [part["name"] for part in read["parts"]] == [part.name for part in PARTS]
    assert json.loads((tree / "build/nightly/tier.json").read_text()) == read, "recorded without --json too"
    assert not (tree / "lightning-failures").exists()
    assert (tree / "build/nightly/junit.xml").read_text().count("<testcase") == 42


def test_a_seed_is_new_each_time_and_repeats_what_it_did(tree):
    first = run(tree, "--budget")
    second = run(tree, "--budget")
    assert first != second
    seed = first[0].split()[-1]
    assert run(tree, "--budget", "--seed", seed) == first


def test_a_finding_leaves_a_folder_and_ends_with_its_replay(tree):
    found = dict(ENGINES, failures=[{"part": "sim", "what": "lost", "reproduce": "lightning-faults replay /there/sim-1"}])
    script(tree / "ci/campaign", found, status=1, says="FOUND  sim: lost")
    lines = run(tree, "--seconds", "60", "--seed", "5", "--only", "campaign", status=1)
    assert lines[-1] == "5 passed, 1 failed, 0 skipped"
    assert lines[-2] == "again: ci/replay /there/sim-1"
    folder = tree / "lightning-failures/nightly-5"
    about = json.loads((folder / "about.json").read_text())
    assert about["seed"] == 5 and about["command"].startswith("ci/nightly --seconds 60")
    assert (folder / "bin/lightning-faults").is_file(), "instructions have their numbers in one build alone"
    assert "FOUND  sim: lost" in (folder / "1-campaign/output/campaign.log").read_text()
    assert "ci/replay /there/sim-1" in (folder / "1-campaign/again.txt").read_text()


def test_a_finding_among_real_processes_is_one_failure_with_its_replay(tree):
    failure = {"class": "lost", "what": "a put is lost", "folder": "/there/real-1",
               "replay": "lightning-faults replay /there/real-1"}
    script(tree / "build/release/bin/lightning-faults", dict(REAL, failures=[failure]), status=1)
    lines = run(tree, "--seconds", "60", "--seed", "5", "--only", "kills", status=1)
    assert lines[-1] == "0 passed, 1 failed, 0 skipped", "its figures are no pass beside it"
    assert lines[-2] == "again: ci/replay /there/real-1"
    assert any("kills: a put is lost" in line for line in lines)


@pytest.mark.parametrize("file", ["no/such/folder/n.json", "build"])
def test_a_file_that_cannot_be_written_is_told_before_anything_runs(tree, file):
    run(tree, "--seconds", "60", "--seed", "5", "--json", file, status=2)
    assert not (tree / "calls").exists()


def test_an_artifact_is_kept_with_its_replay(tree):
    artifact = tree / "crash-1"
    artifact.write_text("bytes")
    script(tree / "ci/fuzz", dict(FUZZ, artifacts=["crash-1"]), status=1)
    lines = run(tree, "--seconds", "60", "--seed", "5", "--only", "fuzz", status=1)
    kept = tree / "lightning-failures/nightly-5/1-fuzz/fuzz/log/crash-1"
    assert kept.read_text() == "bytes"
    assert lines[-2] == f"again: ci/fuzz replay {kept}"


@pytest.mark.parametrize("part, path, answer, status, expected", [
    ("campaign", "ci/campaign", dict(ENGINES, ops={"count": 0}), 0, "it did nothing"),
    ("campaign", "ci/campaign", ENGINES, 1, "exit status 1 without a finding"),
    ("campaign", "ci/campaign", "no json", 0, "and no results"),
    ("campaign", "ci/campaign", ENGINES, 139, "exit status 139"),
    ("kills", "build/release/bin/lightning-faults", dict(REAL, count=0), 0, "it did nothing"),
    ("stray", "build/release/bin/lightning-faults", dict(REAL, stray={"fired": 0, "per_minute": 0, "landed": 0}), 0,
     "it did nothing"),
    ("stray", "build/release/bin/lightning-faults", dict(REAL, failures=[{"what": "a store landed"}]), 1, "a store landed"),
    ("stray", "build/release/bin/lightning-faults", "no json", 139, "exit status 139"),
    ("fire", "ci/isolation", ROWS, 1, "no result"),
    ("fuzz", "ci/fuzz", dict(FUZZ, executions=0), 0, "no execution"),
    ("fuzz", "ci/fuzz", FUZZ, 1, "without an artifact"),
    ("fuzz", "ci/fuzz", dict(FUZZ, artifacts=["a"], unfinished="did not end"), 3, "did not end"),
    ("fuzz", "ci/fuzz", "no json", 3, "exit status 3"),
    ("fuzz-coverage", "ci/fuzz--coverage.json", dict(COVERAGE, folders={}), 0, "no line was counted"),
    ("fuzz-coverage", "ci/fuzz--coverage.json",
     dict(COVERAGE, folders={"store": {"reached": 0, "lines": 1000, "percent": 0.0}}), 0, "no line was counted"),
    ("fuzz-coverage", "ci/fuzz", "no json", 139, "exit status 139"),
    ("fuzz-mutants", "ci/fuzz--mutants.json", [dict(PLANTED[0], found=False)], 1, "ops did not find it"),
    ("fuzz-mutants", "ci/fuzz--mutants.json", [], 0, "none was planted"),
    ("fuzz-mutants", "ci/fuzz", "no json", 3, "exit status 3"),
    ("oss-fuzz", "ci/oss-fuzz-check", "", 1, "exit status 1"),
    ("isolation", "ci/isolation", [], 0, "no row"),
    ("isolation", "ci/isolation", ROWS, 1, "exit status 1"),
    ("mutants", "ci/mutants", [{"name": "x", "caught": False, "by": ""}], 1, "not caught"),
    ("sanitizers", "ci/sanitize", dict(SANITIZED, passed=0), 1, "no test ran"),
])
def test_a_part_that_broke_or_did_nothing_is_a_failure(tree, part, path, answer, status, expected):
    if path.endswith(".json"):
        (tree / path).write_text(json.dumps(answer))
    else:
        for its in (tree / "ci").glob(f"{pathlib.Path(path).name}--*.json"):
            its.unlink()
        script(tree / path, answer, status)
    lines = run(tree, "--seconds", "600", "--seed", "5", "--only", part, status=1)
    assert any(expected in line for line in lines), lines
    assert lines[-2].startswith("again: ")


def test_every_slow_test_is_where_the_night_looks():
    root = CI.parent
    mark = "@pytest.mark." + "slow"
    files = [file.relative_to(root) for pattern in ("*_test.py", "test_*.py") for folder in root.iterdir()
             if folder.name != "build" for file in folder.rglob(pattern)]
    slow = {file.parts[0] for file in files if re.search(f"^{mark}$", (root / file).read_text(), re.M)}
    assert slow and slow <= set(SLOW_TESTS)


def test_a_slow_test_that_fails_or_is_not_there_is_a_failure(tree):
    test = tree / "faults/late_test.py"
    test.write_text(test.read_text().replace("pass", "assert False"))
    lines = run(tree, "--seconds", "600", "--seed", "5", "--only", "slow", status=1)
    assert lines[-1] == "0 passed, 1 failed, 0 skipped"
    assert lines[-2].startswith("again: env LIGHTNING_SLOW_TESTS=1 ")
    test.unlink()
    lines = run(tree, "--seconds", "600", "--seed", "5", "--only", "slow", status=1)
    assert any("exit status 5" in line for line in lines), lines


@pytest.mark.parametrize("name, parts", [("fuzz", 3), ("oss-fuzz-check", 1), ("isolation", 2), ("mutants", 1), ("sanitize", 1)])
def test_a_script_that_is_not_there_is_a_failure_and_no_skip(tree, name, parts):
    (tree / "ci" / name).unlink()
    lines = run(tree, "--seconds", "3600", "--seed", "5", status=1)
    assert f"ci/{name} is not in this tree" in "\n".join(lines)
    assert f", {parts} failed, " in lines[-1]


def test_what_cannot_run_here_is_skipped_by_name(tree):
    script(tree / "ci/fuzz", "", 77, says="ci/fuzz: cannot run here: no clang++")
    lines = run(tree, "--seconds", "60", "--seed", "5", "--only", "fuzz", "kills")
    assert lines[-1] == "1 passed, 0 failed, 2 skipped"
    assert any("no clang++: ops, log" in line for line in lines)


def test_leaks_that_nobody_may_look_for_are_skipped_by_name(tree):
    script(tree / "ci/fuzz", dict(FUZZ, leaks_skipped="no ptrace"))
    lines = run(tree, "--seconds", "60", "--seed", "5", "--only", "fuzz")
    assert lines[-1] == "2 passed, 0 failed, 2 skipped"
    assert any("no ptrace: ops, leaks, log, leaks" in line for line in lines), lines
    assert all("--merge" in call for call in (tree / "calls").read_text().splitlines() if "--json" in call), "or corpora only grow"


def test_a_tier_that_ran_nothing_fails(tree):
    script(tree / "ci/sanitize", SANITIZED)
    lines = run(tree, "--seconds", "60", "--only", "sanitizers", status=1)
    assert lines[-1] == "0 passed, 0 failed, 1 skipped"


def test_a_build_that_fails_is_the_failure(tree):
    script(tree / "ci/build", "", 1, says="error: no such type")
    lines = run(tree, "--seconds", "60", "--only", "campaign", "--seed", "5", status=1)
    assert lines[-1] == "0 passed, 1 failed, 0 skipped"
    assert lines[-2] == "again: ci/build"


def test_below_their_time_mutants_are_skipped_by_name_but_not_all(tree):
    lines = run(tree, "--seconds", "0.001", "--only", "mutants", "--seed", "5")
    assert lines[-1] == "1 passed, 0 failed, 1 skipped"
    assert any("1 of 2 were tried" in line and line.endswith(("one", "two")) for line in lines)


def test_a_row_of_isolation_is_a_failure_with_its_own_command(tree):
    says = "  Isolation/none.mov/a: expected stopped, landed: 8 bytes changed"
    script(tree / "ci/isolation", ROWS, 1, says=says)
    lines = run(tree, "--seconds", "600", "--only", "isolation", status=1)
    assert lines[-2] == "again: ci/isolation --filter 'none.mov/a'"
    assert lines[-1] == "0 passed, 1 failed, 1 skipped"


@pytest.mark.parametrize("rate, words", [(1_000_000, "1,000,000 a minute, at least 1,000,000"),
                                         (999_999, "999,999 a minute, fewer than 1,000,000")])
def test_the_rate_of_stray_stores_is_told_and_decides_nothing(tree, rate, words):
    script(tree / "build/release/bin/lightning-faults", dict(REAL, stray=dict(REAL["stray"], per_minute=rate)))
    lines = run(tree, "--seconds", "60", "--only", "stray")
    assert sum(f"{mode} {words}" in "\n".join(lines) for mode in ("mprotect", "hidden")) == 2, lines


def test_fuzzing_below_its_aim_or_of_a_target_that_does_not_start_is_a_failure(tree):
    text = (tree / "ci/fuzz").read_text()
    (tree / "ci/fuzz").write_text(text.replace("exit 0\n", "exit 1\n"))
    lines = run(tree, "--seconds", "600", "--seed", "5", "--only", "fuzz-coverage", status=1)
    assert any("96.1 %, the aim is 95 %" in line for line in lines) and lines[-2] == "again: ci/fuzz --coverage"
    (tree / "ci/fuzz").write_text(text.replace("exit 0\n", "exit 77\n"))
    (tree / "ci/fuzz--coverage.json").write_text(json.dumps(dict(COVERAGE, skipped={"mode keys": "no emulator"})))
    lines = run(tree, "--seconds", "600", "--seed", "5", "--only", "fuzz-coverage", "kills")
    assert lines[-1] == "1 passed, 0 failed, 2 skipped" and any("no emulator: coverage, mode keys" in line for line in lines), lines
    script(tree / "ci/oss-fuzz-check", "", 1, says=SERVICE + "\nFAIL afl fuzz-log: exit status 1")
    lines = run(tree, "--seconds", "600", "--seed", "5", "--only", "oss-fuzz", status=1)
    assert lines[-1] == "2 passed, 1 failed, 1 skipped" and lines[-2] == "again: ci/oss-fuzz-check"


def test_a_night_without_time_for_what_fuzzing_proves_skips_it_by_name_and_an_hour_stays_one(tree):
    lines = run(tree, "--budget", "--seconds", "600", "--seed", "5")
    for part in ("fuzz-coverage", "fuzz-mutants", "oss-fuzz"):
        assert any(re.match(rf" *{part} +no time", line) for line in lines), lines
    assert sum(part.weight for part in PARTS) == 3600


def test_windows_under_fire_are_scaled_and_a_mode_that_fails_or_is_missing_is_a_failure(tree):
    run(tree, "--seconds", "150", "--only", "fire")
    run(tree, "--seconds", "20", "--only", "fire")
    calls = [line.split()[1:] for line in (tree / "calls").read_text().splitlines() if "--fire" in line]
    assert calls == [["--fire", "5000000", "--emulated", "300000"], ["--fire", "666667", "--emulated", "0"]]
    for mode in ("mprotect", "keys"):
        script(tree / "ci/isolation", ROWS, 1, says=FIRE.replace(f"[       OK ] Modes/FireTest.NoWindow/{mode}",
                                                                f"[  FAILED  ] Modes/FireTest.NoWindow/{mode}"))
        assert run(tree, "--seconds", "150", "--only", "fire", status=1)[-1] == "3 passed, 1 failed, 0 skipped"
    script(tree / "ci/isolation", ROWS, 77, says=FIRE[:FIRE.index("keys:")] + "== mode keys is left out: no emulator")
    assert run(tree, "--seconds", "150", "--only", "fire")[-1] == "3 passed, 0 failed, 1 skipped"


def test_a_soak_has_rounds_with_seeds_of_their_own(tree):
    lines = run(tree, "--hours", "2.5", "--seed", "5", "--json", "s.json", name="soak")
    read = json.loads((tree / "s.json").read_text())
    assert lines[-1].endswith(f"passed, 0 failed, {3 - has_keys()} skipped")
    campaigns = [part for part in read["parts"] if part["name"].startswith("campaign")]
    assert len(campaigns) == 3 and len({part["seed"] for part in campaigns}) == 3
    assert sum(part["seconds"] for part in read["parts"]) == pytest.approx(2.5 * 3600)
    assert sum(part["name"].startswith("mutants") for part in read["parts"]) == 1


def stopped_in(tree, number, *arguments):
    """(status, lines of output) of a night that gets that signal when a part hangs."""
    pipe = tree / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with subprocess.Popen([tree / "ci/nightly", "--seed", "5", *arguments], cwd=tree, stdout=subprocess.PIPE, text=True) as night:
        try:
            assert select.select([reader], [], [], 60)[0], "no part hangs"
            night.send_signal(number)
            output, _ = night.communicate(timeout=60)
        finally:
            night.kill()
            os.close(reader)
    return night.returncode, output.splitlines()


HANGS = "echo here >pipe; exec tail -f /dev/null\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_night_that_is_stopped_tells_what_it_found_and_what_it_did_not_run(tree, number):
    found = dict(ENGINES, failures=[{"part": "sim", "what": "lost", "reproduce": "lightning-faults replay /there/sim-1"}])
    script(tree / "ci/campaign", found, status=1)
    faults = tree / "build/release/bin/lightning-faults"
    script(faults, REAL)
    left = "lightning-failures/nightly-5/1-kills/engines/real-1"
    faults.write_text("#!/usr/bin/env bash\nls lightning-failures/nightly-5 lightning-failures/nightly-5/bin >early\n"
                      f"mkdir -p {left}; echo '{{\"what\": \"a put is lost\"}}' >{left}/verdict.json\n" + HANGS)
    status, lines = stopped_in(tree, number, "--seconds", "600", "--only", "campaign", "kills", "mutants", "fuzz")
    assert (status, lines[-1]) == (1, "5 passed, 2 failed, 3 skipped"), lines
    assert lines[-3:-1] == ["again: ci/replay /there/sim-1", f"again: ci/replay {tree / left}"]
    for part in ("fuzz", "mutants"):
        assert any(f"{part}: 1: not run: stopped by {number.name} before: {part}" in line for line in lines), lines
    assert any(f"kills: 1: stopped by {number.name} in the middle" in line for line in lines), lines
    read = json.loads((tree / "build/nightly/tier.json").read_text())
    assert (read["passed"], read["failed"], read["skipped"], read["stopped"]) == (5, 2, 3, number.name)
    early = (tree / "early").read_text().splitlines()
    assert "about.json" in early and "lightning-faults" in early, "at the first failure, not at the end"
    folder = tree / "lightning-failures/nightly-5"
    assert json.loads((folder / "about.json").read_text())["seed"] == 5 and (folder / "bin/lightning-faults").is_file()
    assert "a put is lost" in (folder / "1-kills/again.txt").read_text()


def test_a_part_of_many_steps_that_is_stopped_keeps_those_that_it_did(tree):
    script(tree / "ci/fuzz", FUZZ)
    text = (tree / "ci/fuzz").read_text()
    (tree / "ci/fuzz").write_text(text.replace("\n", "\n[[ $1 != log ]] || {\n" + HANGS + "}\n", 1))
    status, lines = stopped_in(tree, signal.SIGTERM, "--seconds", "60", "--only", "fuzz")
    assert (status, lines[-1]) == (1, "1 passed, 0 failed, 1 skipped"), "no pass: it was stopped"


@pytest.mark.parametrize("arguments", [["--seconds", "0"], ["--seconds", "x"], ["--only", "nothing"], ["--seed", "-1"],
                                       ["--nonsense"]])
def test_wrong_usage(tree, arguments):
    run(tree, *arguments, status=2)


def test_time_that_a_part_cannot_use_goes_to_the_others():
    parts = [Part("a", None, 100), Part("b", None, 100, least=40), Part("c", None, 200, least=90)]
    assert tier.shares(parts, 200) == {"a": 50, "b": 50, "c": 100}
    assert tier.shares(parts, 100) == {"a": 50, "b": 50, "c": None}
    assert tier.shares(parts, 60) == {"a": 60, "b": None, "c": None}


def test_a_command_without_an_end_is_ended(tmp_path):
    result = tier.Runner(tmp_path).run(tmp_path / "late.log", ["tail", "-f", "/dev/null"], 0.05)
    assert result.status == 124


def test_what_a_command_leaves_behind_is_ended(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    left = "exec 3>pipe; tail -f /dev/null & echo left"
    result = tier.Runner(tmp_path).run(tmp_path / "left.log", ["bash", "-c", left], 60)
    assert (result.status, result.text) == (0, "left\n")
    # The end of the pipe shows when its last writer is gone.
    assert select.select([reader], [], [], 60)[0] and os.read(reader, 1) == b""
    os.close(reader)


def test_each_planted_bug_of_the_fuzzer_has_its_share_of_the_time():
    assert tier_fuzz.PLANTED == len(mutants.MUTANTS)
