"""CLIP of each whole image, made from the pictures that `embed` has decoded. [torch]

`concepts` and `search` take it from a folder of the study, until the latter has stored its index.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

from core.analysis.representations import Consumer
from core.common.threads import cached_property
from core.concepts.clip import Clip
from core.data.decode import CLIP_SIDE, reduced
from core.encoders.transform import without_ends
from core.store import Study
from core.study.manifest import digest
from core.study.scratch import CLIP, Scratch

FLOAT_BYTES = 4


class ClipScratch(Scratch):
    """The vectors of whole images, in files of the arrays `rows` (n,) int64 and `vectors` (n, d) float32."""

    NAME = CLIP

    @classmethod
    def by(cls, clip: Clip, study: Path, embed: str) -> ClipScratch:
        """That of a CLIP. embed: fingerprint of the run of that step."""
        return cls(study, digest([embed, clip.picture_fingerprint]))

    def take(self, rows: np.ndarray, width: int) -> np.ndarray:
        """(n, width) float32 of listing rows (n,); NaN where there is none."""
        vectors, starts = np.full((len(rows), width), np.nan, np.float32), self.starts()
        numbers = np.searchsorted(starts, rows, side="right") - 1
        for number in np.unique(numbers[numbers >= 0]).tolist():
            arrays = self.read(int(starts[number]), ("rows", "vectors"))
            if arrays is None:
                continue
            here = np.flatnonzero(np.isin(rows, arrays["rows"]) & (numbers == number))
            vectors[here] = arrays["vectors"][np.searchsorted(arrays["rows"], rows[here])]
        return vectors


@dataclass(frozen=True)
class ClipLook:
    """What a CLIP reads of a whole picture, (3, S, S) float32."""

    preprocess: Callable[[Image.Image], torch.Tensor]

    def __call__(self, picture: Image.Image | None) -> np.ndarray:
        assert picture is not None  # no rows without pictures
        whole = reduced(picture.copy(), CLIP_SIDE).convert("RGB")  # other consumers see the same picture
        return self.preprocess(without_ends(whole)).numpy()


class WholePictures(Consumer):
    """Vectors of whole images, in a scratch folder and in no array of the study."""

    empty: Mapping[str, np.ndarray] = {}

    def __init__(self, clip: Clip, scratch: ClipScratch):
        self.clip, self.scratch = clip, scratch
        self.look = ClipLook(clip.preprocess)
        self.look_bytes = FLOAT_BYTES * self.look(Image.new("RGB", (8, 8))).size
        scratch.begin()

    def rows(self, looks: torch.Tensor, listing_rows: Sequence[int]) -> Mapping[str, np.ndarray]:
        rows = np.asarray(listing_rows, np.int64)
        self.scratch.write(int(rows[0]), {"rows": rows, "vectors": self.clip.embed_pixels(looks)})
        return {}


@dataclass(frozen=True)
class KeptVectors:
    """What `embed` has made of a study's images by a CLIP."""

    study: Study
    clip: Any
    scratch: ClipScratch

    @cached_property
    def listing_rows(self) -> np.ndarray:
        """(n_images,) int64."""
        listed = pd.Index(self.study.source.table["image_id"])
        return listed.get_indexer(pd.Index(self.study.column("images", "image_id")))

    @cached_property
    def sizes(self) -> np.ndarray:
        """(n_images, 2) int32: width and height of each picture."""
        return self.study.table("pictures", ["width", "height"]).to_numpy(np.int32)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """(n, d) float32 of rows (n,) of the study; NaN where there is none."""
        return self.scratch.take(self.listing_rows[rows], self.clip.width)


def kept_vectors(study: Study, clip: Any) -> KeptVectors | None:
    """CLIP's vectors of whole images that `embed` has made; None without them, or if images have changed.

    A basis has none of its own.
    """
    scratch = ClipScratch.by(clip, Path(study.path), ClipScratch.of(study).fingerprint)
    embedded = study.manifest["steps"]["embed"]["inputs"].get("@images")
    if not scratch.folder.is_dir() or study.source.fingerprint() != embedded:
        return None
    return KeptVectors(study, clip, scratch)
