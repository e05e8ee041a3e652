"""The main computation: one loop over decoded pictures, of which consumers make what a study holds of each.

Chunk c holds the readable images among listing rows [4096 c, 4096 (c + 1)), so chunks are independent: an
interrupted run resumes with the missing chunks, and any number of processes (`torchrun -m core embed …`) can
share them with the same result.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from core.analysis.consumers import Consumer, PictureLook
from core.common.buffers import waiting_batches
from core.common.formatting import counted
from core.common.processes import tie
from core.common.worker_group import Ranks
from core.data.sources.groups import n_groups_of
from core.data.sources.images import ImageSource
from core.data.sources.pixel_facts import PixelFacts, file_facts
from core.encoders.transform import Transform
from core.errors import ImageSourceError, RemoteError, ShapeError, UnreadableImage
from core.jobs.progress import Bar
from core.storage.chunked_array import CHUNK_ROWS
from core.storage.writer import StepWriter

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
        batch.looks = [together(taken) for taken in looks]
        return batch


def together(looks: list[Any]) -> Any:
    """Stack arrays to a tensor; leave other looks in their list."""
    return torch.from_numpy(np.stack(looks)) if looks and isinstance(looks[0], np.ndarray) else looks


def input_views(source: ImageSource, transform: Transform) -> Pictures:
    """Pictures of which nothing but what the encoder sees is taken: `Batch.pixels`."""
    return Pictures(source, (transform.pixels,), look_bytes=3 * math.prod(transform.sides))


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
    ranks: Ranks,
) -> tuple[list[tuple[int, str]], PixelFacts]:
    """Write every missing chunk; this process does its share of them.

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
    with ranks.first():
        writers = [step.array(name) for name in names]
    done = [chunk for chunk in range(n_chunks) if all(writer.has(chunk) for writer in writers)]
    bar.skip(sum(min(CHUNK_ROWS, len(source.table) - chunk * CHUNK_ROWS) for chunk in done))
    todo = [chunk for chunk in range(n_chunks) if chunk not in set(done) and ranks.owns(chunk)]

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
    ranks.wait()
    return _finish(step, source, names, n_chunks) if ranks.is_first else ([], PixelFacts())


def _finish(
    step: StepWriter, source: ImageSource, names: Sequence[str], n_chunks: int
) -> tuple[list[tuple[int, str]], PixelFacts]:
    step.array(MARK).refresh()
    extras = [step.array(MARK).extra(chunk) for chunk in range(n_chunks)]
    unreadable = [(row, reason) for extra in extras for row, reason in extra["unreadable"]]
    facts = PixelFacts()
    for extra in extras:
        facts.merge(PixelFacts.from_dict(extra.get("pixels", {})))
    _check_some_readable(unreadable, source)
    for name in names:
        step.finish_array(name, n_chunks)
    return unreadable, facts


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
    """Open representations as `open_ready_representations` does, and check that each image has one row.

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
