from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
from numpy.testing import assert_array_equal

from core.data import folder_walk
from core.data.decode import decode
from core.data.images import ImageSource, open_images, reopen_images
from core.data.source import VAL_AS_TRAIN
from core.errors import ImageSourceError, UnreadableImage
from tests.data.pictures import class_folder, colour, make_folder, picture


def rows(source: ImageSource) -> list[tuple[str, str, str | None]]:
    """(id, split, label) of every row; None for no label."""
    labels = [label if isinstance(label, str) else None for label in source.table["label"]]
    return list(zip(source.table["image_id"], source.table["split"], labels, strict=True))


def note(source: ImageSource, *words: str) -> bool:
    return any(all(word in one for word in words) for one in source.notes)


def test_classes__ids_labels_paths_and_pixels(tmp_path):
    root = make_folder(tmp_path / "pets", {"dog/b.png": colour(1, 0, 0), "cat/a.png": colour(0, 1, 0)})
    source = open_images(root)
    assert source.kind == "folder" and source.labelled and source.extras is None and len(source) == 2
    assert rows(source) == [("cat/a.png", "train", "cat"), ("dog/b.png", "train", "dog")]
    assert list(source.table["path"]) == [str(root / "cat/a.png"), str(root / "dog/b.png")]
    assert source.read(1).getpixel((0, 0)) == (1, 0, 0)
    assert_array_equal(source.read_id("cat/a.png"), decode(root / "cat/a.png"))


def test_classes__nested_folders_belong_to_the_class(tmp_path):
    root = make_folder(tmp_path, ["dog/2024/may/b.png", "dog/a.png", "dog/2024/c.PNG", "cat/x.jpeg"])
    source = open_images(root)
    assert [(i, label) for i, _, label in rows(source)] == [
        ("cat/x.jpeg", "cat"),
        ("dog/2024/c.PNG", "dog"),
        ("dog/2024/may/b.png", "dog"),
        ("dog/a.png", "dog"),
    ]


def test_listing__does_not_depend_on_the_order_of_creation(tmp_path):
    names = [f"{label}/{number}.png" for label in "cab" for number in (10, 2, 33, 1)]
    one = open_images(make_folder(tmp_path / "one", {name: picture() for name in names}))
    other = open_images(make_folder(tmp_path / "two", {name: picture() for name in reversed(names)}))
    assert rows(one) == rows(other)


def test_seeded_split__stratified_stable_and_seeded(tmp_path):
    root = class_folder(tmp_path, {"a": 10, "b": 15, "c": 2})
    source = open_images(root)
    n_val = source.table.groupby("label")["split"].apply(lambda splits: int((splits == "val").sum()))
    assert n_val.to_dict() == {"a": 2, "b": 3, "c": 1}
    assert rows(open_images(root, seed=0)) == rows(source)
    assert rows(open_images(root, seed=1)) != rows(source)
    assert not source.split_given and note(source, "seed 0", "80% train", "class by class")


def test_seeded_split__a_new_class_moves_no_other_image(tmp_path):
    before = rows(open_images(class_folder(tmp_path, {"a": 10, "b": 15})))
    after = rows(open_images(class_folder(tmp_path, {"0": 7})))
    assert [row for row in after if row[2] != "0"] == before


def test_one_image_class__stays_in_train_with_a_note(tmp_path):
    source = open_images(class_folder(tmp_path, {"a": 5, "lonely": 1}))
    assert ("lonely/0.png", "train", "lonely") in rows(source)
    assert note(source, "1 class with one image", "lonely") and note(source, "split by seed 0")


def test_classes_of_one_image_each__are_not_said_to_be_split(tmp_path):
    source = open_images(class_folder(tmp_path, {"a": 1, "b": 1}))
    assert note(source, "2 classes with one image") and not note(source, "split by seed")


def test_one_class_only__is_a_source(tmp_path):
    source = open_images(class_folder(tmp_path, {"a": 5}))
    assert source.labelled and [split for _, split, _ in rows(source)].count("val") == 1


@pytest.mark.parametrize("name", ["val", "valid", "validation", "test"])
def test_split_folders(tmp_path, name):
    root = make_folder(tmp_path, ["train/dog/1.png", "train/cat/1.png", f"{name}/dog/1.png"])
    source = open_images(root)
    assert rows(source) == [
        ("train/cat/1.png", "train", "cat"),
        ("train/dog/1.png", "train", "dog"),
        (f"{name}/dog/1.png", "val", "dog"),
    ]
    assert source.split_given and source.notes == []


def test_split_folders__in_any_case(tmp_path):
    source = open_images(
        make_folder(tmp_path, ["Train/dog/1.png", "Train/cat/1.png", "Validation/dog/1.png"])
    )
    assert rows(source) == [
        ("Train/cat/1.png", "train", "cat"),
        ("Train/dog/1.png", "train", "dog"),
        ("Validation/dog/1.png", "val", "dog"),
    ]
    assert source.split_given and source.notes == []


def test_split_folders__val_wins_over_test(tmp_path):
    source = open_images(
        make_folder(tmp_path, ["train/a/1.png", "test/a/2.png", "val/a/3.png", "misc/4.png"])
    )
    assert [row[0] for row in rows(source)] == ["train/a/1.png", "val/a/3.png"]
    assert note(source, "ignored", "test/", "misc/")


def test_split_folders__empty_val_leaves_it_to_test(tmp_path):
    root = make_folder(tmp_path, ["train/a/1.png", "test/a/2.png"])
    (root / "val").mkdir()
    source = open_images(root)
    assert rows(source)[1] == ("test/a/2.png", "val", "a")
    assert note(source, "val/ holds no images")


def test_split_folders__train_alone_gets_a_seeded_split(tmp_path):
    source = open_images(class_folder(tmp_path / "train", {"a": 5, "b": 5}).parent)
    assert {row[2] for row in rows(source)} == {"a", "b"}
    assert rows(source)[0][0] == "train/a/0.png"
    assert (source.table["split"] == "val").sum() == 2


def test_split_folders__without_train_val_is_fitted_on_and_test_evaluates(tmp_path):
    class_folder(tmp_path / "test", {"a": 5, "b": 5})
    source = open_images(class_folder(tmp_path / "val", {"a": 5, "b": 5}).parent)
    assert {row[2] for row in rows(source)} == {"a", "b"} and len(rows(source)) == 20
    assert {(row[0].split("/")[0], row[1]) for row in rows(source)} == {("val", "train"), ("test", "val")}
    assert source.split_given and source.notes == [VAL_AS_TRAIN] and not list(source.unread)


def test_split_folders__val_and_test_may_be_classes_among_others(tmp_path):
    source = open_images(class_folder(tmp_path, {"val": 2, "test": 2, "car": 2}))
    assert {row[2] for row in rows(source)} == {"val", "test", "car"}


def test_split_folders__train_may_be_a_class_among_others(tmp_path):
    source = open_images(class_folder(tmp_path, {"train": 2, "car": 2}))
    assert {row[2] for row in rows(source)} == {"train", "car"}


def test_split_folders__unlabelled_val_and_unseen_classes(tmp_path):
    flat = open_images(make_folder(tmp_path / "one", ["train/a/1.png", "val/1.png"]))
    assert rows(flat)[1] == ("val/1.png", "val", None)
    assert note(flat, "no class folders in val/")
    unseen = open_images(make_folder(tmp_path / "two", ["train/a/1.png", "val/b/1.png"]))
    assert note(unseen, "1 class of val not in train: b")


def test_train_and_val_apart(tmp_path):
    train = make_folder(tmp_path / "one", ["a/1.png", "b/1.png"])
    val = make_folder(tmp_path / "two", ["a/9.png"])
    source = open_images(train, val=val)
    assert rows(source) == [("a/1.png", "train", "a"), ("b/1.png", "train", "b"), ("a/9.png", "val", "a")]
    assert_array_equal(source.read(2), decode(val / "a/9.png"))


def test_train_and_val_apart__equal_ids_get_the_split_in_front(tmp_path):
    train = make_folder(tmp_path / "one", {"a/1.png": colour(1, 1, 1)})
    val = make_folder(tmp_path / "two", {"a/1.png": colour(2, 2, 2)})
    source = open_images(train, val=val)
    assert [row[0] for row in rows(source)] == ["train/a/1.png", "val/a/1.png"]
    assert note(source, "begin with train/ or val/")
    again = reopen_images(source.describe())
    assert again.read_id("val/a/1.png").getpixel((0, 0)) == (2, 2, 2)
    assert again.read_id("train/a/1.png").getpixel((0, 0)) == (1, 1, 1)


def test_train_and_val_apart__only_the_named_half_of_a_split_folder(tmp_path):
    train = make_folder(tmp_path / "one", ["train/a/1.png", "val/a/2.png"])
    val = make_folder(tmp_path / "two", ["a/3.png"])
    source = open_images(train, val=val)
    assert [row[:2] for row in rows(source)] == [("train/a/1.png", "train"), ("a/3.png", "val")]
    assert note(source, "1 image of its other split ignored")


def test_flat_folder__no_labels_but_a_split(tmp_path):
    source = open_images(make_folder(tmp_path, [f"{number}.png" for number in range(10)]))
    assert not source.labelled and {row[2] for row in rows(source)} == {None}
    assert (source.table["split"] == "val").sum() == 2
    assert note(source, "images without labels")


def test_ignored__hidden_other_files_and_empty_classes(tmp_path):
    root = make_folder(
        tmp_path, ["a/1.png", "a/.1.png", "a/notes.txt", "a/raw", ".git/x.png", "__MACOSX/1.png"]
    )
    make_folder(root, ["loose.png"])
    (root / "empty").mkdir()
    make_folder(root, {"texts/readme.md": b""})
    source = open_images(root)
    assert [row[0] for row in rows(source)] == ["a/1.png"]
    assert note(source, "3 hidden files or folders ignored")
    assert note(source, "3 files ignored as not an image", ".txt 1", "without extension 1")
    assert note(source, "2 empty class folders ignored: empty, texts")
    assert note(source, "1 image ignored, outside the class folders")


def test_names__beyond_ascii(tmp_path):
    root = make_folder(
        tmp_path, ["猫/写真 1.png", "n\u0303andu\u0301/x.png"]
    )  # second one decomposed, kept so
    source = open_images(root)
    assert {row[2] for row in rows(source)} == {"猫", "n\u0303andu\u0301"}
    assert source.read_id("猫/写真 1.png").size == source.read(0).size


def test_names__that_are_not_text(tmp_path):
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)
    with open(folder + b"/a\xff.png", "wb") as file:
        file.write(colour(9, 9, 9))
    make_folder(tmp_path, ["b/1.png"])
    source = open_images(tmp_path)
    assert rows(source)[1] == (r"caf\xe9/a\xff.png", "train", r"caf\xe9")
    assert note(source, "1 file name not valid UTF-8", r"a\xff.png")
    for one in (source, reopen_images(source.describe()), pickle.loads(pickle.dumps(source))):
        assert one.read(1).getpixel((0, 0)) == (9, 9, 9)
        assert one.read_id(r"caf\xe9/a\xff.png").getpixel((0, 0)) == (9, 9, 9)
        assert one.fingerprint() == source.fingerprint()


def test_links__followed_without_end(tmp_path):
    root = make_folder(tmp_path / "root", ["a/1.png", "a/sub/2.png"])
    shared = make_folder(tmp_path / "shared", ["3.png"])
    (root / "a/elsewhere").symlink_to(shared)
    (root / "a/sub/up").symlink_to(root / "a")
    (root / "a/again").symlink_to(shared)
    (shared / "back").symlink_to(root)
    (root / "loop").symlink_to(tmp_path)
    (root / "b").symlink_to(shared)
    (root / "a/broken.png").symlink_to(root / "gone.png")
    (root / "a/itself.png").symlink_to("itself.png")
    (root / "a/itself").symlink_to("itself")
    source = open_images(root)
    ids = [row[0] for row in rows(source)]
    assert ids == ["a/1.png", "a/again/3.png", "a/broken.png", "a/itself.png", "a/sub/2.png", "b/3.png"]
    assert note(source, "links not followed", "a/elsewhere", "a/sub/up")
    with pytest.raises(UnreadableImage, match="found"):
        source.read_id("a/broken.png")


def test_fifo_named_like_an_image__is_not_opened(tmp_path):
    root = make_folder(tmp_path, ["a/1.png"])
    os.mkfifo(root / "a/2.png")
    assert [row[0] for row in rows(open_images(root))] == ["a/1.png"]


def test_reopened__same_rows_and_fingerprint_without_listing_first(tmp_path):
    source = open_images(class_folder(tmp_path, {"a": 5, "b": 5}), seed=3)
    again = reopen_images(source.describe())
    assert_array_equal(again.read_id("a/0.png"), source.read_id("a/0.png"))
    assert "listing" not in vars(again)
    assert rows(again) == rows(source) and again.fingerprint() == source.fingerprint()


def test_read_id__unknown_or_outside(tmp_path):
    root = make_folder(tmp_path / "root", ["a/1.png"])
    make_folder(tmp_path, ["secret.png"])
    source = reopen_images(open_images(root).describe())
    for image_id in ("a/2.png", "../secret.png", str(tmp_path / "secret.png"), ""):
        with pytest.raises(UnreadableImage, match="source"):
            source.read_id(image_id)


def test_pickled__reads_the_same(tmp_path):
    source = open_images(class_folder(tmp_path, {"a": 3}))
    copy = pickle.loads(pickle.dumps(source))
    assert rows(copy) == rows(source)
    assert_array_equal(copy.read(2), source.read(2))


def test_fingerprint__changes_with_files_names_and_split(tmp_path):
    root = class_folder(tmp_path / "one", {"a": 5, "b": 5})
    first = open_images(root).fingerprint()
    assert first == open_images(root).fingerprint() and len(first) == 64
    seen = {first, open_images(root, seed=1).fingerprint()}
    os.utime(root / "a/0.png", ns=(1, 1))
    seen.add(open_images(root).fingerprint())
    with (root / "a/1.png").open("ab") as file:
        file.write(b"x")
    seen.add(open_images(root).fingerprint())
    (root / "a/2.png").rename(root / "a/9.png")
    seen.add(open_images(root).fingerprint())
    assert len(seen) == 5


def test_fingerprint__survives_a_move_of_the_folder(tmp_path):
    root = class_folder(tmp_path / "one", {"a": 5})
    first = open_images(root).fingerprint()
    assert open_images(root.rename(tmp_path / "two")).fingerprint() == first


def test_unreadable_images__stay_listed(tmp_path):
    source = open_images(make_folder(tmp_path, {"a/1.jpg": b"", "a/2.jpg": picture()}))
    with pytest.raises(UnreadableImage, match="^zero bytes$"):
        source.read(0)
    assert source.read(1).mode == "RGB"


def one_line(error: pytest.ExceptionInfo[ImageSourceError]) -> bool:
    return "\n" not in str(error.value)


def test_error__missing_folder(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(ImageSourceError, match="'.*photo'.*'photos'") as error:
        open_images(tmp_path / "photo")
    assert one_line(error)
    with pytest.raises(ImageSourceError, match="folder"):
        open_images(tmp_path / "x/y/z")


def test_error__empty_folder(tmp_path):
    with pytest.raises(ImageSourceError, match="'.*Expected.*CLASS/IMAGE") as error:
        open_images(tmp_path)
    assert one_line(error)
    make_folder(tmp_path, {"a/readme.txt": b""})
    with pytest.raises(ImageSourceError, match="1.*ignored.*1"):
        open_images(tmp_path)


def test_error__a_file_instead_of_a_folder(tmp_path):
    make_folder(tmp_path, ["x.png"])
    with pytest.raises(ImageSourceError, match="images"):
        open_images(tmp_path / "x.png")


def test_error__no_permission(tmp_path, monkeypatch):
    root = make_folder(tmp_path, ["a/1.png", "b/1.png"])
    scandir = os.scandir

    def refuse(path: str) -> object:
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(folder_walk.os, "scandir", refuse)
    with pytest.raises(ImageSourceError, match="'.*b'.*permission"):
        open_images(root)


def test_read_id__never_leaves_the_folder(tmp_path):
    """A stranger's study may hold any image id; only files of the folder are read by it."""
    about = open_images(str(make_folder(tmp_path / "images", {"a/1.png": picture()}))).describe()
    (tmp_path / "mine.png").write_bytes(picture(seed=1))
    for image_id in (str(tmp_path / "mine.png"), "../mine.png", "a/../../mine.png"):
        with pytest.raises(UnreadableImage):
            reopen_images(about).read_id(image_id)
    assert reopen_images(about).read_id("a/1.png").size == (6, 5)


def test_captions__are_texts_beside_the_images_and_change_the_fingerprint(tmp_path):
    root = make_folder(tmp_path / "pets", ["cat/a.png", "dog/b.png", "dog/c.v2.png"])
    (root / "cat" / "a.txt").write_text("a cat\n on  grass\n", "utf-8")
    (root / "readme.txt").write_text("my pets", "utf-8")
    few = open_images(root)
    assert few.extras is None and note(few, "2 files ignored as not an image: .txt 2")
    (root / "dog" / "c.v2.txt").write_text("ein grüner Hund", "utf-8")
    many = open_images(root)
    assert many.extras is not None
    assert list(many.extras["caption"].fillna("none")) == ["a cat on grass", "none", "ein grüner Hund"]
    assert note(many, "2 captions beside the images") and note(many, "1 file ignored as not an image: .txt 1")
    assert len({source.fingerprint() for source in (few, many, open_images(root))}) == 2


def test_captions__are_no_links_to_other_files_and_no_pipes(tmp_path):
    root = make_folder(tmp_path / "pets", ["a.png", "b.png", "b.jpg", "c.png"])
    (tmp_path / "secret").write_text("password", "utf-8")
    (root / "a.txt").symlink_to(tmp_path / "secret")
    (root / "b.txt").write_text("a dog", "utf-8")
    os.mkfifo(root / "c.txt")
    source = open_images(root)
    assert source.extras is not None
    assert dict(zip(source.table["image_id"], source.extras["caption"].fillna("none"), strict=True)) == {
        "a.png": "none", "b.jpg": "a dog", "b.png": "a dog", "c.png": "none"
    }  # fmt: skip
    assert note(source, "2 files ignored as not an image: .txt 2")


def test_captions__are_not_the_boxes_of_a_detector(tmp_path):
    root = make_folder(tmp_path / "pets", ["a.png", "b.png"])
    for name in "ab":
        (root / f"{name}.txt").write_text("0 0.5 0.5 0.2 0.1\n", "utf-8")
    source = open_images(root)
    assert source.extras is None and note(source, "2 files ignored as not an image: .txt 2")


def test_reopened__says_that_its_folder_is_gone(tmp_path):
    root = make_folder(tmp_path / "photos", ["a/1.png"])
    about = open_images(root).describe()
    root.rename(tmp_path / "elsewhere")
    with pytest.raises(ImageSourceError, match="'.*photos'"):
        len(reopen_images(about).table)
