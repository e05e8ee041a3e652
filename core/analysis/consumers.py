"""What `embed` makes of each decoded picture: a consumer each, so that a picture is decoded once.

Another thing to make of the pictures is one more consumer in the list that `embed` loops over.
"""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from core.analysis.gradcam.kept_maps import MapKeeper
from core.analysis.picture_columns import PRINTS, VALUES, measure_picture
from core.common.buffers import pictures_a_pass
from core.data.sources.decode import thumbnail_jpeg
from core.data.sources.source import ImageSource
from core.encoders.readout.head import Head
from core.encoders.registry import Encoder
from core.errors import EncoderError

PictureLook = Callable[[Image.Image | None], Any]


class Consumer(ABC):
    """One user of the decoded pictures.

    Attributes:
        look: what it takes of a picture (None: the row has none), in the worker process, to which it is
            sent. Arrays are stacked to a tensor. look_bytes: of one, where it is large.
        empty: its arrays in the study, without rows.
    """

    look: PictureLook
    look_bytes: int = 0
    empty: Mapping[str, np.ndarray]

    @abstractmethod
    def rows(self, looks: Any, listing_rows: Sequence[int]) -> Mapping[str, np.ndarray]:
        """Return the rows of each of its arrays for a batch of at least one image.

        Args:
            looks: at the pictures of the batch. listing_rows: of the images.
        """


class Representations(Consumer):
    """Raw representations, and the logits of a classifier that stands on them.

    Args:
        head: a classifier whose logits are stored, too. dtype: "float32" or "float16", as stored.
        maps: what keeps the maps of the same pass; None: nothing does.
    Attributes:
        passes: pictures and seconds of each pass through the encoder.
    """

    def __init__(
        self,
        encoder: Encoder,
        head: Head | None,
        source: ImageSource,
        *,
        dtype: str = "float32",
        maps: MapKeeper | None = None,
    ):
        self.encoder, self.head, self.maps, self._source = encoder, head, maps, source
        self.look = encoder.transform.pixels
        self.look_bytes = 3 * math.prod(encoder.transform.sides)
        self.empty = {"representations": np.empty((0, encoder.n_features), dtype)}
        if head is not None:
            self.empty["head_logits"] = np.empty((0, head.n_outputs), np.float32)
        self.passes: list[tuple[int, float]] = []

    def rows(self, looks: torch.Tensor, listing_rows: Sequence[int]) -> Mapping[str, np.ndarray]:
        """Raises EncoderError: NaN or infinity."""
        began = time.perf_counter()
        with torch.inference_mode():
            raw, maps, logits = self._read_in_pieces(looks)
            on_host = raw.float().cpu().numpy()
            self.passes.append((len(listing_rows), time.perf_counter() - began))  # copied, so it has ended
            stored = as_stored(on_host, self.empty["representations"].dtype)
            check_finite_representations(stored, listing_rows, self._source)
            if self.maps is not None:
                self.maps.keep(listing_rows, raw, self._maps_apart(looks) if maps is None else maps)
        made = {"representations": stored}
        return made if logits is None else {**made, "head_logits": logits.cpu().numpy()}

    def _read_in_pieces(
        self, pixels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """Read pictures as `_read` does; on a processor a few at a time, which bounds its memory."""
        pieces = self._pieces(pixels)
        if len(pieces) == 1:
            return self._read(pixels)
        columns = zip(*map(self._read, pieces), strict=True)
        raw, maps, logits = (None if parts[0] is None else torch.cat(parts) for parts in columns)
        assert raw is not None  # of every pass
        return raw, maps, logits

    def _pieces(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return pixels.split(pictures_a_pass(self.encoder.device.type, pixels[0].numel()))

    def _maps_apart(self, pixels: torch.Tensor) -> torch.Tensor:
        """The maps of a second pass over the same pictures, in the precision that maps are made in."""
        assert self.maps is not None
        asked, self.encoder.precision = self.encoder.precision, self.maps.precision
        try:
            return torch.cat([self.encoder.represent_with_map(piece)[1] for piece in self._pieces(pixels)])
        finally:
            self.encoder.precision = asked

    def _read(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """Raw representations, and the maps and logits that are asked for, in one pass."""
        with_maps = self.maps is not None and not self.maps.apart
        if with_maps and self.head is not None:
            return self.encoder.represent_with_both(pixels, self.head)
        if with_maps:
            return (*self.encoder.represent_with_map(pixels), None)
        if self.head is not None:
            raw, logits = self.encoder.represent_with_logits(pixels, self.head)
            return raw, None, logits
        return self.encoder.represent(pixels), None, None

    @property
    def milliseconds(self) -> float:
        """Milliseconds a picture, the first pass left out where there are more; NaN without a pass."""
        passes = self.passes[1:] or self.passes
        n = sum(count for count, _ in passes)
        return 1000 * sum(seconds for _, seconds in passes) / n if n else float("nan")


class ReadyRepresentations(Consumer):
    """Representations that a user has, (n_listed, n_features) in listing order; no picture is needed."""

    def __init__(self, ready: np.ndarray, source: ImageSource, *, dtype: str = "float32"):
        self._ready, self._source = ready, source
        self.look = no_look
        self.empty = {"representations": np.empty((0, ready.shape[1]), dtype)}

    def rows(self, looks: Any, listing_rows: Sequence[int]) -> Mapping[str, np.ndarray]:
        """Raises EncoderError: NaN or infinity."""
        raw = as_stored(np.asarray(self._ready[listing_rows]), self.empty["representations"].dtype)
        check_finite_representations(raw, listing_rows, self._source, ready=True)
        return {"representations": raw}


class ThumbnailFiles(Consumer):
    """JPEG files of the pictures, their longer side at most `size` pixels; of no bytes without a picture."""

    def __init__(self, size: int):
        self.look = ThumbnailLook(size)
        self.empty = {"thumbnails": np.empty(0, np.uint8), "thumbnail_sizes": np.empty(0, np.int32)}

    def rows(self, looks: list[bytes], listing_rows: Sequence[int]) -> Mapping[str, np.ndarray]:
        sizes = np.array([len(jpeg) for jpeg in looks], np.int32)
        return {"thumbnails": np.frombuffer(b"".join(looks), np.uint8), "thumbnail_sizes": sizes}


class ThumbnailLook:
    """A thumbnail of a picture."""

    def __init__(self, size: int):
        self.size = size

    def __call__(self, picture: Image.Image | None) -> bytes:
        return b"" if picture is None else thumbnail_jpeg(picture, self.size)


class PictureColumns(Consumer):
    """Numbers of the pictures themselves, a checksum of the pixels and a perceptual hash."""

    def __init__(self) -> None:
        self.look = measure_picture
        self.empty = {
            "picture_values": np.empty((0, len(VALUES)), np.float32),
            "picture_prints": np.empty((0, len(PRINTS)), np.uint64),
        }

    def rows(
        self, looks: list[tuple[np.ndarray, np.ndarray]], listing_rows: Sequence[int]
    ) -> Mapping[str, np.ndarray]:
        values, prints = zip(*looks, strict=True)
        return {"picture_values": np.stack(values), "picture_prints": np.stack(prints)}


def no_look(picture: Image.Image | None) -> None:
    """Take nothing of a picture."""


def as_stored(raw: np.ndarray, dtype: str | np.dtype) -> np.ndarray:
    """Convert `raw` to `dtype`; values too large become infinite (see `check_finite_representations`)."""
    with np.errstate(over="ignore"):
        return raw.astype(dtype, copy=False)


def check_finite_representations(
    raw: np.ndarray, rows: Sequence[int], source: ImageSource, *, ready: bool = False
) -> None:
    """Raise EncoderError for representations with NaN or infinity, naming the image; `ready`: from a file."""
    bad = np.flatnonzero(~np.isfinite(raw).all(1))
    if bad.size:
        image_id = source.table["image_id"].iloc[rows[int(bad[0])]]
        check = "the file (--representations)" if ready else "the checkpoint, --mean, --std, --precision"
        raise EncoderError(
            f"NaN or infinity in the representation for image '{image_id}' ({bad.size} of {len(rows)} in its "
            f"batch). Check {check}, --dtype"
        )
