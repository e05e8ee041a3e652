"""From images to Q-Scores through the real steps: what runs, what does not run again, what bad input does."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core.analysis import representations
from core.cli import main
from core.encoders.registry import load_encoder
from core.errors import MaskError, SettingsError, StudyError
from core.pipeline import run as pipeline
from core.publish.summary import info, verify
from core.store import open_study
from core.study.progress import Progress
from core.study.steps import STEPS, in_analysis
from tests.command_line import OUTSIDE, contents
from tests.data.mask_files import salient_folder
from tests.synthetic import make_study


def analyze(study: Path, images: Path, **options: object) -> None:
    raw = images.with_name(images.name + ".npy")
    chosen = {
        "images": str(images),
        "representations": str(raw),
        "epsilon": "auto",
        "workers": 0,
        "bootstrap": 50,
    }
    pipeline.analyze(study, chosen | options, Progress.silent())


def folder_of(base: Path, counts: dict[str, int], rng: np.random.Generator, n_features: int = 24) -> Path:
    """An image folder with `counts` images a class, and representations to go with it."""
    number = 0
    for name, count in counts.items():
        (base / name).mkdir(parents=True)
        for _ in range(count):
            Image.new("RGB", (20, 20), tuple(rng.integers(0, 255, 3))).save(base / name / f"{number:03d}.png")
            number += 1
    raw = rng.gamma(0.2, size=(number, n_features)).astype(np.float32)
    np.save(base.with_name(base.name + ".npy"), raw)
    return base


def test_analyze__masks_of_no_image_are_refused_before_images_are_embedded(tmp_path, rng):
    images = folder_of(tmp_path / "images", {"ant": 3, "bee": 3}, rng)
    masks = salient_folder(tmp_path / "salient")
    (tmp_path / "folder" / "core").mkdir(parents=True)
    Image.new("L", (8, 8)).save(tmp_path / "folder" / "core" / "none.png")
    for option, folder in (("salient_imagenet", masks), ("masks", tmp_path / "folder")):
        with pytest.raises(MaskError, match="none"):
            analyze(tmp_path / "study", images, **{option: str(folder)})
        assert not (tmp_path / "study").exists()


def test_analyze__makes_every_step_and_promised_columns(shared_study):
    study = open_study(shared_study)
    assert [name for name in STEPS if study.state(name) == "done"] == in_analysis()
    assert not study.missing() and verify(study) == []
    assert study.images.columns.tolist() == ["image_id", "path", "split", "label"]
    features = ["feature", "mean", "std", "activation_rate", "tail", "discriminative", "top_class", "purity"]
    assert study.table("features").columns.tolist()[: len(features)] == features
    quality = [
        "image_id",
        "split",
        "q_score",
        "n_firing",
        "n_firing_discriminative",
        "norm",
        "max_activation",
        "q_all_features",
        "hoyer",
        "knn_similarity",
        "predicted",
        "confidence",
        "margin",
        "energy",
        "correct",
    ]
    assert set(quality) <= set(study.table("quality").columns)
    told = info(study)
    assert told["n_images"] == 120 and told["epsilon"] in (4, 3.5, 3, 2.5, 2)
    assert 0.5 < told["accuracy"] < 1 and told["base_rate"] == pytest.approx(told["accuracy"])
    assert 0 <= told["q_auroc"] <= 1 and told["n_discriminative"] > 0


@pytest.mark.slow
def test_analyze__again_changes_nothing_and_a_new_epsilon_only_what_hangs_on_it(tmp_path, rng):
    images = folder_of(tmp_path / "images", {"a": 30, "b": 30}, rng)
    analyze(tmp_path / "study", images)
    before = contents(tmp_path / "study")
    analyze(tmp_path / "study", images)
    assert contents(tmp_path / "study") == before
    analyze(tmp_path / "study", images, epsilon=1.5)
    after = contents(tmp_path / "study")
    changed = {name.split("/")[0] for name in after if after[name] != before.get(name)}
    assert {"features.parquet", "quality.parquet"} <= changed
    assert not changed & {"representations", "images.parquet", "probe.parquet", "neighbours"}


@pytest.mark.slow
def test_analyze__twice_from_scratch_is_byte_identical(tmp_path, rng):
    images = folder_of(tmp_path / "images", {"a": 30, "b": 30}, rng)
    analyze(tmp_path / "one", images)
    analyze(tmp_path / "two", images)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("counts", "note"),
    [({"only": 40}, "class"), ({"a": 1, "b": 1, "c": 1}, "class")],
    ids=["one class", "one image a class"],
)
def test_analyze__labels_that_teach_nothing(tmp_path, rng, counts, note):
    images = folder_of(tmp_path / "images", counts, rng)
    analyze(tmp_path / "study", images, epsilon=1.0)
    study = open_study(tmp_path / "study")
    told = info(study)
    assert told["q_auroc"] is None or np.isnan(told["q_auroc"])
    reasons = " ".join([*told["notes"], *told["skipped_steps"].values()])
    assert note in reasons


def test_analyze__without_labels(tmp_path, rng):
    images = folder_of(tmp_path / "nested", {"flat": 40}, rng)
    flat = shutil.move(str(images / "flat"), tmp_path / "images")
    shutil.move(str(tmp_path / "nested.npy"), tmp_path / "images.npy")
    analyze(tmp_path / "study", Path(flat), epsilon=1.0)
    study = open_study(tmp_path / "study")
    assert not study.labelled and study.class_names == []
    assert study.table("quality")["q_score"].notna().all()
    assert "label" in info(study)["skipped_steps"]["probe"]


def test_analyze__no_epsilon_lets_anything_fire(tmp_path, rng):
    images = folder_of(tmp_path / "images", {"a": 10, "b": 10}, rng, n_features=4)
    with pytest.raises(Exception, match="epsilon"):
        analyze(tmp_path / "study", images, epsilon=4.5)
    study = open_study(tmp_path / "study")
    assert [study.state(step) for step in in_analysis()] == [
        *("done", "missing", "done", "done", "done", "done"),
        *("missing", "missing", "missing", "done", "done", "done", "done"),
    ]


def test_run_step__needs_representations_and_known_settings(tmp_path, rng):
    with pytest.raises(StudyError, match="python"):
        pipeline.run_step("features", tmp_path / "absent", {}, Progress.silent())
    with pytest.raises(SettingsError, match="which images"):
        pipeline.analyze(tmp_path / "study", {"encoder": "timm:resnet18"}, Progress.silent())
    assert not (tmp_path / "study" / "manifest.json").exists()


@pytest.mark.slow
def test_run_step__asks_anew_which_features(study_path):
    """How words are found stays as it was; which features are looked at is said each time."""
    folder = study_path("study")
    pipeline.run_step("failures", folder, {"top": 2, "explained": True}, Progress.silent())
    rest = {"split": "val", "interventions": True, "seed": 0}
    assert open_study(folder).settings("failures") == {"top": 2, "explained": True, **rest}
    pipeline.run_step("failures", folder, {}, Progress.silent())
    assert open_study(folder).settings("failures") == {"top": 2, "explained": False, **rest}


@pytest.mark.slow
def test_run_step__keeps_settings_that_are_not_given(tmp_path):
    study = make_study(tmp_path / "study", epsilon=1.5)
    pipeline.run_step("features", study, {"redo": True}, Progress.silent())
    assert open_study(study).settings("features")["epsilon"] == 1.5


@pytest.mark.slow
def test_redo__mends_a_flipped_byte(tmp_path):
    study = make_study(tmp_path / "study")
    whole = contents(study)
    path = study / "top_images" / "00000.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    (problem,) = verify(study)
    assert problem.file == "top_images/00000.npy" and "core features" in str(problem)
    pipeline.run_step("features", study, {"redo": True}, Progress.silent())
    assert verify(study) == []
    pipeline.analyze(study, _options(study), Progress.silent())
    assert contents(study) == whole


def _options(study: Path) -> dict[str, object]:
    source = study.with_name(study.name + ".input")
    named = {"images": str(source / "images.csv"), "representations": str(source / "raw.npy")}
    return {**named, "epsilon": "auto", "method": "pca", "bootstrap": 50, "workers": 0}


@pytest.mark.slow
def test_demo__fresh_deletes_a_study_and_nothing_else(tmp_path):
    study = make_study(tmp_path / "study")
    pipeline._delete_study(study)
    assert not [path for path in study.iterdir() if path.name not in OUTSIDE]
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "beach.jpg").write_bytes(b"x")
    with pytest.raises(StudyError, match="study"):
        pipeline._delete_study(tmp_path / "holiday")
    assert (tmp_path / "holiday" / "beach.jpg").exists()


@pytest.mark.slow
@pytest.mark.parametrize("words, built", [([], ["demo", "demo-finetuned"]), (["--single"], ["demo"])])
def test_demo__builds_before_and_after(tmp_path, monkeypatch, words, built):
    asked = []
    monkeypatch.setattr(
        pipeline, "analyze", lambda folder, options, _, **_by_step: asked.append((folder, options))
    )
    monkeypatch.setattr("core.cli.study.print_study", lambda folder, as_json: None)
    assert main(["demo", "--studies", str(tmp_path), *words]) == 0
    assert [folder for folder, _ in asked] == [tmp_path / name for name in built]
    encoders = [options["encoder"] for _, options in asked]
    assert len(set(encoders)) == len(built)
    for spec in encoders:
        assert load_encoder(spec).transform.input_size == 96  # it ships
    assert len({str({**options, "encoder": ""}) for _, options in asked}) == 1  # they differ in nothing else


@pytest.fixture
def one_thread():
    """A forked process waits for ever for the threads that torch had before."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_control_c__says_how_to_go_on_and_the_same_command_ends_the_study(tmp_path, monkeypatch):
    arguments = ["--images", "glyphworld?train=120&val=40", "--encoder", "timm:resnet10t"]
    arguments += ["--input-size", "32", "--resize", "32", "--workers", "1"]
    monkeypatch.setattr(representations, "CHUNK_ROWS", 16)
    assert main(["embed", str(tmp_path / "straight"), *arguments]) == 0

    def broken() -> None:
        os.setsid()  # a terminal sends the signal to all processes of a group
        with open(tmp_path / "err.txt", "w") as errors, contextlib.redirect_stderr(errors):
            sys.exit(main(["embed", str(tmp_path / "broken"), *arguments]))

    process = multiprocessing.get_context("fork").Process(target=broken)
    process.start()
    ledger = tmp_path / "broken" / "representations" / "ledger.jsonl"
    while process.is_alive() and not (ledger.exists() and ledger.read_text().count("sha256") >= 2):
        time.sleep(0.01)
    assert process.pid is not None
    os.killpg(process.pid, signal.SIGINT)
    process.join(60)
    said = (tmp_path / "err.txt").read_text()
    assert process.exitcode == 130
    assert "command" in said and "Traceback" not in said
    assert main(["embed", str(tmp_path / "broken"), *arguments]) == 0
    assert contents(tmp_path / "broken") == contents(tmp_path / "straight")
