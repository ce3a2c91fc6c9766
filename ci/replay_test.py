"""ci/replay: each kind of folder that a tier leaves is replayed by what found it."""

import json
import pathlib
import shlex
import shutil
import subprocess

import pytest

import kept

ROOT = pathlib.Path(__file__).resolve().parent.parent
def fake(path, status):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/usr/bin/env bash\n[[ $1 != replay ]] || {{ echo "replays ${{*:2}}"; exit {status}; }}\n')
    path.chmod(0o755)


def replay(*arguments):
    return subprocess.run([ROOT / "ci/replay", *arguments], capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("status", [0, 1, 77])
def test_a_failure_is_replayed_by_the_programs_that_found_it(tmp_path, status):
    folder = tmp_path / "nightly-7/1-campaign/engines/sim-1"
    folder.mkdir(parents=True)
    (folder / "verdict.json").write_text(json.dumps({"engine": "sim"}))
    fake(tmp_path / "nightly-7/bin/lightning-faults", status)
    done = replay("--plain", folder)
    assert done.returncode == status and done.stdout == f"replays {folder}\n", done
    # The tier's folder replays each that it has.
    done = replay("--plain", tmp_path / "nightly-7")
    assert done.returncode == status and done.stdout == f"replays {folder}\n", done


def test_a_downloaded_artifacts_programs_need_no_execute_bit(tmp_path):
    folder = tmp_path / "nightly-7/1-campaign/engines/sim-1"
    folder.mkdir(parents=True)
    (folder / "verdict.json").write_text(json.dumps({"engine": "sim"}))
    fake(tmp_path / "nightly-7/bin/lightning-faults", 1)
    (tmp_path / "nightly-7/bin/lightning-faults").chmod(0o644)
    done = replay("--plain", folder)
    assert done.returncode == 1 and done.stdout == f"replays {folder}\n", done


def test_a_failure_that_shows_again_outweighs_those_that_cannot_run(tmp_path):
    for name, status in (("a", 1), ("b", 77), ("c", 0)):
        folder = tmp_path / f"nightly-7/{name}/sim-1"
        folder.mkdir(parents=True)
        (folder / "verdict.json").write_text(json.dumps({"engine": "sim"}))
        fake(tmp_path / f"nightly-7/{name}/bin/lightning-faults", status)
    assert replay("--plain", tmp_path / "nightly-7").returncode == 1
    assert replay("--plain", tmp_path / "nightly-7/b").returncode == 77


def test_failures_without_a_plan_show_their_commands(tmp_path):
    (tmp_path / "1-fuzz").mkdir()
    (tmp_path / "1-fuzz/again.txt").write_text("ops: artifact\n  ci/fuzz replay x\n")
    done = replay(tmp_path)
    assert done.returncode == 77 and "ci/fuzz replay x" in done.stdout, done


def copy_of_ci(tree):
    (tree / "ci").mkdir(parents=True)
    for name in ("common.sh", "replay", "kept.py"):
        shutil.copy(ROOT / "ci" / name, tree / "ci" / name)
    return tree / "ci"


@pytest.mark.parametrize("place,status", [("bin", 0), ("bin", 1), ("bin", 77), ("bin", 139), ("bin/asan", 1)])
def test_a_folder_of_ci_test_or_ci_sanitize_is_replayed_elsewhere_by_the_programs_in_it(tmp_path, place, status):
    """Found in one tree, moved, and replayed in another: no path of the first is left, and its build is gone."""
    found = tmp_path / "found here"
    built, folder = found / "build/release/bin", found / "lightning-failures/test-1"
    (folder / "output").mkdir(parents=True)
    built.mkdir(parents=True)
    (built / "store_tests").write_text(f'#!/usr/bin/env bash\necho "$0|$*|$LIGHTNING_BIN_DIR|$SOURCES|$PWD"\nexit {status}\n')
    command = shlex.join(["env", f"LIGHTNING_BIN_DIR={built}", f"SOURCES={found}", "bash", f"{built}/store_tests"])
    (folder / "output/store_tests.command").write_text(f"{command} '--gtest_output=xml:{found}/x.xml'\n")
    filtered = f"{command} '--gtest_filter=A.*'"
    (folder / "again.txt").write_text(f"store_tests: A.x: lost\n  touch it\n  {filtered}\nstore_tests: A.y: lost\n  {filtered}\n")
    kept.describe(found, folder, "ci/test", ["store_tests"], {place: built})
    elsewhere, sources = tmp_path / "else/where", tmp_path / "other sources"
    shutil.copytree(folder, elsewhere)
    shutil.rmtree(found)
    assert "found here" not in (elsewhere / "again.txt").read_text()
    done = subprocess.run([copy_of_ci(sources) / "replay", elsewhere], capture_output=True, text=True, timeout=60, check=False)
    expected = f"{elsewhere}/{place}/store_tests|--gtest_filter=A.*|{elsewhere}/{place}|{sources}|{sources}\n"
    assert (done.returncode, done.stdout) == (status, expected), done
    assert not (sources / "it").exists(), "a test's own text is no command"


def test_what_a_sanitizer_found_in_a_night_is_replayed_with_the_rest_of_the_night(tmp_path):
    night = tmp_path / "nightly-7"
    folder = night / "1-sanitizers/sanitize-address-gcc"
    (folder / "output").mkdir(parents=True)
    (night / "about.json").write_text("{}")
    (night / "1-sanitizers/again.txt").write_text("A.x: lost\n  ci/replay there\n")
    (folder / "about.json").write_text("{}")
    (folder / "again.txt").write_text("A.x: lost\n  bash bin/asan/store_tests\n")
    (folder / "output/A.command").write_text("bash bin/asan/store_tests\n")
    (folder / "bin/asan").mkdir(parents=True)
    (folder / "bin/asan/store_tests").write_text("echo it failed again; exit 1\n")
    replayed = [copy_of_ci(tmp_path / "tree") / "replay"]
    for place in ([night], [night, "--rr"], [night / "1-sanitizers"], [folder]):  # what no plan made is not recorded
        done = subprocess.run([*replayed, *place], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1 and done.stdout.count("it failed again") == 1, done


@pytest.mark.parametrize("status", [0, 1, 77])
def test_an_artifact_is_replayed_by_ci_fuzz(tmp_path, status):
    ci = copy_of_ci(tmp_path / "tree")
    (ci / "fuzz").write_text(f'#!/usr/bin/env bash\necho "$@"\nexit {status}\n')
    (ci / "fuzz").chmod(0o755)
    artifact = tmp_path / "log/crash-0123"
    artifact.parent.mkdir()
    artifact.touch()
    done = subprocess.run([ci / "replay", "log/crash-0123"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (status, f"replay {artifact}\n"), done


def test_the_difference_has_what_git_does_not_know_yet(tmp_path):
    def git(*words):
        return subprocess.run(["git", *words], cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    (tmp_path / "known.txt").write_text("old\n")
    (tmp_path / ".gitignore").write_text("ignored\nleft/\n")
    git("init", "-q")
    git("add", ".")
    git("-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "m")
    (tmp_path / "known.txt").write_text("new\n")
    (tmp_path / "ignored").write_text("built\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/added.txt").write_text("added\n")
    (tmp_path / "added.image").write_bytes(bytes(range(256)))
    (tmp_path / "left").mkdir()
    before = git("status", "--porcelain")
    kept.describe(tmp_path, tmp_path / "left", "ci/test")
    assert git("status", "--porcelain") == before, "the index is as it was"
    patch = tmp_path / "left/source.patch"
    git("apply", "--reverse", patch)
    assert git("status", "--porcelain") == ""
    git("apply", patch)
    assert git("status", "--porcelain") == before
    assert (tmp_path / "added.image").read_bytes() == bytes(range(256)) and (tmp_path / "ignored").exists()


@pytest.mark.parametrize("arguments", [[], ["--rr", "--vm", "."], ["/no/such/folder"], ["--nonsense", "."]])
def test_wrong_usage(arguments):
    assert replay(*arguments).returncode == 2
