"""Shards that were made of a folder are split as the folder is, however their samples are named."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.data.images import open_images
from core.data.shards import name_in_folder
from core.data.source import ImageSource
from tests.data.pictures import make_tar, picture

CLASSES = ("dog", "cat", "n01440764")
Layout = Callable[[str, str], tuple[str, dict[str, str]]]


def named(label: str, number: int) -> str:
    """File names as data sets have them; ImageNet's begin with their class."""
    return {"dog": f"{number}.PNG", "cat": f"cat_{number:04}.v1.png"}.get(label, f"{label}_{number}.JPEG")


def images() -> Iterator[tuple[str, str, bytes]]:
    for n_class, label in enumerate(CLASSES):
        for number in range(40):
            yield label, named(label, number), picture(100 * n_class + number)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    for label, name, data in images():
        (root / label).mkdir(exist_ok=True)
        (root / label / name).write_bytes(data)
    return root


LAYOUTS: dict[str, Layout] = {
    "folders": lambda label, name: (f"{label}/{name}", {"cls": label}),
    "folders below the folder": lambda label, name: (f"./photos/{label}/{name}", {"cls": label}),
    "folders with numbered classes": lambda label, name: (
        f"{label}/{name}",
        {"cls": str(CLASSES.index(label))},
    ),
    "names": lambda label, name: (name, {"cls": label}),
    "class and name": lambda label, name: (f"{label}__{name}", {"cls": label}),
    "running numbers": lambda label, name: (
        f"{hash_of(label, name):010}.png",
        {"json": f'{{"label": "{label}", "filename": "/data/photos/{label}/{name}"}}'},
    ),
}


def hash_of(label: str, name: str) -> int:
    return int(hashlib.sha256(f"{label}/{name}".encode()).hexdigest()[:8], 16)


def write_shards(root: Path, layout: Layout, n_shards: int = 3) -> str:
    members: list[dict[str, bytes | str]] = [{} for _ in range(n_shards)]
    for number, (label, name, data) in enumerate(images()):
        at, texts = layout(label, name)
        folder, _, file = at.rpartition("/")
        key = f"{folder}/{file.partition('.')[0]}" if folder else file.partition(".")[0]
        members[number % n_shards] |= {at: data} | {f"{key}.{kind}": text for kind, text in texts.items()}
    for number, of_shard in enumerate(members):
        make_tar(root / f"w{number}.tar", of_shard)
    return str(root / "w{0..2}.tar")


def split_of_contents(source: ImageSource) -> dict[str, str]:
    """The pixels of each image, hashed, and its split."""
    pixels = (source.read(row).tobytes() for row in range(len(source.table)))
    hashes = [hashlib.sha256(data).hexdigest() for data in pixels]
    assert len(set(hashes)) == 120
    return dict(zip(hashes, source.table["split"], strict=True))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("seed", [0, 3])
def test_shards_of_a_folder__are_split_as_the_folder(folder, tmp_path, layout, seed):
    shards = open_images(write_shards(tmp_path, LAYOUTS[layout]), seed=seed)
    assert split_of_contents(shards) == split_of_contents(open_images(str(folder), seed=seed))
    assert not shards.split_given


def test_shards_without_labels__are_split_as_the_flat_folder(folder, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for _, name, data in images():
        (flat / name).write_bytes(data)
    spec = write_shards(tmp_path, lambda label, name: (f"some/where/{name}", {}))
    assert split_of_contents(open_images(spec)) == split_of_contents(open_images(str(flat)))


def test_names_that_occur_again__are_told_apart_by_their_ids(tmp_path):
    """Numbers that begin again in every shard: one number would be evaluated in all shards or in none."""
    for shard in range(10):
        members = {f"{n}.png": picture(10 * shard + n) for n in range(5)} | {
            f"{n}.cls": "a" for n in range(5)
        }
        make_tar(tmp_path / f"{shard}.tar", members)
    table = open_images(str(tmp_path / "{0..9}.tar")).table
    val = table[table["split"] == "val"]["image_id"]
    assert len(val) == 10 and len({one.partition("/")[2] for one in val}) > 2


def test_folder__split_is_that_of_before(folder):
    """Pinned: studies of folders must not become stale."""
    table = open_images(str(folder)).table
    val = "\n".join(sorted(table[table["split"] == "val"]["image_id"]))
    assert hashlib.sha256(val.encode()).hexdigest()[:16] == "6d561abce7fd6334"


@pytest.mark.parametrize(
    ("member", "label", "expected"),
    [
        ("./a/b/dog/x/1.png", "dog", "dog/x/1.png"),
        ("dog/dog/1.png", "dog", "dog/dog/1.png"),
        ("train/dog/1.png", "dog", "train/dog/1.png"),
        ("a/train/dog/1.png", "dog", "train/dog/1.png"),
        ("a/Train/dog/1.png", "dog", "Train/dog/1.png"),
        ("dog__1.png", "dog", "dog/1.png"),
        ("x/dog__1.png", "dog", "dog/1.png"),
        ("dog_1.png", "dog", "dog/dog_1.png"),
        ("doggy/1.png", "7", "doggy/1.png"),
        ("1.png", "7", "7/1.png"),
        ("x/1.png", None, "1.png"),
    ],
)
def test_name_in_folder(member, label, expected):
    assert name_in_folder(member, label) == expected
