from __future__ import annotations

import gzip
import pickle
import tarfile
from pathlib import Path

import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from core.data.decode import decode
from core.data.images import open_images, reopen_images
from core.data.shards import index_tar, shard_names, split_of_name
from core.errors import ImageSourceError, UnreadableImage
from tests.data.pictures import make_folder, make_tar, picture
from tests.data.test_folder import note, rows


def samples(n: int, *, start: int = 0, label: str = "cls") -> dict[str, bytes | str | int]:
    """Members of n samples, whose class is "0" or "1" in turn."""
    members: dict[str, bytes | str | int] = {}
    for number in range(start, start + n):
        members |= {f"{number:04d}.png": picture(number), f"{number:04d}.{label}": number % 2}
    return members


@pytest.mark.parametrize(
    "pattern",
    ["x-{000000000..999999999}.tar", "x-{" + "9" * 100 + "..1}.tar", "{a,b}" * 40, "{" * 100 + "}" * 100],
)
def test_pattern__of_more_files_than_there_can_be_is_refused_at_once(tmp_path, pattern):
    """Before: its names were listed, by gigabytes."""
    with pytest.raises(ImageSourceError, match="1,000,000"):
        open_images(str(tmp_path / pattern))


def test_shard__ids_labels_and_pictures_in_place(tmp_path):
    path = make_tar(tmp_path / "pets.tar", samples(10))
    source = open_images(path)
    assert source.kind == "shards" and not source.split_given
    assert [(i, label) for i, _, label in rows(source)] == [(f"pets/{n:04d}", str(n % 2)) for n in range(10)]
    assert source.table["path"].iloc[3] == "pets.tar/0003.png"
    assert (source.table["split"] == "val").sum() == 2 and note(source, "split by seed 0")
    assert_array_equal(source.read(7), decode(picture(7)))
    assert_array_equal(source.read_id("pets/0002"), decode(picture(2)))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["pets.tar"]  # nothing extracted


def test_offsets__agree_with_tarfile(tmp_path):
    path = make_tar(tmp_path / "a.tar", {"x" * 150 + "/ü.png": picture(0), "b.txt": "hi"})
    with tarfile.open(path) as tar:
        expected = [(info.name, info.offset_data, info.size) for info in tar.getmembers()]
    assert [tuple(member) for member in index_tar(str(path)).members] == expected


@pytest.mark.parametrize(
    ("fields", "label"),
    [
        ({"cls": "3"}, "3"),
        ({"cls": "dog\n"}, "dog"),
        ({"txt": "dog"}, "dog"),
        ({"json": {"label": 4}}, "4"),
        ({"json": {"class": "dog", "x": [1]}}, "dog"),
        ({"json": {"label": "cat", "class": "dog"}}, "cat"),
        ({"json": {"width": 4}}, None),
        ({"json": "not json"}, None),
        ({"cls": "1", "txt": "a caption"}, "1"),
        ({}, None),
    ],
)
def test_labels(tmp_path, fields, label):
    members = {"k.JPG": picture(), **{f"k.{ending}": content for ending, content in fields.items()}}
    assert rows(open_images(make_tar(tmp_path / "a.tar", members))) == [("a/k", "train", label)]


def test_texts__too_many_for_classes_are_captions(tmp_path):
    members: dict[str, bytes | str] = {}
    for number in range(60):
        members |= {f"{number}.png": picture(), f"{number}.txt": f"scene {number}"}
    source = open_images(make_tar(tmp_path / "a.tar", members))
    assert not source.labelled and source.extras is not None
    assert source.extras["caption"].iloc[5] == "scene 5"
    assert note(source, "60 different .txt texts used as captions")


def test_keys__folders_dots_and_several_endings(tmp_path):
    members = {"./n01/a.seg.png": picture(1), "./n01/a.cls": 5, "n01/.hidden.png": b"", "n01/b.cls": 1}
    source = open_images(make_tar(tmp_path / "s.tar", members))
    assert [row[0] for row in rows(source)] == ["s/n01/a"] and rows(source)[0][2] == "5"
    assert note(source, "1 sample without an image ignored")
    assert_array_equal(reopen_images(source.describe()).read_id("s/n01/a"), decode(picture(1)))


def test_keys__of_several_images_the_one_with_the_shortest_ending_is_the_picture(tmp_path):
    members = {"a.depth.png": picture(1), "a.png": picture(2), "a.cls": 5, "b.v1.png": picture(3)}
    source = open_images(make_tar(tmp_path / "s.tar", members | {"b.v2.png": picture(4)}))
    assert_array_equal(source.read(0), decode(picture(2)))
    assert note(source, "2 further files of samples ignored", "a.depth.png, b.v2.png")


def test_keys__of_two_files_of_a_name_the_first_is_read_and_the_second_named(tmp_path):
    members = {"a.png": picture(1), "a.cls": 5, "a.PNG": picture(2), "a.CLS": 6, "b.png": picture(3)}
    source = open_images(make_tar(tmp_path / "s.tar", members))
    assert_array_equal(source.read(0), decode(picture(1)))
    assert source.table["label"].tolist()[0] == "5" and len(source.table) == 2
    assert note(source, "2 further files of samples ignored", "a.PNG, a.CLS")


@pytest.mark.parametrize(
    "spec", ["s/in-{000..002}.tar", "s/in-*.tar", "s", "s/in-00[012].tar", "s/in-{000,00[1-2]}.tar"]
)
def test_patterns(tmp_path, monkeypatch, spec):
    for shard in range(3):
        make_tar(tmp_path / f"s/in-{shard:03d}.tar", samples(2, start=10 * shard))
    monkeypatch.chdir(tmp_path)
    source = open_images(spec)
    assert [row[0] for row in rows(source)] == [
        f"in-00{s}/{10 * s + n:04d}" for s in range(3) for n in range(2)
    ]
    assert_array_equal(source.read(4), decode(picture(20)))


def test_split__from_the_shards_names(tmp_path):
    for name, start in (
        ("pets-train-000", 0),
        ("pets-train-001", 2),
        ("pets-val-000", 4),
        ("pets-test-000", 6),
    ):
        make_tar(tmp_path / f"{name}.tar", samples(2, start=start))
    source = open_images(tmp_path)
    assert source.split_given
    assert [row[1] for row in rows(source)] == ["train"] * 4 + ["val"] * 2
    assert note(source, "2 images of 'test' left out")
    assert_array_equal(source.read(5), decode(picture(5)))


def test_split__from_the_folders_of_the_shards(tmp_path):
    make_tar(tmp_path / "train/000.tar", samples(2))
    make_tar(tmp_path / "val/000.tar", samples(1, start=5))
    source = open_images(f"{tmp_path}/{{train,val}}/*.tar")
    assert [row[:2] for row in rows(source)] == [
        ("train/000/0000", "train"),
        ("train/000/0001", "train"),
        ("val/000/0005", "val"),
    ]


def test_split__train_shards_alone_and_val_named_apart(tmp_path):
    make_tar(tmp_path / "train-0.tar", samples(10))
    make_tar(tmp_path / "val-0.tar", samples(3))
    alone = open_images(tmp_path / "train-0.tar")
    assert not alone.split_given and (alone.table["split"] == "val").sum() == 2
    both = open_images(tmp_path / "train-0.tar", val=tmp_path / "val-0.tar")
    assert (both.table["split"] == "val").sum() == 3 and both.table["image_id"].iloc[-1] == "val-0/0002"


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("imagenet-train-000000", "train"),
        ("imagenet1k_validation_01", "val"),
        ("val000", "val"),
        ("training.3", "train"),
        ("testing-1", "test"),
        ("constrained-000", None),
        ("000", None),
        ("interval-2", None),
    ],
)
def test_split_of_name(name, split):
    assert split_of_name(name) == split


def test_shard_names__below_the_folder_they_share():
    assert shard_names(["/x/a/0.tar", "/x/a/1.tar"]) == ["0", "1"]
    assert shard_names(["/x/a/0.tar", "/x/b/0.tar"]) == ["a/0", "b/0"]
    assert shard_names(["/x/a/0.tar"]) == ["0"]


def cut(path: Path, length: int) -> Path:
    path.write_bytes(path.read_bytes()[:length])
    return path


def test_truncated__members_before_the_damage_are_used(tmp_path):
    path = make_tar(tmp_path / "a.tar", samples(6))
    third = index_tar(str(path)).members[4]
    source = open_images(cut(path, third.offset + 10))
    assert [row[0] for row in rows(source)] == ["a/0000", "a/0001"]
    assert note(source, "shard a is damaged", "2 images before the damage are used")
    assert_array_equal(source.read(1), decode(picture(1)))


@pytest.mark.parametrize("length", range(0, 9216, 500))
def test_truncated__anywhere(tmp_path, length):
    path = make_tar(tmp_path / "a.tar", samples(4))
    whole = list(index_tar(str(path)).members)
    members = list(index_tar(str(cut(path, length))).members)
    assert members == whole[: len(members)]
    assert [member for member in whole if member.offset + member.size <= length - 512] in (
        members,
        members[:-1],
    )


def test_damaged_header__is_noted(tmp_path):
    path = make_tar(tmp_path / "a.tar", samples(3))
    third = index_tar(str(path)).members[4]
    data = bytearray(path.read_bytes())
    data[third.offset - 512 : third.offset - 400] = b"\xff" * 112
    path.write_bytes(data)
    source = open_images(path)
    assert len(source) == 2 and note(source, "shard a is damaged", "no valid header at byte")


def test_damaged_picture__is_unreadable(tmp_path):
    source = open_images(make_tar(tmp_path / "a.tar", {"a.png": b"", "b.png": picture()}))
    with pytest.raises(UnreadableImage, match="^zero bytes$"):
        source.read(0)
    (tmp_path / "a.tar").unlink()
    with pytest.raises(UnreadableImage, match="shard"):
        source.read(1)


def test_one_damaged_shard_of_several__the_others_are_used(tmp_path):
    make_tar(tmp_path / "0.tar", samples(2))
    (tmp_path / "1.tar").write_bytes(b"<html>sorry</html>" * 100)
    (tmp_path / "2.tar").write_bytes(b"")
    source = open_images(tmp_path)
    assert len(source) == 2 and note(source, "shard 1 is damaged") and note(source, "shard 2 is damaged")


def test_reopened_pickled_and_fingerprint(tmp_path):
    path = make_tar(tmp_path / "a.tar", samples(5))
    source = open_images(path, seed=2)
    again, copy = reopen_images(source.describe()), pickle.loads(pickle.dumps(source))
    assert_array_equal(again.read_id("a/0003"), source.read(3))
    assert "listing" not in vars(again)
    assert rows(again) == rows(copy) == rows(source)
    assert again.fingerprint() == copy.fingerprint() == source.fingerprint()
    with pytest.raises(UnreadableImage, match="source"):
        again.read_id("a/9")
    make_tar(path, samples(5, start=1))
    assert open_images(path, seed=2).fingerprint() != source.fingerprint()


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "a.tar"])
def test_error__compressed(tmp_path, name):
    plain = make_tar(tmp_path / "plain", samples(1)).read_bytes()
    (tmp_path / name).write_bytes(gzip.compress(plain))
    with pytest.raises(ImageSourceError, match="compressed"):
        open_images(tmp_path / name)


def test_error__nothing_there(tmp_path):
    make_tar(tmp_path / "in-000.tar", samples(1))
    with pytest.raises(ImageSourceError, match=r"'.*in-001.tar'.*\(2.*3"):
        open_images(f"{tmp_path}/in-{{000..002}}.tar")
    with pytest.raises(ImageSourceError, match=r"'.*x-\*.tar'"):
        open_images(f"{tmp_path}/x-*.tar")
    with pytest.raises(ImageSourceError, match="braces"):
        open_images(f"{tmp_path}/in-{{000..002.tar")


def test_error__no_images_in_the_shards(tmp_path):
    with pytest.raises(ImageSourceError, match="1.*1.*without"):
        open_images(make_tar(tmp_path / "a.tar", {"a.txt": "x"}))
    (tmp_path / "b.tar").write_bytes(b"<html>sorry</html>" * 100)
    with pytest.raises(ImageSourceError, match="1.*damaged"):
        open_images(tmp_path / "b.tar")


def test_folder_with_images_and_a_tar__is_a_folder(tmp_path):
    make_tar(make_folder(tmp_path, ["a/1.png"]) / "backup.tar", samples(1))
    source = open_images(tmp_path)
    assert source.kind == "folder" and note(source, ".tar 1")


def test_captions__a_text_that_the_json_has_as_its_caption_is_no_class(tmp_path):
    """img2dataset writes both; few different captions look like names of classes."""
    files: dict[str, bytes | str | int | dict[str, str]] = {}
    for number in range(6):
        caption = ("a cat", "a dog")[number % 2]
        files |= {f"{number}.jpg": picture(number), f"{number}.txt": caption.encode()}
        files[f"{number}.json"] = {"caption": caption, "url": "http://a"}
    source = open_images(make_tar(tmp_path / "00000.tar", files))
    assert not source.labelled and source.extras is not None
    assert source.extras["caption"].tolist()[:2] == ["a cat", "a dog"]


def test_folders__of_a_tar_are_classes_where_nothing_else_says_them(tmp_path):
    members = {
        f"pets/{label}/{number}.jpg": picture(number) for label in ("cat", "dog") for number in range(5)
    }
    path = make_tar(tmp_path / "pets.tar", members)
    source = open_images(path)
    assert source.table["label"].tolist() == ["cat"] * 5 + ["dog"] * 5
    assert reopen_images(source.describe()).fingerprint() == source.fingerprint()
    old = reopen_images({"kind": "shards", "paths": [str(path)], "seed": 0})
    assert not old.labelled and "reading" not in old.describe()
    splits = make_tar(
        tmp_path / "s.tar", {f"{name}/{n}.jpg": picture(n) for name in ("train", "val") for n in (1, 2)}
    )
    assert not open_images(splits).labelled


def test_captions__sentences_that_all_differ_and_labels_of_parts(tmp_path):
    texts = {f"{n}.txt": f"a picture with the number {n}" for n in range(5)}
    source = open_images(make_tar(tmp_path / "a.tar", texts | {f"{n}.jpg": picture(n) for n in range(5)}))
    assert not source.labelled and source.extras is not None and source.extras["caption"].nunique() == 5
    parts = {f"{n}.input.png": picture(n) for n in range(4)} | {f"{n}.target.cls": n % 2 for n in range(4)}
    path = make_tar(tmp_path / "b.tar", parts)
    assert open_images(path).table["label"].tolist() == ["0", "1", "0", "1"]
    assert not reopen_images({"kind": "shards", "paths": [str(path)], "seed": 0}).labelled


def test_shards__beside_tables_that_tell_of_them_are_read_as_shards(tmp_path):
    """As img2dataset lays them: NNNNN.tar, NNNNN.parquet with addresses, NNNNN_stats.json."""
    for shard in range(2):
        make_tar(tmp_path / f"{shard:05d}.tar", samples(4, start=4 * shard))
        addresses = [f"https://example.org/{number}.png" for number in range(4)]
        pd.DataFrame({"url": addresses, "key": range(4)}).to_parquet(tmp_path / f"{shard:05d}.parquet")
        (tmp_path / f"{shard:05d}_stats.json").write_text("{}")
    source = open_images(tmp_path)
    assert source.kind == "shards" and len(source) == 8
    assert_array_equal(source.read(5), decode(picture(5)))
