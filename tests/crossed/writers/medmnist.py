"""MedMNIST's .npz files, and the pictures and .csv that it saves of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import medmnist
import numpy as np

from tests.crossed.data_kit import Picture, WrittenData, drawn, rgb

COUNTS = {"train": 6, "val": 3, "test": 3}


def npz(folder: Path, data_set: Any, size: int, grey: bool, several: int) -> Path:
    """A small file of the form that is downloaded."""
    held: dict[str, np.ndarray] = {}
    for at, (split, n) in enumerate(COUNTS.items()):
        pictures = [drawn(20 * at + number, width=size, height=size) for number in range(n)]
        held[f"{split}_images"] = np.stack(
            [np.asarray(one.convert("L") if grey else one) for one in pictures]
        )
        numbers = np.arange(n)[:, None] + np.arange(several)
        held[f"{split}_labels"] = (numbers % (2 if several > 1 else 3)).astype(np.uint8)
    file = folder / f"{data_set.flag}{'' if size == 28 else f'_{size}'}.npz"
    np.savez_compressed(file, **held)
    return file


def case(
    folder: Path,
    data_set: Any,
    form: Callable[[str], str],
    *,
    size: int = 28,
    grey: bool = False,
    several: int = 1,
    postfix: str = "png",
    labels: bool = True,
    **written: Any,
) -> WrittenData:
    """Save all splits as pictures with a table.

    Args:
        form: the spec, of the data set's name. labels: whether the spec says them.
    """
    npz(folder, data_set, size, grey, several)
    pictures = []
    for split in COUNTS:
        held = data_set(split=split, root=str(folder), size=size)
        held.save(str(folder / "data"), postfix=postfix)
        for number, (picture, label) in enumerate(held):
            name = f"{split}{number}_{'_'.join(map(str, label))}.{postfix}"
            said = str(int(label[0])) if labels else None
            pictures.append(Picture(rgb(picture), said, split if labels else "", name))
    flag = f"{data_set.flag}{'' if size == 28 else f'_{size}'}"
    return WrittenData(spec=form(flag), pictures=pictures, **written)


def table(flag: str) -> str:
    return f"{{folder}}/data/{flag}.csv?root={{folder}}/data/{flag}"


def pictures(flag: str) -> str:
    return f"{{folder}}/data/{flag}"


def file(flag: str) -> str:
    return f"{{folder}}/{flag}.npz"


CASES = {
    ("save", "PathMNIST, its .csv"): partial(case, data_set=medmnist.PathMNIST, form=table),
    ("save", "BloodMNIST, 64, its .csv"): partial(case, data_set=medmnist.BloodMNIST, form=table, size=64),
    ("save", "PneumoniaMNIST, grey, its .csv"): partial(
        case, data_set=medmnist.PneumoniaMNIST, form=table, grey=True
    ),
    ("save", "ChestMNIST, 14 labels, its .csv"): partial(
        case, data_set=medmnist.ChestMNIST, form=table, grey=True, several=14, excused="label"
    ),
    ("save", "PathMNIST, its pictures"): partial(
        case, data_set=medmnist.PathMNIST, form=pictures, labels=False
    ),
    ("save", "PathMNIST, jpg, its .csv"): partial(
        case, data_set=medmnist.PathMNIST, form=table, postfix="bmp"
    ),
    ("PathMNIST", "pathmnist.npz"): partial(case, data_set=medmnist.PathMNIST, form=file, refused=True),
}
