from __future__ import annotations

import gzip
import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_array_equal

from core.data.decode import decode
from core.data.images import open_images, open_representation_table, reopen_images
from core.data.source import digest_table, file_stamp
from core.errors import ImageSourceError, UnreadableImage
from tests.data.pictures import make_folder
from tests.data.test_folder import note, rows

TEN = [f"img/{number}.png" for number in range(10)]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def write_frame(path: Path, frame: pd.DataFrame) -> Path:
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


@pytest.mark.parametrize("suffix", [".csv.gz", ".tsv.gz", ".jsonl.gz"])
def test_table__packed_with_gzip(tmp_path, suffix):
    make_folder(tmp_path, TEN)
    frame = pd.DataFrame({"path": TEN, "label": ["cat", "dog"] * 5})
    if suffix.startswith(".jsonl"):
        frame.to_json(tmp_path / f"list{suffix}", orient="records", lines=True)
    else:
        frame.to_csv(tmp_path / f"list{suffix}", index=False, sep="\t" if "tsv" in suffix else ",")
    source = open_images(tmp_path / f"list{suffix}")
    assert [(path, label) for path, _, label in rows(source)] == list(
        zip(TEN, ["cat", "dog"] * 5, strict=True)
    )
    assert source.read(1).size and reopen_images(source.describe()).fingerprint() == source.fingerprint()


@pytest.mark.parametrize("is_gzip", [False, True])
def test_table__packed_and_damaged(tmp_path, is_gzip):
    content = gzip.compress(b"path\n" + b"a" * 5000 + b"\n")[:40] if is_gzip else b"no gzip at all"
    (tmp_path / "list.csv.gz").write_bytes(content)
    with pytest.raises(ImageSourceError, match="cannot read the table"):
        open_images(tmp_path / "list.csv.gz")


@pytest.mark.parametrize(
    ("names", "boxes"),
    [
        (("xmin", "ymin", "xmax", "ymax"), [(0, 0, 2, 2), (1, 1, 5, 6), (3, 3, 4, 5)]),
        (("x", "y", "w", "h"), [(0, 0, 2, 2), (1, 1, 4, 5), (3, 3, 1, 2)]),
        (("XMin", "XMax", "YMin", "YMax"), [(0, 0.2, 0, 0.2), (0.1, 0.5, 0.1, 0.6), (0.3, 0.4, 0.3, 0.5)]),
    ],
)
def test_table__a_row_a_box(tmp_path, names, boxes):
    make_folder(tmp_path, TEN[:2])
    lines = [(TEN[0], "dog", *boxes[0]), (TEN[0], "cat", *boxes[1]), (TEN[1], "owl", *boxes[2])]
    frame = pd.DataFrame(lines, columns=["filename", "class", *names]).assign(width=48, height=40)
    source = open_images(write_frame(tmp_path / "boxes.csv", frame))
    assert [(path, label) for path, _, label in rows(source)] == [(TEN[0], "cat"), (TEN[1], "owl")]
    (told,) = [one for one in source.notes if getattr(one, "kind", "") == "boxes"]
    assert (told.n, told.of) == (3, 2)  # pyright: ignore[reportAttributeAccessIssue]


def test_table__a_row_a_box_of_two_splits_is_refused(tmp_path):
    make_folder(tmp_path, TEN[:1])
    columns = {"path": [TEN[0]] * 2, "split": ["train", "val"]} | {
        name: [0, 1] for name in ("x1", "y1", "x2", "y2")
    }
    with pytest.raises(ImageSourceError, match="two splits of one image"):
        open_images(write_frame(tmp_path / "boxes.csv", pd.DataFrame(columns)))


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_table__ids_labels_splits_and_further_columns(tmp_path, suffix):
    make_folder(tmp_path, ["img/a.png", "img/b.png"])
    frame = pd.DataFrame(
        {"path": ["img/a.png", "img/b.png"], "label": [7, 10], "split": ["train", "validation"]}
        | {"age": [1.5, 2.5], "place": ["zoo", "home"]}
    )
    source = open_images(write_frame(tmp_path / f"list{suffix}", frame))
    assert source.kind == "table" and source.split_given and source.labelled
    assert rows(source) == [("img/a.png", "train", "7"), ("img/b.png", "val", "10")]
    assert list(source.table["path"]) == ["img/a.png", "img/b.png"]
    assert source.extras is not None
    assert source.extras["age"].tolist() == [1.5, 2.5] and source.extras["place"].tolist() == ["zoo", "home"]
    assert_array_equal(source.read(1), decode(tmp_path / "img/b.png"))


@pytest.mark.parametrize("column", ["path", "image", "file", "filename", "Path", "FileName", "image_path"])
@pytest.mark.parametrize("label", ["label", "class", "target"])
def test_table__names_of_columns(tmp_path, column, label):
    make_folder(tmp_path, TEN)
    text = f"{label},{column}\n" + "".join(f"NA,{path}\n" for path in TEN)
    source = open_images(write(tmp_path / "t.csv", text))
    assert list(source.table["path"]) == TEN
    assert set(source.table["label"]) == {"NA"} and source.extras is None


def test_table__own_ids_and_absolute_paths(tmp_path):
    make_folder(tmp_path / "far", ["a.png"])
    (tmp_path / "near").mkdir()
    text = f"image_id,path\nfirst,{tmp_path}/far/a.png\nsecond,../far/a.png\n"
    source = open_images(write(tmp_path / "near/t.csv", text))
    assert [row[0] for row in rows(source)] == ["first", "second"]
    assert_array_equal(source.read(0), source.read_id("second"))


@pytest.mark.parametrize("start", ["", "\ufeff"], ids=["plain", "BOM"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_table__dialects(tmp_path, start, separator):
    make_folder(tmp_path, ["a.png", "b.png"])
    lines = [["path", "label"], ["a.png", "grün"], ["b.png", ""]]
    source = open_images(write(tmp_path / "t.csv", start + "\n".join(map(separator.join, lines))))
    assert [(row[0], row[2]) for row in rows(source)] == [("a.png", "grün"), ("b.png", None)]


def test_table__spaces_beside_commas_are_no_letters(tmp_path):
    make_folder(tmp_path, ["a.png", "b.png"])
    source = open_images(
        write(tmp_path / "t.csv", 'label, path , split\n"cat", a.png , train\ndog , b.png, val \n')
    )
    assert rows(source) == [("a.png", "train", "cat"), ("b.png", "val", "dog")]
    assert not note(source, "not found")


def test_table__quotes_between_tabs_hide_no_row(tmp_path):
    text = 'path\tlabel\tcaption\na\tcat\t"hello\nb\tdog\t"x\n'
    source = open_images(write(tmp_path / "t.tsv", text))
    assert [row[::2] for row in rows(source)] == [("a", "cat"), ("b", "dog")]


def test_table__no_two_cells_become_one(tmp_path):
    text = "path,patient,version,visit,site,age\na,01,1.10,7,3,4.50\nb,1,1.1,,3,5.25\nc,1,2.0,9,4,\n"
    extras = open_images(write(tmp_path / "t.csv", text)).extras
    assert extras is not None
    assert extras["patient"].tolist() == ["01", "1", "1"] and extras["version"].nunique() == 3
    assert extras["visit"].dtype == "Int64" and extras["visit"].tolist()[::2] == [7, 9]
    assert extras["site"].tolist() == [3, 3, 4] and extras["age"].tolist()[:2] == [4.5, 5.25]


def test_table__parquet_says_what_is_text_and_what_is_whole(tmp_path):
    columns = {"path": list("abc"), "patient": ["7", "8", ""], "visit": pa.array([1, None, 3], pa.int32())}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    extras = open_images(tmp_path / "t.parquet").extras
    assert extras is not None and extras["patient"].tolist()[:2] == ["7", "8"]
    assert extras["patient"].isna().tolist() == [False, False, True]
    assert extras["visit"].dtype == "Int64" and extras["visit"].tolist()[::2] == [1, 3]


def test_table__text_of_one_split_is_text_of_both(tmp_path):
    write(tmp_path / "train.csv", "path,patient\na,01\nb,02\n")
    write(tmp_path / "val.csv", "path,patient\nc,11\nd,\n")
    extras = open_images(tmp_path / "train.csv", val=tmp_path / "val.csv").extras
    assert extras is not None and extras["patient"].tolist()[:3] == ["01", "02", "11"]
    assert extras["patient"].isna().tolist() == [False, False, False, True]


def test_table__images_of_an_earlier_version_are_the_same_images(tmp_path):
    source = open_images(write(tmp_path / "t.csv", "path,visit\na,7\nb,\n"))
    before = pd.DataFrame({"visit": [7.0, np.nan]})
    stamps = [file_stamp(str(tmp_path / name)) for name in "ab"]
    assert source.fingerprint() == digest_table("table", source.table, stamps, before)


def test_table__long_ids_beside_missing_ones_are_not_rounded(tmp_path):
    text = "path,patient,age\na,1152921504606846977,3\nb,1152921504606846978,\nc,,5\n"
    extras = open_images(write(tmp_path / "t.csv", text)).extras
    assert extras is not None and extras["age"].tolist()[::2] == [3, 5]
    assert extras["patient"].tolist()[:2] == ["1152921504606846977", "1152921504606846978"]


def test_table__long_ids_of_parquet_beside_missing_ones_are_not_rounded(tmp_path):
    ids = [2**60 + 1, 2**60 + 2, None]
    columns = {"path": list("abc"), "label": ids, "patient": ids, "far": [1e300, 2.5, None]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    source = open_images(tmp_path / "t.parquet")
    assert [row[2] for row in rows(source)] == [str(2**60 + 1), str(2**60 + 2), None]
    assert source.extras is not None and source.extras["patient"].tolist()[:2] == [
        str(one) for one in ids[:2]
    ]
    assert source.extras["far"].tolist()[:2] == [1e300, 2.5]


def test_table__backslashes_of_windows_part_folders(tmp_path):
    make_folder(tmp_path, ["img/a.png", "img/b.png"])
    (tmp_path / "img/b.png").rename(tmp_path / "img\\b.png")
    source = open_images(write(tmp_path / "t.csv", "path\nimg\\a.png\nimg\\b.png\n"))
    assert [row[0] for row in rows(source)] == ["img/a.png", "img\\b.png"] and not note(source, "not found")


def test_table__whole_numbers_stay_whole_beside_missing_labels(tmp_path):
    frame = pd.DataFrame({"path": ["a", "b"], "label": [3.0, np.nan]})
    source = open_images(write_frame(tmp_path / "t.parquet", frame))
    assert [row[2] for row in rows(source)] == ["3", None]


def test_table__leading_zeros_of_labels_stay(tmp_path):
    source = open_images(write(tmp_path / "t.csv", "path,label\na.png,007\n"))
    assert rows(source)[0][2] == "007"


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (["train", "test", "train"], [("a", "train"), ("b", "val"), ("c", "train")]),
        (["train", "test", "VAL "], [("a", "train"), ("c", "val")]),
        (["training", "valid", "validation"], [("a", "train"), ("b", "val"), ("c", "val")]),
    ],
)
def test_table__split_names(tmp_path, written, kept):
    lines = [f"{name},{split},{n}" for n, (name, split) in enumerate(zip("abc", written, strict=True))]
    source = open_images(write(tmp_path / "t.csv", "path,split,number\n" + "\n".join(lines)))
    assert [row[:2] for row in rows(source)] == kept
    assert source.extras is not None
    assert source.extras["number"].tolist() == ["abc".index(name) for name, _ in kept]
    assert note(source, "of 'test' left out") == (len(kept) == 2)


def test_table__metadata_of_wilds(tmp_path):
    """Columns as in iWildCam's metadata.csv: the label is y, two splits hold the domains of train."""
    lines = [
        "a,train,a.jpg,3,12",
        "b,val,b.jpg,3,40",
        "c,test,c.jpg,5,41",
        "d,id_val,d.jpg,5,12",
        "e,id_test,e.jpg,3,12",
    ]
    text = "image_id,split,filename,y,location_remapped\n" + "\n".join(lines)
    source = open_images(write(tmp_path / "metadata.csv", text))
    assert rows(source) == [("a", "train", "3"), ("b", "val", "3")]
    assert source.extras is not None and source.extras["location_remapped"].tolist() == [12, 40]
    assert note(source, "2 images of 'id_val' and 'id_test' left out: their domains are train's")
    assert note(source, "1 image of 'test' left out")


def test_table__splits_of_seen_domains_alone(tmp_path):
    text = "path,split\na,train\nb,id_val\nc,id_test\n"
    assert [row[:2] for row in rows(open_images(write(tmp_path / "t.csv", text)))] == [
        ("a", "train"),
        ("b", "val"),
    ]


def test_table__val_and_test_without_train(tmp_path):
    text = "path,split\na,valid\nb,test\nc,val\n"
    source = open_images(write(tmp_path / "t.csv", text))
    assert [row[:2] for row in rows(source)] == [("a", "train"), ("b", "val"), ("c", "train")]
    assert source.split_given and note(source, "there is no 'train'")


def test_table__y_beside_x_is_no_label(tmp_path):
    source = open_images(write(tmp_path / "t.csv", "path,x,y\na.png,1,2\n"))
    assert rows(source)[0][2] is None
    assert source.extras is not None and list(source.extras) == ["x", "y"]


def test_table__one_split_only_is_split_by_seed(tmp_path):
    text = "path,split\n" + "".join(f"{name},train\n" for name in "abcde")
    source = open_images(write(tmp_path / "t.csv", text))
    assert not source.split_given and (source.table["split"] == "val").sum() == 1
    assert note(source, "the column split has only 'train'") and note(source, "split by seed 0")


def test_table__train_and_val_tables(tmp_path):
    make_folder(tmp_path, TEN)
    train = write(tmp_path / "train.csv", "path,label\nimg/0.png,a\nimg/1.png,b\n")
    val = write(tmp_path / "val.csv", "path,label,age\nimg/2.png,a,5\n")
    source = open_images(train, val=val)
    assert rows(source) == [
        ("img/0.png", "train", "a"),
        ("img/1.png", "train", "b"),
        ("img/2.png", "val", "a"),
    ]
    assert source.extras is not None and source.extras["age"].fillna(-1).tolist() == [-1, -1, 5]
    again = reopen_images(source.describe())
    assert again.fingerprint() == source.fingerprint()
    assert_array_equal(again.read(2), source.read_id("img/2.png"))


def test_table__missing_files_stay_unreadable(tmp_path):
    make_folder(tmp_path, ["a.png"])
    source = open_images(write(tmp_path / "t.csv", "path\na.png\ngone.png\n"))
    assert len(source) == 2 and note(source, "1 of 2 files not found", "gone.png")
    with pytest.raises(UnreadableImage, match="found"):
        source.read(1)


def test_table__reopened_pickled_and_fingerprint(tmp_path):
    make_folder(tmp_path, TEN)
    path = write(tmp_path / "t.csv", "path,age\n" + "".join(f"{name},1\n" for name in TEN))
    source = open_images(path, seed=4)
    again, copy = reopen_images(source.describe()), pickle.loads(pickle.dumps(source))
    assert rows(again) == rows(copy) == rows(source)
    assert again.fingerprint() == copy.fingerprint() == source.fingerprint()
    os.utime(tmp_path / TEN[0], ns=(1, 1))
    touched = open_images(path, seed=4).fingerprint()
    path.write_text(path.read_text().replace(",1\n", ",2\n"))
    assert len({source.fingerprint(), touched, open_images(path, seed=4).fingerprint()}) == 2
    assert reopen_images(source.describe()).fingerprint() not in (touched,)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "t.csv",
            "picture,label\na,b\n",
            r"no column of image paths in '.*' \(columns: picture, label\). Name it one of path",
        ),
        ("t.csv", "", "cannot read the table '.*': No columns to parse"),
        ("t.csv", "path,label\n", "has no rows. Expected a header line"),
        ("t.csv", "path,label\na,cat,black\n", "its first row has more cells than its header names"),
        ("t.csv", "path ,path,label\na,b,c\n", "'.*t.csv' has two columns 'path'"),
        ("t.csv", "path\na\nb\na\n", r"path 'a' occurs more than once in '.*' \(1 repeated row\)"),
        ("t.csv", "path,label\na,b\n,c\n", "row 2 of '.*' has no path"),
        (
            "t.csv",
            "path,split\na,train\nb,holdout\n",
            r"column split of '.*' holds 'holdout' \(row 2\). Use train",
        ),
        ("t.parquet", "no parquet", "cannot read the table '.*t.parquet'"),
    ],
)
def test_error__in_the_table(tmp_path, name, text, message):
    with pytest.raises(ImageSourceError, match=message) as error:
        open_images(write(tmp_path / name, text))
    assert "\n" not in str(error.value)


def test_error__not_utf_8(tmp_path):
    (tmp_path / "t.csv").write_bytes("path\ngrün.png\n".encode("latin-1"))
    with pytest.raises(ImageSourceError, match="UTF-8.*UTF-8"):
        open_images(tmp_path / "t.csv")


def test_error__missing_table(tmp_path):
    write(tmp_path / "labels.csv", "path\na\n")
    with pytest.raises(ImageSourceError, match="'.*label.csv'.*'labels.csv'"):
        open_images(tmp_path / "label.csv")


def test_error__pictures_inside_parquet(tmp_path):
    frame = pd.DataFrame({"image": [{"bytes": b"x", "path": "a.png"}], "label": [1]})
    with pytest.raises(ImageSourceError, match="'image'"):
        open_representation_table(write_frame(tmp_path / "t.parquet", frame), n_rows=1)


def test_representations__table_without_paths(tmp_path):
    frame = pd.DataFrame({"label": list("aaaaabbbbb"), "age": range(10)})
    source = open_representation_table(write_frame(tmp_path / "t.csv", frame), n_rows=10)
    assert not source.has_pictures and source.kind == "representations"
    assert [row[0] for row in rows(source)] == [str(number) for number in range(10)]
    assert (source.table["split"] == "val").sum() == 2
    assert source.extras is not None and source.extras["age"].tolist() == list(range(10))
    assert note(source, "only representations")
    assert note(source, "row n of the representations is taken for row n of 't.csv'")
    with pytest.raises(UnreadableImage, match="representation"):
        source.read(0)
    again = reopen_images(source.describe())
    assert rows(again) == rows(source) and again.fingerprint() == source.fingerprint()


def test_representations__no_row_is_dropped_for_its_split(tmp_path):
    frame = pd.DataFrame({"image_id": list("abc"), "split": ["train", "val", "test"]})
    source = open_representation_table(write_frame(tmp_path / "t.csv", frame), n_rows=3)
    assert [row[:2] for row in rows(source)] == [("a", "train"), ("b", "val"), ("c", "val")]


def test_representations__with_paths_have_pictures(tmp_path):
    make_folder(tmp_path, ["a.png", "b.png"])
    source = open_representation_table(write(tmp_path / "t.csv", "path\na.png\nb.png\n"))
    assert source.has_pictures
    assert_array_equal(source.read(1), decode(tmp_path / "b.png"))


def test_representations__no_table_at_all():
    source = open_representation_table(None, n_rows=5, seed=2)
    assert len(source) == 5 and not source.labelled and not source.has_pictures
    again = reopen_images(source.describe())
    assert rows(pickle.loads(pickle.dumps(again))) == rows(source)


def test_representations__another_length(tmp_path):
    with pytest.raises(ImageSourceError, match="1.*7.*representations"):
        open_representation_table(write(tmp_path / "t.csv", "label\na\n"), n_rows=7)


def test_names_of_numbers__of_a_file_of_json_beside(tmp_path):
    """Kaggle's cassava: label_num_to_disease_map.json."""
    lines = [f"{name},{n % 3}" for n, name in enumerate(TEN)]
    make_folder(tmp_path, TEN)
    before = open_images(write(tmp_path / "t.csv", "\n".join(["image_id,label", *lines])))
    (tmp_path / "few.json").write_text('{"0": "rot"}')
    (tmp_path / "map.json").write_text('{"0": "rot", "1": "rust", "2": "healthy", "3": "mosaic"}')
    source = open_images(tmp_path / "t.csv")
    assert source.table["label"].tolist()[:4] == ["rot", "rust", "healthy", "rot"]
    assert source.describe()["names"] == "map.json"
    assert reopen_images(source.describe()).table.equals(source.table)
    assert reopen_images(before.describe()).table["label"].tolist()[:3] == ["0", "1", "2"]  # as it was read
    (tmp_path / "other.json").write_text('{"0": "a", "1": "b", "2": "c", "3": "d"}')
    assert open_images(tmp_path / "t.csv").table["label"].tolist()[:3] == ["0", "1", "2"]  # which of them?


@pytest.mark.parametrize("name", ["id", "filename"])
def test_paths__of_files_in_two_folders_are_named(tmp_path, name):
    make_folder(tmp_path, [f"{folder}/{n}.png" for folder in ("test", "train") for n in range(4)])
    cells = [str(n) if name == "id" else f"{n}.png" for n in range(4)]
    path = write(tmp_path / "t.csv", "\n".join([f"{name},label", *(f"{cell},x" for cell in cells)]))
    said = ""
    try:
        said = " ".join(map(str, open_images(path).notes))
    except ImageSourceError as error:
        said = str(error)
    assert "test/0.png" in said and "train/0.png" in said and "root=DIR" in said
    source = open_images(f"{path}?path={name}&root={tmp_path / 'train'}")
    assert source.read(0).size and len(source) == 4


def test_lines_of_json__labels_in_objects(tmp_path):
    """A manifest of SageMaker's Ground Truth."""
    make_folder(tmp_path, TEN)
    lines = [
        f'{{"source-ref": "s3://b/{name}", "j": {n % 2}, "j-metadata": {{"class-name": "{"ab"[n % 2]}"}}}}'
        for n, name in enumerate(TEN)
    ]
    source = open_images(write(tmp_path / "output.manifest", "\n".join(lines)))
    assert source.table["label"].tolist() == ["a", "b"] * 5 and source.read(3).size
    assert reopen_images(source.describe()).table.equals(source.table)
