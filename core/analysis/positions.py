"""Read the positions of a study's images with its encoder, batch by batch."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from core.analysis.gradcam.on_demand import study_encoder
from core.analysis.representations import input_views, picture_batches
from core.common.processes import default_workers
from core.common.step_facts import EmbedFacts
from core.config import RunOptions
from core.encoders.readout.positions import position_maps
from core.errors import SettingsError
from core.reader import StudyReader
from core.store import Study

GONE = "no longer in the source"


class PositionReader:
    """Vectors of the positions of images.

    Attributes:
        grid: (h, w). width: of a vector. missing: row and reason of each image that could not be read.

    Raises:
        SettingsError: the study's encoder gives one vector for a whole image. EncoderError: it cannot be
            loaded any more.
    """

    def __init__(self, study: StudyReader, device: str | torch.device, workers: int | None = None) -> None:
        if study.facts(EmbedFacts).encoder.is_given:
            raise SettingsError(
                "--on positions needs an encoder, and the study was made from ready representations; leave "
                "it out"
            )
        self.study, self.device, self.workers = study, device, workers
        self.encoder = study_encoder(Study(study.path), device)
        empty = torch.zeros(1, *self.encoder.transform.sides, 3, dtype=torch.uint8)
        _, self.width, *grid = position_maps(self.encoder, empty).shape
        self.grid = int(grid[0]), int(grid[1])
        if self.grid == (1, 1):
            raise SettingsError(
                f"--on positions: the maps of layer {self.encoder.target_layer} have a single position; "
                "embed larger images (--input-size) or take an earlier layer (--layer)"
            )
        self.missing: list[tuple[int, str]] = []

    def __reduce__(self) -> Any:
        """A process that shares work loads the encoder itself."""
        return PositionReader, (self.study, self.device, self.workers)

    @property
    def n(self) -> int:
        """Positions of an image."""
        return self.grid[0] * self.grid[1]

    def read(self, batches: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, Tensor]]:
        """Yield, for each batch of rows, those that can be read and their vectors (B, h w, C) float32."""
        ids = self.study.images["image_id"]
        listing = pd.Index(self.study.source.table["image_id"])
        places = [listing.get_indexer(pd.Index(ids.iloc[rows])) for rows in batches]
        held = [[int(at) for at in some if at >= 0] for some in places]
        options = RunOptions(workers=self.workers)
        views = input_views(self.study.source, self.encoder.transform)
        workers = default_workers(options, sum(map(len, held)))
        stream = picture_batches(views, held, workers=workers, pin=self.encoder.device.type == "cuda")
        for rows, some, batch in zip(batches, places, stream, strict=True):
            row_of = dict(zip(some.tolist(), rows.tolist(), strict=True))
            self.missing += [(int(row), GONE) for row, at in zip(rows, some, strict=True) if at < 0]
            self.missing += [(row_of[at], reason) for at, reason in batch.unreadable]
            if batch.pixels is None:
                yield np.zeros(0, np.int64), torch.zeros(0, self.n, self.width)
                continue
            with torch.inference_mode():
                maps = position_maps(self.encoder, batch.pixels)
                yield (
                    np.array([row_of[at] for at in batch.rows]),
                    maps.flatten(2).transpose(1, 2).contiguous(),
                )
