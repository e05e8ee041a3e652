from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from core.common.records import Record
from core.data.images import open_images, reopen_images
from core.data.torchvision_sets import _class_names, _label
from core.errors import ImageSourceError, UnreadableImage
from tests.data.pictures import class_folder, make_folder
from tests.data.test_folder import note, rows

FAKE = "torchvision:FakeData?size=20&image_size=3,16,12&num_classes=4"


def write_cifar10(root: Path, n: int = 2) -> dict[str, np.ndarray]:
    """The files of CIFAR-10 with n images each, and the pixels of its train and test split."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    pixels: dict[str, list[np.ndarray]] = {"train": [], "test": []}
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        data = random.integers(0, 256, (n, 3072), dtype=np.uint8)
        (folder / name).write_bytes(pickle.dumps({"data": data, "labels": [k % 2 for k in range(n)]}))
        pixels["test" if name == "test_batch" else "train"].append(data)
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": ["airplane", "automobile"]}))
    planes = {split: np.concatenate(parts).reshape(-1, 3, 32, 32) for split, parts in pixels.items()}
    return {split: plane.transpose(0, 2, 3, 1) for split, plane in planes.items()}


@pytest.fixture
def cifar10(tmp_path, monkeypatch):
    """Spec and pixels of a small CIFAR-10; its check sums are those of the real one."""
    torchvision = pytest.importorskip("torchvision")
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    return f"torchvision:CIFAR10?root={tmp_path}", write_cifar10(tmp_path)


def test_train_and_test(cifar10):
    spec, pixels = cifar10
    source = open_images(spec)
    assert source.split_given and source.kind == "torchvision" and len(source) == 12
    assert rows(source)[:2] == [
        ("train/000000", "train", "airplane"),
        ("train/000001", "train", "automobile"),
    ]
    assert rows(source)[10] == ("test/000000", "val", "airplane")
    assert_array_equal(source.read(3), pixels["train"][3])
    assert_array_equal(source.read(11), pixels["test"][1])
    assert_array_equal(source.read_id("test/000001"), pixels["test"][1])


def test_fingerprint__follows_the_pixels(cifar10, tmp_path):
    spec, _ = cifar10
    first = open_images(spec).fingerprint()
    assert reopen_images(open_images(spec).describe()).fingerprint() == first
    batch = tmp_path / "cifar-10-batches-py/test_batch"
    content = pickle.loads(batch.read_bytes())
    content["data"][0, 0] ^= 1
    batch.write_bytes(pickle.dumps(content))
    assert open_images(spec).fingerprint() != first


def test_one_split_named__is_split_by_seed(cifar10):
    source = open_images(cifar10[0] + "&train=true")
    assert len(source) == 10 and not source.split_given and (source.table["split"] == "val").sum() == 2


def test_without_splits__seeded(monkeypatch):
    source = open_images(FAKE, seed=1)
    assert len(source) == 20 and source.read(0).size == (12, 16)
    assert 4 <= (source.table["split"] == "val").sum() <= 6 and note(source, "split by seed 1")
    assert set(source.table["label"]) <= {"0", "1", "2", "3"}


def test_split_protocol__val_else_test(monkeypatch):
    import torchvision.datasets

    class Split(torchvision.datasets.FakeData):
        def __init__(self, root: str, split: str = "train") -> None:
            if split not in ("trainval", "test"):
                raise ValueError(f"Unknown value '{split}' for argument split.")
            super().__init__(size=4 if split == "test" else 6, image_size=(3, 4, 4))

    monkeypatch.setattr(torchvision.datasets, "OxfordIIITPet", Split)
    source = open_images("torchvision:OxfordIIITPet?root=x")
    assert source.table["split"].value_counts().to_dict() == {"train": 6, "val": 4}
    assert source.table["image_id"].iloc[6] == "test/000000"


def test_image_folder__through_torchvision(tmp_path):
    class_folder(tmp_path, {"a": 5, "b": 5})
    source = open_images(f"torchvision:ImageFolder?root={tmp_path}")
    assert [row[2] for row in rows(source)] == ["a"] * 5 + ["b"] * 5
    before = source.fingerprint()
    (tmp_path / "a/0.png").write_bytes((tmp_path / "a/1.png").read_bytes() + b"x")
    assert open_images(f"torchvision:ImageFolder?root={tmp_path}").fingerprint() != before


def test_label__from_class_names_and_numbers():
    assert [_label(target, ["a", "b, bee"]) for target in (0, 1, np.int64(2), "x")] == [
        "a",
        "b, bee",
        "2",
        "x",
    ]
    assert [_label(target, []) for target in (-1, [1, 2], 0.5, {"boxes": 1})] == [None] * 4


def test_pickled_and_reopened():
    source = open_images(FAKE)
    for one in (pickle.loads(pickle.dumps(source)), reopen_images(source.describe())):
        assert rows(one) == rows(source) and one.fingerprint() == source.fingerprint()
        assert_array_equal(one.read(5), source.read(5))


def test_unlabelled_and_unreadable(monkeypatch):
    import torchvision.datasets

    class Odd(torchvision.datasets.FakeData):
        def __getitem__(self, index: int):
            if index == 1:
                raise OSError("the disk is tired\nvery")
            return super().__getitem__(index)[0], 0

        @property
        def targets(self) -> list[int]:
            return [-1, 0, 0]

    monkeypatch.setattr(torchvision.datasets, "FakeData", Odd)
    source = open_images("torchvision:FakeData?size=3&image_size=3,4,4")
    assert rows(source)[0][2] is None and note(source, "1 image without label")
    with pytest.raises(UnreadableImage, match="FakeData"):
        source.read(1)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("CIFAR11?root=x", r"torchvision has no data set 'CIFAR11'\. Did you mean 'CIFAR10'\?"),
        ("CIFAR10", r"needs a folder\. Write torchvision:CIFAR10\?root=DIR"),
        (
            "CIFAR10?root=/nowhere/at/all",
            r"cannot open torchvision:CIFAR10: Dataset not found.*download=true",
        ),
        ("FakeData?siz=3", r"has no option 'siz'\. Did you mean 'size'\?"),
        ("STL10?root=x&split=night", "cannot open torchvision:STL10|Unknown value"),
    ],
)
def test_errors(spec, message):
    with pytest.raises(ImageSourceError, match=message) as error:
        open_images(f"torchvision:{spec}")
    assert "\n" not in str(error.value)


SPECIES = [
    f"{at:05d}_Animalia_Chordata_{name}_O_F_G_s{at}" for at, name in enumerate(["Aves", "Aves", "Reptilia"])
]


def test_inaturalist_has_the_names_of_its_species_or_of_one_rank(tmp_path):
    make_folder(tmp_path / "2021_valid", [f"{name}/{at}.png" for at, name in enumerate(SPECIES)])
    spec = f"torchvision:INaturalist?root={tmp_path}&version=2021_valid"
    assert open_images(spec).table["label"].tolist() == SPECIES
    assert open_images(f"{spec}&target_type=class").table["label"].tolist() == ["Aves", "Aves", "Reptilia"]
    make_folder(tmp_path / "2018", ["Birds/0/a.png", "Birds/1/b.png"])
    of_2018 = open_images(f"torchvision:INaturalist?root={tmp_path}&version=2018")
    assert of_2018.table["label"].tolist() == ["Birds/0", "Birds/1"]


def test_caltech_has_the_names_of_its_categories(tmp_path):
    folders = tmp_path / "caltech101/101_ObjectCategories"
    names = [
        "BACKGROUND_Google/image_0001.jpg",
        "dog/image_0001.jpg",
        "dog/image_0002.jpg",
        "cat/image_0001.jpg",
    ]
    make_folder(folders, names)
    (tmp_path / "caltech101/Annotations").mkdir()
    source = open_images(f"torchvision:Caltech101?root={tmp_path}")
    assert source.table["label"].tolist() == ["cat", "dog", "dog"]


def test_a_second_evaluation_split_is_counted(tmp_path, monkeypatch):
    from scipy.io import savemat

    monkeypatch.setattr("torchvision.datasets.flowers102.check_integrity", lambda *_: True)
    folder = tmp_path / "flowers-102"
    make_folder(folder / "jpg", [f"image_{at:05d}.jpg" for at in range(1, 8)])
    savemat(folder / "imagelabels.mat", {"labels": [1, 2, 1, 2, 1, 2, 1]})
    savemat(folder / "setid.mat", {"trnid": [1, 2], "valid": [3, 4], "tstid": [5, 6, 7]})
    source = open_images(f"torchvision:Flowers102?root={tmp_path}")
    left = [one for one in source.notes if isinstance(one, Record) and one.kind == "left_out"]
    assert [(one.n, one.what, one.why) for one in left] == [(3, "test", "val")]
    assert source.table["label"].iat[0] == "pink primrose"


def test_two_classes_of_one_name_have_their_ids():
    class Cranes:
        classes, wnids = [("crane",), ("crane",)], ["n02012849", "n03126707"]

    class Others:
        classes = [("tench", "Tinca tinca"), ("goldfish",)]

    assert _class_names(Cranes())[0] == Cranes.wnids
    assert _class_names(Others())[0] == ["tench, Tinca tinca", "goldfish"]
