"""What is left of a failure: the folder, its replay in a new process, the same in gdb, and as one file.

The bug is planted in the step engine's victim (planted-victim stores to a cell without an undo entry before each put).
The programs are in $LIGHTNING_BIN_DIR, else in build/release/bin.
"""

import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("LIGHTNING_BIN_DIR") or ROOT / "build/release/bin")
PLAN = """lightning plan 1
seed 5
segment {
  max-objects 40
  heap 256K
}
client reader {
  before {
    put "k" size 3000 tag 1 metadata 20
    pin "k"
  }
}
client other {
  put "x" size 10 tag 2
  delete "x"
}
client victim {
  before {
    put "mine" size 100 tag 4
  }
  delete "mine"
  put "k" size 2000 tag 3
  get "k"
}
"""


def run(*args, cwd=None, timeout=300):
    # As from a new shell: nothing but a path.
    environment = {"PATH": f"{BIN}:/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": os.environ.get("TMPDIR", "/tmp")}
    return subprocess.run([str(word) for word in args], cwd=cwd, env=environment, capture_output=True, text=True,
                          timeout=timeout, check=False)


@pytest.fixture(scope="module", name="failure")
def found_failure(tmp_path_factory):
    """(folder it was found in, path of what was left, what the finder printed)."""
    home = tmp_path_factory.mktemp("failure")
    (home / "bug.plan").write_text(PLAN)
    done = run("lightning-faults", "step", "--plan", "bug.plan", "--victim", BIN / "planted-victim", "--depth", "0",
               cwd=home)
    assert done.returncode == 1, done
    again = re.search(r"again: (lightning-faults replay (\S+))\n", done.stdout)
    assert again, done.stdout
    return home, home / again[2], again[1]


def test_the_folder_has_all_there_is_to_know(failure):
    _, folder, _ = failure
    verdict = json.loads((folder / "verdict.json").read_text())
    assert verdict["engine"] == "step"
    assert verdict["class"].startswith("undo before store: central offset ")
    assert verdict["seed"] == 5
    assert re.fullmatch(r"[0-9a-f]{16,}", verdict["build_id"])
    assert verdict["versions"]["kernel"] == os.uname().release
    before, after = ((folder / f"{name}.image").read_bytes() for name in ("before", "after"))
    assert len(before) == len(after) > 4096
    assert before[:8] == after[:8] == b"LGTHNNG1"
    assert before != after, "the victim was not recovered"
    last = [line for line in (folder / "trace.txt").read_text().splitlines() if not line.startswith(" ")][-1]
    assert int(last.split()[0]) == verdict["at"][0]
    assert "StoreWithoutUndo" in last and "planted_victim_main.cc:" in last
    assert re.search(r"^    central evictions: 0x0 -> 0x1  at 0x[0-9a-f]+$", (folder / "trace.txt").read_text(), re.M)


def test_the_plan_is_as_small_as_the_bug_allows(failure):
    _, folder, _ = failure
    plan = (folder / "plan.txt").read_text()
    assert (folder / "found-as.txt").read_text().count("client ") == 3
    assert plan.count("client ") == 1
    assert re.findall(r"^ +(\w+) \"", plan, re.M) == ["put"]
    assert "size" not in plan and "metadata" not in plan


def test_the_printed_command_shows_the_same_failure(failure):
    home, folder, command = failure
    done = run(*shlex.split(command), cwd=home)
    assert done.returncode == 1, done
    assert f"the same failure as in {folder.relative_to(home)}" in done.stdout


def test_a_failure_of_another_class_and_one_that_is_gone_are_told_apart(failure, tmp_path):
    _, folder, _ = failure
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    verdict = json.loads((folder / "verdict.json").read_text())
    (copy / "verdict.json").write_text(json.dumps({**verdict, "class": "something else"}))
    done = run("lightning-faults", "replay", copy)
    assert done.returncode == 1 and "another failure than" in done.stdout, done
    sound = {name: value for name, value in verdict.items() if name != "victim"}
    (copy / "verdict.json").write_text(json.dumps(sound))
    done = run("lightning-faults", "replay", copy)
    assert done.returncode == 0 and "it does not fail any more" in done.stdout, done


def test_a_pack_replays_and_another_build_is_named(failure, tmp_path):
    _, folder, _ = failure
    copy = tmp_path / folder.name
    shutil.copytree(folder, copy)
    done = run("lightning-faults", "pack", copy, cwd=tmp_path)
    assert done.returncode == 0, done
    pack = tmp_path / f"{folder.name}.tar.gz"
    assert pack.is_file() and f"again: lightning-faults replay {pack.name}" in done.stdout
    again = run("lightning-faults", "replay", pack.name, cwd=tmp_path)
    assert again.returncode == 1 and "the same failure" in again.stdout, again
    assert "another build" not in again.stderr
    verdict = json.loads((copy / "verdict.json").read_text())
    (copy / "verdict.json").write_text(json.dumps({**verdict, "build_id": "0123"}))
    assert run("lightning-faults", "pack", copy, "--output", "other.tar.gz", cwd=tmp_path).returncode == 0
    other = run("lightning-faults", "replay", "other.tar.gz", cwd=tmp_path)
    assert other.returncode == 1 and "another build found it: 0123" in other.stderr, other


@pytest.mark.skipif(not shutil.which("gdb"), reason="gdb is not installed")
def test_gdb_stops_at_the_killing_instruction_and_prints_the_store(failure):
    _, folder, _ = failure
    done = run("lightning-faults", "replay", folder, "--gdb", "--batch")
    assert done.returncode == 1, done
    killing, after = done.stdout.split("after it:")
    assert "StoreWithoutUndo" in killing and "planted_victim_main.cc" in killing
    assert "*counter = *counter + 1" in killing, "the source line"
    at = re.search(r"=> (0x[0-9a-f]+) .*mov ", killing)
    assert at, "the instruction"
    then = re.search(r"=> (0x[0-9a-f]+) ", after)
    assert 0 < int(then[1], 16) - int(at[1], 16) <= 15, "it was executed, and no more than that"
    assert re.search(r"^slot 0: \{active, generation 1, pid \d+", after, re.M), after
    assert "undo log of slot 0: 0 entries" in after
    assert "locks: 0 held" in after
    assert "Error" not in done.stdout + done.stderr


@pytest.mark.skipif(not shutil.which("gdb"), reason="gdb is not installed")
def test_gdb_watches_a_word_by_its_name(tmp_path):
    segment = tmp_path / "segment"
    assert run("lightning-store", "create", "-s", segment, "--size", "4M").returncode == 0
    command = [str(BIN / "lightning-store"), "watch", "--isolation", "none", "-s", str(segment)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as client:
        try:
            client.stderr.readline()  # it has mapped the segment
            done = run("gdb", "-q", "-nx", "-batch", "-p", client.pid, "-x", ROOT / "faults/gdb/lightning_printers.py",
                       "-ex", "lightning segment", "-ex", "lightning name 0x10b0", "-ex", "lightning watch central evictions",
                       "-ex", "lightning watch no such word")
        finally:
            client.kill()
    base = int(re.search(r"^segment .* at (0x[0-9a-f]+),", done.stdout, re.M)[1], 16)
    assert "\ncentral evictions\n" in done.stdout, done
    assert f"watchpoint 1: -location *(unsigned long*){base + 0x10b0:#x}" in done.stdout, done
    assert "no word is called no such word" in done.stdout + done.stderr, done


def test_rr_goes_back_to_the_writer_of_the_word(failure, tmp_path):
    _, folder, _ = failure
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    done = run("env", f"HOME={pathlib.Path.home()}", f"LIGHTNING_BIN_DIR={BIN}", ROOT / "ci/replay", "--rr", copy, timeout=600)
    if done.returncode == 77:
        missing = next(line for line in done.stderr.splitlines() if "cannot run here: rr" in line)
        assert "--vm" in done.stderr, done
        pytest.skip(missing)
    assert done.returncode == 1 and "; the word: central evictions" in done.stdout, done
    command = shlex.split(re.search(r"back to its writer: (.*)", done.stdout)[1])
    back = subprocess.run(command, input="quit\n", cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert re.search(r"#0 .*StoreWithoutUndo", back.stdout), back


@pytest.mark.parametrize("record, replay, status, said", [
    (77, 1, 77, "cannot run here: the emulated machine ended with status 77"),
    (125, 1, 1, "failed: the emulated machine ended with status 125"),
    (0, 1, 1, "failed: the emulated machine ended with status 0"),
    (1, 124, 1, "failed: the replay, with status 124, is not what was recorded"),
    (1, 0, 1, "failed: the replay, with status 0, is not what was recorded"),
])
def test_only_what_the_machine_lacks_is_no_failure_of_a_recording(failure, tmp_path, record, replay, status, said):
    copy = tmp_path / "copy"
    shutil.copytree(failure[1], copy)
    (tmp_path / "CMakeLists.txt").touch()
    (tmp_path / "faults/mutants").mkdir(parents=True)
    for name, text in (("store/log/transaction.h", ""), ("ci/pku-vm", f"""#!/usr/bin/env bash
while (($#)); do
  case $1 in
    --record) touch "$2.initrd"; exit {record} ;;
    --replay) exit {replay} ;;
  esac
  shift
done
""")):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "ci/pku-vm").chmod(0o755)
    done = run("lightning-faults", "replay", copy, "--vm", "--gdb", "--batch", cwd=tmp_path)
    assert done.returncode == status and said in done.stderr, done
    assert (copy / "machine.initrd").exists() == (record == 1), "no half of a recording is left"


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("gdb"), reason="gdb is not installed")
def test_an_emulated_machine_records_it_and_gdb_goes_back_to_the_writer_of_the_word(failure, tmp_path):
    _, folder, _ = failure
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    # The machine's parts are fetched once for a user.
    replay = ("env", f"HOME={pathlib.Path.home()}", "lightning-faults", "replay", copy, "--vm")
    done = run(*replay, timeout=900)
    if done.returncode == 77:
        # ci/pku-vm says what is missing.
        pytest.skip(next(line for line in (done.stdout + done.stderr).splitlines() if "cannot run here: " in line))
    assert done.returncode == 1, done
    assert done.stdout.count("no undo log covers it") >= 2, done  # here, and in the machine
    assert "the same failure, instruction for instruction" in done.stdout, done
    assert (copy / "machine.initrd").exists()
    back = run(*replay, "--gdb", "--batch", timeout=900)
    assert back.returncode == 1 and "recording in" not in back.stdout, back  # the recording is enough
    assert re.search(r"change 1 of 1: central evictions is 0x1, by .*StoreWithoutUndo", back.stdout), back
    assert "*counter = *counter + 1" in back.stdout, "the source line"
    at = re.search(r"=> (0x[0-9a-f]+) .*mov ", back.stdout)
    trace = (copy / "machine.output").read_text()
    assert int(at[1], 16) == int(re.findall(r"^\d+  (0x\w+)  ", trace, re.M)[-1], 16), "the instruction of the trace"
    assert re.search(r"^#\d+ .* in main ", back.stdout, re.M), "its callers"


def test_the_trace_of_this_run_is_that_of_the_folder(failure):
    _, folder, _ = failure
    done = run("lightning-faults", "replay", folder, "--trace")
    assert done.returncode == 1, done
    assert re.sub(r"0x[0-9a-f]{8,}", "", (folder / "trace.txt").read_text()) in re.sub(r"0x[0-9a-f]{8,}", "", done.stdout)
    assert run("lightning-faults", "replay", folder, "--trace", "--gdb").returncode == 2


def test_a_run_that_repeats_itself_passes_twice():
    for operation in ("put-replace", "recover", "attach"):
        done = run("lightning-faults", "step", "--op", operation, "--seed", "3", "--twice", "--seconds", "0.1", "--depth",
                   "0", "--quiet", "--no-keep")
        assert done.returncode == 0, done


def test_a_run_that_does_not_repeat_itself_is_a_finding(tmp_path):
    # Before a `contains`, the planted victim takes as many steps as the clock says.
    (tmp_path / "clock.plan").write_text("lightning plan 1\nclient victim {\n  contains \"k\"\n}\n")
    done = run("lightning-faults", "step", "--plan", "clock.plan", "--victim", BIN / "planted-victim", "--depth", "0",
               "--twice", "--no-keep", cwd=tmp_path)
    assert done.returncode == 1, done
    assert "the harness is not deterministic" in done.stdout and "planted_victim_main.cc" in done.stdout, done


def test_what_is_no_failure_is_wrong_usage(tmp_path):
    assert run("lightning-faults", "replay", tmp_path).returncode == 2
    assert run("lightning-faults", "pack", tmp_path).returncode == 2
    (tmp_path / "junk.tar.gz").write_text("junk")
    assert run("lightning-faults", "replay", tmp_path / "junk.tar.gz").returncode == 2
    assert run("lightning-faults", "replay", tmp_path, "--gdb", "--rr").returncode == 2
    assert run("lightning-faults", "replay", tmp_path, "--vm", "--rr").returncode == 2
    assert run("lightning-faults", "replay", tmp_path, "--batch").returncode == 2
