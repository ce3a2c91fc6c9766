"""ci/oss-fuzz-check in a tree whose build.sh makes small scripts: what is missing or fails is counted, named and kept."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

CI = pathlib.Path(__file__).resolve().parent
ROOT = CI.parent
TARGET = """#!/usr/bin/env bash
for word; do
  case $word in -artifact_prefix=*) found=${word#*=} ;; esac
done
echo "$@" >>"$SRC/lightning/calls"
ls "${@: -1}" >>"$SRC/lightning/seeds"
"""


def fuzzer_runtime():
    if not shutil.which("clang++"):
        return False
    folder = subprocess.run(["clang++", "-print-resource-dir"], capture_output=True, text=True, check=True).stdout.strip()
    return (pathlib.Path(folder) / "lib/linux/libclang_rt.fuzzer-x86_64.a").exists()


pytestmark = pytest.mark.skipif(not fuzzer_runtime(), reason="clang++ with libFuzzer is not installed")


def executable(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture(name="tree")
def fake_tree(tmp_path):
    for name in ("common.sh", "oss-fuzz-check"):
        (tmp_path / "ci").mkdir(exist_ok=True)
        shutil.copy(CI / name, tmp_path / "ci" / name)
    executable(tmp_path / "ci/setup", "#!/usr/bin/env bash\n")
    (tmp_path / "fuzz/dictionaries").mkdir(parents=True)
    (tmp_path / "fuzz/dictionaries/plan.dict").write_text('"a"\n')
    (tmp_path / "target").write_text(TARGET)
    build(tmp_path)
    return tmp_path


def build(tree, without="", more=""):
    """A build.sh that leaves what the service looks for, but for the files that match `without`."""
    executable(tree / "fuzz/oss-fuzz/build.sh", f"""#!/usr/bin/env bash
set -e
cd "$OUT"
for target in $LIGHTNING_FUZZ_TARGETS; do
  cp "$SRC/lightning/target" fuzz-$target
  chmod +x fuzz-$target
  {sys.executable} -c 'import sys, zipfile; zipfile.ZipFile(sys.argv[1], "w").writestr("a-seed", "x")' fuzz-${{target}}_seed_corpus.zip
  printf '[libfuzzer]\\nmax_len = 7\\n[asan]\\ndetect_leaks = 0\\n' >fuzz-$target.options
done
echo '"a"' >fuzz-plan.dict
rm -f {without}
{more}
""")


def run(tree, *arguments, status=0):
    done = subprocess.run([tree / "ci/oss-fuzz-check", "--targets", "plan history", *arguments], cwd=tree,
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == status, done
    return done.stdout.splitlines()


def test_each_target_starts_with_its_own_seeds_and_options(tree):
    lines = run(tree, "--no-afl")
    assert lines[-1] == "4 passed, 0 failed, 0 skipped", lines
    assert (tree / "seeds").read_text() == "a-seed\n" * 2
    assert all("-max_len=7 -runs=201" in line for line in (tree / "calls").read_text().splitlines())
    assert not (tree / "lightning-failures").exists()


@pytest.mark.parametrize("without, missing", [
    ("fuzz-plan_seed_corpus.zip", "seeds"), ("fuzz-plan.options", "options"), ("fuzz-plan.dict", "dictionary")])
def test_what_is_missing_beside_a_target_is_a_failure_by_name(tree, without, missing):
    build(tree, without)
    lines = run(tree, "--no-afl", status=1)
    assert f"FAIL libfuzzer-address parts of fuzz-plan: missing: {missing}" in lines
    assert lines[-1] == "2 passed, 1 failed, 0 skipped", lines


def test_a_failure_leaves_its_artifact_and_log(tree):
    (tree / "target").write_text(TARGET + 'echo it crashed; echo bytes >"${found}crash-1"; [[ $0 != *history ]]\n')
    lines = run(tree, "--no-afl", status=1)
    assert lines[-1] == "2 passed, 2 failed, 0 skipped", "an artifact is a failure whatever the exit status says"
    (folder,) = (tree / "lightning-failures").glob("oss-fuzz-*")
    kept = folder / "libfuzzer-address/plan"
    assert (kept / "crash-1").read_text() == "bytes\n" and (kept / "plan.log").read_text() == "it crashed\n"


def test_a_build_that_fails_is_a_failure_of_each_target(tree):
    build(tree, more="echo no such type; exit 1")
    assert run(tree, "--no-afl", status=1)[-1] == "0 passed, 2 failed, 0 skipped"
    (log,) = (tree / "lightning-failures").glob("oss-fuzz-*/libfuzzer-address/build/log")
    assert log.read_text() == "no such type\n"


@pytest.mark.parametrize("arguments, status, last", [
    ([], 0, "4 passed, 0 failed, 2 skipped"), (["--afl-only"], 77, None)])
def test_without_afl_its_targets_are_skipped_by_name(tree, arguments, status, last):
    script = tree / "ci/oss-fuzz-check"
    script.write_text(script.read_text().replace("afl-clang-fast++ >", "no-such-compiler >"))
    lines = run(tree, *arguments, status=status)
    assert (lines[-1] if lines else None) == last
    if last:
        assert [line for line in lines if line.startswith("SKIP afl fuzz-")] and "fuzz-plan" in "".join(lines)


def test_the_service_limits_inputs_as_ci_fuzz_does():
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    told = subprocess.run([sys.executable, "-c", "from fuzz.tasks import TARGETS\nfor name, its in TARGETS.items(): print(name, its.max_len)"],
                          env=environment, capture_output=True, text=True, check=True).stdout
    table = re.search(r"max_len=\((.*)\)", (ROOT / "fuzz/oss-fuzz/build.sh").read_text())[1]
    assert dict(re.findall(r"\[(\w+)\]=(\d+)", table)) == dict(line.split() for line in told.splitlines())
