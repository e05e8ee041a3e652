"""Corrected labels in each form, read back by the software that takes it, where that is installed."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from core.cli import main
from core.data.images import describe_images, open_images
from core.errors import PeregrineError, SettingsError, StudyError
from core.measures.slice import Slice
from core.publish import label_forms
from core.publish.label_forms import LABEL_FORMS, export_labels, form_content
from core.publish.label_links import class_folders
from core.store import Study, open_study
from core.study import label_decisions
from core.study.traces import UNSURE
from core.study.writer import write_study
from tests import small

CLASSES = ("cat", "golden retriever", "=1+1")
TEMPLATE = (
    '<View><Image name="image" value="$image"/><Choices name="choice" toName="image">'
    + "".join(f'<Choice value="{name}"/>' for name in CLASSES)
    + "</Choices></View>"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Twelve pictures; one label is changed, one is right, one is doubted; one suggestion is open."""
    folder = tmp_path_factory.mktemp("labels")
    for split, n in (("train", 3), ("val", 1)):
        for at, name in enumerate(CLASSES):
            for number in range(n):
                place = folder / "pictures" / split / name / f"{number}.png"
                place.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.full((8, 8, 3), 20 * at + number, np.uint8)).save(place)
    source = open_images(folder / "pictures")
    settings = {"images": str(folder / "pictures")}
    with write_study(folder / "study") as writer, writer.step("embed", settings) as step:
        step.table("images", source.table)
        step.summary = {"n_images": 12, "source": describe_images(source)}
    study = open_study(folder / "study")
    label_decisions.decide_label(study, "train/cat/0.png", "golden retriever")
    label_decisions.decide_label(study, "train/cat/1.png", "cat")
    label_decisions.decide_label(study, "train/cat/2.png", UNSURE)
    return study


def expected(study: Study) -> dict[str, str | None]:
    """The corrected label of each image by its path."""
    right = {
        str(name): label for name, label in zip(study.images["image_id"], study.images["label"], strict=True)
    }
    return right | {"train/cat/0.png": "golden retriever", "train/cat/2.png": None}


def by_path(table: pd.DataFrame, path: str) -> dict[str, str | None]:
    labels = [label if isinstance(label, str) else None for label in table["label"]]
    return dict(zip(table[path], labels, strict=True))


def pictures(study: Study) -> Path:
    return study.path.parent / "pictures"


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".json"])
def test_list__is_read_back_as_images(made, tmp_path, ending):
    out = tmp_path / f"labels{ending}"
    written = export_labels(made, "csv", out)
    assert written.n == 12 and len(written.notes) == 1 + (ending == ".csv")
    source = open_images(f"{out}?root={pictures(made)}")
    table = source.table
    exact = expected(made)
    if ending == ".csv":  # no spreadsheet runs it
        exact = {path: f"'{label}" if label == "=1+1" else label for path, label in exact.items()}
    assert by_path(table, "image_id") == exact
    assert table["split"].tolist() == made.images["split"].tolist()
    assert source.read(0).size == (8, 8)
    assert export_labels(made, "csv", out, corrected=False).n == 12
    before = open_images(f"{out}?root={pictures(made)}").table
    assert by_path(before, "path")["train/cat/0.png"] == "cat"


def test_list__of_a_slice(made, tmp_path):
    among = Slice.parse("split=val label=cat")
    assert export_labels(made, "csv", tmp_path / "a.csv", among=among).n == 1
    content = form_content(made, "csv", among=among).decode()
    assert content == (tmp_path / "a.csv").read_text() == "path,label,split\nval/cat/0.png,cat,val\n"


def test_changes__has_what_people_changed_and_no_more(made, tmp_path):
    export_labels(made, "changes", tmp_path / "changes.csv")
    with open(tmp_path / "changes.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["image_id", "path", "label", "corrected_label", "by_decision"],
        ["train/cat/0.png", "train/cat/0.png", "cat", "golden retriever", "changed"],
        ["train/cat/2.png", "train/cat/2.png", "cat", "", "unsure"],
    ]


def test_links__are_read_by_torchvision(made, tmp_path):
    from torchvision.datasets import ImageFolder

    (tmp_path / "links").mkdir()
    written = export_labels(made, "imagefolder", tmp_path / "links")
    assert written.n == 11  # the doubted one is left out
    right = expected(made)
    n = 0
    for split in ("train", "val"):
        data = ImageFolder(tmp_path / "links" / split)
        for at, (link, code) in enumerate(data.samples):
            picture, _ = data[at]
            path = Path(os.readlink(link)).relative_to(pictures(made))
            assert data.classes[code] == right[path.as_posix()] and path.parts[0] == split
            assert picture.size == (8, 8)
            n += 1
    assert n == 11
    names = sorted(os.listdir(tmp_path / "links" / "train" / "golden retriever"))
    assert names == ["0-2.png", "0.png", "1.png", "2.png"]  # two images of one name
    before = sorted((tmp_path / "links").rglob("*"))
    with pytest.raises(SettingsError, match="there already"):
        export_labels(made, "imagefolder", tmp_path / "links")
    assert sorted((tmp_path / "links").rglob("*")) == before
    assert [one.name for one in tmp_path.iterdir()] == ["links"]  # nothing is left beside it


def test_class_folders__stay_inside_and_apart():
    hostile = ["..", ".", "a/../../b", "/etc", "x" * 300, "aux", "A", "a", "a.", "", "a\0b", "ok name"]
    folders = class_folders(hostile)
    assert len({name.casefold() for name in folders.values()}) == len(hostile)
    for name in folders.values():
        assert name and Path(name).name == name and name not in (".", "..") and "\0" not in name
    assert folders["ok name"] == "ok name"


def test_links__need_files(tmp_path):
    study = small.write_small_study(tmp_path / "study")
    with pytest.raises(PeregrineError):
        export_labels(study, "imagefolder", tmp_path / "links")
    assert not (tmp_path / "links").exists()


def test_tasks__are_read_back_with_what_is_decided(made, tmp_path):
    export_labels(made, "label-studio", tmp_path / "tasks.json")
    tasks = json.loads((tmp_path / "tasks.json").read_text())
    assert len(tasks) == 12 and [i for i, one in enumerate(tasks) if "annotations" not in one] == [5]
    read = open_images(f"{tmp_path / 'tasks.json'}?root={pictures(made)}").table
    assert by_path(read, "path") == expected(made)


def suggesting(study: Study, image_id: str) -> None:
    """Store a table with one label that may be wrong."""
    images = study.images
    table = pd.DataFrame(
        {
            "image_id": images["image_id"],
            "suggested": "cat",
            "confidence": 0.75,
            "listed": images["image_id"].isin([image_id, "train/cat/0.png"]),
        }
    )
    with write_study(study.path) as writer, writer.step("crossfit", {}, ("images",)) as step:
        step.table("label_issues", table)


def test_tasks__an_open_suggestion_is_a_prediction(made, tmp_path):
    folder = shutil.copytree(made.path.parent, tmp_path / "copy") / "study"
    suggesting(open_study(folder), "val/=1+1/0.png")
    tasks = json.loads(form_content(open_study(folder), "label-studio"))
    (predicted,) = [one for one in tasks if "predictions" in one]
    assert predicted["data"]["image_id"] == "val/=1+1/0.png" and "annotations" not in predicted
    (prediction,) = predicted["predictions"]
    assert prediction["score"] == 0.75 and prediction["result"][0]["value"] == {"choices": ["cat"]}
    interface = pytest.importorskip("label_studio_sdk.label_interface").LabelInterface(TEMPLATE)
    for one in tasks:
        assert all(map(interface.validate_prediction, one.get("predictions", [])))
        assert all(map(interface.validate_annotation, one.get("annotations", [])))
    converter = pytest.importorskip("label_studio_sdk.converter").Converter(TEMPLATE, str(tmp_path))
    (tmp_path / "tasks.json").write_text(json.dumps([one | {"id": n} for n, one in enumerate(tasks)]))
    converter.convert(str(tmp_path / "tasks.json"), str(tmp_path / "least"), "JSON_MIN", is_dir=False)
    (least,) = (tmp_path / "least").glob("*.json")
    choices = {one["image_id"]: one.get("choice") for one in json.loads(least.read_text())}
    assert choices["train/cat/0.png"] == "golden retriever" and choices["val/cat/0.png"] == "cat"
    assert "val/=1+1/0.png" not in choices


@pytest.mark.slow
def test_lists__are_read_by_hugging_face(made, tmp_path):
    datasets = pytest.importorskip("datasets")
    cache = str(tmp_path / "cache")
    export_labels(made, "csv", tmp_path / "labels.csv")
    (table,) = datasets.load_dataset("csv", data_files=str(tmp_path / "labels.csv"), cache_dir=cache).values()
    assert table.column_names == ["path", "label", "split"]
    pairs = zip(table["path"], table["label"], strict=True)
    assert {path: label and label.removeprefix("'") for path, label in pairs} == expected(made)
    folder = shutil.copytree(pictures(made), tmp_path / "pictures")
    export_labels(made, "metadata", folder / "metadata.csv")
    (folder / "metadata.csv-about").unlink()
    everything = {
        "data_files": f"{folder}/**",
        "cache_dir": cache,
    }  # of train/ and val/ it takes the folders' names
    loaded = datasets.load_dataset("imagefolder", **everything)
    rows = [row for split in loaded.values() for row in split]
    assert len(rows) == 12 and rows[0]["image"].size == (8, 8)
    exact = sorted((label or "").removeprefix("'") for label in expected(made).values())
    assert sorted((row["label"] or "").removeprefix("'") for row in rows) == exact
    assert {row["split"] for row in rows} == {"train", "val"}


def test_forms__each_has_a_file_or_says_why_not(made, tmp_path):
    for name, form in LABEL_FORMS.items():
        if form.content is None:
            with pytest.raises(SettingsError, match="folder"):
                form_content(made, name)
        else:
            assert form_content(made, name)
            with pytest.raises(SettingsError, match=r"\.txt"):
                export_labels(made, name, tmp_path / "a.txt")
    with pytest.raises(SettingsError, match="csv"):
        export_labels(made, "cvs", tmp_path / "a.csv")
    bare = small.write_small_study(tmp_path / "bare", labels=False)
    with pytest.raises(StudyError, match="no labels"):
        label_forms.export_labels(bare, "csv", tmp_path / "a.csv")
    assert [one.name for one in tmp_path.iterdir()] == ["bare"]


def test_command(made, tmp_path, capsys):
    study, out = str(made.path), str(tmp_path / "labels.csv")
    assert main(["export", study, "labels", "--corrected", "-o", out]) == 0
    assert "12 rows" in capsys.readouterr().out
    assert main(["export", study, "labels", "--as", "changes", "--where", "split=train", "-o", out]) == 0
    assert "2 rows" in capsys.readouterr().out
    assert main(["export", study, "images", "--corrected", "-o", out]) == 2
    assert "labels" in capsys.readouterr().err
    assert main(["export", study, "labels", "--answer", "probe", "-o", out]) == 2
