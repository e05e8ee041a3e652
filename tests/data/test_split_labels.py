"""Labels of train and val that name one class in two spellings."""

from __future__ import annotations

from core.common.records import Record
from core.data.contradictions import one_spelling
from core.data.images import open_images
from tests.data.pictures import make_folder


def test_val_is_written_as_train_is():
    splits = ["train"] * 3 + ["val"] * 4
    labels, notes = one_spelling(splits, ["hot_dog", "n01440764", "1", "Hot Dog", "tench", "01", None])
    assert labels == ["hot_dog", "n01440764", "1", "hot_dog", "n01440764", "1", None]
    (note,) = notes
    assert isinstance(note, Record) and (note.kind, note.n) == ("respelled", 3)


def test_what_one_split_tells_apart_stays_apart_and_the_rest_is_named():
    splits = ["train", "train", "val", "val", "val"]
    labels, notes = one_spelling(splits, ["Dog", "dog", "DOG", "dog", "cat"])
    assert labels == ["Dog", "dog", "DOG", "dog", "cat"] and len(notes) == 1
    both, _ = one_spelling(["train", "val", "val"], ["dog", "Dog", "DOG"])
    assert both == ["dog", "Dog", "DOG"]


def test_folders_lists_and_pairs_agree(tmp_path):
    root = make_folder(
        tmp_path, ["train/hot_dog/a.png", "train/cat/b.png", "val/Hot Dog/c.png", "val/Cat/d.png"]
    )
    (tmp_path / "all.csv").write_text(
        "path,label,split\ntrain/hot_dog/a.png,hot_dog,train\nval/Hot Dog/c.png,Hot-Dog,val\n"
        "train/cat/b.png,cat,train\nval/Cat/d.png,CAT,val\n"
    )
    for source in (
        open_images(root),
        open_images(root / "all.csv"),
        open_images(root / "train", val=root / "val"),
    ):
        assert set(source.table["label"]) == {"cat", "hot_dog"}
        assert sum(isinstance(note, Record) and note.kind == "respelled" for note in source.notes) == 1
