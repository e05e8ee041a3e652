"""Encode all images of a study with a dictionary, and write codes, dictionary, table of latents and card."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from core.bases.basis import TABLE
from core.bases.dictionary import Coder, Dictionary, SparseRows
from core.bases.measures import LatentTally, Tally, latents_frame
from core.common.readout import readout_words
from core.reader import StudyReader
from core.storage.writer import StepWriter

if TYPE_CHECKING:
    import torch

    from core.jobs.progress import Progress

# Chunks of images: row of the first image, number of images, and blocks of their vectors, each with the image
# (0 to n - 1) that every vector is of.
VectorBlocks = Iterator[tuple[np.ndarray, np.ndarray]]
Chunks = Iterator[tuple[int, int, VectorBlocks]]


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


def pooled_chunks(study: StudyReader, size: int) -> Chunks:
    """The representations, one vector an image."""

    def blocks(raw: np.ndarray) -> VectorBlocks:
        for at in range(0, len(raw), size):
            yield raw[at : at + size], np.arange(at, min(at + size, len(raw)))

    for start, raw in study.array("representations").chunks():
        yield start, len(raw), blocks(raw)


def write_basis(
    study: StudyReader,
    out: StepWriter,
    new: NewBasis,
    device: torch.device,
    progress: Progress,
    *,
    chunks: Callable[[int], Chunks] | None = None,
    pool_codes: str = "max",
) -> None:
    """Encode every image, chunk by chunk, and write the basis.

    Args:
        chunks: rows of a block -> the vectors; None: the representations.
        pool_codes: code of an image with many vectors: "max" or "mean" over them.
    """
    item = TABLE.format(name=new.name)
    coder = Coder(new.dictionary, device)
    whole, held_out, latents = Tally(), Tally(), LatentTally(new.dictionary.size)
    arrays = {part: out.array(f"{item}_{part}") for part in ("count", "features", "values")}
    source = chunks(coder.block_rows) if chunks else pooled_chunks(study, coder.block_rows)
    n_chunks = 0
    with progress.stage("encode", total=study.n_images, unit="images") as bar:
        for chunk, (start, n, blocks) in enumerate(source):
            parts = []
            for vectors, images in blocks:
                codes = _encoded(coder, vectors, study.is_val[start + images], whole, held_out, latents)
                parts.append(_as_entries(codes, images))
            entries = _of_images(parts, n, new.dictionary.size, pool_codes if chunks else None)
            for part, values in zip(arrays, entries, strict=True):
                arrays[part].put(chunk, values)
            n_chunks = chunk + 1
            bar.update(n)
    for part in arrays:
        out.finish_array(f"{item}_{part}", n_chunks)
    for part, values in new.dictionary.arrays().items():
        out.vector(f"{item}_{part}", values)
    frame = latents_frame(latents, whole, new.stable)
    out.table(item, frame)
    alive = ~frame["dead"].to_numpy(bool)
    stable = frame["stability"].to_numpy()[alive]
    out.summary = {
        "basis": {
            **card(study, new),
            "r2": whole.r2,
            "r2_val": held_out.r2 if 0 < held_out.n < whole.n else None,
            "l0": whole.l0,
            "dead": float(1 - alive.mean()),
            "stability": float(stable.mean()) if np.isfinite(stable).any() else None,
            "n_vectors": whole.n,
        }
    }


def card(study: StudyReader, new: NewBasis) -> dict[str, Any]:
    """What a basis is, apart from what is measured: encoder, layer, tokens, and how it encodes."""
    encoder, dictionary = study.summary("embed").get("encoder", {}), new.dictionary
    return {
        "name": new.name,
        "kind": new.kind,
        "size": dictionary.size,
        "k": dictionary.k,
        "on": new.on,
        "activation": dictionary.activation,
        "normalisation": dictionary.norm,
        "encoder": encoder.get("fingerprint"),
        "encoder_name": study.encoder_name or None,
        "layer": encoder.get("layer"),
        "tokens": encoder.get("tokens"),
        "token_norm": encoder.get("token_norm"),
        "readout": readout_words(encoder) or None,
        **dictionary.facts,
        **new.facts,
    }


def _encoded(
    coder: Coder,
    vectors: np.ndarray,
    is_val: np.ndarray,
    whole: Tally,
    held_out: Tally,
    latents: LatentTally,
) -> SparseRows:
    """Encode a block, and add what it says of the dictionary."""
    import torch

    raw = torch.from_numpy(np.array(vectors, np.float32)).to(coder.device)
    codes = coder.encode(raw)
    decoded, scale = coder.decode(codes, raw)
    residual, counts = raw - decoded, codes.counts
    whole.add(raw, residual, counts)
    if is_val.any():
        inside = torch.from_numpy(is_val).to(coder.device)
        held_out.add(raw[inside], residual[inside], counts[inside])
    latents.add(coder, codes, residual, scale)
    return codes


Entries = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # image, latent, value; vectors of each image


def _as_entries(codes: SparseRows, images: np.ndarray) -> Entries:
    rows = codes.rows.cpu().numpy()
    return images[rows], codes.latents.cpu().numpy(), codes.values.cpu().numpy(), images


def _of_images(
    parts: list[Entries], n: int, size: int, pool: str | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count, latents and values of each image, from the entries of its vectors.

    Args:
        pool: over the vectors of an image: "max" or "mean"; None: it has one vector.
    """
    none = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, np.int64))
    image, latent, value, of = (np.concatenate(columns) for columns in zip(none, *parts, strict=True))
    if pool is not None:
        keys, place = np.unique(image * size + latent, return_inverse=True)
        image, latent = keys // size, keys % size
        if pool == "max":
            pooled = np.full(len(keys), -np.inf, np.float32)
            np.maximum.at(pooled, place, value)
        else:
            sums = np.bincount(place, value, minlength=len(keys))
            pooled = (sums / np.bincount(of, minlength=n)[image]).astype(np.float32)
        value = pooled
    counts = np.bincount(image, minlength=n).astype(np.int32)
    return counts, latent.astype(np.int32), value.astype(np.float32)
