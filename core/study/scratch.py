"""What `embed` makes for later steps while it has the pictures: files that go once those have stored theirs.

A file is of one batch of images, named by its first listing row: batches are always the same, so a run that
goes on writes the same files. What other images or another encoder left is deleted.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from core.study import seals
from core.study.inside import inside
from core.study.manifest import digest
from core.study.missing import ReadableStudy

MAPS, CLIP = "scratch_maps", "scratch_clip"
SCRATCH = (MAPS, CLIP)


@dataclass
class Scratch:
    """A folder of a study with one for the run of `embed` that it belongs to, by its fingerprint."""

    NAME: ClassVar[str]
    study: Path
    fingerprint: str

    @classmethod
    def of(cls, study: ReadableStudy) -> Self:
        """That of the representations that a study holds."""
        entry = study.manifest["steps"].get("embed", {})
        made = {"step": "embed", "settings": entry.get("settings"), "inputs": entry.get("inputs")}
        return cls(Path(study.path), digest(made))

    @property
    def folder(self) -> Path:
        return inside(self.study, f"{self.NAME}/{self.fingerprint[:20]}")

    def begin(self) -> None:
        """Delete what other runs of `embed` left."""
        whole = inside(self.study, self.NAME)
        self.folder.mkdir(parents=True, exist_ok=True)
        for other in whole.iterdir():
            if other != self.folder and other.is_dir() and not other.is_symlink():
                shutil.rmtree(other, ignore_errors=True)  # another process may do so, too

    def remove(self) -> None:
        """Delete the files of every run."""
        shutil.rmtree(inside(self.study, self.NAME), ignore_errors=True)

    def write(self, start: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Store the arrays of the batch that begins at a listing row."""
        seals.write_arrays(self.folder / f"{start:012d}.npz", arrays)

    def read(self, start: int, names: tuple[str, ...]) -> dict[str, np.ndarray] | None:
        """The arrays of the batch that begins at a listing row; None where its file is damaged."""
        return seals.read_arrays(self.folder / f"{start:012d}.npz", names)

    def starts(self) -> np.ndarray:
        """(n,) int64, ascending: the first listing rows of the batches."""
        if not self.folder.is_dir():
            return np.empty(0, np.int64)
        return np.sort([int(one.stem) for one in self.folder.glob("[0-9]*.npz")]).astype(np.int64)
