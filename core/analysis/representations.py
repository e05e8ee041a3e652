"""The main computation: images through the encoder, stored as chunks of raw representations and thumbnails.

Chunk c holds the readable images among listing rows [4096 c, 4096 (c + 1)), so chunks are independent: an
interrupted run resumes with the missing chunks, and any number of processes (`torchrun -m core embed …`) can
share them with the same result.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from core.common.formatting import counted
from core.common.processes import tie
from core.common.worker_group import Ranks
from core.data.sources.decode import thumbnail_jpeg
from core.data.sources.groups import n_groups_of
from core.data.sources.images import ImageSource
from core.data.sources.pixel_facts import PixelFacts, file_facts
from core.encoders.readout.head import Head
from core.encoders.registry import Encoder
from core.encoders.transform import Transform
from core.errors import EncoderError, ImageSourceError, RemoteError, ShapeError, UnreadableImage
from core.jobs.progress import Bar
from core.storage.chunked_array import CHUNK_ROWS
from core.storage.writer import StepWriter

ARRAYS = ("representations", "thumbnails", "thumbnail_sizes", "head_logits")
RENAMED = {"image_id": "image_id_"}  # further columns whose name the table `attributes` has already


@dataclass
class Batch:
    """A batch as delivered by the worker processes."""

    rows: list[int] = field(default_factory=list)
    pixels: torch.Tensor | None = None  # (B, S, S, 3) uint8
    thumbnails: list[bytes] = field(default_factory=list)
    unreadable: list[tuple[int, str]] = field(default_factory=list)
    facts: PixelFacts = field(default_factory=PixelFacts)


class Pictures(Dataset):
    """Decode batches of listing rows in worker processes."""

    def __init__(self, source: ImageSource, transform: Transform | None, thumbnail_size: int):
        self.source, self.transform, self.thumbnail_size = source, transform, thumbnail_size

    def __getitem__(self, rows: Sequence[int]) -> Batch:
        batch, pixels = Batch(), []
        self.source.read_ahead(rows)
        for row in rows:
            try:
                image = self.source.read(row)
            except UnreadableImage as error:
                if self.transform is None:  # its representation is given: only the thumbnail is missing
                    batch.rows.append(row)
                    batch.thumbnails.append(b"")
                else:
                    batch.unreadable.append((row, str(error)))
                continue
            batch.rows.append(row)
            batch.facts.add(file_facts(image))
            if self.transform is not None:
                pixels.append(self.transform.pixels(image))
            if self.thumbnail_size:
                batch.thumbnails.append(thumbnail_jpeg(image, self.thumbnail_size))
        batch.pixels = torch.from_numpy(np.stack(pixels)) if pixels else None
        return batch


def batches_of(chunks: Sequence[int], n_rows: int, batch_size: int) -> list[range]:
    """Split listing rows into batches that never cross a chunk border, so batches are always the same."""
    return [
        range(start, min(start + batch_size, (chunk + 1) * CHUNK_ROWS, n_rows))
        for chunk in chunks
        for start in range(chunk * CHUNK_ROWS, min((chunk + 1) * CHUNK_ROWS, n_rows), batch_size)
    ]


def picture_batches(
    pictures: Pictures, batches: Sequence[Sequence[int]], *, workers: int, pin: bool
) -> Iterator[Batch]:
    """Yield decoded batches in order, prefetched by `workers` processes (0: decoded in this process)."""
    loader = DataLoader(
        pictures,
        sampler=batches,  # pyright: ignore[reportArgumentType]
        batch_size=None,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
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


@dataclass
class ChunkBuffer:
    """The collected results of one chunk."""

    raw: list[np.ndarray] = field(default_factory=list)
    logits: list[np.ndarray] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    thumbnails: list[bytes] = field(default_factory=list)
    unreadable: list[tuple[int, str]] = field(default_factory=list)
    facts: PixelFacts = field(default_factory=PixelFacts)

    def add(self, batch: Batch, raw: np.ndarray | None, logits: np.ndarray | None) -> None:
        self.rows += batch.rows
        self.thumbnails += batch.thumbnails
        self.unreadable += batch.unreadable
        self.facts.merge(batch.facts)
        if raw is not None:
            self.raw.append(raw)
        if logits is not None:
            self.logits.append(logits)

    def write(
        self, step: StepWriter, chunk: int, *, n_features: int, n_outputs: int, dtype: str, thumbnails: bool
    ) -> None:
        """Store the chunk. Representations are written last: their ledger entry marks the chunk as done."""
        if thumbnails:
            sizes = np.array([len(jpeg) for jpeg in self.thumbnails], np.int32)
            step.array("thumbnails").put(chunk, np.frombuffer(b"".join(self.thumbnails), np.uint8))
            step.array("thumbnail_sizes").put(chunk, sizes)
        if n_outputs:
            logits = np.concatenate(self.logits) if self.logits else np.empty((0, n_outputs), np.float32)
            step.array("head_logits").put(chunk, logits)
        whole = np.concatenate(self.raw) if self.raw else np.empty((0, n_features))
        extra = {"unreadable": self.unreadable, "pixels": self.facts.to_dict()}
        step.array("representations").put(chunk, whole.astype(dtype, copy=False), extra)


def embed_chunks(
    step: StepWriter,
    source: ImageSource,
    encoder: Encoder | np.ndarray,
    bar: Bar,
    *,
    dtype: str = "float32",
    thumbnail_size: int = 128,
    batch_size: int = 64,
    workers: int = 0,
    strict: bool = False,
    head: Head | None = None,
    ranks: Ranks,
) -> tuple[list[tuple[int, str]], PixelFacts]:
    """Write every missing chunk; this process does its share of them.

    Args:
        encoder: the encoder, or precomputed representations (n_listed, n_features) in listing order.
        dtype: "float32" or "float16", as stored.
        head: a classifier whose logits are stored, too.
        strict: raise at the first unreadable image instead of listing it.
    Returns:
        (listing row, reason) of every unreadable image, in listing order; what was found in the pixels of the
        others.
    Raises:
        EncoderError: NaN or infinity. UnreadableImage: with `strict`. ImageSourceError: no readable image.
    """
    n_chunks = -(-len(source.table) // CHUNK_ROWS)
    names = [ARRAYS[0], *(ARRAYS[1:3] if thumbnail_size else ()), *(ARRAYS[3:] if head else ())]
    with ranks.first():
        writers = [step.array(name) for name in names]
    done = [chunk for chunk in range(n_chunks) if all(writer.has(chunk) for writer in writers)]
    bar.skip(sum(min(CHUNK_ROWS, len(source.table) - chunk * CHUNK_ROWS) for chunk in done))
    todo = [chunk for chunk in range(n_chunks) if chunk not in set(done) and ranks.owns(chunk)]

    ready = isinstance(encoder, np.ndarray)
    transform = None if ready else encoder.transform
    pictures = Pictures(source, transform, thumbnail_size)
    pin = not ready and encoder.device.type == "cuda"
    batches = batches_of(todo, len(source.table), batch_size)
    n_features = encoder.shape[1] if ready else encoder.n_features
    buffer, stream = ChunkBuffer(), picture_batches(pictures, batches, workers=workers, pin=pin)
    waiting: dict[int, ChunkBuffer] = {}  # as long as nothing was readable, an earlier run's files stay
    for batch_rows, batch in zip(batches, stream, strict=True):
        if strict and batch.unreadable:
            row, reason = batch.unreadable[0]
            raise UnreadableImage(f"{source.table['path'].iloc[row]}: {reason} (--strict stops here)")
        raw, logits = _represent(encoder, batch, head)
        if raw is not None:
            raw = as_stored(raw, dtype)
            check_finite_representations(raw, batch.rows, source, ready=ready)
        buffer.add(batch, raw, logits)
        bar.update(len(batch_rows))
        if batch_rows.stop % CHUNK_ROWS == 0 or batch_rows.stop == len(source.table):
            waiting[batch_rows.start // CHUNK_ROWS] = buffer
            shape = {"n_features": n_features, "n_outputs": head.n_outputs if head else 0}
            if buffer.rows or step.has_begun:
                for chunk, one in waiting.items():
                    one.write(step, chunk, **shape, dtype=dtype, thumbnails=bool(thumbnail_size))
                waiting.clear()
            buffer = ChunkBuffer()
    _check_some_readable([row for one in waiting.values() for row in one.unreadable], source)
    ranks.wait()
    return _finish(step, source, names, n_chunks) if ranks.is_first else ([], PixelFacts())


def as_stored(raw: np.ndarray, dtype: str) -> np.ndarray:
    """Convert `raw` to `dtype`; values too large become infinite (see `check_finite_representations`)."""
    with np.errstate(over="ignore"):
        return raw.astype(dtype, copy=False)


def _represent(
    encoder: Encoder | np.ndarray, batch: Batch, head: Head | None
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Representations of a batch, and the logits of a head."""
    if not batch.rows:
        return None, None
    if isinstance(encoder, np.ndarray):
        return np.asarray(encoder[batch.rows]), None
    assert batch.pixels is not None
    with torch.inference_mode():
        if head is None:
            return encoder.represent(batch.pixels).float().cpu().numpy(), None
        raw, logits = encoder.represent_with_logits(batch.pixels, head)
        return raw.cpu().numpy(), logits.cpu().numpy()


def _finish(
    step: StepWriter, source: ImageSource, names: Sequence[str], n_chunks: int
) -> tuple[list[tuple[int, str]], PixelFacts]:
    step.array("representations").refresh()
    extras = [step.array("representations").extra(chunk) for chunk in range(n_chunks)]
    unreadable = [(row, reason) for extra in extras for row, reason in extra["unreadable"]]
    found = PixelFacts()
    for extra in extras:
        found.merge(PixelFacts.from_dict(extra.get("pixels", {})))
    _check_some_readable(unreadable, source)
    for name in names:
        step.finish_array(name, n_chunks)
    return unreadable, found


def _check_some_readable(unreadable: Sequence[tuple[int, str]], source: ImageSource) -> None:
    if len(unreadable) == len(source.table):
        row, reason = unreadable[0]
        raise ImageSourceError(
            f"none of the {len(unreadable)} images can be read (first: "
            f"{source.table['path'].iloc[row]}: {reason})"
        )


def open_ready_representations(path: str) -> np.ndarray:
    """Open the user's own representations, (N, r), memory-mapped.

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
    """The same, checked to have one row per listed image.

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
    """Write `images`, `skipped` and `attributes`; return counts for the summary."""
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
