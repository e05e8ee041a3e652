"""Trees of folders as data sets come: what is class, split, domain, group or mask, and what is said."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from core.common.records import Record
from core.data.folder import FolderSource
from core.data.images import ImageSource, open_images, reopen_images
from core.errors import ImageSourceError
from tests.data.pictures import class_folder, encoded, make_folder, parts_of, picture


def mask(*, size: int = 16) -> bytes:
    """A white square on black."""
    pixels = np.zeros((size, size, 3), np.uint8)
    pixels[4:9, 4:9] = 255
    return encoded(Image.fromarray(pixels))


def with_masks(root: Path, images: Sequence[str], masks: Sequence[str]) -> Path:
    make_folder(root, {name: picture(n, size=(16, 16)) for n, name in enumerate(images)})
    return make_folder(root, {name: mask() for name in masks})


def product(*levels: Sequence[str], n: int = 1) -> list[str]:
    """Every path of a folder of each level, with n images in each."""
    paths = [""]
    for names in levels:
        paths = [f"{path}{name}/" for path in paths for name in names]
    return [f"{path}{number}.png" for path in paths for number in range(n)]


def labels(source: ImageSource) -> list[str]:
    return sorted(source.table["label"].dropna().unique())


def column(source: ImageSource, name: str) -> list[str]:
    assert source.extras is not None
    return sorted(source.extras[name].dropna().unique())


def splits(source: ImageSource) -> dict[str, int]:
    """Images of each split and folder: {"train a": 3}."""
    firsts = [str(one).split("/")[0] for one in source.table["image_id"]]
    return dict(
        Counter(f"{split} {first}" for split, first in zip(source.table["split"], firsts, strict=True))
    )


def kinds(source: ImageSource) -> list[str]:
    return [part.kind for part in parts_of(source)]


def part(source: ImageSource, kind: str) -> Record:
    (one,) = [one for one in parts_of(source) if one.kind == kind]
    return one


def reads_the_same_again(source: ImageSource) -> bool:
    again = reopen_images(json.loads(json.dumps(source.describe())))  # as a manifest keeps it
    same = again.table.equals(source.table) and again.fingerprint() == source.fingerprint()
    return same and again.describe() == source.describe()


@pytest.mark.parametrize("above", ["", "train/"])
def test_plain_classes__say_nothing_of_folders(tmp_path, above):
    names = [above + name for name in product(("cat", "dog"), n=5)]
    names += product(("val",), ("cat", "dog")) if above else []
    source = open_images(make_folder(tmp_path, names))
    assert kinds(source) == [] and source.describe()["reading"].keys() <= {"splits"}
    assert source.extras is None and reads_the_same_again(source)


# P3: GROUP/CLASS


PACS = product(
    ("art_painting", "cartoon", "photo", "sketch"), ("dog", "elephant", "giraffe", "guitar", "horse"), n=2
)


def test_domains_above_classes__are_a_column(tmp_path):
    source = open_images(make_folder(tmp_path, PACS))
    assert labels(source) == ["dog", "elephant", "giraffe", "guitar", "horse"]
    assert column(source, "domain") == ["art_painting", "cartoon", "photo", "sketch"]
    told = part(source, "domains")
    assert (told.n, told.of, told.what) == (2, 1, "1") and kinds(source) == ["domains"]
    assert reads_the_same_again(source)


@pytest.mark.parametrize("above", ["", "data/PACS/"])
def test_domains__of_a_level_that_is_asked_for(tmp_path, above):
    root = make_folder(tmp_path, [above + name for name in PACS])
    first = 1 + above.count("/")
    source = open_images(root, class_level=first)
    assert labels(source) == ["art_painting", "cartoon", "photo", "sketch"] and kinds(source) == []
    assert column(source, "domain") == ["dog", "elephant", "giraffe", "guitar", "horse"]
    deeper = open_images(root, class_level=first + 1)
    assert (
        deeper.table.equals(open_images(root).table)
        and deeper.fingerprint() == open_images(root).fingerprint()
    )


@pytest.mark.parametrize(
    ("levels", "classes", "domains"),
    [
        (
            (("gaussian_noise", "fog"), "12345", ("n01440764", "n01443537", "n01484850")),
            3,
            (1, 2),
        ),  # ImageNet-C
        ((("autumn", "dim", "grass", "rock"), ("bear", "bus", "cat", "cow", "dog")), 2, (1,)),  # NICO++
        (("01", ("desert", "jungle", "snow"), ("bulldog", "corgi")), 3, (1, 2)),  # Spawrious
        ((("original", "mixed_rand", "no_fg"), ("00_dog", "01_bird", "02_boat")), 2, (1,)),  # IN-9
        ((("CALTECH", "LABELME", "SUN"), "01234"), 2, (1,)),  # VLCS
        ((("10253", "10254", "9077"), "01"), 2, (1,)),  # patches of slides
        ((("cat", "dog", "owl"), ("day", "night")), 1, (2,)),
        ((("cat", "dog"), ("2021", "2022", "2023")), 1, (2,)),
        ((("env1", "env2", "env3"), "0123"), 2, (1,)),  # coloured digits
    ],
)
def test_levels_that_repeat__which_of_them_names_the_classes(tmp_path, levels, classes, domains):
    source = open_images(make_folder(tmp_path, product(*levels)))
    assert labels(source) == sorted(levels[classes - 1])
    described = source.describe()["reading"]
    assert tuple(described["domains"]) == domains and described.get("classes", 1) == classes
    n = np.prod([len(levels[level - 1]) for level in domains])
    assert len(column(source, "domain")) == n


def test_domains__below_splits(tmp_path):
    names = [f"{split}/{name}" for split in ("train", "val") for name in PACS]
    source = open_images(make_folder(tmp_path, names))
    assert "guitar" in labels(source) and column(source, "domain")[0] == "art_painting"
    assert splits(source) == {"train train": 40, "val val": 40}


def test_few_names_that_repeat__are_no_domains(tmp_path):
    """MVTec's kinds of objects share little but `good`."""
    names = ["a/good/1.png", "a/bent/1.png", "b/good/1.png", "b/hole/1.png", "c/good/1.png", "c/cut/1.png"]
    source = open_images(make_folder(tmp_path, names))
    assert labels(source) == ["a", "b", "c"] and kinds(source) == ["deeper"]
    assert part(source, "deeper").what == "leaf"


def test_patients_above_classes__are_groups(tmp_path):
    levels = ([f"patient_{n:03}" for n in range(1, 7)], ("benign", "malignant"))
    source = open_images(make_folder(tmp_path, product(*levels, n=2)))
    assert labels(source) == ["benign", "malignant"] and kinds(source) == ["groups"]
    assert column(source, "group") == sorted(levels[0]) and source.group == "group"
    assert source.table.groupby(source.extras["group"])["split"].nunique().max() == 1  # pyright: ignore
    assert reads_the_same_again(source)


def test_group_level__is_a_column_and_no_domain(tmp_path):
    source = open_images(make_folder(tmp_path, PACS), group_level=1)
    assert source.group == "group"
    assert column(source, "group") == ["art_painting", "cartoon", "photo", "sketch"]
    assert list(source.extras) == ["group"] and reads_the_same_again(source)  # pyright: ignore
    with pytest.raises(ImageSourceError, match="--group-level.*4.*2"):
        open_images(tmp_path, group_level=4)


# P4: splits


@pytest.mark.parametrize(
    ("train", "val"),
    [
        ("train", "eval"), ("train", "dev"), ("training_set", "test_set"), ("seg_train", "seg_test"),
        ("trainval", "test"), ("train.X1", "val.X"), ("Final_Training", "Final_Test"), ("TRAIN", "Valid"),
        ("train2017", "val2017"), ("train2012", "validation2012"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("above", ["", "data/"])
def test_splits_by_other_names(tmp_path, train, val, above):
    names = [f"{above}{split}/{name}" for split in (train, val) for name in product(("cat", "dog"), n=2)]
    source = open_images(make_folder(tmp_path, names))
    assert labels(source) == ["cat", "dog"] and source.split_given
    assert source.table["split"].value_counts().to_dict() == {"train": 4, "val": 4}
    assert reads_the_same_again(source) and set(kinds(source)) <= {"splits"}


def test_splits_of_coco__are_no_classes(tmp_path):
    names = product(("train2017",), n=6) + product(("val2017",), n=3) + product(("unlabeled2017",), n=2)
    source = open_images(make_folder(tmp_path, names))
    assert labels(source) == [] and splits(source) == {"train train2017": 6, "val val2017": 3}


def test_splits__further_tests_beside_the_usual_names(tmp_path):
    """MVTec AD 2: its private tests have no class folders."""
    names = product(("train", "validation"), ("good",), n=2) + product(("test_public",), ("bad", "good"), n=2)
    names += product(("test_private", "test_private_mixed"), n=2)
    source = open_images(make_folder(tmp_path, names))
    assert labels(source) == ["bad", "good"]
    assert splits(source) == {"train train": 2, "val test_public": 4}


def test_splits__the_evaluation_with_several_classes(tmp_path):
    """MVTec LOCO: validation/ has sound pieces alone."""
    names = product(("train", "validation"), ("good",), n=2) + product(("test",), ("good", "torn"), n=2)
    source = open_images(make_folder(tmp_path, names))
    assert labels(source) == ["good", "torn"] and splits(source) == {"train train": 2, "val test": 4}
    assert list(source.unread) == ["validation/"] and reads_the_same_again(source)


def test_splits__of_several_parts_and_of_doubled_folders(tmp_path):
    names = [
        f"{part}/{name}" for part in ("train.X1", "train.X2", "val.X") for name in product(("cat", "dog"))
    ]
    source = open_images(make_folder(tmp_path / "parts", names))
    assert splits(source) == {"train train.X1": 2, "train train.X2": 2, "val val.X": 2}
    names = product(("seg_train",), ("seg_train",), ("sea", "street")) + ["seg_pred/seg_pred/1.png"]
    names += product(("seg_test",), ("seg_test",), ("sea", "street"))
    doubled = open_images(make_folder(tmp_path / "doubled", names))
    assert labels(doubled) == ["sea", "street"] and splits(doubled) == {
        "train seg_train": 2,
        "val seg_test": 2,
    }
    assert list(doubled.unread) == ["seg_pred/"]


def test_splits_in_each_class(tmp_path):
    names = product(("cat", "dog", "owl"), ("train", "test"), n=2)
    source = open_images(make_folder(tmp_path, names))
    assert labels(source) == ["cat", "dog", "owl"] and source.split_given
    assert source.table["split"].value_counts().to_dict() == {"train": 6, "val": 6}
    assert kinds(source) == ["splits_in_classes"] and reads_the_same_again(source)


def test_splits_in_each_domain(tmp_path):
    names = product(("CALTECH", "SUN"), ("train", "test", "full"), ("0", "1", "2"))
    source = open_images(make_folder(tmp_path, names))
    assert labels(source) == ["0", "1", "2"] and column(source, "domain") == ["CALTECH", "SUN"]
    assert source.table["split"].value_counts().to_dict() == {"train": 6, "val": 6}
    assert "CALTECH/full/" in source.unread


def test_splits_of_two_translated_sets(tmp_path):
    source = open_images(make_folder(tmp_path, product(("trainA", "trainB", "testA", "testB"), n=2)))
    assert labels(source) == ["A", "B"] and source.table["split"].value_counts().to_dict() == {
        "train": 4,
        "val": 4,
    }
    assert reads_the_same_again(source)


@pytest.mark.parametrize(
    "names", [("bullet_train", "test_tube", "car"), ("training", "cat"), ("test", "dev", "cat")]
)
def test_classes_that_are_called_like_splits(tmp_path, names):
    assert labels(open_images(make_folder(tmp_path, product(names, n=2)))) == sorted(names)


def test_detector_layout__has_no_classes(tmp_path):
    make_folder(tmp_path, {f"labels/train/{n}.txt": b"0 .5 .5 .2 .2" for n in range(3)})
    source = open_images(make_folder(tmp_path, product(("images",), ("train", "val"), n=3)))
    assert labels(source) == [] and source.table["split"].value_counts().to_dict() == {"train": 3, "val": 3}


def test_darknet_layout__has_no_classes(tmp_path):
    source = open_images(make_folder(tmp_path / "one", product(("obj_train_data",), n=3)))
    assert labels(source) == [] and kinds(source) == ["parts"]
    both = open_images(make_folder(tmp_path / "both", product(("obj_train_data", "obj_val_data"), n=3)))
    assert labels(both) == [] and splits(both) == {"train obj_train_data": 3, "val obj_val_data": 3}


def test_patients_alone__are_groups_and_no_classes(tmp_path):
    patients = [f"patient_{number:03}_node_{number % 3}" for number in range(6)]
    source = open_images(make_folder(tmp_path, product(("patches",), patients, n=3)))
    assert labels(source) == [] and column(source, "group") == patients and source.group == "group"
    assert kinds(source)[0] == "groups_alone" and reads_the_same_again(source)
    assert labels(open_images(tmp_path, class_level=2)) == patients


def test_few_patients__are_told_where_the_split_separates_them(tmp_path):
    names = product(("cat", "dog"), ("patient_1", "patient_2", "patient_3"), n=5)
    source = open_images(make_folder(tmp_path, names))
    (note,) = [one for one in source.notes if isinstance(one, Record) and one.kind == "few_groups"]
    assert (note.what, note.n, source.group) == ("group", 3, None)
    assert open_images(f"{tmp_path}?group=group").group == "group"


def test_numbers_of_records__are_no_classes(tmp_path):
    """MIMIC-CXR: files/p10/p10000032/s50414267."""
    names = [f"files/p1{n % 3}/p1{n % 3}00{n}/s{v}041{n}/{v}.png" for n in range(6) for v in range(2)]
    source = open_images(make_folder(tmp_path, names))
    assert labels(source) == [] and source.group == "group" and kinds(source)[0] == "codes"
    assert len(column(source, "group")) == 6 and reads_the_same_again(source)
    assert labels(open_images(tmp_path, class_level=2)) == ["p10", "p11", "p12"]


def test_folders_that_spread_files__are_no_classes(tmp_path):
    names = [f"{a}/{b}/{a}{b}{n}.png" for a in "0a" for b in "1f" for n in range(2)]
    source = open_images(make_folder(tmp_path, names))
    assert labels(source) == [] and kinds(source)[0] == "parts" and reads_the_same_again(source)


def test_folder_of_a_split_alone__is_no_class(tmp_path):
    assert labels(open_images(make_folder(tmp_path, product(("ISIC_2019_Training_Input",), n=3)))) == []


def test_quantities_are_no_classes(tmp_path):
    """BreakHis: magnifications below patients."""
    names = [
        f"{label}/{name}"
        for label in ("benign", "malignant")
        for name in product((f"{label}-1", f"{label}-2"), ("100X", "40X"), n=2)
    ]
    source = open_images(make_folder(tmp_path, names))
    assert labels(source) == ["benign", "malignant"]
    assert part(source, "unread").n == 2 and part(source, "unread").names[0] == "benign-1"


def test_flat_test__is_left_out_and_a_split_is_drawn(tmp_path):
    names = product(("train",), ("cat", "dog"), n=5) + product(("test",), n=4)
    source = open_images(make_folder(tmp_path, names))
    assert len(source) == 10 and not source.split_given and list(source.unread) == ["test/"]
    told = part(source, "flat_test")
    assert (told.n, told.what) == (4, "test") and reads_the_same_again(source)


def test_tiny_imagenet(tmp_path):
    names = product(("train",), ("n01443537", "n01629819"), ("images",), n=2)
    names += product(("val", "test"), ("images",), n=4)
    root = make_folder(tmp_path, names)
    lines = [f"{n}.png\t{('n01443537', 'n01629819')[n % 2]}\t0\t32\t44\t62" for n in range(4)]
    make_folder(root, {"val/val_annotations.txt": "\n".join(lines).encode()})
    source = open_images(root)
    assert labels(source) == ["n01443537", "n01629819"]
    of_val = source.table[source.table["split"] == "val"]
    assert list(of_val["label"]) == ["n01443537", "n01629819"] * 2 and kinds(source) == ["labels_of_list"]
    assert reads_the_same_again(source)


# P5: depths


def test_letters_above_scenes(tmp_path):
    names = [
        "a/abbey/1.png",
        "a/airport/1.png",
        "c/church/indoor/1.png",
        "c/church/outdoor/1.png",
        "c/cafe/1.png",
    ]
    source = open_images(make_folder(tmp_path, names))
    assert labels(source) == ["abbey", "airport", "cafe", "church/indoor", "church/outdoor"]
    assert kinds(source) == ["letters"] and reads_the_same_again(source)


def test_leaf__is_the_path_of_the_innermost_folder(tmp_path):
    names = ["church/indoor/1.png", "church/outdoor/1.png", "abbey/1.png", "cafe/a/b/1.png"]
    root = make_folder(tmp_path, names)
    told = part(open_images(root), "deeper")
    assert told.what == "leaf" and labels(open_images(root)) == ["abbey", "cafe", "church"]
    source = open_images(root, class_level="leaf")
    assert labels(source) == ["abbey", "cafe/a/b", "church/indoor", "church/outdoor"]
    assert kinds(source) == [] and reads_the_same_again(source)


def test_letters_of_an_alphabet__are_classes(tmp_path):
    assert labels(open_images(make_folder(tmp_path, product("ABC", n=2)))) == ["A", "B", "C"]


# P7: masks beside pictures


def test_masks_of_defects__are_left_out_and_offered(tmp_path):
    images = product(("bottle", "carpet"), ("train",), ("good",), n=3)
    tested = [
        *product(("bottle",), ("test",), ("good", "cut"), n=2),
        *product(("carpet",), ("test",), ("hole",), n=4),
    ]
    defects = [name for name in tested if "good" not in name]
    masks = [name.replace("test", "ground_truth").replace(".png", "_mask.png") for name in defects]
    images += tested
    source = open_images(with_masks(tmp_path, images, masks))
    assert len(source) == len(images) == 14 and labels(source) == ["bottle", "carpet"]
    assert source.table["split"].value_counts().to_dict() == {"val": 8, "train": 6}
    assert part(source, "masks").n == 6 and reads_the_same_again(source)
    one = open_images(tmp_path / "bottle")
    assert labels(one) == ["cut", "good"] and len(one) == 7 and list(one.unread) == []
    assert part(one, "masks_in").n == 2


def test_masks_beside_images__of_the_same_folder(tmp_path):
    images = [f"{label}/{label} ({n}).png" for label in ("benign", "normal") for n in range(3)]
    masks = [name.replace(".png", "_mask.png") for name in images] + ["benign/benign (1)_mask_1.png"]
    source = open_images(with_masks(tmp_path, images, masks))
    assert sorted(source.table["image_id"]) == sorted(images) and part(source, "masks").n == 7
    assert reads_the_same_again(source)


def test_masks_in_each_class(tmp_path):
    images = product(("COVID", "Normal"), ("images",), n=3)
    masks = [name.replace("images", "masks") for name in images]
    source = open_images(with_masks(tmp_path, images, masks))
    assert labels(source) == ["COVID", "Normal"] and len(source) == 6 and kinds(source) == ["masks"]


def test_pascal__has_pictures_and_masks_but_no_classes(tmp_path):
    masks = [f"{name}/{n}.png" for name in ("SegmentationClass", "SegmentationObject") for n in range(3)]
    source = open_images(with_masks(tmp_path, product(("JPEGImages",), n=3), masks))
    assert len(source) == 3 and labels(source) == [] and part(source, "masks").n == 6
    assert reads_the_same_again(source)


@pytest.mark.parametrize("name", ["mask", "with_mask", "labels"])
def test_classes_that_are_called_like_masks(tmp_path, name):
    names = product((name, "no_mask"), n=3)
    pictures = {one: picture(n, size=(16, 16)) for n, one in enumerate(names)}
    assert labels(open_images(make_folder(tmp_path, pictures))) == sorted([name, "no_mask"])


def test_unlabelled__of_fiftyone(tmp_path):
    source = open_images(make_folder(tmp_path, product(("_unlabeled", "cat", "dog"), n=3)))
    assert labels(source) == ["cat", "dog"] and len(source) == 9 and source.table["label"].isna().sum() == 3
    assert part(source, "unlabelled").n == 3 and reads_the_same_again(source)


# L15, I1, P12, X11


def test_system_folders__hold_no_images(tmp_path):
    names = product(("cat", "dog"), n=2) + ["cat/@eaDir/0.png", "$RECYCLE.BIN/1.png", "__pycache__/2.png"]
    source = open_images(make_folder(tmp_path, names))
    assert len(source) == 4 and labels(source) == ["cat", "dog"] and kinds(source) == []


def test_shards_as_folders__are_no_classes(tmp_path):
    names = product(("00000", "00001"), n=3)
    root = make_folder(tmp_path, names)
    assert labels(open_images(root)) == ["00000", "00001"]
    make_folder(root, {"00000_stats.json": b"{}", "00001_stats.json": b"{}"})
    make_folder(root, {name.replace(".png", ".txt"): b"a dog" for name in names})
    source = open_images(root)
    assert labels(source) == [] and kinds(source) == ["parts"] and column(source, "caption") == ["a dog"]
    assert reads_the_same_again(source)


def test_shard_as_folder__one_alone(tmp_path):
    root = make_folder(tmp_path, product(("00000",), n=3))
    assert labels(open_images(root)) == ["00000"]
    assert labels(open_images(make_folder(root, {"00000.parquet": b"PAR1"}))) == []


def test_shards_as_folders__labels_of_the_tables_beside(tmp_path):
    root = make_folder(
        tmp_path, [f"{shard}/{shard}{n:04d}.jpg" for shard in ("00000", "00001") for n in range(3)]
    )
    for shard in ("00000", "00001"):
        rows = {"key": [f"{shard}{n:04d}" for n in range(3)], "status": ["success", "failed", "success"]}
        rows |= {"label": ["cat", None, "dog"], "sha256": ["a", "b", "c"], "width": [4, 5, 4]}
        pd.DataFrame(rows).to_parquet(root / f"{shard}.parquet")
    source = open_images(root)
    assert list(source.table["label"].fillna("")) == ["cat", "", "dog"] * 2
    assert kinds(source) == ["parts_labelled"] and part(source, "parts_labelled").why == "label"
    assert "2 images without label" in source.notes
    assert reads_the_same_again(source)


def test_shards_as_folders__tables_without_labels_give_none(tmp_path):
    root = make_folder(tmp_path, product(("00000", "00001"), n=2))
    pd.DataFrame({"key": ["0", "1"], "caption": ["a", "b"], "status": ["success"] * 2}).to_parquet(
        root / "00000.parquet"
    )
    source = open_images(root)
    assert labels(source) == [] and kinds(source) == ["parts"]


def test_masks_of_camvid__are_left_out(tmp_path):
    root = with_masks(tmp_path, product(("train",), n=3), product(("trainannot",), n=3))
    source = open_images(root)
    assert len(source) == 3 and labels(source) == []


def test_parts_of_one_set__are_no_classes(tmp_path):
    assert labels(open_images(make_folder(tmp_path, product(("images_part_1", "images_part_2"), n=3)))) == []


def test_annotations_that_name_the_images__are_named(tmp_path):
    root = make_folder(tmp_path, product(("images",), ("train", "val"), n=3))
    tree = {"images": [{"id": n, "file_name": f"{n}.png"} for n in range(3)], "annotations": []}
    make_folder(root, {"annotations/instances_train.json": json.dumps(tree).encode()})
    make_folder(root, {"readme.txt": b"birds\non land\nand water\n"})
    told = part(open_images(root), "lists")
    assert told.names == ("annotations/instances_train.json",)
    assert told.what == str(root / "annotations" / "instances_train.json")
    listed = make_folder(tmp_path / "listed", product(("001.Albatross", "002.Auklet"), n=2))
    rows = [f"{label}/{n}.png {n}" for label in ("001.Albatross", "002.Auklet") for n in range(2)]
    make_folder(listed, {"list.txt": "\n".join(rows).encode()})
    assert part(open_images(listed), "lists").names == ("list.txt",)


@pytest.mark.parametrize(
    "text", ["image,caption\n0.png,a dog\n1.png,a cat", "a\nb\nc", "train/0.png elsewhere\nx\ny\nz"]
)
def test_other_texts__are_not_named(tmp_path, text):
    root = make_folder(tmp_path, product(("cat", "dog"), n=2))
    make_folder(root, {"words.txt": text.encode()})
    assert kinds(open_images(root)) == []


def test_classes_of_one_or_two_images__are_told(tmp_path):
    few = {f"person {n}": 2 for n in range(9)} | {"crowd": 5}
    told = part(open_images(class_folder(tmp_path, few)), "few_images")
    assert (told.n, told.of) == (9, 10)


def test_boxes_of_a_detector__are_no_captions(tmp_path):
    root = make_folder(tmp_path, ["0.png", "1.png"])
    line = b"Car 0.00 0 1.85 387.63 181.54 423.81 203.12 1.67 1.87 3.69 -16.53 2.39 58.49 1.57\n"
    source = open_images(make_folder(root, {"0.txt": line * 2, "1.txt": line}))
    assert source.extras is None


# Studies that were made before


@pytest.mark.parametrize("class_level", [1, 2])
def test_description_without_a_reading__lists_as_before(tmp_path, class_level):
    root = make_folder(tmp_path, PACS)
    level = {"class_level": 2} if class_level == 2 else {}
    about = {"kind": "folder", "root": str(root), "seed": 0, **level}
    old = reopen_images(about)
    expected = {
        1: ["art_painting", "cartoon", "photo", "sketch"],
        2: ["dog", "elephant", "giraffe", "guitar", "horse"],
    }
    assert labels(old) == expected[class_level] and old.extras is None
    assert list(old.table["image_id"]) == sorted(PACS) and old.describe() == about


@pytest.mark.parametrize(
    "names",
    [
        product(("train", "eval"), ("a", "b"), n=2),
        product(("cat", "@eaDir"), n=2),
        product(("cat", "ground_truth"), n=2),
        product(("00000", "00001"), n=2),
        product(("only",), ("a", "b"), n=2),
    ],
)
def test_description_without_a_reading__has_the_classes_of_then(tmp_path, names):
    root = make_folder(tmp_path, names)
    old = reopen_images({"kind": "folder", "root": str(root), "seed": 0})
    assert labels(old) == sorted({name.split("/")[0] for name in names}) and len(old) == len(names)


def test_description_without_a_reading__is_as_the_new_one_where_a_tree_is_plain(tmp_path):
    for at, names in enumerate(
        [product(("cat", "dog"), n=5), product(("train", "val"), ("cat", "dog")), product(n=3)]
    ):
        new = open_images(make_folder(tmp_path / str(at), names))
        old = FolderSource.first_way(tmp_path / str(at))
        assert old.table.equals(new.table) and old.fingerprint() == new.fingerprint()


def test_reading_of_a_study__stays_when_folders_are_added(tmp_path):
    root = make_folder(tmp_path, product(("cat", "dog"), n=2))
    about = open_images(root).describe()
    make_folder(root, product(("cat", "dog"), ("day", "night"), n=3))
    assert labels(reopen_images(about)) == ["cat", "dog"] and reopen_images(about).extras is None


@pytest.mark.parametrize("year", ["VOC2012", "VOC"])
def test_pictures_of_voc__are_no_class(tmp_path, year):
    """One folder in another down to JPEGImages/, with the masks taken out."""
    images = [f"VOCdevkit/{year}/JPEGImages/{n}.png" for n in range(4)]
    root = with_masks(tmp_path, images, [f"VOCdevkit/{year}/SegmentationClass/{n}.png" for n in range(4)])
    source = open_images(root)
    assert len(source) == 4 and labels(source) == []


BANDS = ("B01", "B02", "B03", "B8A")


@pytest.mark.parametrize(
    "names",
    [
        [f"patch_{n}/patch_{n}_{band}.tif" for n in range(3) for band in BANDS],
        [f"T33/patch_{n}/{band}.tif" for n in range(3) for band in ("VV", "VH")],
        [f"forest/{n}/{n}_{band}.tif" for n in range(3) for band in BANDS],
        [f"train/{n:04x}_{band}.png" for n in range(3) for band in ("red", "green", "blue", "yellow")],
        [f"U2OS/Plate1/B02_s{n}_w{channel}.png" for n in range(1, 3) for channel in range(1, 7)],
        [f"train_{band}/{band}_patch_{n}.TIF" for band in ("red", "green", "nir") for n in range(3)],
    ],
)
def test_bands_in_files_of_their_own__are_refused_but_where_a_level_is_asked_for(tmp_path, names):
    grey = [picture_in_grey(n) for n in range(len(names))]
    make_folder(tmp_path, dict(zip(names, grey, strict=True)))
    with pytest.raises(ImageSourceError, match="bands of each picture in files of their own"):
        open_images(tmp_path)
    assert len(open_images(tmp_path, class_level=1)) == len(names)


@pytest.mark.parametrize(
    ("names", "in_grey"),
    [
        (
            [
                f"{label}/{n}_{band}.png"
                for label in "ab"
                for n in range(3)
                for band in ("red", "green", "blue")
            ],
            False,
        ),
        ([f"{label}/{n}_{view}.png" for label in "ab" for n in range(3) for view in (1, 2, 3)], True),
        ([f"{label}/{n}_b1.png" for label in "ab" for n in range(4)], True),
    ],
)
def test_names_like_those_of_bands__of_pictures(tmp_path, names, in_grey):
    make_folder(
        tmp_path, {name: picture_in_grey(n) if in_grey else picture(n) for n, name in enumerate(names)}
    )
    assert labels(open_images(tmp_path)) == ["a", "b"]


def picture_in_grey(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (5, 6), dtype=np.uint8)
    return encoded(Image.fromarray(pixels))


def test_cameras_of_a_car__are_a_column_and_no_classes(tmp_path):
    """nuScenes: samples and sweeps of each camera, and drawn maps."""
    cameras = ("CAM_BACK", "CAM_FRONT")
    make_folder(tmp_path, [*product(("samples", "sweeps"), cameras, n=3), "maps/0.png", "maps/1.png"])
    source = open_images(tmp_path)
    assert not source.labelled and column(source, "domain") == list(cameras) and len(source) == 12
    assert kinds(source) == ["cameras"] and reads_the_same_again(source)


def test_drives_above_cameras__are_groups(tmp_path):
    make_folder(
        tmp_path, product(("day",), [f"drive_{n:04d}_sync" for n in range(6)], ("image_02", "image_03"))
    )
    source = open_images(tmp_path)
    assert source.group == "group" and len(column(source, "group")) == 6 and not source.labelled


@pytest.mark.parametrize("below", ["", "leftImg8bit"])
def test_scenes_of_cities__are_groups_and_no_classes(tmp_path, below):
    cities = ("aachen", "bremen", "jena", "ulm", "weimar")
    names = [f"{city}/{city}_00000{n}_leftImg8bit.png" for city in cities for n in range(2)]
    make_folder(tmp_path, [f"leftImg8bit/{split}/{name}" for split in ("train", "val") for name in names])
    source = open_images(tmp_path / below)
    assert not source.labelled and source.group == "group" and column(source, "group") == list(cities)
    assert kinds(source) == ["scenes"] and reads_the_same_again(source)
    assert labels(open_images(tmp_path / below, class_level=1)) == list(cities)


@pytest.mark.parametrize(
    "species", [("crecca", "merula", "mellifera", "perennis"), ("2761", "2762", "2763", "2764")]
)
def test_species_below_their_groups__are_the_classes(tmp_path, species):
    """iNaturalist 2017 and 2018."""
    above = ("Aves", "Aves", "Insecta", "Plantae")
    names = [
        f"train_val/{taxon}/{one}/{n}.png"
        for taxon, one in zip(above, species, strict=True)
        for n in range(3)
    ]
    source = open_images(make_folder(tmp_path, names))
    assert labels(source) == sorted(species) and column(source, "domain") == ["Aves", "Insecta", "Plantae"]
    assert kinds(source) == ["taxa"] and reads_the_same_again(source)


@pytest.mark.parametrize("below", ["", "flowers/"])
def test_classes_once_more_in_a_folder_among_them__are_left_out(tmp_path, below):
    names = product(("no", "yes"), n=3)
    make_folder(tmp_path, [below + name for name in (*names, *(f"again/{name}" for name in names))])
    source = open_images(tmp_path)
    assert labels(source) == ["no", "yes"] and len(source) == 6
    assert part(source, "again").names == (f"{below}again/",) and reads_the_same_again(source)


def test_classes_beside_a_folder_with_classes_of_other_files__are_read(tmp_path):
    names = [
        *product(("no", "yes"), n=3),
        *(f"more/{label}/other{n}.png" for label in ("no", "yes") for n in "ab"),
    ]
    assert labels(open_images(make_folder(tmp_path, names))) == ["more", "no", "yes"]


@pytest.mark.parametrize("name", ["{0:02d}000/{0:02d}0{1}7.png", "{0:04d}/{1}00{0}.png"])
def test_folders_that_spread_files_by_their_numbers__are_no_classes(tmp_path, name):
    source = open_images(make_folder(tmp_path, [name.format(d, n) for d in range(4) for n in range(1, 5)]))
    assert not source.labelled and kinds(source) == ["parts"]


def test_folders_of_numbers__with_other_numbers_in_them_are_classes(tmp_path):
    names = [f"{label:02d}000/{n}.png" for label in range(3) for n in range(4)]
    assert len(labels(open_images(make_folder(tmp_path, names)))) == 3


def test_splits_that_differ_in_one_word(tmp_path):
    names = [
        f"asl_{split}/asl_{split}/{label}/{n}.png"
        for split in ("train", "test")
        for label in "ab"
        for n in "12"
    ]
    source = open_images(make_folder(tmp_path, names))
    assert splits(source) == {"train asl_train": 4, "val asl_test": 4} and labels(source) == ["a", "b"]
