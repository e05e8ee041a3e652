"""The main computation: one loop over decoded pictures, and the consumers that make a study of them."""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from core.analysis.kept_maps import MapKeeper
from core.analysis.picture_table import PRINTS, VALUES, measure_picture
from core.common.formatting import counted
from core.common.processes import tie
from core.data.decode import thumbnail_jpeg
from core.data.groups import n_groups_of
from core.data.pixel_values import PixelFacts, file_facts
from core.data.source import ImageSource
from core.encoders.head import Head
from core.encoders.passes import pictures_a_pass, waiting_batches
from core.encoders.registry import Encoder
from core.encoders.transform import Transform
from core.errors import EncoderError, ImageSourceError, RemoteError, ShapeError, UnreadableImage
from core.study.chunked_array import CHUNK_ROWS
from core.study.progress import Bar
from core.study.shared_arrays import SharedArrays
from core.study.writer import StepWriter

# What `embed` makes of each decoded picture: a consumer each, so that a picture is decoded once.
#
# Another thing to make of the pictures is one more consumer in the list that `embed` loops over.


PictureLook = Callable[[Any], Any]  # of a picture; of None as well where `Pictures` need none


class Consumer(ABC):
    """One user of the decoded pictures.

    Attributes:
        look: what it takes of a picture (None: the row has none), in the worker process, to which it is
            sent. Arrays are stacked to a tensor. look_bytes: of one, where it is large.
        empty: its arrays in the study, without rows.
    """

    look: PictureLook
    look_bytes: int = 0
    empty: dict[str, np.ndarray]

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
        """Milliseconds a picture in the fastest pass, which others held up least; NaN without one."""
        return min((1000 * seconds / n for n, seconds in self.passes if n), default=float("nan"))


class ReadyRepresentations(Consumer):
    """Representations that a user has, (n_listed, n_features) in listing order; no picture is needed."""

    def __init__(self, ready: np.ndarray, source: ImageSource, *, dtype: str = "float32"):
        self._ready, self._source = ready, source
        self.look = _no_look
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


def _no_look(picture: Image.Image | None) -> None:
    """The look of a consumer of `embed` that needs no pixels: nothing is taken of a picture."""


def as_stored(raw: np.ndarray, dtype: str | np.dtype) -> np.ndarray:
    """Convert computed representations to their stored `dtype`; values too large become infinite."""
    with np.errstate(over="ignore"):
        return raw.astype(dtype, copy=False)


def check_finite_representations(
    raw: np.ndarray, rows: Sequence[int], source: ImageSource, *, ready: bool = False
) -> None:
    """Raise EncoderError for computed representations with NaN or infinity, naming the image.

    `ready`: they are read from a file.
    """
    bad = np.flatnonzero(~np.isfinite(raw).all(1))
    if bad.size:
        image_id = source.table["image_id"].iloc[rows[int(bad[0])]]
        check = "the file (--representations)" if ready else "the checkpoint, --mean, --std, --precision"
        raise EncoderError(
            f"NaN or infinity in the representation for image '{image_id}' ({bad.size} of {len(rows)} in its "
            f"batch). Check {check}, --dtype"
        )


# The main computation: one loop over decoded pictures, of which consumers make what a study holds of each.
#
# Chunk c holds the readable images among listing rows [4096 c, 4096 (c + 1)), so chunks are independent: an
# interrupted run resumes with the missing chunks, and any number of processes (`torchrun -m core embed …`)
# can share them with the same result.


MARK = "representations"  # the array whose chunk is written last
RENAMED = {"image_id": "image_id_"}  # further columns whose name the table `attributes` has already


@dataclass
class Batch:
    """A batch as delivered by the worker processes.

    Attributes:
        rows: of the listing, of the images that can be read. looks: what each look took of them.
    """

    rows: list[int] = field(default_factory=list)
    looks: list[Any] = field(default_factory=list)
    unreadable: list[tuple[int, str]] = field(default_factory=list)
    facts: PixelFacts = field(default_factory=PixelFacts)

    @property
    def pixels(self) -> torch.Tensor | None:
        """(B, S, S, 3) uint8 of the first look; None where no image can be read."""
        return self.looks[0] if self.rows else None


class Pictures(Dataset):
    """Decode batches of listing rows in worker processes.

    Args:
        looks: what is taken of each picture. needed: leave out images that cannot be read; else look at None.
        look_bytes: of a picture's looks together.
    """

    def __init__(
        self, source: ImageSource, looks: Sequence[PictureLook], *, needed: bool = True, look_bytes: int = 0
    ):
        self.source, self.looks, self.needed, self.look_bytes = source, looks, needed, look_bytes

    def __getitem__(self, rows: Sequence[int]) -> Batch:
        batch, looks = Batch(), [[] for _ in self.looks]
        self.source.read_ahead(rows)
        for row in rows:
            try:
                picture = self.source.read(row)
            except UnreadableImage as error:
                if self.needed:
                    batch.unreadable.append((row, str(error)))
                    continue
                picture = None
            else:
                batch.facts.add(file_facts(picture))
            batch.rows.append(row)
            for taken, look in zip(looks, self.looks, strict=True):
                taken.append(look(picture))
        batch.looks = [_together(taken) for taken in looks]
        return batch


def _together(looks: list[Any]) -> Any:
    """Stack what consumers of `embed` took of pictures, if arrays, to a tensor; else leave a list."""
    return torch.from_numpy(np.stack(looks)) if looks and isinstance(looks[0], np.ndarray) else looks


def input_views(source: ImageSource, transform: Transform) -> Pictures:
    """Open pictures for a step that computes representations, in the input view alone: `Batch.pixels`."""
    return Pictures(source, (transform.pixels,), look_bytes=3 * math.prod(transform.sides))


def batches_of(chunks: Sequence[int], n_rows: int, batch_size: int) -> list[range]:
    """Batches in which images' representations are computed: across no chunk border, always the same."""
    return [
        range(start, min(start + batch_size, (chunk + 1) * CHUNK_ROWS, n_rows))
        for chunk in chunks
        for start in range(chunk * CHUNK_ROWS, min((chunk + 1) * CHUNK_ROWS, n_rows), batch_size)
    ]


def picture_batches(
    pictures: Pictures, batches: Sequence[Sequence[int]], *, workers: int, pin: bool
) -> Iterator[Batch]:
    """Yield pictures to a step that computes representations or heatmaps: batches prefetched by `workers`."""
    largest = max(map(len, batches), default=0) * getattr(pictures, "look_bytes", 0)
    loader = DataLoader(
        pictures,
        sampler=batches,  # pyright: ignore[reportArgumentType]
        batch_size=None,
        num_workers=workers,
        prefetch_factor=waiting_batches(workers, largest) if workers else None,
        pin_memory=pin,
        worker_init_fn=partial(_begin_worker, tie()),
    )
    try:
        yield from loader
    except RemoteError as error:  # of a worker, it comes with where it was raised
        line = str(error).strip().splitlines()[-1]
        raise RemoteError(line.removeprefix(f"{RemoteError.__module__}.RemoteError: ")) from None


def _begin_worker(tie_to_parent: Callable[[], None], _: int) -> None:
    import signal
    import sys

    tie_to_parent()
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    sys.excepthook = _report_unless_parent_ended
    Image.init()


def _report_unless_parent_ended(kind: type[BaseException], error: BaseException, where: object) -> None:
    """Ignore errors of multiprocessing after a stopped parent no longer fetches results."""
    import sys

    if not issubclass(kind, (ConnectionError, EOFError)):
        sys.__excepthook__(kind, error, where)  # pyright: ignore[reportArgumentType]


@dataclass
class ChunkBuffer:
    """The collected results of one chunk, a list of batches for each consumer."""

    rows: list[int] = field(default_factory=list)
    parts: list[list[Mapping[str, np.ndarray]]] = field(default_factory=list)
    unreadable: list[tuple[int, str]] = field(default_factory=list)
    facts: PixelFacts = field(default_factory=PixelFacts)

    def add(self, batch: Batch, consumers: Sequence[Consumer]) -> None:
        self.unreadable += batch.unreadable
        self.facts.merge(batch.facts)
        if batch.rows:
            self.rows += batch.rows
            pairs = zip(consumers, batch.looks, strict=True)
            self.parts.append([one.rows(looks, batch.rows) for one, looks in pairs])

    def write(self, step: StepWriter, chunk: int, consumers: Sequence[Consumer]) -> None:
        """Store the chunk. The arrays of the first consumer are written last: they mark the chunk as done."""
        extra = {"unreadable": self.unreadable, "pixels": self.facts.to_dict()}
        for at, consumer in reversed(list(enumerate(consumers))):
            for name, empty in reversed(consumer.empty.items()):
                rows = np.concatenate([empty, *(parts[at][name] for parts in self.parts)])
                step.array(name).put(chunk, rows, extra if name == MARK else None)


def embed_chunks(
    step: StepWriter,
    source: ImageSource,
    consumers: Sequence[Consumer],
    bar: Bar,
    *,
    batch_size: int = 64,
    workers: int = 0,
    pin: bool = False,
    needed: bool = True,
    strict: bool = False,
) -> tuple[list[tuple[int, str]], PixelFacts]:
    """Compute the representations of every missing chunk; this process of a torchrun does its share.

    Args:
        consumers: what is made of the pictures, the representations first.
        pin: for a GPU. needed: leave out images that cannot be read; else they are rows without a picture.
        strict: raise at the first unreadable image instead of listing it.
    Returns:
        (listing row, reason) of every unreadable image, in listing order; what was found in the pixels of the
        others.
    Raises:
        EncoderError: NaN or infinity. UnreadableImage: with `strict`. ImageSourceError: no readable image.
    """
    n_chunks = -(-len(source.table) // CHUNK_ROWS)
    names = [name for consumer in consumers for name in consumer.empty]
    arrays = SharedArrays(step, names, n_chunks, mark=MARK)
    done = [chunk for chunk in range(n_chunks) if arrays.has(chunk)]
    bar.skip(sum(min(CHUNK_ROWS, len(source.table) - chunk * CHUNK_ROWS) for chunk in done))
    todo = arrays.todo(done)

    looks, look_bytes = zip(*((one.look, one.look_bytes) for one in consumers), strict=True)
    pictures = Pictures(source, looks, needed=needed, look_bytes=sum(look_bytes))
    batches = batches_of(todo, len(source.table), batch_size)
    buffer, stream = ChunkBuffer(), picture_batches(pictures, batches, workers=workers, pin=pin)
    waiting: dict[int, ChunkBuffer] = {}  # as long as nothing was readable, an earlier run's files stay
    for batch_rows, batch in zip(batches, stream, strict=True):
        if strict and batch.unreadable:
            row, reason = batch.unreadable[0]
            raise UnreadableImage(f"{source.table['path'].iloc[row]}: {reason} (--strict stops here)")
        buffer.add(batch, consumers)
        bar.update(len(batch_rows))
        if batch_rows.stop % CHUNK_ROWS == 0 or batch_rows.stop == len(source.table):
            waiting[batch_rows.start // CHUNK_ROWS] = buffer
            if buffer.rows or step.has_begun:
                for chunk, one in waiting.items():
                    one.write(step, chunk, consumers)
                waiting.clear()
            buffer = ChunkBuffer()
    _check_some_readable([row for one in waiting.values() for row in one.unreadable], source)
    return _finish(arrays, source)


def _finish(arrays: SharedArrays, source: ImageSource) -> tuple[list[tuple[int, str]], PixelFacts]:
    extras = arrays.collect()
    unreadable = [(row, reason) for extra in extras for row, reason in extra["unreadable"]]
    facts = PixelFacts()
    for extra in extras:
        facts.merge(PixelFacts.from_dict(extra.get("pixels", {})))
    _check_some_readable(unreadable, source)
    arrays.finish()
    return unreadable, facts


def _check_some_readable(unreadable: Sequence[tuple[int, str]], source: ImageSource) -> None:
    if len(unreadable) == len(source.table):
        row, reason = unreadable[0]
        raise ImageSourceError(
            f"none of the {len(unreadable)} images can be read (first: "
            f"{source.table['path'].iloc[row]}: {reason})"
        )


def open_ready_representations(path: str) -> np.ndarray:
    """Open the user's own representations, on which the steps compute, (N, r), memory-mapped.

    Raises:
        ShapeError: not a readable .npy file, or not a two-dimensional float array.
    """
    try:
        raw = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError) as error:
        reason = getattr(error, "strerror", None) or "it is no whole .npy file of numbers"
        raise ShapeError(
            f"cannot read representations '{path}': {reason}. Give one array (N, r) as numpy.save writes it"
        ) from None
    if raw.ndim != 2 or not np.issubdtype(raw.dtype, np.floating):
        raise ShapeError(f"'{path}' holds {raw.dtype} {raw.shape}; expected floats of shape (N, r)")
    return raw


def load_ready_representations(path: str, n_images: int) -> np.ndarray:
    """Open ready representations for the steps that compute on them, a row for each image.

    As `open_ready_representations` does, with a check of the number of rows.

    Raises:
        ShapeError: it has another number of rows.
    """
    raw = open_ready_representations(path)
    if len(raw) != n_images:
        raise ShapeError(
            f"'{path}' has {counted(len(raw), 'row')} but {counted(n_images, 'image')} were found; there "
            "must be one row for each image, in their order. Add or remove images, or name the images of the "
            "rows in a CSV file with a column 'path': --images IMAGES.csv"
        )
    return raw


def _facts_of_groups(source: ImageSource, is_readable: np.ndarray) -> dict[str, Any]:
    if source.group is None or source.extras is None:
        return {}
    stored_as = RENAMED.get(source.group, source.group)
    return {"group": stored_as, "n_groups": n_groups_of(source.extras.loc[is_readable, source.group])}


def embed_tables(step: StepWriter, source: ImageSource, unreadable: list[tuple[int, str]]) -> dict[str, Any]:
    """Write beside the representations the tables `images`, `skipped`, `attributes`; return counts."""
    listing = source.table
    is_readable = np.ones(len(listing), bool)
    is_readable[[row for row, _ in unreadable]] = False
    images = listing.loc[is_readable, ["image_id", "path", "split", "label"]].reset_index(drop=True)
    step.table("images", images)
    skipped = listing.iloc[[row for row, _ in unreadable]][["path"]].reset_index(drop=True)
    step.table("skipped", skipped.assign(reason=[reason for _, reason in unreadable]).astype("str"))
    if source.extras is not None:
        extras = source.extras.loc[is_readable].reset_index(drop=True).rename(columns=RENAMED)
        step.table("attributes", extras.assign(image_id=images["image_id"]))
    n_val = int((images["split"] == "val").sum())
    of_groups = _facts_of_groups(source, is_readable)
    return of_groups | {
        "n_images": len(images),
        "n_train": len(images) - n_val,
        "n_val": n_val,
        "n_skipped": len(unreadable),
        "n_classes": int(images["label"].nunique()),
    }
