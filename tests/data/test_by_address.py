"""Images by address are the images of the folder, the table or the shards that lie there."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal

from core.common import remote_objects
from core.data import images
from core.data.decode import decode
from core.data.images import open_images, reopen_images
from core.errors import AddressRefused, ImageSourceError, RemoteError, UnreadableImage
from tests.data.pictures import class_folder, make_folder, make_tar, picture
from tests.data.test_annotated import THREE, choice, coco
from tests.data.test_hugging_face import PICTURE, features, save_to_disk, table, write

LAYOUTS = {
    "classes": [
        "dog/1.png",
        "dog/2.png",
        "cat/1.png",
        "cat/deep/er/2 #50%.png",
        "notes.txt",
        ".hidden/1.png",
    ],
    "splits": ["train/dog/1.png", "train/cat/1.png", "val/dog/2.png", "val/cat/2.png", "other/x.png"],
    "flat": ["a.png", "b.png", "c.jpeg"],
    "one split": ["train/dog/1.png", "train/cat/1.png"],
}


def assert_same(remote, local) -> None:
    assert remote.table.drop(columns="path").equals(local.table.drop(columns="path"))
    assert remote.notes == local.notes and remote.split_given == local.split_given
    for row in range(len(local.table)):
        assert_array_equal(remote.read(row), local.read(row))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_folder__as_on_disk(server, layout):
    folder = make_folder(server.root / "my photos", LAYOUTS[layout])
    remote = open_images(f"{server.url}/my%20photos/")
    assert_same(remote, open_images(folder))
    again = reopen_images(json.loads(json.dumps(remote.describe())))
    last = remote.table["image_id"].iloc[-1]
    assert_array_equal(again.read_id(last), remote.read(len(remote.table) - 1))
    assert again.fingerprint() == remote.fingerprint()


def test_folder__its_fingerprint_follows_its_objects(server, monkeypatch):
    folder = class_folder(server.root / "pets", {"dog": 2, "cat": 2})
    before = open_images(f"{server.url}/pets").fingerprint()
    (folder / "dog/0.png").write_bytes(picture(9))
    assert open_images(f"{server.url}/pets").fingerprint() != before


def test_folder__images_are_fetched_at_once_and_a_second_time_from_the_cache(server):
    class_folder(server.root / "pets", {"dog": 8})
    source = open_images(f"{server.url}/pets")
    source.read_ahead(range(8))
    asked = len(server.requests)
    for row in range(8):
        source.read(row)
    assert len(server.requests) == asked


def test_folder__what_fails_is_skipped_only_if_it_is_the_images_fault(server):
    folder = class_folder(server.root / "pets", {"dog": 3})
    source = open_images(f"{server.url}/pets")
    (folder / "dog/1.png").unlink()
    with pytest.raises(UnreadableImage, match="found"):
        source.read(1)
    server.broken = 1000
    with pytest.raises(RemoteError, match="503"):
        source.read(2)


@pytest.mark.parametrize("place", ["beside", "root", "addresses"])
def test_table__paths_beside_it_below_a_root_and_by_address(server, tmp_path, place):
    make_folder(server.root / "photos", ["1.png", "2.png", "3.png"])
    before = {"beside": "../photos", "root": ".", "addresses": f"{server.url}/photos"}[place]
    rows = [f"{before}/{name},{label}" for name, label in [("1.png", "a"), ("2.png", "b"), ("4.png", "b")]]
    text = "\n".join(["path,label", *rows])
    make_folder(server.root, {"lists/images.csv": text.encode()})
    (tmp_path / "images.csv").write_text(text)
    spec = {
        "beside": f"{server.url}/lists/images.csv",
        "root": f"{server.url}/lists/images.csv?root={server.url}/photos",
        "addresses": str(tmp_path / "images.csv"),
    }[place]
    source = open_images(spec)
    assert_array_equal(source.read(1), open_images(server.root / "photos").read(1))
    with pytest.raises(UnreadableImage, match="found"):
        source.read(2)
    assert any("1 of 3 files not found" in note for note in source.notes)
    assert reopen_images(source.describe()).fingerprint() == source.fingerprint()


@pytest.mark.parametrize("kind", ["url.csv", "url.parquet", "folder", "save_to_disk", "image.parquet"])
def test_rows_with_addresses__in_place_of_pictures(server, tmp_path, kind):
    """Each row has the address of its picture: as text, or where `datasets` would have the bytes."""
    make_folder(server.root / "photos", ["1.png", "2.png", "3.png"])
    urls = [f"{server.url}/photos/{name}" for name in ("1.png", "none.png", "3.png")]
    urls += ["http://elsewhere.invalid/1.png", f"{server.url}/photos/2.png?width=9", None]
    numbers = {"label": pa.array([0, 1, 2, 0, 1, 2])}
    rows = pa.table({"TEXT": list("abcdef"), "URL": urls} | numbers).replace_schema_metadata(features())
    path = tmp_path / kind
    if kind == "url.csv":
        rows.slice(0, 5).to_pandas().to_csv(path)
    elif kind == "url.parquet":
        path = write(path, rows.slice(0, 5))
    elif kind == "folder":
        write(path / "data/train-0.parquet", rows)
    elif kind == "save_to_disk":
        save_to_disk(path, rows)
    else:
        held = [{"bytes": None, "path": url} for url in urls]
        path = write(path, pa.table({"image": pa.array(held, PICTURE)} | numbers))
    asked = len(server.requests)
    source = open_images(path)
    streams = kind not in ("url.csv", "url.parquet")
    assert not streams or len(server.requests) == asked  # a billion rows are no billion requests
    source.read_ahead(range(len(source.table)))
    for row in (0, 2):
        assert_array_equal(source.read(row), decode(picture_of(server.root / "photos", urls[row])))
        assert source.table["path"].iat[row] == urls[row]
    reasons = ["file not found", "named by a file, not by you", "holds a password, a signature or options"]
    for row, reason in zip((1, 3, 4), reasons, strict=True):
        with pytest.raises(UnreadableImage, match=reason) as error:
            source.read(row)
        assert "\n" not in str(error.value)
    if streams:
        with pytest.raises(UnreadableImage, match="picture"):
            source.read(5)
    assert reopen_images(source.describe()).fingerprint() == source.fingerprint()


@pytest.mark.parametrize(
    "spec",
    [
        "rows/data/train-0.parquet",
        "rows/data/*.parquet",
        "rows",
        "saved",
        "saved/train/data-00000-of-00001.arrow",
    ],
)
def test_rows_of_pictures__as_on_disk(server, spec):
    write(server.root / "rows/data/train-0.parquet", table(range(9)), row_group_size=4)
    write(server.root / "rows/data/validation-0.parquet", table(range(9, 12)))
    write(server.root / "rows/.cache/train-9.parquet", table(range(3)))
    for split, numbers in (("train", range(5)), ("test", range(5, 8))):
        save_to_disk(server.root / "saved" / split, table(numbers), split)
    (server.root / "saved/dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    remote = open_images(f"{server.url}/{spec}?label=label")
    assert_same(remote, open_images(f"{server.root}/{spec}?label=label"))
    assert remote.kind == "hugging_face" and remote.table["label"].notna().all()
    asked = len(server.requests)
    again = reopen_images(json.loads(json.dumps(remote.describe())))
    assert_array_equal(again.read_id(remote.table["image_id"].iloc[4]), remote.read(4))
    assert again.fingerprint() == remote.fingerprint()
    got = [
        one
        for one in server.requests[asked:]
        if one.startswith("GET") and one.endswith((".parquet", ".arrow"))
    ]
    assert not got  # a file is fetched once


def test_rows_of_pictures__an_outage_is_no_fault_of_an_image(server):
    path = write(server.root / "rows.parquet", table(range(4)))
    source = open_images(f"{server.url}/rows.parquet")
    path.write_bytes(path.read_bytes() + b" ")
    remote_objects._known.clear()
    server.broken = 1000
    with pytest.raises(RemoteError, match="503"):
        source.read(2)


def picture_of(folder, url: str):
    return folder / url.rpartition("/")[2]


FIFTYONE = [{"filepath": f"data/{name}", "label": {"_cls": "Classification", "label": "x"}} for name in THREE]
TASKS = [{"data": {"image": f"/data/upload/1/{name}"}, "annotations": [choice("cat")]} for name in THREE[:2]]
ANNOTATIONS = {
    "annotations/instances_train2017.json": coco(),
    "labels.json": {"classes": ["a", "b"], "labels": {"a": 1, "b": 0, "sub/c": 1}},
    "samples.json": {"samples": FIFTYONE},
    "export.json": TASKS,
    "list.txt": "train2017/a.png 1\ntrain2017/sub/c.png 0",
    "train2017/val.txt": "1\n0\n1",
}


@pytest.mark.parametrize("name", ANNOTATIONS)
def test_annotation_files__as_on_disk(server, name):
    for folder in ("data", "train2017", "images"):
        make_folder(server.root / folder, THREE)
    value = ANNOTATIONS[name]
    text = value if isinstance(value, str) else json.dumps(value)
    make_folder(server.root, {name: text.encode(), "classes.txt": b"cat\ndog"})
    remote = open_images(f"{server.url}/{name}")
    assert_same(remote, open_images(server.root / name))
    assert len(remote.table) >= 2 and remote.table["label"].notna().any()
    assert reopen_images(remote.describe()).fingerprint() == remote.fingerprint()


def shards(folder):
    for number in range(3):
        members = {f"{key}.{end}": value for key in range(4) for end, value in (
            ("png", picture(10 * number + key)), ("cls", str(key % 2)))}  # fmt: skip
        make_tar(folder / f"train-{number:03}.tar", members)


@pytest.mark.parametrize(
    "spec", ["shards", "shards/train-{000..002}.tar", "shards/train-*.tar", "shards/train-001.tar"]
)
def test_shards__as_on_disk(server, spec):
    shards(server.root / "shards")
    remote = open_images(f"{server.url}/{spec}")
    assert_same(remote, open_images(server.root / spec))
    asked = len(server.requests)
    again = reopen_images(remote.describe())
    assert again.fingerprint() == remote.fingerprint()
    assert_array_equal(again.read_id(remote.table["image_id"].iloc[2]), remote.read(2))
    assert len(server.requests) == asked  # the listing of a shard is kept with it


def test_shards__failing_and_cut_half_way(server):
    shards(server.root / "shards")
    server.delay, server.broken, server.cut, server.only = 0.01, 3, 3, ".tar"
    assert_same(open_images(f"{server.url}/shards"), open_images(server.root / "shards"))


def test_pair__from_two_places(server):
    class_folder(server.root / "a", {"dog": 3})
    class_folder(server.root / "b", {"dog": 2})
    pair = open_images(f"{server.url}/a", val=str(server.root / "b"))
    pair.read_ahead(range(5))
    assert reopen_images(pair.describe()).read_id("train/dog/0.png").size == (6, 5)


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ("nothing", "cannot list .*no such object. Check the address"),
        ("empty", "no images in"),
        ("shards/x-{0..3}.tar", r"no such shard: .* \(4 of 4 missing\)"),
        ("lists/none.csv", "no such file"),
        ("coco.json", "no such file"),
        ("list.txt", "no such file"),
        ("pictures.arrow", "no such object"),
        ("pictures-*.parquet", "no file matches"),
        ("notes.parquet", "cannot read the table"),
        ("pets?label=x", "has no option 'label'"),
        ("web.tar.gz", "is compressed"),
    ],
)
def test_open__one_line_about_what_is_wrong(server, spec, match):
    make_folder(
        server.root,
        {
            "empty/notes.txt": b"x",
            "web.tar.gz": b"\x1f\x8b" + bytes(600),
            "pets/1.png": b"x",
            "notes.parquet": b"x",
        },
    )
    with pytest.raises(ImageSourceError, match=match) as error:
        open_images(f"{server.url}/{spec}")
    assert "\n" not in str(error.value)


def test_a_study_makes_nobody_fetch_an_address(server, monkeypatch, tmp_path):
    """A stranger's study, table or list names addresses; the dashboard reopens images from just that."""
    make_folder(server.root / "pets", ["1.png"])
    shards(server.root / "shards")
    write(server.root / "rows/train.parquet", table(range(3)))
    places = ("pets", "shards", "rows", "rows/train.parquet")
    sources = [open_images(f"{server.url}/{name}").describe() for name in places]
    listed = tmp_path / "images.csv"
    listed.write_text(f"path\n{server.url}/pets/1.png\n")
    monkeypatch.setenv("PEREGRINE_URLS", "")
    server.requests.clear()
    ids = ("1.png", "train-000/0", "train/000000", "train/000000", f"{server.url}/pets/1.png")
    for description, image_id in zip([*sources, open_images(listed).describe()], ids, strict=True):
        source = reopen_images(description)
        with pytest.raises((UnreadableImage, RemoteError), match="named"):
            source.read_id(image_id)
    named = ("pets", "shards/train-{000..002}.tar", "t.csv", "rows", "rows/*.parquet", "rows/train.parquet")
    for spec in (f"{server.url}/{name}" for name in named):
        with pytest.raises(AddressRefused, match="PEREGRINE_URLS="):
            images.open_images(spec)
    assert server.requests == []
