"""Pictures in HDF5 that h5py writes, under the endings that people give them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tests.crossed.data_kit import Picture, WrittenData, drawn, rgb


def pictures(folder: Path, spec: str, *, name: str = "train.h5", **how: Any) -> WrittenData:
    """PatchCamelyon's form: x of pictures, y of labels."""
    root = folder / "data"
    root.mkdir()
    held = np.stack([np.asarray(drawn(number)) for number in range(9)])
    with h5py.File(root / name, "w", **how) as file:
        file.create_dataset("x", data=held, compression="gzip")
        file.create_dataset("y", data=np.arange(9).reshape(9, 1, 1, 1) % 2)
    with h5py.File(root / name) as file:
        back = [Picture(rgb(one)) for one in file["x"][:]]
    return WrittenData(spec=spec, pictures=back, refused=True)


CASES = {
    ("File", "its folder"): partial(pictures, spec="{folder}/data"),
    ("File", ".h5"): partial(pictures, spec="{folder}/data/train.h5"),
    ("File", ".hdf5"): partial(pictures, spec="{folder}/data/train.hdf5", name="train.hdf5"),
    ("File", "no extension"): partial(pictures, spec="{folder}/data/train", name="train"),
    ("File", "userblock_size=512, .mat"): partial(
        pictures, spec="{folder}/data/train.mat", name="train.mat", userblock_size=512
    ),
    ("File", "libver=latest"): partial(pictures, spec="{folder}/data/train.h5", libver="latest"),
}
