from __future__ import annotations

import pytest

from core.data.images import open_images, reopen_images
from core.errors import ImageSourceError
from tests.data.pictures import make_folder
from tests.data.test_folder import rows

VAL = [f"ILSVRC2012_val_{number:08d}.JPEG" for number in (1, 2, 3, 4)]


def kinds(source):
    return [getattr(note, "kind", "") for note in source.notes]


def listed(source):
    return [(row[0], row[2]) for row in rows(source)]


@pytest.mark.parametrize("separator", [" ", "\t", ",", "   "])
def test_list__path_and_label(tmp_path, separator):
    make_folder(tmp_path, ["x/my dog.png", "b.png", "c.png"])
    lines = [f"x/my dog.png{separator}dog", f"b.png{separator}sea lion", "# a remark", "", "c.png"]
    (tmp_path / "train.txt").write_text("\n".join(lines))
    source = open_images(tmp_path / "train.txt")
    assert listed(source) == [("x/my dog.png", "dog"), ("b.png", "sea lion"), ("c.png", None)]
    assert source.read(0).size == (6, 5)
    assert reopen_images(source.describe()).fingerprint() == source.fingerprint()


@pytest.mark.parametrize(("first", "names"), [(0, "ape\nbee\n"), (1, "ape\nbee\n")])
def test_list__numbers_become_names(tmp_path, first, names):
    make_folder(tmp_path / "images", ["a.png", "b.png"])
    (tmp_path / "classes.txt").write_text(names)
    (tmp_path / "list.txt").write_text(f"a.png {first + 1}\nb.png {first}\n")
    source = open_images(tmp_path / "list.txt")
    assert listed(source) == [("a.png", "bee"), ("b.png", "ape")]
    assert "named" in kinds(source)
    (tmp_path / "classes.txt").write_text("ape\n")
    again = open_images(tmp_path / "list.txt")
    assert listed(again)[0] == ("a.png", str(first + 1))
    assert "no_name" in kinds(again)


def test_imagenet__flat_validation_images_with_their_synsets(tmp_path):
    make_folder(tmp_path / "val", VAL)
    truth = tmp_path / "imagenet_2012_validation_synset_labels.txt"
    wnids = ["n02119789", "n02100735", "n02119789", "n02110185", "n02110185"]  # of more images than are here
    truth.write_text("\n".join(wnids))
    source = open_images(tmp_path / "val")
    assert [row[2] for row in rows(source)] == wnids[:4]
    assert source.read(3).size == (6, 5)
    assert reopen_images(source.describe()).fingerprint() == source.fingerprint()
    (tmp_path / "synset_words.txt").write_text("n02119789 kit fox\nn02100735 setter\nn02110185 husky, dog\n")
    named = open_images(f"{truth}?root={tmp_path}/val")
    assert [row[2] for row in rows(named)] == ["kit fox", "setter", "kit fox", "husky, dog"]


def test_imagenet__numbers_with_the_devkit_s_names(tmp_path):
    make_folder(tmp_path / "val", VAL)
    (tmp_path / "val/ILSVRC2012_validation_ground_truth.txt").write_text("3\n1\n2\n1\n")
    (tmp_path / "map_clsloc.txt").write_text("n02119789 1 kit_fox\nn02100735 2 setter\nn02110185 3 husky\n")
    assert [row[2] for row in rows(open_images(tmp_path / "val"))] == [
        "husky",
        "kit_fox",
        "setter",
        "kit_fox",
    ]


def test_list__labels_that_cannot_be_paired(tmp_path):
    make_folder(tmp_path, ["a.png", "b.png"])
    (tmp_path / "list.txt").write_text("1\n2\n3\n")
    with pytest.raises(ImageSourceError, match="3.*2.*paired"):
        open_images(tmp_path / "list.txt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no lines"),
        (b"a.png 1\n\xff 2", "not UTF-8"),
        (b"a.png 1\nword 2", "line 2 of .* names no image"),
        (b"# mine\n\na.png 1\nword 2", "line 4 of .* names no image"),
    ],
)
def test_list__what_is_none(tmp_path, content, message):
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(ImageSourceError, match=message):
        open_images(tmp_path / "list.txt")
