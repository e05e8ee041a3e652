"""Data sets laid out as WILDS downloads them, as WILDS reads them. Its labels are numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from wilds.datasets.camelyon17_dataset import Camelyon17Dataset
from wilds.datasets.celebA_dataset import CelebADataset
from wilds.datasets.iwildcam_dataset import IWildCamDataset
from wilds.datasets.waterbirds_dataset import WaterbirdsDataset

from tests.crossed.data_kit import Picture, WrittenData, rgb, save_all

SPLITS = (["train"] * 6, ["val"] * 3, ["test"] * 3)
NAMES = [name for held in SPLITS for name in held]


def base(root: Path, data_set: Any) -> Path:
    """The folder of the newest version, with the file that says so."""
    version = max(data_set._versions_dict)
    folder = root / f"{data_set._dataset_name}_v{version}"
    folder.mkdir(parents=True)
    (folder / f"RELEASE_v{version}.txt").write_text(version)
    return folder


def read(root: Path, data_set: Any) -> list[Picture]:
    held = data_set(root_dir=str(root))
    named = {number: name for name, number in held.split_dict.items()}
    pictures = []
    for number in range(len(held)):
        split = named[int(held.split_array[number])]
        file = Path(str(held._input_array[number])).name
        pictures.append(Picture(rgb(held.get_input(number)), str(int(held.y_array[number])), split, file))
    return pictures


def waterbirds(root: Path) -> Path:
    folder = base(root, WaterbirdsDataset)
    files = [f"{1 + n % 3:03d}.Bird_{n % 3}/Bird_{n}.jpg" for n in range(12)]
    save_all([folder / one for one in files])
    split = [("train", "val", "test").index(name) for name in NAMES]
    rows = {
        "img_id": range(12),
        "img_filename": files,
        "y": [n % 2 for n in range(12)],
        "split": split,
        "place": [n // 2 % 2 for n in range(12)],
        "place_filename": ["/b/bamboo_forest/1.jpg"] * 12,
    }
    pd.DataFrame(rows).to_csv(folder / "metadata.csv", index=False)
    return folder


def celeba(root: Path) -> Path:
    folder = base(root, CelebADataset)
    files = [f"{n:06d}.jpg" for n in range(1, 13)]
    save_all([folder / "img_align_celeba" / one for one in files])
    attributes = {
        "Bald": -1,
        "Blond_Hair": [1 if n % 2 else -1 for n in range(12)],
        "Male": [1 if n % 3 else -1 for n in range(12)],
    }
    pd.DataFrame({"image_id": files} | attributes).to_csv(folder / "list_attr_celeba.csv", index=False)
    split = [("train", "val", "test").index(name) for name in NAMES]
    pd.DataFrame({"image_id": files, "partition": split}).to_csv(
        folder / "list_eval_partition.csv", index=False
    )
    return folder


def signs(pictures: list[Picture]) -> list[Picture]:
    """CelebA's own cells: -1 and 1, which WILDS makes 0 and 1; the splits stand in another file."""
    return [Picture(one.pixels, {"0": "-1", "1": "1"}[str(one.label)], "", one.file) for one in pictures]


def iwildcam(root: Path) -> Path:
    folder = base(root, IWildCamDataset)
    splits = ["train"] * 4 + ["val"] * 2 + ["test"] * 2 + ["id_val"] * 2 + ["id_test"] * 2
    files = [f"cam{n:04d}.jpg" for n in range(12)]
    save_all([folder / "train" / one for one in files])
    rows = {
        "split": splits,
        "filename": files,
        "y": [n % 3 for n in range(12)],
        "location_remapped": [n // 4 for n in range(12)],
        "sequence_remapped": [n // 2 for n in range(12)],
        "datetime": ["2020-01-02 03:04:05.000"] * 12,
    }
    pd.DataFrame(rows).to_csv(folder / "metadata.csv", index=False)
    pd.DataFrame({"y": [0, 1, 2], "name": ["empty", "elephant", "zebra"]}).to_csv(
        folder / "categories.csv", index=False
    )
    return folder


def camelyon(root: Path) -> Path:
    folder = base(root, Camelyon17Dataset)
    rows = {
        "patient": ["004", "010"] * 6,
        "node": [4] * 12,
        "x_coord": range(12),
        "y_coord": [7] * 12,
        "tumor": [n % 2 for n in range(12)],
        "slide": [n % 6 for n in range(12)],
        "center": [0, 1, 2] * 4,
        "split": [0, 1] * 6,
    }
    frame = pd.DataFrame(rows)
    frame.to_csv(folder / "metadata.csv")
    places = []
    for row in frame.itertuples():
        slide = f"patient_{row.patient}_node_{row.node}"
        places.append(folder / "patches" / slide / f"patch_{slide}_x_{row.x_coord}_y_{row.y_coord}.png")
    save_all(places)
    return folder


def case(
    folder: Path, lay: Callable[[Path], Path], data_set: Any, spec: str, change: Any = None, **written: Any
) -> WrittenData:
    below = lay(folder / "data").relative_to(folder)
    pictures = read(folder / "data", data_set)
    pictures = change(pictures) if change else pictures
    return WrittenData(spec=spec.replace("{below}", f"{{folder}}/{below}"), pictures=pictures, **written)


CASES = {
    ("Waterbirds", "metadata.csv"): partial(
        case, lay=waterbirds, data_set=WaterbirdsDataset, spec="{below}/metadata.csv"
    ),
    ("CelebA", "list_attr_celeba.csv?label=Blond_Hair"): partial(
        case,
        lay=celeba,
        data_set=CelebADataset,
        change=signs,
        spec="{below}/list_attr_celeba.csv?root={below}/img_align_celeba&label=Blond_Hair",
    ),
    ("iWildCam", "metadata.csv?root=train"): partial(
        case, lay=iwildcam, data_set=IWildCamDataset, spec="{below}/metadata.csv?root={below}/train"
    ),
    ("Camelyon17", "metadata.csv"): partial(
        case, lay=camelyon, data_set=Camelyon17Dataset, spec="{below}/metadata.csv", refused=True
    ),
    ("Camelyon17", "patches/"): partial(
        case,
        lay=camelyon,
        data_set=Camelyon17Dataset,
        spec="{below}/patches",
        change=lambda held: [Picture(one.pixels, None, "", one.file) for one in held],
        excused="patient",
    ),
}
