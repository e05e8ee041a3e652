"""Pictures of images as a zip: what is in it, its limits, and hostile names."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from core.answers.classes import read_class_file
from core.errors import UnreadableImage
from core.publish import picture_zip
from tests import small


@pytest.fixture
def study(tmp_path, monkeypatch):
    study = small.write_small_study(tmp_path / "study")
    colours = {row: Image.new("RGB", (300 if row == 1 else 8, 8), (20 * row, 0, 0)) for row in range(10)}

    def image(row: int) -> Image.Image:
        if row == 2:
            raise UnreadableImage("gone")
        return colours[row]

    monkeypatch.setattr(study, "image", image)
    return study


def put(study, **columns: list[str | None]) -> None:
    for name, values in columns.items():
        study.kept_columns["images", name] = pd.Series(values, dtype="str")


def packed(study, rows) -> tuple[dict[str, bytes], pd.DataFrame]:
    body = picture_zip.pictures_zip(study, rows, study.images.iloc[rows])
    with zipfile.ZipFile(io.BytesIO(body)) as held:
        files = {name: held.read(name) for name in held.namelist()}
    return files, pd.read_csv(io.BytesIO(files.pop("images.csv")), keep_default_na=False)


def test_zip__holds_the_pictures_by_class_and_names_those_left_out(study):
    files, table = packed(study, [3, 1, 2])
    assert files.pop("classes.csv")
    assert table["image_id"].tolist() == study.images["image_id"].iloc[[3, 1, 2]].tolist()
    assert table["file"].tolist() == [*files, ""] and [name[-4:] for name in files] == [".png", ".jpg"]
    assert [name.split("/")[0] for name in files] == study.images["label"].iloc[[3, 1]].tolist()
    first = np.asarray(Image.open(io.BytesIO(next(iter(files.values())))))
    assert first.shape == (8, 8, 3) and (first[..., 0] == 60).all()


def test_zip__says_which_class_each_folder_is(study, tmp_path):
    names = ["hot dog (food)", "air plane", "sea/snake"]
    put(study, label=[names[row % 3] for row in range(study.n_images)])
    files, _ = packed(study, [0, 1, 3, 4, 5])
    (tmp_path / "classes.csv").write_bytes(files.pop("classes.csv"))
    folders = sorted({name.split("/")[0] for name in files})
    match = read_class_file(tmp_path / "classes.csv", 3, folders, [[name] for name in names])
    assert [folders[code] for code in match.code] == ["hot-dog-food", "air-plane", "sea-snake"]


def test_zip__stops_at_its_limits(study, monkeypatch):
    monkeypatch.setattr(picture_zip, "MOST_PICTURES", 2)
    assert len(packed(study, [3, 4, 5])[0]) == 2 + 1  # and the classes
    files, _ = packed(study, [3])
    monkeypatch.setattr(picture_zip, "MOST_BYTES", len(next(iter(files.values()))))
    files, table = packed(study, [3, 4])
    assert files.pop("classes.csv") and len(files) == 1 and table["file"].tolist() == [*files, ""]


def test_zip__a_hostile_name_stays_in_its_folder(study):
    hostile: dict[str, list[str | None]] = {
        "image_id": [f"../../{row}\\..\\x|.png" for row in range(8)],
        "label": ["../<b>/etc"] * 8,
    }
    put(study, **hostile)
    files, _ = packed(study, [3, 4])
    assert files.pop("classes.csv") and len(files) == 2
    for name in files:
        folder, _, rest = name.partition("/")
        assert folder == "b-etc" and ".." not in rest and not set(rest) & set("/\\|<>")


def test_zip__classes_whose_names_read_alike_keep_folders_of_their_own(study, monkeypatch):
    long = "a" * 60
    names = ["C++", "C#", "c", "unlabelled", f"{long}b", f"{long}c", None, "C++"]
    put(study, label=names)
    monkeypatch.setattr(study, "image", lambda row: Image.new("RGB", (8, 8)))
    files, _ = packed(study, range(len(names)))
    classes = pd.read_csv(io.BytesIO(files.pop("classes.csv")))
    assert dict(zip(classes["output"], classes["label"], strict=True))["C++"] == "C-2"
    folders = [name.split("/")[0] for name in files]
    assert folders == ["C-2", "C", "c-3", "unlabelled-2", long, f"{long}-2", "unlabelled", "C-2"]
