from __future__ import annotations

import io
import json
import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_array_equal

from core.data.decode import decode
from core.data.hugging_face_columns import ArrowColumns, ParquetColumns
from core.data.images import open_images, reopen_images
from core.data.source import VAL_AS_TRAIN
from core.errors import ImageSourceError, UnreadableImage
from tests.data.pictures import make_folder, picture

CLASSES = ["ape", "bee", "cat"]
PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def features(**more: Any) -> dict[bytes, bytes]:
    columns = {"image": {"_type": "Image"}, "label": {"names": CLASSES, "_type": "ClassLabel"}, **more}
    return {b"huggingface": json.dumps({"info": {"features": columns}}).encode()}


def table(numbers: Sequence[int], **columns: Any) -> pa.Table:
    """Rows of distinct pictures, as `datasets` writes them; labels are the numbers modulo 3."""
    pictures = pa.array([{"bytes": picture(n), "path": f"{n}.png"} for n in numbers], PICTURE)
    data = {"image": pictures, "label": pa.array([n % 3 for n in numbers], pa.int64())} | columns
    return pa.table(data).replace_schema_metadata(features())


def write(path: Path, rows: pa.Table, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, path, **options)
    return path


def save_to_disk(folder: Path, rows: pa.Table, split: str = "train") -> Path:
    """The layout of `Dataset.save_to_disk`: a stream of record batches and its record."""
    folder.mkdir(parents=True)
    name = "data-00000-of-00001.arrow"
    with pa.OSFile(str(folder / name), "wb") as file, pa.ipc.new_stream(file, rows.schema) as stream:
        stream.write_table(rows, max_chunksize=4)
    state = {"_data_files": [{"filename": name}], "_split": split}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def test_parquet__classes_by_name_and_pictures_in_place(tmp_path):
    path = write(tmp_path / "photos.parquet", table(range(20), size=pa.array(range(20))), row_group_size=7)
    source = open_images(path)
    assert source.kind == "hugging_face" and not source.split_given
    assert source.table["image_id"].tolist()[:2] == ["photos/000000", "photos/000001"]
    assert source.table["path"].iat[3] == "photos/3.png"
    assert source.table["label"].tolist() == [CLASSES[n % 3] for n in range(20)]
    assert source.extras is not None and source.extras["size"].tolist() == list(range(20))
    for row in (0, 5, 6, 7, 19, 2, 13):  # forwards, over borders of row groups and back
        assert_array_equal(source.read(row), decode(picture(row)))
    again = pickle.loads(pickle.dumps(reopen_images(source.describe())))
    assert again.fingerprint() == source.fingerprint()
    assert_array_equal(again.read_id("photos/000011"), decode(picture(11)))


def test_folder__splits_by_the_names_of_files(tmp_path):
    write(tmp_path / "data/train-00000-of-00002.parquet", table(range(4)))
    write(tmp_path / "data/train-00001-of-00002.parquet", table(range(4, 8)))
    write(tmp_path / "data/validation-00000-of-00001.parquet", table(range(8, 10)))
    write(tmp_path / "data/test-00000-of-00001.parquet", table(range(10, 13)))
    (tmp_path / "README.md").write_text("a data set")
    source = open_images(tmp_path)
    assert source.split_given and source.table["split"].tolist() == ["train"] * 8 + ["val"] * 2
    assert "3 images of 'test' left out: 'val' is used" in source.notes
    assert source.table["image_id"].iat[9] == "data/validation-00000-of-00001/000001"
    assert_array_equal(source.read(9), decode(picture(9)))
    only = open_images(
        str(tmp_path / "data/train-*.parquet"), val=tmp_path / "data/test-00000-of-00001.parquet"
    )
    assert only.table["split"].tolist() == ["train"] * 8 + ["val"] * 3


def test_folder__test_alone_is_the_evaluation_split(tmp_path):
    write(tmp_path / "train/0000.parquet", table(range(3)))
    write(tmp_path / "test/0000.parquet", table(range(3, 5)))
    source = open_images(tmp_path)
    assert source.table["split"].tolist() == ["val", "val", "train", "train", "train"]
    assert "'test' is used as the evaluation split, named val" in source.notes


def test_folder__val_and_test_without_train(tmp_path):
    write(tmp_path / "data/test-0.parquet", table(range(3)))
    write(tmp_path / "data/validation-0.parquet", table(range(3, 5)))
    source = open_images(tmp_path)
    assert source.split_given and source.table["split"].tolist() == ["val"] * 3 + ["train"] * 2
    assert VAL_AS_TRAIN in source.notes


def test_parquet__a_column_of_splits(tmp_path):
    splits = ["train", "Test", "train", "validation", "train"]
    path = write(tmp_path / "t.parquet", table(range(5), split=pa.array(splits)))
    source = open_images(path)
    assert source.split_given and source.table["split"].tolist() == ["train", "train", "val", "train"]
    assert source.table["image_id"].tolist() == [f"t/00000{n}" for n in (0, 2, 3, 4)]
    assert_array_equal(source.read(2), decode(picture(3)))
    assert source.notes == ["1 image of 'test' left out: 'val' is used"]
    path = write(tmp_path / "other.parquet", table(range(2), split=pa.array(["wood", "train"])))
    assert not open_images(path).split_given


def test_labels__another_column_and_missing_ones(tmp_path):
    rows = table(range(4), coarse=pa.array([0, 1, -1, 9]), name=pa.array(["a", None, "b", ""]))
    coarse = {"coarse": {"names": ["animal", "plant"], "_type": "ClassLabel"}}
    path = write(tmp_path / "t.parquet", rows.replace_schema_metadata(features(**coarse)))
    source = open_images(path)
    assert "labels are 'label'; for coarse write ?label=coarse" in source.notes
    source = open_images(f"{path}?label=coarse")
    assert source.table["label"].fillna("").tolist() == ["animal", "plant", "", ""]
    assert "2 images without label" in source.notes
    assert reopen_images(source.describe()).fingerprint() == source.fingerprint()
    with pytest.raises(ImageSourceError, match="'labl'.*'label'"):
        open_images(f"{path}?label=labl")
    with pytest.raises(ImageSourceError, match="'root'"):
        open_images(f"{path}?root=x")


def test_parquet__plain_bytes_without_metadata(tmp_path):
    rows = pa.table({"img": pa.array([picture(0), None]), "label": ["x", "y"]})
    source = open_images(write(tmp_path / "t.parquet", rows))
    assert source.table["label"].tolist() == ["x", "y"]
    assert_array_equal(source.read(0), decode(picture(0)))
    with pytest.raises(UnreadableImage, match="picture"):
        source.read(1)


def test_save_to_disk__with_and_without_splits(tmp_path):
    one = open_images(save_to_disk(tmp_path / "one", table(range(9))))
    assert one.table["label"].tolist() == [CLASSES[n % 3] for n in range(9)] and not one.split_given
    for row in (8, 0, 4):
        assert_array_equal(one.read(row), decode(picture(row)))
    save_to_disk(tmp_path / "two/train", table(range(4)))
    save_to_disk(tmp_path / "two/test", table(range(4, 6)), "test")
    (tmp_path / "two/dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    two = open_images(tmp_path / "two")
    assert two.table["split"].tolist() == ["train"] * 4 + ["val"] * 2
    assert_array_equal(two.read(5), decode(picture(5)))


@pytest.mark.parametrize("name", ["../secret.arrow", "/etc/passwd", "", 7], ids=str)
def test_save_to_disk__files_outside_the_folder_are_refused(tmp_path, name):
    folder = save_to_disk(tmp_path / "x", table(range(3)))
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    with pytest.raises(ImageSourceError, match="beside"):
        open_images(folder)


def test_save_to_disk__a_record_that_is_none(tmp_path):
    folder = save_to_disk(tmp_path / "x", table(range(3)))
    for text in ("[]", "{", '{"_data_files": 3}'):
        (folder / "state.json").write_text(text)
        with pytest.raises(ImageSourceError, match="state.json"):
            open_images(folder)


@pytest.mark.parametrize("ending", [".parquet", ".arrow"])
def test_damaged_files__one_line(tmp_path, ending):
    if ending == ".parquet":
        whole = write(tmp_path / "whole.parquet", table(range(9))).read_bytes()
    else:
        whole = next(save_to_disk(tmp_path / "d", table(range(9))).glob("*.arrow")).read_bytes()
    write(tmp_path / "train.parquet", table(range(3)))
    for number, damaged in enumerate((b"", whole[:40], whole[: len(whole) // 2])):
        path = tmp_path / f"{number}{ending}"
        path.write_bytes(damaged)
        with pytest.raises(ImageSourceError) as caught:
            open_images(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_arrow__offsets_that_leave_the_file_are_noticed(tmp_path):
    """A value that claims to end far behind its buffer would otherwise be read from foreign memory."""
    rows = table(range(3))
    folder = save_to_disk(tmp_path / "x", rows)
    path = next(folder.glob("*.arrow"))
    content = path.read_bytes()
    offsets = np.cumsum([0, *(len(picture(n)) for n in range(3))]).astype("<i4").tobytes()
    assert content.count(offsets) == 1
    path.write_bytes(content.replace(offsets, offsets[:-4] + np.int32(2_000_000_000).tobytes()))
    with pytest.raises(ImageSourceError, match="cannot"):
        open_images(folder)


def test_parquet__one_picture_in_many_rows_is_held_once(tmp_path):
    """A dictionary names one large picture in each of 5,000 rows: 5 GB, if each had its own bytes."""
    large = bytes(1_000_000)
    one = pa.DictionaryArray.from_arrays(pa.array(np.zeros(5_000, np.int32)), pa.array([large]))
    rows = pa.table({"image": one, "label": ["x"] * 5_000})
    path = write(tmp_path / "t.parquet", rows, store_schema=False, dictionary_pagesize_limit=1 << 21)
    columns = ParquetColumns(str(path))
    before = pa.total_allocated_bytes()
    assert columns.binary("image", 4_999) == large
    assert pa.total_allocated_bytes() - before < 50_000_000


def test_columns__rows_are_read_forwards(tmp_path, monkeypatch):
    """Each row group is begun once when the rows are read in order, whatever its size."""
    path = write(tmp_path / "t.parquet", table(range(40)), row_group_size=20)
    columns, begun = ParquetColumns(str(path)), []
    begin = columns._from
    monkeypatch.setattr(columns, "_from", lambda name, group: begun.append(group) or begin(name, group))
    for row in range(40):
        content = columns.binary("image", row)
        assert content is not None and bytes(content) == picture(row)
    assert begun == [0]
    columns.binary("image", 25)
    assert begun == [0, 1]


def test_arrow__of_one_file_and_of_a_file_format(tmp_path):
    rows, path = table(range(3)), tmp_path / "x.arrow"
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
        writer.write_table(rows)
    content = ArrowColumns(path).binary("image", 2)
    assert content is not None and decode(io.BytesIO(content)).size == (6, 5)
    assert open_images(path).table["image_id"].tolist()[2] == "x/000002"


def test_a_folder_of_images_stays_one(tmp_path):
    make_folder(tmp_path, ["ape/1.png", "bee/2.png"])
    write(tmp_path / "cat/t.parquet", table(range(3)))
    assert open_images(tmp_path).kind == "folder"


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.parquet")
    os.mkfifo(tmp_path / "x.arrow")
    for path in (tmp_path, tmp_path / "x.arrow"):
        with pytest.raises(ImageSourceError, match="no images in|no such file"):
            open_images(path)


def test_labels__numbers_that_are_no_classes(tmp_path):
    rows = table(range(4)).set_column(1, "label", pa.array([1.0, 1.5, float("nan"), -7.0]))
    source = open_images(write(tmp_path / "t.parquet", rows.replace_schema_metadata(features())))
    assert source.table["label"].fillna("").tolist() == ["bee", "", "", ""]


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_columns__whole_numbers_beside_a_missing_one_stay_whole(tmp_path, ending):
    rows = table(range(3), key=pa.array([None, 2**53 + 1, 7]), few=pa.array([None, 5, 7]))
    folder = save_to_disk(tmp_path / "saved", rows) if ending == "arrow" else tmp_path / "t.parquet"
    source = open_images(write(folder, rows) if ending == "parquet" else folder)
    assert source.extras is not None
    assert source.extras["key"].fillna("").tolist() == ["", str(2**53 + 1), "7"]
    assert source.extras["few"].tolist()[1:] == [5, 7]


def test_files_of_two_data_sets(tmp_path):
    write(tmp_path / "a.parquet", table(range(3)))
    write(tmp_path / "b.parquet", table(range(3)).rename_columns(["image", "other"]))
    with pytest.raises(ImageSourceError, match="'label'"):
        open_images(tmp_path)


def test_each_file_has_the_names_of_its_own_classes(tmp_path):
    """Of two exports or filters, the number of a class differs from split to split."""
    fewer = {b"huggingface": json.dumps({"info": {"features": NO_APE}}).encode()}
    write(tmp_path / "data/train-00000-of-00001.parquet", table(range(6)))
    val = table(range(3, 5)).replace_schema_metadata(fewer)
    write(tmp_path / "data/validation-00000-of-00001.parquet", val)
    source = open_images(tmp_path)
    assert source.table["label"].tolist() == [*CLASSES, *CLASSES, "bee", "cat"]


NO_APE = {"image": {"_type": "Image"}, "label": {"names": ["bee", "cat"], "_type": "ClassLabel"}}


def test_labels__categories_and_columns_of_0_and_1(tmp_path):
    rows = table(range(4)).drop_columns(["label"]).replace_schema_metadata(None)
    named = pa.array(["cat", "dog", "cat", None]).dictionary_encode()
    source = open_images(write(tmp_path / "t.parquet", rows.append_column("category", named)))
    assert source.table["label"].fillna("").tolist() == ["cat", "dog", "cat", ""]
    assert reopen_images(source.describe()).fingerprint() == source.fingerprint()
    hot = rows.append_column("ape", pa.array([1, 0, 0, 1])).append_column("bee", pa.array([0, 1, 1, 0]))
    source = open_images(write(tmp_path / "h.parquet", hot))
    assert source.table["label"].tolist() == ["ape", "bee", "bee", "ape"]
    assert reopen_images(source.describe()).fingerprint() == source.fingerprint()


def test_columns__text_in_one_file_is_text_in_all(tmp_path):
    write(tmp_path / "train-0.parquet", table(range(2), key=pa.array([2**60 + 1, None])))
    write(tmp_path / "train-1.parquet", table(range(2), key=pa.array([2**60 + 2, 3])))
    extras = open_images(tmp_path).extras
    assert extras is not None
    assert extras["key"].fillna("").tolist() == [str(2**60 + 1), "", str(2**60 + 2), "3"]


def test_splits__of_another_column_and_asked_for(tmp_path):
    rows = table(range(6), subset=pa.array(["train", "test"] * 3), fold=pa.array([0, 1, 2, 0, 1, 2]))
    path = write(tmp_path / "t.parquet", rows)
    source = open_images(path)
    assert source.split_given and source.table["split"].tolist() == ["train", "val"] * 3
    assert reopen_images(source.describe()).fingerprint() == source.fingerprint()
    old = reopen_images({"kind": "hugging_face", "path": str(path), "seed": 0, "label": None})
    assert not old.split_given and "reading" not in old.describe()
    with pytest.raises(ImageSourceError, match="column fold"):
        open_images(f"{path}?split=fold")


def test_parquet__names_of_files_in_place_of_bytes(tmp_path):
    make_folder(tmp_path / "pictures", ["0.png", "1.png"])
    pictures = pa.array([{"bytes": None, "path": f"/elsewhere/{n}.png"} for n in range(3)], PICTURE)
    rows = table(range(3)).set_column(0, "image", pictures).replace_schema_metadata(features())
    source = open_images(write(tmp_path / "t.parquet", rows))
    assert_array_equal(source.read(1), decode(tmp_path / "pictures/1.png"))
    with pytest.raises(UnreadableImage, match=r"2\.png"):
        source.read(2)
