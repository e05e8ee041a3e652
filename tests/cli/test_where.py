"""`--where` of export, figure and report: the images of the slice, by the same rule everywhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from core.store import Study, open_study
from tests import small
from tests.synthetic import make_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("where") / "study"
    return open_study(make_study(folder, n_train=60, n_val=40, pictures=False))


@pytest.mark.slow
def test_export__of_images_holds_the_evaluation_images_of_the_slice(run, study, tmp_path: Path):
    out = tmp_path / "ants.csv"
    said = run("export", study.path, "quality", "-o", out, "--where", "label=ant")
    table = pd.read_csv(out)
    assert said.out == f"{out}: {len(table)} rows: evaluation images of ant\n"
    expected = study.images.query("label == 'ant' and split == 'val'")["image_id"]
    assert table["image_id"].tolist() == expected.tolist() and len(table)
    run("export", study.path, "quality", "-o", out, "--where", "split=train label=ant")
    assert set(pd.read_csv(out)["split"]) == {"train"}


def test_export__slice_is_of_all_splits(run, tmp_path: Path):
    """As it was before there was --where."""
    study, out = small.write_small_study(tmp_path / "study").path, tmp_path / "q.csv"
    told = run("export", study, "quality", "-o", out, "--slice", "correct=false").out.splitlines()
    empty = "scores that compare an image with the train images are empty. --where split=val leaves them out"
    assert told == [f"{out}: 3 rows", f"note: on train images, {empty}"]
    assert "note:" not in run("export", study, "quality", "-o", out, "--where", "split=val").out
    assert "note:" not in run("export", study, "images", "-o", out).out
    said = run("export", study, "quality", "-o", out, "--where", "correct=false").out
    assert said == f"{out}: 2 rows: evaluation images, misclassified\n"


def test_export__features_and_metrics_are_computed_for_the_slice(run, study, tmp_path: Path):
    out = tmp_path / "features.csv"
    assert run("export", study.path, "features", "-o", out, "--where", "label=ant").code == 0
    mine, whole = pd.read_csv(out), study.table("features")
    assert len(mine) == len(whole) and not (mine["activation_rate"] == whole["activation_rate"]).all()
    assert set(mine["top_class"].dropna()) == {"ant"} and mine["tail"].tolist() == whole["tail"].tolist()
    out = tmp_path / "metrics.json"
    assert run("export", study.path, "metrics", "-o", out, "--where", "label=ant,bee").code == 0
    assert {row["n"] for row in json.loads(out.read_text())} == {20}


def test_export__refuses_what_no_slice_can_change(run, study, tmp_path: Path):
    asked = ("export", study.path, "skipped", "-o", tmp_path / "out.csv")
    assert "no rows per image; leave it out" in run(*asked, "--where", "label=ant").error
    one = ("export", study.path, "heatmap", "-o", tmp_path / "out.npy", "--image", "val/000061")
    assert "leave out --where" in run(*one, "--where", "label=ant").error
    assert "give one of them" in run(*asked, "--where", "label=ant", "--slice", "label=ant").error


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["sorted_activation", "purity", "q_distribution", "roc", "baselines", "map", "sparsity"]
)
def test_figure__is_of_the_slice(run, study, tmp_path: Path, name):
    out, whole = tmp_path / "slice.json", tmp_path / "whole.json"
    said = run("figure", study.path, name, "-o", out, "--where", "label=ant,bee")
    assert said.out == f"{out} (20 images: evaluation images of ant or bee)\n"
    assert run("figure", study.path, name, "-o", whole).code == 0
    assert json.loads(out.read_text())["data"] != json.loads(whole.read_text())["data"]


@pytest.mark.slow
def test_figure__refuses_in_one_line(run, study, tmp_path: Path):
    out, own = tmp_path / "figure.json", tmp_path / "own"
    shutil.copytree(study.path, own)
    assert run("probe", own, "--curves", "--redo", "--lr", "0.1", "--device", "cpu").code == 0
    wrong = run("figure", own, "kept_features", "-o", out, "--where", "label=ant").error
    assert "no figure 'kept_features'" in wrong and wrong.endswith("leave out --where")
    empty = run("figure", study.path, "roc", "-o", out, "--where", "q_score=99..").error
    assert empty.endswith("Q-Score at least 99") and not out.exists()


@pytest.mark.slow
def test_report__is_of_the_slice(run, study, tmp_path: Path):
    out = tmp_path / "report.html"
    said = run("report", study.path, "-o", out, "--interactive", "--where", "label=ant correct=true")
    n = int((study.is_val & (study.images["label"] == "ant") & (study.table("probe")["correct"])).sum())
    images = f"{n} images: {study.where('split=val label=ant correct=true').slice.describe()}"
    assert f"({images})" in said.out
    text = out.read_text()
    assert f"{images}." in text
    assert "100.0 %" in text and "report of a slice" in text and "leave out --where" in text


@pytest.mark.slow
def test_report__of_several_studies_compares_the_images_of_the_slice(run, study, tmp_path: Path):
    other, out = tmp_path / "other", tmp_path / "report.html"
    shutil.copytree(study.path, other)
    said = run("report", study.path, other, "-o", out, "--interactive", "--where", "label=ant,bee")
    among = study.where("split=val label=ant,bee").slice.describe()
    assert said.out.endswith(f"(20 images: {among})\n")
    text = out.read_text()
    assert f"20 images: {among}." in text
    assert text.count("Images of the slice") == 2
    assert "compared on 20 evaluation images" in text and "only evaluation images of ant or bee" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("quality --answer probe --bootstrap 9", "runs no step; leave out --bootstrap"),
        ("failures --answer probe --redo", "runs no step; leave out --redo"),
        ("export quality -o {out} --image {image}", "--image belongs to the tables heatmap and mask"),
        ("export features -o {out} --feature 3", "--feature belongs to the tables heatmap and mask"),
        ("export heatmap -o {out} --image {image} --mask core", "--mask says nothing of a heatmap"),
        ("export mask -o {out} --image {image} --combine max", "--combine says nothing of a mask"),
        ("heatmaps --image {image} --feature 3 --top 9", "--top is of all images; leave it out beside"),
        ("slices --min-images 9", "--min-images is of the worst slices; add --worst N"),
        ("search --top 9", "--top is of the images that a TEXT finds"),
        ("answers --redo", "--redo belongs to --add head and --add probe"),
        ("answers --add probe --restrict", "--restrict does nothing with --add probe"),
        ("answers --add knn --head-classes {out}", "--head-classes does nothing with --add knn"),
        ("answers --add zero-shot --restrict", "--restrict does nothing with --add zero-shot"),
        ("decompose --image {image} --true dog", "--true belongs to --file"),
        ("basis --kind topk --pool-codes mean", "--pool-codes belongs to --on positions"),
        ("basis --kind pca --steps 9", "--steps belongs to --kind topk and matryoshka, not to pca"),
    ],
)
def test_options_that_would_do_nothing_are_refused(words, message, study_path, run, tmp_path) -> None:
    study = study_path()
    given = {"image": open_study(study).images["image_id"].iat[0], "out": tmp_path / "out.csv"}
    command, *others = (word.format(**given) for word in words.split())
    assert message in run(command, study, *others).error
