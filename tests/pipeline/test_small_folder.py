"""A folder of 3 x 20 pictures and the defaults of New study end in a study, whatever is on the pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.analysis.caveats import notes_on_features
from core.store import open_study
from dashboard.panels.new_study_request import ASSET, StudyRequest
from tests.sampling import sample

pytestmark = pytest.mark.slow

PER_CLASS = 20


def draw(folder: Path, kind: str, rng: np.random.Generator, *, per_class: int = PER_CLASS) -> Path:
    """Pictures of random sizes: noise, one colour each, or smooth."""
    for name in ("ant", "bee", "cat"):
        (folder / name).mkdir(parents=True)
        for number in range(per_class):
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


def test_failed_epsilon__is_offered_a_smaller_one_that_works(run, tmp_path, monkeypatch):
    monkeypatch.setenv("PEREGRINE_ROOTS", str(tmp_path))
    images = draw(tmp_path / "images", "noise", np.random.default_rng(0), per_class=8)
    study = tmp_path / "study"
    failed = analyze(run, study, images, "--epsilon", "9")
    record = json.loads((study / "progress.json").read_text())
    assert record["state"] == "failed" and record["error"] == failed.error
    epsilon = record["offer"]["epsilon"]
    assert f"{epsilon:g} works. Run: python -m core " in failed.error
    assert analyze(run, study, images, "--epsilon", epsilon).code == 0
    assert json.loads((study / "progress.json").read_text())["offer"] is None
