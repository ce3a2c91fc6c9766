"""The workflows call scripts and options that exist, and each job ends by itself."""

import pathlib
import re
import subprocess

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))
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
    assert read["permissions"] == {"contents": "read"}
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


def test_each_tier_that_writes_json_is_annotated_whatever_came_of_it():
    for path in WORKFLOWS:
        for name, job in yaml.safe_load(path.read_text())["jobs"].items():
            if any("--json" in step.get("run", "") for step in job["steps"]):
                last = job["steps"][-1]
                assert last["uses"] == "./.github/actions/finish" and last["if"] == "always()", name
                written = {match for step in job["steps"] for match in re.findall(r"--json (\S+)", step.get("run", ""))}
                assert written == {last["with"]["json"]}, name
