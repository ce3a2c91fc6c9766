"""What the seed corpora begin with: plans and killed clients of the harness as bytes that targets read."""

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from fuzz import killed, plan_bytes, seeds, tasks  # noqa: E402

BIN = Path(os.environ.get("LIGHTNING_BIN_DIR", tasks.ROOT / "build/release/bin"))
HEAD = "lightning plan 1\n"
pytestmark = pytest.mark.skipif(not (BIN / "fuzz_sim_tests").exists(), reason="fuzz_sim_tests is not built")


def replay(target, files):
    """What the target says of them; it finds nothing in any."""
    done = subprocess.run([BIN / "fuzz_sim_tests", "--replay", target, *files], env=dict(os.environ, LIGHTNING_FUZZ_SHOW="1"),
                          capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, (target, done.returncode, done.stderr[-2000:])
    return done.stderr


def plans_of(files):
    """The plan that each stands for, as text."""
    return [HEAD + text.partition("lightning-fuzz:")[0] for text in replay("ops", files).split(HEAD)[1:]]


def written(folder, inputs):
    folder.mkdir()
    seeds.write(folder, inputs)
    return sorted(folder.iterdir())


def test_a_plan_that_an_input_means_comes_back_as_an_input_that_means_it(tmp_path):
    plans = plans_of(sorted((tasks.ROOT / "fuzz/corpus/ops").iterdir()))
    fitting = []
    for text in plans:
        try:
            fitting.append((text, plan_bytes.encode(text)))
        except ValueError:
            pass  # the order in which it puts the records is not the only one
    assert len(fitting) > 0.95 * len(plans)
    assert plans_of(written(tmp_path / "again", [its for _, its in fitting])) == [text for text, _ in fitting]


@pytest.mark.skipif(not seeds.PROGRAM.exists(), reason="lightning-faults is not built")
def test_a_campaigns_plans_are_inputs_that_do_what_they_say(tmp_path):
    inputs = list(seeds.plans(7))
    assert len(inputs) > seeds.PLANS / 2
    text = "".join(plans_of(written(tmp_path / "plans", inputs)))
    for word in (*plan_bytes.CHOICES, "kill", "stop", "recover by r1 killed", "eviction lru", "held"):
        assert f"{word} " in text or f"{word}\n" in text, word


def laid(its):
    """The segment that an input of `image` over nothing stands for."""
    segment, at = bytearray(tasks.SEGMENT), 4
    while at < len(its):
        offset, (length,) = int.from_bytes(its[at + 1:at + 4], "little"), struct.unpack_from("<I", its, at + 4)
        segment[offset:offset + length] = its[at + 8:at + 8 + length]
        at += 8 + length
    return bytes(segment)


@pytest.mark.skipif(not seeds.PROGRAM.exists(), reason="lightning-faults is not built")
@pytest.mark.skipif(not shutil.which("gdb"), reason="no gdb")
def test_what_killed_clients_left_are_inputs_that_mean_it(tmp_path, monkeypatch):
    monkeypatch.setattr(killed, "KILLED", killed.KILLED[:4])
    segments = list(killed.segments(BIN, 3))
    if not segments:
        pytest.skip("no client can be killed at an instruction here")
    images = [killed.as_image(segment) for segment in segments]
    assert [laid(image) for image in images] == segments
    log, held, size = killed.offsets(BIN)
    logs = [its for its in (killed.as_log(segment, log, held, size) for segment in segments) if its]
    assert len(set(segments)) > 4 and logs, "some died inside a transaction"
    assert all(len(its) <= tasks.TARGETS["log"].max_len for its in logs)
    replay("image", written(tmp_path / "image", images))
    replay("log", written(tmp_path / "log", logs))
