"""The inverted index of a basis on positions: for each latent where it is active, strongest first. No torch.

index_count (M,) int64        positions at which each latent is active
index_places (E,) uint32      image times positions of an image, plus position; latent after latent
index_values (E,) float32     how strongly, descending within a latent
position_norm (N P,) float32  length of each position's code
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.bases.basis import Basis
from core.errors import SettingsError
from core.study.chunked_array import ChunkedArray, array_entry
from core.study.reader import StudyReader
from core.study.writer import StepWriter

MOST_ENTRIES = 16 << 20  # that are sorted at once, and of a chunk
MOST_OF_LATENT = 1 << 16  # strongest entries of a latent among which similar positions are looked for
COMPARED = 8  # images whose cosine is computed in full, for each that is asked for
SHOWN = 12


def write_index(out: StepWriter, item: str, size: int) -> None:
    """Write the index of the codes of a basis on positions that a step has put, not finished."""
    parts = _written(out, item)
    totals = np.zeros(size, np.int64)
    norms = []
    for counts, latents, values in parts.chunks():
        totals += np.bincount(latents, minlength=size)
        owners = np.repeat(np.arange(len(counts)), counts)
        squares = np.bincount(owners, values.astype(np.float64) ** 2, minlength=len(counts))
        norms.append(np.sqrt(squares).astype(np.float32))
    out.vector(f"{item}_index_count", totals)
    out.vector(f"{item}_position_norm", np.concatenate(norms))
    arrays = [out.array(f"{item}_index_{part}") for part in ("places", "values")]
    bands = _bands(totals)
    for number, (low, high) in enumerate(bands):
        if not all(array.has(number) for array in arrays):
            for array, values in zip(arrays, _band(parts, low, high), strict=True):
                array.put(number, values)
    for part in ("places", "values"):
        out.finish_array(f"{item}_index_{part}", len(bands))


@dataclass(frozen=True)
class _Parts:
    counts: ChunkedArray
    latents: ChunkedArray
    values: ChunkedArray

    def chunks(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        for number in range(self.counts.n_chunks):
            yield self.counts.chunk(number), self.latents.chunk(number), self.values.chunk(number)


def _written(out: StepWriter, item: str) -> _Parts:
    arrays = []
    for part in ("count", "features", "values"):
        name = f"{item}_position_{part}"
        done = out.array(name).done  # not finished yet, so that a run killed meanwhile goes on with its index
        entry = array_entry([done[chunk] for chunk in range(len(done))])
        rows = [chunk["rows"] for chunk in entry["chunks"]]
        arrays.append(ChunkedArray(out.folder / name, rows, entry["dtype"], entry["shape"][1:]))
    return _Parts(*arrays)


def _bands(totals: np.ndarray) -> list[tuple[int, int]]:
    """Ranges of latents with at most MOST_ENTRIES entries, or of one latent with more.

    >>> _bands(np.array([1, MOST_ENTRIES, 2, 3]))
    [(0, 1), (1, 2), (2, 4)]
    """
    bands = []
    start = 0
    n_in_band = 0
    for latent, n in enumerate(totals.tolist()):
        if n_in_band and n_in_band + n > MOST_ENTRIES:
            bands.append((start, latent))
            start = latent
            n_in_band = 0
        n_in_band += n
    return [*bands, (start, len(totals))]


def _band(parts: _Parts, low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
    """Places and values of the latents low to high - 1, by latent and within a latent by value."""
    nothing = (np.zeros(0, parts.latents.dtype), np.zeros(0, np.uint32), np.zeros(0, np.float32))
    entries: list[tuple[np.ndarray, ...]] = [nothing]
    start = 0
    for counts, latents, values in parts.chunks():
        inside = np.flatnonzero((latents >= low) & (latents < high))
        places = np.searchsorted(np.cumsum(counts, dtype=np.int64), inside, side="right") + start
        entries.append((latents[inside], places.astype(np.uint32), values[inside]))
        start += len(counts)
    latents, places, values = (np.concatenate(columns) for columns in zip(*entries, strict=True))
    order = np.lexsort([places, -values, latents])
    return places[order], values[order]


def place_of(study: StudyReader, basis: Basis, image: str | int, x: float, y: float) -> int | None:
    """The position of a basis at a point of an image; None where the encoder does not see it.

    Args:
        x, y: share of the image's width and height, 0 to 1, from the upper left.
    Raises:
        SettingsError: the basis is not of positions.
    """
    rows, columns = grid_of(basis)
    width, height = study.thumbnail_image(image).size
    left, top, right, bottom = study.transform.box(width, height)
    column = int(np.floor((x * width - left) / (right - left) * columns))
    row = int(np.floor((y * height - top) / (bottom - top) * rows))
    inside = 0 <= column < columns and 0 <= row < rows and 0 <= x <= 1 and 0 <= y <= 1
    return row * columns + column if inside else None


def grid_of(basis: Basis) -> tuple[int, int]:
    """Rows and columns of the positions of an image in a basis. SettingsError for one without positions."""
    if not (grid := basis.card.get("grid")):
        raise SettingsError(
            f"the basis '{basis.name}' is of pooled vectors and says nothing of positions; fit one with "
            "--on positions"
        )
    return int(grid[0]), int(grid[1])


def codes_at(study: StudyReader, basis: Basis, image: str | int) -> tuple[np.ndarray, ...]:
    """Return the codes of a basis at all positions of an image.

    The codes of an image's positions: count of each (P,), latents and values, position after position.
    """
    rows, columns = grid_of(basis)
    n = rows * columns
    row = study._row(image)
    counts = study.array(basis.item("position_count"))
    chunk = int(np.searchsorted(counts.starts, row * n, side="right")) - 1
    of_chunk = counts.chunk(chunk)
    first = row * n - int(counts.starts[chunk])
    low = int(of_chunk[:first].sum(dtype=np.int64))
    here = np.asarray(of_chunk[first : first + n])
    high = low + int(here.sum(dtype=np.int64))
    latents, values = (study.array(basis.item(f"position_{part}")) for part in ("features", "values"))
    latents_here = latents._sound(np.asarray(latents.chunk(chunk)[low:high]))
    return here, latents_here, np.asarray(values.chunk(chunk)[low:high])


def _code_at(
    study: StudyReader, basis: Basis, image: str | int, position: int
) -> tuple[np.ndarray, np.ndarray]:
    """Active latents and values of a basis at one position of an image."""
    counts, latents, values = codes_at(study, basis, image)
    start = int(counts[:position].sum(dtype=np.int64))
    here = slice(start, start + int(counts[position]))
    return latents[here].astype(np.int64), values[here]


def at_position(study: StudyReader, basis: Basis, image: str | int, x: float, y: float) -> pd.DataFrame:
    """The latents of a basis that are active at a point of an image: latent, value; strongest first.

    Args:
        x, y: as `place_of`; nothing is active where the encoder does not see.
    """
    position = place_of(study, basis, image, x, y)
    latents = np.zeros(0, np.int64)
    values = np.zeros(0, np.float32)
    if position is not None:
        latents, values = _code_at(study, basis, image, position)
    frame = pd.DataFrame({"latent": latents, "value": values})
    return frame.sort_values("value", ascending=False, kind="stable", key=np.abs, ignore_index=True)


def similar_positions(
    study: StudyReader, basis: Basis, image: str | int, x: float, y: float, n: int = SHOWN
) -> pd.DataFrame:
    """The positions of other images whose codes in a basis are most like those at a point, one an image.

    Looked for among the strongest MOST_OF_LATENT positions of each latent that is active there; of the best
    images the cosine of the whole codes is computed.

    Returns:
        row, place, cosine; largest cosine first.
    """
    none = pd.DataFrame({"row": [], "place": [], "cosine": []}).astype({"row": int, "place": int})
    position = place_of(study, basis, image, x, y)
    image_row = study._row(image)
    if position is None:
        return none
    latents, values = _code_at(study, basis, image, position)
    norms = study.array(basis.item("position_norm")).chunk(0)
    n_places = int(np.prod(grid_of(basis)))
    dots = np.zeros(len(norms), np.float32)
    starts = np.concatenate([[0], np.cumsum(study.vector(basis.item("index_count")))])
    for latent, value in zip(latents.tolist(), values.tolist(), strict=True):
        places, others = _entries(study, basis, starts, latent, MOST_OF_LATENT)
        dots[places] += value * others
    dots[image_row * n_places : (image_row + 1) * n_places] = 0
    at = np.flatnonzero(dots > 0)
    if not at.size:
        return none
    cosines = dots[at] / (norms[at] * np.linalg.norm(values))
    of = at // n_places  # ascending, so the best of each image is a maximum over a run
    begins = np.flatnonzero(np.r_[True, np.diff(of) > 0])
    best = np.maximum.reduceat(cosines, begins)
    images = of[begins]
    top = np.sort(images[np.argsort(-best, kind="stable")[: COMPARED * n]])
    query = np.zeros(int(basis.card["size"]), np.float32)
    query[latents] = values
    rows = [(row, *_best_place(study, basis, row, query)) for row in top.tolist()]
    frame = pd.DataFrame(rows, columns=["row", "place", "cosine"])
    return frame.sort_values("cosine", ascending=False, kind="stable", ignore_index=True).head(n)


def _best_place(study: StudyReader, basis: Basis, row: int, query: np.ndarray) -> tuple[int, float]:
    """The position of an image whose code is most like a code (M,), and the cosine."""
    counts, latents, values = codes_at(study, basis, row)
    owner = np.repeat(np.arange(len(counts)), counts)
    wide = values.astype(np.float64)
    dots = np.bincount(owner, wide * query[latents], minlength=len(counts))
    lengths = np.sqrt(np.bincount(owner, wide**2, minlength=len(counts))) * np.linalg.norm(query)
    cosines = np.divide(dots, lengths, out=np.zeros(len(counts)), where=lengths > 0)
    return int(cosines.argmax()), float(cosines.max())


def _entries(
    study: StudyReader, basis: Basis, starts: np.ndarray, latent: int, most: int
) -> tuple[np.ndarray, np.ndarray]:
    low = int(starts[latent])
    high = int(min(starts[latent + 1], starts[latent] + most))
    places, values = (study.array(basis.item(f"index_{part}")) for part in ("places", "values"))
    return places.span(low, high), values.span(low, high)


def strongest_positions(study: StudyReader, basis: Basis, latent: int, n: int = SHOWN) -> pd.DataFrame:
    """Where a latent of a basis is most active, one position an image: row, place, value; best first.

    Raises:
        SettingsError: no such latent.
    """
    size = int(basis.card["size"])
    n_places = int(np.prod(grid_of(basis)))
    if not 0 <= latent < size:
        raise SettingsError(f"there is no latent {latent}: '{basis.name}' has {size}, from 0 to {size - 1}")
    starts = np.concatenate([[0], np.cumsum(study.vector(basis.item("index_count")))])
    most = n * n_places  # so many entries are of n images at least
    places, values = _entries(study, basis, starts, latent, most)
    rows = places.astype(np.int64) // n_places
    _, first = np.unique(rows, return_index=True)
    first = np.sort(first)[:n]
    return pd.DataFrame({"row": rows[first], "place": places[first] % n_places, "value": values[first]})
