"""A folder of 3 x 20 pictures and the defaults of New study end in a study, whatever is on the pictures."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.analysis.features.notes import notes_on_features
from core.store import open_study
from dashboard.panels.new_study.request import ASSET, StudyRequest
from tests.sampling import sample

pytestmark = pytest.mark.slow

CIFAR = Path(__file__).resolve().parents[3] / "shared" / "data" / "cifar10.tar.xz"
PER_CLASS = 20


def draw(folder: Path, kind: str, rng: np.random.Generator) -> Path:
    """60 pictures of random sizes: noise, one colour each, or smooth."""
    for name in ("ant", "bee", "cat"):
        (folder / name).mkdir(parents=True)
        for number in range(PER_CLASS):
            width, height = (int(side) for side in rng.integers(8, 300, 2))
            shape = {"noise": (height, width, 3), "plain": (1, 1, 3), "smooth": (3, 3, 3)}[kind]
            pixels = Image.fromarray(rng.integers(0, 256, shape).astype(np.uint8))
            pixels.resize((width, height), Image.Resampling.BICUBIC).save(folder / name / f"{number}.png")
    return folder


def analyze(run, study: Path, images: Path, *more: object):
    """What the form runs with its defaults, without the time that nothing here needs."""
    command = StudyRequest(images_path=str(images), encoder=ASSET, encoder_text="simclr_glyphworld").command(
        study
    )
    return run(*command.words, "--device", "cpu", "--workers", 0, "--lr", "0.1", *more)


@pytest.mark.parametrize("kind", sample(["smooth", "noise", "plain"], 1))
def test_drawn_pictures(run, tmp_path, monkeypatch, kind):
    monkeypatch.setenv("PEREGRINE_ROOTS", str(tmp_path))
    images = draw(tmp_path / "images", kind, np.random.default_rng(0))
    said = analyze(run, tmp_path / "study", images)
    assert said.code == 0, said.err
    study = open_study(tmp_path / "study")
    assert study.settings("features")["epsilon"] == "auto" and study.table("features")["discriminative"].any()
    assert study.state("quality") == "done"
    for note in notes_on_features(study):
        assert note in said.out


@pytest.mark.exhaustive("test_drawn_pictures runs the same command")
def test_photographs(run, tmp_path, monkeypatch):
    if not CIFAR.is_file():
        pytest.skip(f"no {CIFAR.name} beside the checkout")
    monkeypatch.setenv("PEREGRINE_ROOTS", str(tmp_path))
    unpack(tmp_path / "images")
    said = analyze(run, tmp_path / "study", tmp_path / "images")
    assert said.code == 0, said.err
    assert open_study(tmp_path / "study").table("features")["discriminative"].any()


def test_failed_epsilon__is_offered_a_smaller_one_that_works(run, tmp_path, monkeypatch):
    monkeypatch.setenv("PEREGRINE_ROOTS", str(tmp_path))
    images, study = draw(tmp_path / "images", "noise", np.random.default_rng(0)), tmp_path / "study"
    failed = analyze(run, study, images, "--epsilon", "9")
    record = json.loads((study / "progress.json").read_text())
    assert record["state"] == "failed" and record["error"] == failed.error
    epsilon = record["offer"]["epsilon"]
    assert f"{epsilon:g} works. Run: python -m core " in failed.error
    assert analyze(run, study, images, "--epsilon", epsilon).code == 0
    assert json.loads((study / "progress.json").read_text())["offer"] is None


def unpack(folder: Path) -> None:
    """The first 20 train pictures of three classes that the archive comes to."""
    missing: dict[str, int] = dict.fromkeys(("bird", "cat", "ship"), PER_CLASS)
    with tarfile.open(CIFAR) as archive:
        for member in archive:
            parts = Path(member.name).parts
            if member.isfile() and "train" in parts and missing.get(parts[-2], 0):
                missing[parts[-2]] -= 1
                (folder / parts[-2]).mkdir(parents=True, exist_ok=True)
                data = archive.extractfile(member)
                assert data is not None
                (folder / parts[-2] / parts[-1]).write_bytes(data.read())
            if not any(missing.values()):
                return
