"""Whether the tokens of a folder are of a benchmark's own pictures: ids alone do not say so."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from core.data.sources.glyphworld import GlyphworldSource
from core.data.sources.images import reopen_images
from core.data.sources.source import ImageSource
from core.errors import ImageSourceError, TokenError, UnreadableImage, first_line
from core.research.visual_tokens.evaluation.benchmark import Benchmark
from core.research.visual_tokens.store import TokenFolder

DRAWN = ("glyphworld", "trifeature", "composite")  # kinds of sources that draw their pictures
N_COMPARED = 8  # pictures of each test
REMEDY = "Extract the tokens of the benchmark's own pictures, or leave out --tokens"


def check_images_of(folder: TokenFolder, spec: str) -> None:
    """Raise TokenError unless tokens are of the images of a specification."""
    source = GlyphworldSource.from_spec(spec)
    if folder.manifest["images_fingerprint"] != source.fingerprint():
        theirs = reopen_images(folder.manifest["images"])
        spec_of = getattr(theirs, "spec", theirs.kind)
        raise TokenError(f"'{folder.path}' holds tokens of other images: {spec_of}. Give --root '{spec_of}'")


def check_pictures_of(folder: TokenFolder, benchmarks: Iterable[Benchmark]) -> None:
    """Raise TokenError unless tokens are of the pictures of the benchmarks that have the same ids.

    A few pictures of each test are read again from where the tokens came from, and compared pixel by pixel.
    """
    source: ImageSource | None = None
    for benchmark in benchmarks:
        shared = [key for key in benchmark.keys if key in folder.row_of]
        for key in some_of(shared):
            source = source or _source_of(folder, benchmark.name, key)
            if not same_pixels(_picture_of(folder, source, key), benchmark.read(key).image):
                raise TokenError(
                    f"'{folder.path}' holds tokens of another picture '{key}' than {benchmark.name} shows. "
                    f"{REMEDY}"
                )


def some_of(keys: Sequence[str]) -> list[str]:
    """Return at most N_COMPARED keys, evenly spread."""
    places = {round(i * (len(keys) - 1) / (N_COMPARED - 1)) for i in range(N_COMPARED)} if keys else set()
    return [keys[position] for position in sorted(places)]


def drawn_kind(images: Mapping[str, Any]) -> str | None:
    """Return the first kind of source, in the description of one, that draws its pictures; None: files.

    >>> drawn_kind({"kind": "pair", "train": {"kind": "folder"}, "val": {"kind": "glyphworld"}})
    'glyphworld'
    """
    if images.get("kind") in DRAWN:
        return str(images["kind"])
    inner = (drawn_kind(value) for value in images.values() if isinstance(value, Mapping))
    return next((kind for kind in inner if kind is not None), None)


def same_pixels(one: Image.Image, other: Image.Image) -> bool:
    """Return True if two pictures are equal in RGB."""
    return np.array_equal(np.asarray(one.convert("RGB")), np.asarray(other.convert("RGB")))


def _source_of(folder: TokenFolder, test: str, key: str) -> ImageSource:
    """Open the source of tokens, which must be files."""
    images = folder.manifest["images"]
    if (kind := drawn_kind(images)) is not None:
        raise TokenError(
            f"'{folder.path}' holds tokens of pictures that are drawn ({kind}), but those of {test} are "
            f"files, such as '{key}'. {REMEDY}"
        )
    try:
        return reopen_images(images)
    except ImageSourceError as error:
        raise TokenError(_unreadable(folder, key, error)) from error


def _picture_of(folder: TokenFolder, source: ImageSource, key: str) -> Image.Image:
    try:
        return source.read_id(key)
    except (ImageSourceError, UnreadableImage, OSError) as error:
        raise TokenError(_unreadable(folder, key, error)) from error


def _unreadable(folder: TokenFolder, key: str, error: Exception) -> str:
    return (
        f"'{folder.path}': the picture '{key}' of its tokens can no longer be read "
        f"({first_line(error).rstrip('.')}), so nothing says whether it is the benchmark's. {REMEDY}"
    )
