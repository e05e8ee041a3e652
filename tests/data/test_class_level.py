"""Classes on a deeper level of folders."""

from __future__ import annotations

import pytest

from core.config import EmbedConfig
from core.data.images import ImageSource, open_images, reopen_images
from core.errors import ImageSourceError, SettingsError
from core.pipeline.embed import open_source
from core.study.steps import settings_of
from core.training.config import check, from_dict
from core.training.setup import open_training_images
from tests.data.pictures import make_folder, parts_of

NESTED = [f"top/{label}/sub/{number}.png" for label in "ab" for number in range(5)]


def labels(source: ImageSource) -> list[str]:
    return sorted(source.table["label"].unique())


def test_one_class_above_several_folders_is_passed_over_and_said(tmp_path):
    source = open_images(make_folder(tmp_path, NESTED))
    assert labels(source) == ["a", "b"]
    (part,) = parts_of(source)
    assert (part.kind, part.n, part.names, part.what) == ("wrapper", 2, ("a", "b"), "1")
    assert labels(open_images(tmp_path, class_level=1)) == ["top"]


@pytest.mark.parametrize("names", [["only/1.png", "only/2.png"], NESTED[:5], ["a/x/1.png", "b/y/1.png"]])
def test_no_warning_where_no_level_tells_more(tmp_path, names):
    assert not any(part.kind == "wrapper" for part in parts_of(open_images(make_folder(tmp_path, names))))


@pytest.mark.parametrize("above", ["", "train/"])
def test_the_level_is_counted_below_the_splits(tmp_path, above):
    names = [above + name for name in NESTED] + [f"{above}top/loose.png"]
    names += [f"val/top/{label}/sub/9.png" for label in "ab"] if above else []
    source = open_images(make_folder(tmp_path, names), class_level=2)
    assert labels(source) == ["a", "b"] and len(source) == len(names) - 1
    assert any("1 image" in line and "above class level 2" in line for line in source.notes)
    again = reopen_images(source.describe())
    assert again.table.equals(source.table) and again.fingerprint() == source.fingerprint()
    assert set(source.table[source.table["split"] == "val"]["label"]) == {"a", "b"}


def test_folders_of_one_name_are_one_class(tmp_path):
    names = [f"{group}/{label}/{group}.png" for group in ("north", "south") for label in ("cat", "dog")]
    table = open_images(make_folder(tmp_path, names), class_level=2).table
    assert table.groupby("label")["image_id"].apply(list).to_dict() == {
        "cat": ["north/cat/north.png", "south/cat/south.png"],
        "dog": ["north/dog/north.png", "south/dog/south.png"],
    }


def test_separate_evaluation_images_have_the_same_level(tmp_path):
    train, val = make_folder(tmp_path / "t", NESTED), make_folder(tmp_path / "v", NESTED)
    config = EmbedConfig(images=str(train), val=str(val), encoder="x", class_level=2)
    assert labels(open_source(config)) == ["a", "b"]


def test_levels_that_are_not_there(tmp_path):
    root = make_folder(tmp_path / "images", NESTED)
    with pytest.raises(ImageSourceError, match="--class-level.*4.*3"):
        open_images(root, class_level=4)
    with pytest.raises(ImageSourceError, match="--class-level.*2"):
        open_images("glyphworld?train=4&val=2", class_level=2)
    with pytest.raises(SettingsError, match="--class-level.*1"):
        settings_of("embed", {"images": "x", "encoder": "y", "class_level": 0})
    with pytest.raises(SettingsError, match="--class-level.*1"):
        settings_of("embed", {"images": "x", "encoder": "y", "class_level": "deepest"})
    with pytest.raises(SettingsError, match="--group-level.*1"):
        settings_of("embed", {"images": "x", "encoder": "y", "group_level": 0})


def test_the_innermost_folder_and_groups__reach_images_and_trainings(tmp_path):
    names = ["church/indoor/1.png", "church/outdoor/1.png", "abbey/1.png"]
    images = str(make_folder(tmp_path / "images", names))
    source = open_source(settings_of("embed", {"images": images, "encoder": "x", "class_level": "leaf"}))
    assert labels(source) == ["abbey", "church/indoor", "church/outdoor"]
    nested = str(make_folder(tmp_path / "nested", [f"{n}/{label}/1.png" for n in range(6) for label in "ab"]))
    levels = {"class_level": 2, "group_level": 1}
    grouped = open_source(settings_of("embed", {"images": nested, "encoder": "x", **levels}))
    training = from_dict({"images": nested, "output": "x.safetensors", **levels})
    assert grouped.group == "group" and open_training_images(training).table.equals(grouped.table)
    training = from_dict({"images": images, "output": "x.safetensors", "class_level": "leaf"})
    assert labels(open_training_images(training)) == labels(source)
    with pytest.raises(SettingsError, match="class_level.*'leaf'"):
        check(from_dict({"images": images, "output": "x.safetensors", "class_level": "all"}))
