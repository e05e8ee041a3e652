"""Cached reads of bases: two side by side, and places of images in a basis of positions."""

import time

import numpy as np
import pandas as pd
import streamlit as st
from PIL import ImageDraw

from core.bases.basis import UNITS, codes_of
from core.bases.position_index import at_position, grid_of, similar_positions
from core.bases.twins import twins
from core.bases.worth import dictionary_verdicts
from core.bases.worth import found_again as core_found_again
from core.charts.bases_table import bases_table
from core.common.dataframes import numbers
from core.common.picture_bytes import image_address, image_file
from core.common.verdict_words import SAME, Verdict
from core.store import Study
from core.study.layers import layer
from dashboard.cache import feature_reads
from dashboard.cache.reader import cached_read
from dashboard.state import served_studies

# Two bases of a study side by side, read once.


MOST_IMAGES = 100_000  # of which the codes are looked through for a picture
EXAMPLES = 8
TWIN = 0.9  # |cosine| from which two latents are the same direction


def twins_of(study: Study, name: str, other: str) -> pd.DataFrame:
    """The twin of each latent that has a direction, the most certain first.

    Args:
        study: read by the units of its encoder. name, other: two of its bases, or UNITS.
    Returns:
        columns latent, words, twin, words_of_twin, cosine.
    """
    return _twins((study, in_basis(study, name), in_basis(study, other)), name, other)


@cached_read(max_entries=8, spinner="Comparing the directions of both", names_features=True)
def _twins(studies: tuple[Study, ...], name: str, other: str) -> pd.DataFrame:
    whole, *sides = studies
    rows, cosines = twins(_decoder(whole, name), _decoder(whole, other))
    mine, theirs = map(feature_reads.names, sides)
    frame = pd.DataFrame({"latent": np.arange(len(rows)), "twin": rows, "cosine": cosines})
    frame.insert(1, "words", [mine.get(latent, "") for latent in frame["latent"]])
    frame.insert(3, "words_of_twin", [theirs.get(twin, "") for twin in frame["twin"]])
    return frame.dropna(subset="cosine").sort_values("cosine", ascending=False, kind="stable")


@cached_read(max_entries=8, spinner="Asking the features of each basis what they know")
def bases_known(study: Study, names: tuple[str, ...]) -> pd.DataFrame:
    """See `core.charts.bases_table`.

    Args:
        names: of the bases of the study, on which the table depends.
    Raises:
        StudyError: no concepts are known.
    """
    return bases_table(study, maps=False)


def verdicts(study: Study) -> dict[str, Verdict]:
    """The verdict on each learned basis of a study, by name."""
    return _verdicts(study, tuple(study.bases))


@cached_read(max_entries=8)
def _verdicts(study: Study, names: tuple[str, ...]) -> dict[str, Verdict]:
    """`names`: of the bases, on which they depend."""
    return dictionary_verdicts(study, study.bases)


@cached_read(max_entries=32)
def found_again(study: Study, name: str) -> tuple[int, int | None]:
    """See `core.bases.worth.found_again`, of a basis of a study that is read by the units of its encoder."""
    return core_found_again(study, study.bases[name])


@cached_read(max_entries=32)
def example(study: Study, name: str) -> tuple[int, list[int]]:
    """The latent that explains most, of those that another fit found as far as that is known, and the images
    on which it is strongest, the strongest first: none in studies of more than MOST_IMAGES.
    """
    basis = study.bases[name]
    table = study.table(basis.table, ["latent", "r2", "stability"])
    is_found = np.nan_to_num(numbers(table, "stability"), nan=1) >= SAME
    latent = int(table["latent"].iloc[np.lexsort((numbers(table, "r2"), is_found))[-1]])
    if study.n_images > MOST_IMAGES:
        return latent, []
    return latent, strongest(study, name, (latent,), EXAMPLES)[latent]


@cached_read(max_entries=8)
def strongest(study: Study, name: str, features: tuple[int, ...], n: int) -> dict[int, list[int]]:
    """The `n` images on which each of some latents, or units, is largest; none where it is not active."""
    if name == UNITS:
        values = study.array("representations")[:][:, list(features)]
        order = np.argsort(-values, axis=0, kind="stable")[:n]
        return {feature: order[:, at].tolist() for at, feature in enumerate(features)}
    codes = codes_of(study, study.bases[name])
    at = np.flatnonzero(np.isin(codes.features, features))
    at = at[np.argsort(-codes.values[at], kind="stable")]
    rows, of = np.searchsorted(codes.indptr, at, side="right") - 1, codes.features[at]
    return {feature: rows[of == feature][:n].tolist() for feature in features}


@st.cache_resource(ttl=600, show_spinner=False)
def _products_per_second() -> float:
    """Multiply-adds a second of a dense product on all cores of this machine, as busy as it is now."""
    square, times = np.ones((1024, 1024), np.float32), []
    for _ in range(4):
        began = time.perf_counter()
        _ = square @ square
        times.append(time.perf_counter() - began)
    return len(square) ** 3 / float(np.median(times))


def seconds_of(operations: float) -> float:
    """How long so many multiply-adds take on this machine (see `BasisKind.fit_operations`)."""
    return operations / _products_per_second()


def in_basis(study: Study, name: str) -> Study:
    return study if name == UNITS else served_studies.open_current(layer(study.path, name))


def _decoder(study: Study, name: str) -> np.ndarray:
    if name == UNITS:
        return np.eye(study.array("representations").shape[1], dtype=np.float32)
    return study.vector(study.bases[name].item("decoder"))


# What is at a place of an image in a basis of positions, and where it is elsewhere; read once.


OUTLINE = "#E5A93B"  # as of the chosen place


def has_places(study: Study) -> bool:
    """Whether the study is read in a basis that was fitted on positions."""
    return study.basis is not None and bool(study.basis.card.get("grid"))


def position_grid(study: Study) -> tuple[int, int]:
    assert study.basis is not None
    return grid_of(study.basis)


@cached_read(max_entries=64)
def view_of_positions(study: Study, row: int) -> tuple[float, float, float, float]:
    """What the grid covers of an image: left, top, right, bottom as shares of its sides."""
    width, height = study.thumbnail_image(row).size
    left, top, right, bottom = study.transform.box(width, height)
    return left / width, top / height, right / width, bottom / height


@cached_read(max_entries=64)
def latents_at(study: Study, row: int, position: int) -> pd.DataFrame:
    """The latents that are active at a place, strongest first: latent, value."""
    return at_position(served_studies.in_units(study), _basis(study), row, *_centre(study, row, position))


@cached_read(max_entries=64, spinner="Looking for this elsewhere")
def places_like(study: Study, row: int, position: int) -> pd.DataFrame:
    """The most similar positions, one an image: row, place, cosine."""
    return similar_positions(
        served_studies.in_units(study), _basis(study), row, *_centre(study, row, position)
    )


@cached_read(max_entries=256)
def marked_places(study: Study, row: int, position: int) -> str:
    """The thumbnail of an image with a place outlined, as an address that holds it."""
    picture = study.thumbnail_image(row).convert("RGB")
    left, top, right, bottom = view_of_positions(study, row)
    rows, columns = position_grid(study)
    x, y = (right - left) / columns, (bottom - top) / rows
    corner = left + position % columns * x, top + position // columns * y
    sides = [corner[0], corner[1], corner[0] + x, corner[1] + y]
    limits = [picture.width, picture.height] * 2
    pixels = [min(max(side * limit, 0), limit - 1) for side, limit in zip(sides, limits, strict=True)]
    ImageDraw.Draw(picture).rectangle(pixels, outline=OUTLINE, width=max(2, picture.width // 60))
    return image_address(image_file(picture, quality=88))


def _centre(study: Study, row: int, position: int) -> tuple[float, float]:
    left, top, right, bottom = view_of_positions(study, row)
    rows, columns = position_grid(study)
    across, down = (position % columns + 0.5) / columns, (position // columns + 0.5) / rows
    return left + across * (right - left), top + down * (bottom - top)


def _basis(study: Study):
    assert study.basis is not None
    return study.basis
