"""Encode all images of a study with a dictionary, and write codes, dictionary, table of latents and card."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.bases.basis import TABLE
from core.bases.dictionary import Coder, Dictionary, SparseRows
from core.bases.dictionary_measures import LatentTally, Tally, latents_frame, n_again
from core.bases.position_index import write_index
from core.bases.vectors import Positions, image_batches
from core.common.formatting import counted
from core.common.step_facts import EmbedFacts
from core.common.worker_group import stream_in_order
from core.encoders.readout import readout_words
from core.errors import ImageSourceError
from core.study.chunked_array import ArrayWriter, ChunkedArray, chunk_name
from core.study.progress import Bar, Progress
from core.study.reader import StudyReader
from core.study.writer import StepWriter

IMAGES = 512  # of a chunk where every position is encoded
CODES = ("count", "features", "values")  # of images
NOTHING = np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32)
AT_POSITIONS = ("position_count", "position_features", "position_values")


@dataclass(frozen=True)
class NewBasis:
    """A basis to be written.

    Attributes:
        on: pooled or positions. stable: (M,) stability of each latent; None where unknown. facts: what its
            card says besides what is measured.
    """

    name: str
    kind: str
    dictionary: Dictionary
    on: str = "pooled"
    stable: np.ndarray | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass
class Sums:
    """What encoded vectors say of a dictionary, added block by block."""

    latents: LatentTally
    whole: Tally = field(default_factory=Tally)
    held_out: Tally = field(default_factory=Tally)

    def encode(self, coder: Coder, raw: Tensor, is_val: np.ndarray) -> SparseRows:
        """Encode a block (n, r), and add it; is_val: (n,) whether a vector is of an evaluation image."""
        codes = coder.encode(raw)
        decoded, scale = coder.decode(codes, raw)
        residual = raw - decoded
        counts = codes.counts
        self.whole.add(raw, residual, counts)
        if is_val.any():
            inside = torch.from_numpy(np.array(is_val)).to(coder.device)
            self.held_out.add(raw[inside], residual[inside], counts[inside])
        self.latents.add(coder, codes, residual, scale)
        return codes

    def packed(self, width: int) -> np.ndarray:
        """(1, n) float64, from which `include` adds it; those of chunks are added in their order."""
        parts = [one.packed(width) for one in (self.whole, self.held_out)]
        return np.concatenate([*parts, *self.latents.sums.values()])[None]

    def include(self, packed: np.ndarray, width: int) -> None:
        """Add sums that were packed; the largest values are compared."""
        cut = 4 + width
        self.whole.include(packed[:cut])
        self.held_out.include(packed[cut : 2 * cut])
        for name, values in zip(self.latents.sums, np.split(packed[2 * cut :], 4), strict=True):
            sums = self.latents.sums[name]
            self.latents.sums[name] = np.maximum(sums, values) if name == "max" else sums + values


def write_basis(
    study: StudyReader,
    out: StepWriter,
    new: NewBasis,
    device: torch.device,
    progress: Progress,
    *,
    positions: Positions | None = None,
    pool_codes: str = "max",
    state: Path | None = None,
) -> None:
    """Encode every image of a study in a new basis, chunk by chunk, and write the basis.

    Args:
        positions: what reads the positions of images, each of which is encoded; None: the representations.
        pool_codes: code of an image with many positions: "max" or "mean" over them.
        state: folder of the sums of an interrupted run on positions.
    """
    coder = Coder(new.dictionary, device)
    item = TABLE.format(name=new.name)
    with progress.stage("encode", total=study.n_images, unit="images") as bar:
        if positions is None:
            sums = _encode_pooled(study, out, item, coder, bar)
            extra = {}
        else:
            assert state is not None
            encoder = _PositionEncoder(study, coder, positions, pool_codes)
            sums, extra = _encode_positions(out, item, encoder, state, bar)
    for part, values in new.dictionary.arrays().items():
        out.vector(f"{item}_{part}", values)
    frame = latents_frame(sums.latents, sums.whole, new.stable)
    out.table(item, frame)
    if positions is not None:
        with progress.stage("index"):
            write_index(out, item, new.dictionary.size)
        for name in _position_arrays(item):
            out.finish_array(name, len(range(0, study.n_images, IMAGES)))
    alive = ~frame["dead"].to_numpy(bool)
    stable = frame["stability"].to_numpy()[alive]
    whole = sums.whole
    held_out = sums.held_out
    about = card(study, new)
    about |= {**extra, "notes": [*about.get("notes", ()), *extra.get("notes", ())]}
    measured: dict[str, Any] = {"r2": whole.r2, "r2_val": held_out.r2 if 0 < held_out.n < whole.n else None}
    measured |= {"l0": whole.l0, "dead": float(1 - alive.mean())}
    measured["stability"] = float(stable.mean()) if np.isfinite(stable).any() else None
    measured |= {"n_again": n_again(frame), "n_alive": int(alive.sum()), "n_vectors": whole.n}
    out.summary = {"basis": about | measured}


def _encode_pooled(study: StudyReader, out: StepWriter, item: str, coder: Coder, bar: Bar) -> Sums:
    """Encode the representations, one vector an image."""
    array = study.array("representations")
    sums = Sums(LatentTally(coder.about.size))
    spans = [range(*ends) for ends in pairwise(array.starts.tolist())]
    encoded = stream_in_order(partial(_encoded_spans, study.is_val, coder, array), spans)
    for chunk, (span, (parts, packed)) in enumerate(zip(spans, encoded, strict=True)):
        for part, values in zip(CODES, parts, strict=True):
            out.array(f"{item}_{part}").put(chunk, values)
        sums.include(packed[0], coder.about.width)
        bar.update(len(span))
    for part in CODES:
        out.finish_array(f"{item}_{part}", len(spans))
    return sums


def _encoded_spans(
    is_val: np.ndarray, coder: Coder, vectors: ChunkedArray, spans: Sequence[range]
) -> Iterator[tuple[list[np.ndarray], np.ndarray]]:
    """Yield the arrays CODES and the packed sums of each range of images."""
    for span in spans:
        sums = Sums(LatentTally(coder.about.size))
        parts = [NOTHING]
        for at in range(span.start, span.stop, coder.block_rows):
            rows = np.arange(at, min(at + coder.block_rows, span.stop))
            block = torch.from_numpy(np.array(vectors[rows], np.float32)).to(coder.device)
            parts.append(_arrays(sums.encode(coder, block, is_val[rows])))
        yield [*map(np.concatenate, zip(*parts, strict=True))], sums.packed(coder.about.width)


def _arrays(codes: SparseRows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count of each row, latents and values."""
    counts, latents, values = (one.cpu().numpy() for one in (codes.counts, codes.latents, codes.values))
    return counts.astype(np.int32), latents.astype(np.int32), values.astype(np.float32)


def _position_arrays(item: str) -> list[str]:
    return [f"{item}_{part}" for part in (*CODES, *AT_POSITIONS)]


def _encode_positions(
    out: StepWriter, item: str, encoder: _PositionEncoder, state: Path, bar: Bar
) -> tuple[Sums, dict[str, Any]]:
    """Encode the positions of all images, chunk by chunk; an interrupted run goes on. The arrays stay open.

    Returns:
        the sums, and what a card says besides.
    Raises:
        ImageSourceError: none of the images can be read.
    """
    n = encoder.study.n_images
    width = encoder.positions.width
    names = _position_arrays(item)
    chunks = np.split(np.arange(n), range(IMAGES, n, IMAGES))
    arrays = [out.array(name) for name in names]
    packed = ArrayWriter(state, out.fingerprint)
    items = (*arrays, packed)
    todo = [chunk for chunk in range(len(chunks)) if not all(item.has(chunk) for item in items)]
    bar.skip(n - sum(len(chunks[chunk]) for chunk in todo))
    encoded = stream_in_order(encoder.encoded, [chunks[chunk] for chunk in todo])
    for chunk, (parts, sums, missing) in zip(todo, encoded, strict=True):
        for array, values in zip(arrays, parts, strict=True):
            array.put(chunk, values)
        packed.put(chunk, sums, missing)  # written last
        bar.update(len(chunks[chunk]))
    total = Sums(LatentTally(encoder.coder.about.size))
    for chunk in range(len(chunks)):
        total.include(np.load(state / chunk_name(chunk))[0], width)
    missing = [one for chunk in range(len(chunks)) for one in packed.extra(chunk)]
    if len(missing) == n:
        raise ImageSourceError(f"none of the {n} images can be read (first: {missing[0][1]})")
    notes = [f"{counted(len(missing), 'image')} could not be read and have no codes"] if missing else []
    return total, {"grid": list(encoder.positions.grid), "pool_codes": encoder.pool, "notes": notes}


@dataclass(frozen=True)
class _PositionEncoder:
    """Reads and encodes the positions of images; pool: how the codes of an image are pooled."""

    study: StudyReader
    coder: Coder
    positions: Positions
    pool: str

    def encoded(
        self, chunks: Sequence[np.ndarray]
    ) -> Iterator[tuple[list[np.ndarray], np.ndarray, list[tuple[int, str]]]]:
        """Yield the six arrays of each chunk of images, its packed sums, and which could not be read."""
        stream = self.positions.read([rows for chunk in chunks for rows in image_batches(chunk)])
        for chunk in chunks:
            sums = Sums(LatentTally(self.coder.about.size))
            parts = []
            for images in image_batches(chunk):
                rows, vectors = next(stream)
                parts.append(self._batch(images, rows, vectors, sums))
            whole = [*map(np.concatenate, zip(*parts, strict=True))]
            yield whole, sums.packed(self.positions.width), [*self.positions.missing]
            self.positions.missing.clear()

    def _batch(
        self, images: np.ndarray, rows: np.ndarray, vectors: Tensor, sums: Sums
    ) -> tuple[np.ndarray, ...]:
        """The six arrays of some images; those that could not be read have no codes."""
        n = self.positions.n
        size = self.coder.about.size
        flat = vectors.flatten(0, 1)
        is_val = np.repeat(self.study.is_val[rows], n)
        parts = [NOTHING]
        for at in range(0, len(flat), self.coder.block_rows):
            here = slice(at, at + self.coder.block_rows)
            parts.append(_arrays(sums.encode(self.coder, flat[here].to(self.coder.device), is_val[here])))
        counts, latents, values = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        image = np.searchsorted(images, rows)  # which of those images the vectors are of
        pooled = pooled_codes(counts.reshape(-1, n), latents, values, size, self.pool)
        at_image = [np.zeros(len(images), np.int32), np.zeros((len(images), n), np.int32)]
        at_image[0][image] = (pooled != 0).sum(1)
        at_image[1][image] = counts.reshape(-1, n)
        small = np.uint16 if size <= 1 << 16 else np.int32
        active = pooled.nonzero()
        of_images = at_image[0], active[1].astype(np.int32), pooled[active]
        return *of_images, at_image[1].ravel(), latents.astype(small), values


def pooled_codes(
    counts: np.ndarray, latents: np.ndarray, values: np.ndarray, size: int, pool: str
) -> np.ndarray:
    """(n, M) float32: the maximum or mean of codes over positions; a latent that is not active counts as 0.

    Args:
        counts: (n, P) active latents of each position. latents, values: position after position.
    """
    n, n_positions = counts.shape
    cells = np.repeat(np.arange(n), counts.sum(1)) * size + latents
    active = np.bincount(cells, minlength=n * size)
    if pool == "mean":
        sums = np.bincount(cells, values, minlength=n * size)
        return (sums / n_positions).astype(np.float32).reshape(n, size)
    most = np.full(n * size, -np.inf, np.float32)
    np.maximum.at(most, cells, values)
    return np.where(active < n_positions, np.maximum(most, 0), most).reshape(n, size)


def card(study: StudyReader, new: NewBasis) -> dict[str, Any]:
    """Describe a basis apart from what is measured: encoder, layer, tokens, and how it encodes."""
    encoder = study.facts(EmbedFacts).encoder
    dictionary = new.dictionary
    facts = {
        "name": new.name,
        "kind": new.kind,
        "size": dictionary.size,
        "k": dictionary.k,
        "on": new.on,
        "activation": dictionary.activation,
        "normalisation": dictionary.norm,
    }
    facts |= {"encoder": encoder.fingerprint, "encoder_name": study.encoder_name or None}
    facts |= {"layer": encoder.layer, "tokens": encoder.tokens, "token_norm": encoder.token_norm}
    facts |= {"readout": readout_words(encoder) or None}
    return facts | dictionary.facts | new.facts
