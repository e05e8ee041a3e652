"""Other readings of a study's images by its encoder: other tokens and layers, and positions."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from core.analysis.heatmaps_on_demand import study_encoder
from core.analysis.representations import input_views, picture_batches
from core.common.processes import default_workers
from core.common.step_facts import EmbedFacts
from core.config import RunOptions
from core.encoders.layers import capture
from core.encoders.positions import position_maps
from core.encoders.tokens import all_tokens, read_tokens, token_parts
from core.errors import EncoderError, SettingsError, UnreadableImage
from core.store import Study
from core.study.reader import StudyReader

# Other readings of a study's images: the vectors that other tokens and layers of its encoder give.


N_IMAGES = 64
DEEPEST = 3  # names of layers with more dots are parts of layers that are looked at


@torch.no_grad()
def other_readouts(
    study: Study, device: str | torch.device = "cpu", *, on: str = "pooled"
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield other vectors that an encoder gives of some images, as wide as those read, with what they are.

    Args:
        on: what is read: "pooled", or "positions".
    Raises:
        PeregrineError: the encoder or the images are not there any more.
    """
    if not study.settings("embed").get("encoder"):
        raise EncoderError("the study has no encoder")
    encoder = study_encoder(study, device)
    rows = np.linspace(0, study.n_images - 1, min(N_IMAGES, study.n_images)).astype(int)
    pixels = []
    for row in rows.tolist():
        try:
            pixels.append(encoder.transform.pixels(study.image(row)))
        except UnreadableImage:
            continue
    if len(pixels) < 2:
        raise UnreadableImage("the images cannot be read")
    images = torch.from_numpy(np.stack(pixels))
    x, parts = encoder.normalise(images), token_parts(encoder.base)
    read = {"pooled": encoder.represent(images), "positions": _single(position_maps(encoder, images))}
    target, width = encoder.target_layer, read.pop(on).shape[1]
    for other, vectors in read.items():
        if vectors.shape[1] == width:
            yield f"vectors (--on {other})", _array(vectors)
    if parts is not None and on == "pooled":
        tokens = all_tokens(encoder.base, parts, x)
        for rule in parts.rules:
            vectors = read_tokens(tokens, parts, rule)
            if rule != encoder.token_rule and vectors.shape[1] == width:
                yield f"tokens (--tokens {rule.tokens} --token-norm {rule.norm})", _array(vectors)
    flat = _pooled if on == "pooled" else _single
    layers = [name for name, _ in encoder.base.named_modules() if name and name.count(".") < DEEPEST]
    with ExitStack() as stack:
        readouts = {}
        for name in layers:
            layer = encoder.base.get_submodule(name)
            readouts[name] = stack.enter_context(
                capture(layer, lambda output: _of_width(flat(output), width))
            )
        encoder.base(x)
    for name, captured in readouts.items():
        if name != target and captured.output is not None and len(captured.output):
            yield f"layer (--layer {name})", _array(captured.output)


def _pooled(output: Tensor) -> Tensor:
    """The mean over the positions of a map or of tokens; another output flat."""
    if output.ndim == 4:
        return output.mean((2, 3))
    return output.mean(1) if output.ndim == 3 else output.reshape(len(output) if output.ndim else 1, -1)


def _of_width(vectors: Tensor, width: int) -> Tensor:
    """Nothing of vectors of another width, so that their memory is free."""
    return vectors.clone() if vectors.shape[1:] == (width,) else vectors.new_zeros(0, width)


def _single(output: Tensor) -> Tensor:
    """The vectors of a map's positions, or of tokens, one below the other."""
    if output.ndim == 4:
        return output.flatten(2).transpose(1, 2).flatten(0, 1)
    return output.flatten(0, -2) if output.ndim > 1 else output.reshape(1, -1)


def _array(vectors: Tensor) -> np.ndarray:
    return vectors.float().cpu().numpy()


# Read the positions of a study's images with its encoder, batch by batch.


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
        valid_places = [[int(at) for at in some if at >= 0] for some in places]
        options = RunOptions(workers=self.workers)
        views = input_views(self.study.source, self.encoder.transform)
        workers = default_workers(options, sum(map(len, valid_places)))
        stream = picture_batches(views, valid_places, workers=workers, pin=self.encoder.device.type == "cuda")
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
