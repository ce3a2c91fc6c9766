"""The workflows call scripts and options that exist, and each job ends by itself."""

import itertools
import pathlib
import re
import subprocess

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))
SERVICE = [path for path in WORKFLOWS if path.name.startswith("cflite_")]  # they build in the service's container
FILES = [*WORKFLOWS, *sorted(ROOT.glob(".github/actions/*/action.yml")),
         *sorted(ROOT.glob("examples/*/.github/workflows/*.yml"))]


def steps_of(read):
    for job in read.get("jobs", {"": read.get("runs")}).values():
        yield from job["steps"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_scripts_and_options_and_actions_exist(path):
    steps = list(steps_of(yaml.safe_load(path.read_text())))
    assert steps
    for step in steps:
        assert ("run" in step) != ("uses" in step), step
        if step.get("uses", "").startswith("./"):
            assert (ROOT / step["uses"] / "action.yml").is_file(), step
        elif "uses" in step:
            assert re.fullmatch(r"[\w-]+(/[\w-]+)+@v\d+", step["uses"]), step
        script = re.match(r"(ci/[\w.-]+)(.*)", step.get("run", ""))
        if script:
            told = subprocess.run([ROOT / script.group(1), "--help"], capture_output=True, text=True, timeout=60, check=True)
            for option in re.findall(r"(?<![\w-])--[a-z-]+", script.group(2)):
                assert option in told.stdout, (script.group(1), option)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_job_ends_by_itself_and_cannot_write(path):
    read = yaml.safe_load(path.read_text())
    assert read["permissions"]["contents"] == "read" and set(read["permissions"].values()) == {"read"}
    for name, job in read["jobs"].items():
        assert 0 < job["timeout-minutes"] <= 360, name


def test_the_matrix_has_every_compiler_build_and_sanitizer():
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    test, sanitize = jobs["test"]["strategy"]["matrix"], jobs["sanitize"]["strategy"]["matrix"]
    assert set(test["compiler"]) == {"g++", "clang++"} and set(test["preset"]) == {"release", "debug"}
    assert set(sanitize["sanitizer"]) == {"address", "thread"} and set(sanitize["compiler"]) == {"gcc", "clang"}


def test_only_what_lets_the_fuzz_corpora_grow_saves_them():
    savers = {}
    for path in FILES:
        for step in steps_of(yaml.safe_load(path.read_text())):
            if "build/fuzz-corpus" in step.get("with", {}).get("path", "") and "cache/restore@" not in step["uses"]:
                savers[path.name] = step
    assert set(savers) == {"nightly.yml"}
    assert savers["nightly.yml"]["uses"].startswith("actions/cache/save@") and savers["nightly.yml"]["if"] == "always()"


def test_clusterfuzzlite_builds_as_oss_fuzz_does():
    ours, theirs = (ROOT / folder for folder in ("fuzz/oss-fuzz", ".clusterfuzzlite"))
    dockerfile = [(folder / "Dockerfile").read_text().partition("\n")[2] for folder in (ours, theirs)]
    assert dockerfile[0].replace("cp fuzz/oss-fuzz/", "cp .clusterfuzzlite/") == dockerfile[1]
    assert (theirs / "build.sh").read_text().endswith("/lightning/fuzz/oss-fuzz/build.sh\"\n")
    whole, part = (yaml.safe_load((folder / "project.yaml").read_text()) for folder in (ours, theirs))
    assert part and part.items() <= whole.items()


def test_clusterfuzzlite_runs_what_it_built_with_every_sanitizer_of_its_project():
    project = yaml.safe_load((ROOT / "fuzz/oss-fuzz/project.yaml").read_text())
    assert [path.name for path in SERVICE] == ["cflite_batch.yml", "cflite_pr.yml"]
    for path in SERVICE:
        (job,) = yaml.safe_load(path.read_text())["jobs"].values()
        build, run = job["steps"]
        assert build["uses"].endswith("/build_fuzzers@v1") and run["uses"].endswith("/run_fuzzers@v1")
        assert build["with"]["language"] == project["language"]
        assert build["with"]["sanitizer"] == run["with"]["sanitizer"] == "${{ matrix.sanitizer }}"
        matrix = job["strategy"]["matrix"]
        rows = matrix.get("include") or [{"sanitizer": its, "mode": run["with"]["mode"]} for its in matrix["sanitizer"]]
        assert {row["sanitizer"] for row in rows} == set(project["sanitizers"])
        assert {row["mode"] for row in rows} == ({"code-change"} if path.name == "cflite_pr.yml" else {"batch", "prune"})
        assert job["timeout-minutes"] * 60 > int(run["with"]["fuzz-seconds"]) + 1800, "with time to build"


def test_every_job_of_a_change_is_annotated_whatever_came_of_it():
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    for name, job in jobs.items():
        assert job["steps"][-1].get("uses") == "./.github/actions/finish", name


def keys_of(job):
    """The keys of the compilers' cache of each job that a matrix makes of one."""
    (key,) = [step["with"]["key"] for step in job["steps"] if step.get("uses") == "./.github/actions/prepare"]
    matrix = dict(job.get("strategy", {}).get("matrix", {}))
    more = matrix.pop("include", [])
    rows = [dict(zip(matrix, values)) for values in itertools.product(*matrix.values())] if matrix else [{}]
    keys = []
    for row in rows + more:
        keys.append(key)
        for axis, value in row.items():
            keys[-1] = keys[-1].replace("${{ matrix.%s }}" % axis, str(value))
        assert "${{" not in keys[-1], keys
    return keys


def test_the_compilers_caches_fit_and_no_job_overwrites_anothers():
    """GitHub keeps 10 GB of a repository, and throws out what was used least: the corpora, if it is these that fill it."""
    keys, limits = [], []
    for path in set(WORKFLOWS) - set(SERVICE):
        read = yaml.safe_load(path.read_text())
        limits.append(int(re.fullmatch(r"(\d+)M", read["env"]["CCACHE_MAXSIZE"])[1]))
        keys += [key for job in read["jobs"].values() for key in keys_of(job)]
    assert len(set(keys)) == len(keys), keys
    assert max(limits) * len(keys) <= 8_000, "with room for corpora and for what pull requests add"
    # `restore-keys` takes the newest cache whose key begins so.
    assert not [(a, b) for a in keys for b in keys if a != b and b.startswith(f"{a}-")]


def test_a_newer_push_of_a_pull_request_alone_ends_the_older_run():
    group = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["concurrency"]
    assert group["cancel-in-progress"] is True
    assert "github.event.pull_request.number || github.run_id" in group["group"]


def test_a_change_fuzzes_each_target_for_some_seconds():
    steps = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["fuzz"]["steps"]
    (run,) = [step["run"] for step in steps if step.get("run", "").startswith("ci/fuzz")]
    assert int(re.search(r"--all --seconds (\d+)", run)[1]) >= 70


def test_the_longest_soak_leaves_time_to_build_and_to_finish():
    read = yaml.safe_load((ROOT / ".github/workflows/nightly.yml").read_text())
    told = read[True]["workflow_dispatch"]["inputs"]["soak-hours"]["description"]  # YAML 1.1 reads `on` as true
    most = int(re.search(r"(\d+) at most", told)[1])
    steps = [step for step in read["jobs"]["nightly"]["steps"] if "HOURS" in step.get("env", {})]
    assert "ci/soak" in steps[1]["run"], "behind what refuses a longer one"
    for hours, status in ((most, 0), (most + 0.1, 1), ("x", 1)):
        done = subprocess.run(["bash", "-ec", steps[0]["run"]], env={"HOURS": str(hours), "PATH": "/usr/bin:/bin"}, check=False)
        assert done.returncode == status, hours
    assert most * 60 + 90 <= read["jobs"]["nightly"]["timeout-minutes"]


JUNIT = """<testsuites><testsuite><testcase classname="t" name="test_add[instruction-7]"><failure
message="half, &#10;100%">where it stood
again: cd /w &amp;&amp; v/bin/python -m pytest 'tests/t.py' --kill-at instruction:7
</failure></testcase><testcase name="well"/><testcase name="b"><error message="no fixture">text</error></testcase></testsuite></testsuites>"""


@pytest.mark.parametrize("junit, lines", [
    (JUNIT, ["::error title=test_add[instruction-7]::half, %0A100%25%0Aagain: cd /w && v/bin/python -m pytest 'tests/t.py' "
             "--kill-at instruction:7", "::error title=b::no fixture"]),
    (None, ["::error title=crash::pytest left no crash.xml"]),
    ("<cut", ["::error title=crash::pytest left no crash.xml"]),
], ids=["failures", "no file", "cut file"])
def test_the_examples_workflow_annotates_each_failure_with_what_repeats_it(tmp_path, junit, lines):
    read = yaml.safe_load((ROOT / "examples/crash-suite/.github/workflows/crash.yml").read_text())
    (step,) = [step for step in steps_of(read) if "::error" in step.get("run", "")]
    assert step["if"] == "failure()"
    if junit:
        (tmp_path / "crash.xml").write_text(junit)
    done = subprocess.run(["bash", "-ec", step["run"]], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == lines


def test_the_examples_workflow_installs_the_plugin_from_where_the_guide_says():
    text = (ROOT / "examples/crash-suite/.github/workflows/crash.yml").read_text()
    place = re.search(r"vars.LIGHTNING_FAULTS \|\| '\./(.*)'", text)[1]
    assert f"`{place}`" in (ROOT / "docs/adopting.md").read_text()


def test_each_tier_that_writes_json_is_annotated_whatever_came_of_it():
    for path in WORKFLOWS:
        for name, job in yaml.safe_load(path.read_text())["jobs"].items():
            if any("--json" in step.get("run", "") for step in job["steps"]):
                last = job["steps"][-1]
                assert last["uses"] == "./.github/actions/finish" and last["if"] == "always()", name
                written = {match for step in job["steps"] for match in re.findall(r"--json (\S+)", step.get("run", ""))}
                assert written == {last["with"]["json"]}, name
