"""What the scripts share: help from anywhere, the emulated machine's rights, and commands that can be pasted."""

import json
import os
import pathlib
import shlex
import shutil
import subprocess

import pytest

import summarize
import tier_parts

CI = pathlib.Path(__file__).resolve().parent
SCRIPTS = sorted(path.name for path in CI.iterdir() if path.is_file() and not path.suffix and os.access(path, os.X_OK))


def executable(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/usr/bin/env bash\n" + text)
    path.chmod(0o755)


def run(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **more)


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_is_printed_from_another_folder(name):
    done = run("../ci/" + name, "--help", cwd=CI.parent / "docs")
    assert done.returncode == 0 and done.stdout.startswith(f"{name}: "), done


@pytest.mark.parametrize("name", ["nightly", "soak"])
def test_the_help_of_a_tier_names_each_of_its_parts(name):
    described = run(str(CI / name), "--help").stdout.partition("  --only PART...  ")[2].partition("  --budget  ")[0]
    assert described.partition(": ")[2].split() == [part.name for part in tier_parts.PARTS]


def test_every_use_of_the_emulated_machine_has_the_rights_that_it_needs():
    """As a user with sudo: the functions of common.sh, where `sudo` is a function too."""
    script = ((CI / "common.sh").read_text() + "sudo() { [[ $* == '-n true' ]] || echo \"as root: $*\"; }\n"
              "find_root && pku_vm --fetch\n")
    another = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    done = run(*another, "bash", "-c", script, cwd="/")
    assert done.stdout == "as root: -n -E ci/pku-vm --fetch\n", done
    for name in ("isolation", "keys-lane"):
        lines = [line.split("#")[0] for line in (CI / name).read_text().splitlines()]
        assert any("pku_vm " in line for line in lines), name
        assert not [line for line in lines if "ci/pku-vm -" in line], f"{name} goes past pku_vm"


# Stand before the programs of those names, since bash looks for functions first.
MACHINE = {
    "apt-cache": '() { [[ -e $FAKE/lists && ("$*" == *" clang" || "$*" == *libclang-rt-18-dev) ]] || return 100; '
                 'echo "  Depends: clang-18"; }',
    "dpkg-query": '() { [[ "$*" == *clang* ]] || echo "install ok installed"; }',
    "env": '() { [[ "$*" != *" update" ]] || : >"$FAKE/lists"; echo "$*" >>"$FAKE/calls"; }',
    "sudo": '() { "$@"; }',
}


@pytest.mark.skipif(not shutil.which("apt-get"), reason="packages come from Debian or Ubuntu")
@pytest.mark.skipif(os.geteuid() != 0 and not shutil.which("sudo"), reason="nothing installs without root or sudo")
def test_a_machine_without_lists_of_packages_gets_clang_and_the_runtime_of_its_version(tmp_path):
    fakes = {f"BASH_FUNC_{name}%%": text for name, text in MACHINE.items()}
    done = run(CI / "setup", "--with-fuzz", env=dict(os.environ, FAKE=str(tmp_path), **fakes))
    assert done.returncode == 0, done
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[0].endswith(" update") and calls[-1].endswith(" clang libclang-rt-18-dev"), calls


@pytest.mark.parametrize("arguments, built", [
    ([], ""), (["--target", "a", "b"], " --target a b"), (["debug", "--target", "a"], " --target a")])
def test_a_build_of_some_programs_goes_the_way_of_all(tmp_path, arguments, built):
    (tmp_path / "ci").mkdir()
    for name in ("ci/common.sh", "ci/build", "CMakePresets.json"):
        shutil.copy(CI.parent / name, tmp_path / name)
    executable(tmp_path / "ci/setup", "")
    cmake = {"BASH_FUNC_cmake%%": '() { [[ $1 == --preset ]] || echo "$*" >>calls; }',
             "BASH_FUNC_flock%%": "() { echo lock >>calls; }"}
    subprocess.run([tmp_path / "ci/build", *arguments], env=dict(os.environ, JOBS="1", **cmake), timeout=60, check=True)
    preset = arguments[0] if arguments[:1] == ["debug"] else "release"
    assert (tmp_path / "calls").read_text().splitlines() == ["lock", f"--build build/{preset} -j 1{built}"]


@pytest.mark.parametrize("broken", [False, True])
def test_what_lint_finds_is_in_its_json(tmp_path, broken):
    for name in ("common.sh", "lint"):
        (tmp_path / "ci").mkdir(exist_ok=True)
        shutil.copy(CI / name, tmp_path / "ci" / name)
    executable(tmp_path / "ci/setup", "")
    (tmp_path / "ci/lint.py").write_text("")
    report = "echo 'a.sh: it is \"quoted\"'; return 1" if broken else "true"
    fakes = {f"BASH_FUNC_{name}%%": f"() {{ {text}; }}"
             for name, text in (("clang-format-14", "true"), ("cmake", "true"), ("shellcheck", report))}
    done = run(tmp_path / "ci/lint", "--fast", "--json", "l.json", cwd=tmp_path, env=dict(os.environ, **fakes))
    read = json.loads((tmp_path / "l.json").read_text())
    assert done.returncode == broken and (read["passed"], read["failed"]) == (6 - broken, broken), done
    found = [{"test": "scripts", "message": 'a.sh: it is "quoted"', "again": "ci/lint"}]
    assert read["failures"] == (found if broken else [])


@pytest.mark.parametrize("name", ["isolation", "mutants"])
def test_what_is_built_is_built_by_the_script_that_locks(name):
    text = (CI / name).read_text()
    assert "ci/build --target" in text and "cmake" not in text


@pytest.mark.skipif("ospke" in pathlib.Path("/proc/cpuinfo").read_text(), reason="the hardware has keys: no lane")
@pytest.mark.skipif(os.geteuid() != 0, reason="the lane needs root")
def test_what_repeats_a_failure_of_the_keys_lane_is_a_command(tmp_path):
    for name in ("common.sh", "keys-lane", "summarize.py", "kept.py"):
        (tmp_path / "ci").mkdir(exist_ok=True)
        shutil.copy(CI / name, tmp_path / "ci" / name)
    executable(tmp_path / "ci/pku-vm",
               '[[ $1 == --fetch ]] || printf \'%s\\n\' "emulated $LIGHTNING_EMULATED" "$@" >calls\n')
    program, results = tmp_path / "a bin/pkeys_tests", tmp_path / "build/results"
    executable(program, "")
    results.mkdir(parents=True)
    done = run(tmp_path / "ci/keys-lane", "--results", results, env=dict(os.environ, LIGHTNING_BIN_DIR=program.parent))
    assert done.returncode == 0, done
    suite = summarize.Suite("keys-lane.pkeys_tests", (results / "keys-lane.pkeys_tests.command").read_text().strip())
    suite.fail("Gate.x/keys", "lost")
    subprocess.run(["bash", "-c", summarize.again(suite)], cwd=tmp_path, timeout=60, check=True)
    called = (tmp_path / "calls").read_text().splitlines()
    assert called[0] == "emulated 1" and called[-3:] == ["--", str(program), "--gtest_filter=Gate.x/keys"], called
