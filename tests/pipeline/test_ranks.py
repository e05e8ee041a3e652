"""Commands under a real torchrun: the work is shared or left to the first process, and nobody stops it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from core.store import open_study
from tests.command_line import contents
from tests.sampling import sample

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ("--images", "glyphworld?train=64&val=32")  # three chunks, which two processes share unevenly
ENCODER = ("--encoder", "timm:resnet10t", "--input-size", "32", "--resize", "32", "--workers", "0")
SMALL_CHUNKS = (
    "import core.analysis.representations as r, core.analysis.gradcam.step as g, core.search.index as i;"
    "import core.analysis.quality.neighbours as n, core.cli, sys;"
    "r.CHUNK_ROWS = i.CHUNK_ROWS = 32; g.CHUNK_IMAGES = 20; n.QUERY_ROWS = 12; sys.exit(core.cli.main())"
)


def torchrun(n: int, *words: object) -> subprocess.CompletedProcess[str]:
    """A command of ours in `n` processes (1: without torchrun), its chunks of 32 rows."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    launcher += ["--nproc-per-node", str(n), "--no-python"]
    command = [*(launcher if n > 1 else []), sys.executable, "-c", SMALL_CHUNKS, *map(str, words)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=280, cwd=ROOT)


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    """The study of one process."""
    study = tmp_path_factory.mktemp("ranks") / "alone"
    done = torchrun(1, "analyze", study, *IMAGES, *ENCODER, "--epsilon", "1.5", "--lr", "0.1")
    assert done.returncode == 0, done.stderr
    return study


@pytest.mark.parametrize("n", sample([2, 3], 1))
def test_analyze__several_processes_make_the_study_of_one(alone, tmp_path, n):
    done = torchrun(n, "analyze", tmp_path / "study", *IMAGES, *ENCODER, "--epsilon", "1.5", "--lr", "0.1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Q-Score") == 1  # one of them prints
    assert contents(tmp_path / "study") == contents(alone)


def test_killed_helper__is_reported_and_one_process_completes(alone, tmp_path, monkeypatch):
    study = shutil.copytree(alone, tmp_path / "study")
    killed = "import os, core.analysis.features.one_pass as f;"
    killed += "f._scan = (lambda *_: os.kill(os.getpid(), 9)) if os.environ.get('RANK') == '1' else f._scan;"
    with monkeypatch.context() as patch:
        patch.setitem(globals(), "SMALL_CHUNKS", killed + SMALL_CHUNKS)
        done = torchrun(2, "features", study, "--redo")
    assert done.returncode != 0 and "Signal 9 (SIGKILL)" in done.stderr, done.stderr  # it scanned a chunk
    assert "this is a bug" not in done.stderr
    done = torchrun(1, "features", study, "--epsilon", "1.5")
    assert done.returncode == 0, done.stderr
    assert contents(study) == contents(alone)


@pytest.mark.exhaustive("test_analyze__several_processes_make_the_study_of_one runs these steps")
def test_steps__are_redone_by_one_of_two_processes(alone):
    before = contents(alone)
    redone = (("features", alone, "--redo"), ("embed", alone, "--redo", "--workers", "0"))
    for words in sample(redone, 1):
        done = torchrun(2, *words)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        assert contents(alone) == before
    assert torchrun(2, "verify", alone).stdout.count("all files are intact") == 1


def test_error__is_said_once_and_the_others_leave(alone, tmp_path):
    done = torchrun(2, "features", tmp_path / "none")
    assert done.returncode != 0 and done.stderr.count("error: no study at") == 1
    done = torchrun(2, "embed", alone, "--images", tmp_path, "--redo")  # busy or unreadable: rank 0 says it
    assert done.returncode != 0 and "this is a bug" not in done.stderr


@pytest.mark.exhaustive("test_analyze__several_processes_make_the_study_of_one waits in the same way")
def test_demo__second_study_waits_for_the_first(tmp_path, monkeypatch):
    small = "import core.pipeline.demo as d; d.SETTINGS['images'] = 'glyphworld?train=64&val=32';"
    small += (
        "import core.pipeline.run as p; p.STEPS = dict([*p.STEPS.items()][:2]);"  # later steps are not shared
        "p.in_analysis = lambda: [*p.STEPS];"
    )
    monkeypatch.setitem(globals(), "SMALL_CHUNKS", small + SMALL_CHUNKS)
    for words in sample(((), ("--fresh",)), 1):
        done = torchrun(2, "demo", "--studies", tmp_path, *words)
        assert done.returncode == 0, done.stderr
        for name in ("demo", "demo-finetuned"):
            assert open_study(tmp_path / name).state("features") == "done"
