"""CLIP embeddings of crops, stored in a study's `concept_cache/` (outside the manifest, safe to delete).

A file holds the crops of some images. Its folder is named by everything they depend on (images, encoder,
layer, CLIP, …), so another k, other features, words or captions reuse them, and an interrupted run resumes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from core.errors import StudyError
from core.study import seals
from core.study.inside import is_inside

FOLDER = "concept_cache"
WHOLE = "image"  # the unit whose crop is the whole image


class CropBatch(NamedTuple):
    """A batch of crops.

    Attributes:
        rows: (n,) int64 of the study. units: (n,) str, the unit's name or `WHOLE`. boxes: (n, 4) int32 left,
            top, right, bottom in pixels of the original. hot: (n,) bool: part of the heatmap reached the
                threshold; otherwise the box is the whole input view.
        embeddings: (n, d) float32, L2-normalised.
        captions: (n, c) str and scores (n, c) float32 of a captioner; c = 0 without one.
    """

    rows: np.ndarray
    units: np.ndarray
    boxes: np.ndarray
    hot: np.ndarray
    embeddings: np.ndarray
    captions: np.ndarray
    scores: np.ndarray


class Crops(NamedTuple):
    """The file and index of each requested crop, -1 if there is none (image missing)."""

    rows: np.ndarray
    units: np.ndarray
    boxes: np.ndarray
    hot: np.ndarray
    file: np.ndarray
    position: np.ndarray

    @property
    def there(self) -> np.ndarray:
        """(n,) bool."""
        return self.file >= 0


@dataclass
class CropStore:
    """The crops of one folder of the cache."""

    folder: Path

    def files(self) -> list[Path]:
        return sorted(self.folder.glob("[0-9]*.npz"))

    def put(self, batch: CropBatch) -> None:
        """Add a file; it appears only when complete."""
        self.folder.mkdir(parents=True, exist_ok=True)
        files = self.files()
        number = int(files[-1].stem) + 1 if files else 0
        seals.write_arrays(self.folder / f"{number:06d}.npz", batch._asdict())

    def read(self, path: Path, names: Sequence[str] = CropBatch._fields) -> dict[str, np.ndarray] | None:
        """Read some parts of a file; None for a damaged file: it is deleted, and its crops are missing."""
        arrays = seals.read_arrays(path, names) if is_inside(self.folder, path.name) else None
        if arrays is None:
            path.unlink(missing_ok=True)
        return arrays

    def locate(self, rows: np.ndarray, units: np.ndarray) -> Crops:
        """Find crops by row and unit."""
        parts = []
        for path in self.files():
            crops = self.read(path, ("rows", "units", "boxes", "hot"))
            if crops is None:
                continue
            about = {"row": crops["rows"], "unit": crops["units"].astype(object), "hot": crops["hot"]}
            about |= {f"box{side}": crops["boxes"][:, side] for side in range(4)}
            parts.append(pd.DataFrame(about).assign(file=int(path.stem), place=np.arange(len(crops["rows"]))))
        pairs = pd.DataFrame({"row": rows.astype(np.int64), "unit": units.astype(object)})
        if not parts:
            nothing = np.full(len(rows), -1)
            no_boxes, nowhere_hot = np.zeros((len(rows), 4), np.int32), np.zeros(len(rows), bool)
            return Crops(rows, units, no_boxes, nowhere_hot, nothing, nothing)
        crops = pd.concat(parts, ignore_index=True).drop_duplicates(["row", "unit"])
        missing = {"file": -1, "place": -1, "hot": False} | {f"box{side}": 0 for side in range(4)}
        located = pairs.merge(crops, on=["row", "unit"], how="left").fillna(missing)
        boxes = located[[f"box{side}" for side in range(4)]].to_numpy(np.int32)
        whole = {name: located[name].to_numpy(np.int64) for name in ("file", "place")}
        return Crops(rows, units, boxes, located["hot"].to_numpy(bool), whole["file"], whole["place"])

    def blocks(self, crops: Crops, size: int) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
        """Yield the requested crops that exist, file by file, `size` at a time.

        Yields:
            indices (m,) of the requested crops, and their `embeddings`, `captions`, `scores`.
        """
        names = ("embeddings", "captions", "scores")
        which: list[np.ndarray] = []
        parts: list[dict[str, np.ndarray]] = []
        for number in np.unique(crops.file[crops.there]):
            here = np.flatnonzero(crops.file == number)
            path = self.folder / f"{number:06d}.npz"
            arrays = self.read(path, names)
            if arrays is None:
                raise StudyError(f"{path} was damaged and has been deleted; run the command again")
            which.append(here)
            parts.append({name: arrays[name][crops.position[here]] for name in names})
            if sum(map(len, which)) >= size:
                yield np.concatenate(which), _joined(parts)
                which, parts = [], []
        if which:
            yield np.concatenate(which), _joined(parts)


def _joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
