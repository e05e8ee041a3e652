"""Find images by similarity in a vector space, by words of captions, by a text or a name. No torch."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.common.assets import asset, asset_names
from core.common.captions import with_class_names
from core.common.command_line import command_line
from core.common.dataframes import safe_divide
from core.common.inside import read_json_file
from core.common.step_facts import SearchFacts
from core.common.wordnet import wordnet_lemmas
from core.errors import ClipError, ShapeError, StudyError
from core.store import Study
from core.study import manifest as manifests
from core.study import resident, seals
from core.study.chunked_array import ChunkedArray
from core.study.inside import inside
from core.study.uploads import HEAD, check_picture
from core.worlds.captions import UNKNOWN, WordTokenizer, split_words

# Embed a text or a picture at once, by a CLIP that stays loaded (`core/study/resident.py`). No torch.


KIND = "clip"
LONGEST_TEXT = 1000  # characters
WIDEST = 1 << 14  # entries of a vector


def embed_text(clip: str, text: str) -> np.ndarray:
    """(width,) float32 unit vector of a text by CLIP, to search for; waits until it is loaded.

    Raises:
        ClipError: one line with what is wrong.
    """
    if not text.strip() or len(text) > LONGEST_TEXT:
        raise ClipError(f"a text to search for has 1 to {LONGEST_TEXT:,} characters; got {len(text):,}")
    return _asked(clip, {"text": text})[0]


def embed_picture(clip: str, picture: bytes) -> tuple[np.ndarray, bytes]:
    """Embed an encoded picture by CLIP, to search for; it is written nowhere; with it, a small JPEG.

    Raises:
        ClipError: one line with what is wrong. UnreadableImage: not a picture of an accepted format.
    """
    check_picture(picture[:HEAD], len(picture))
    return _asked(clip, {}, picture)


def _asked(clip: str, request: dict[str, Any], data: bytes = b"") -> tuple[np.ndarray, bytes]:
    arrays = resident.ask(KIND, clip, request, data).get("arrays", {})
    vector = arrays.get("vector", np.empty(0, np.float32))
    if not 0 < vector.size <= WIDEST or vector.ndim != 1 or not np.isfinite(vector).all():
        raise ClipError("CLIP gave no sensible vector")
    return vector.astype(np.float32), arrays.get("preview", np.empty(0, np.uint8)).tobytes()


# Find images by similarity in a vector space, by the words of their captions, or by a text. No torch.
#
# All searches are exact and read the vectors chunk by chunk. CLIP turns a text or a picture into a vector:
# in the command `search`, which keeps those of texts in the study's `searches/` (outside the manifest, safe
# to delete), or in a process in which it stays loaded (`resident.py`).


FOLDER = "searches"
CLIP_IMAGES = "clip_images"  # array (n_images, d): CLIP of each whole image; zero where missing
OWN = "caption"  # of `attributes`: what came with an image, in a column or a file beside it
LONGEST = 300  # characters of a search text
ARTICLES = ("a", "an", "the")
MOST_THREADS = max(1, min(4, os.cpu_count() or 1))
BLOCK = 1 << 17  # numbers compared at a time: as float32 they fit into a core's cache, which is faster


def most_alike(
    vectors: ChunkedArray, query: np.ndarray, k: int, *, among: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Search by a picture or a text: the k images of largest cosine, exactly; the first wins a tie.

    Args:
        vectors: (n, d). query: (d,), any length but zero. among: (n,) bool, rows to search; None: all.
    Returns:
        rows (m,) int64 and cosines (m,) float32, descending; m < k if fewer are searched. Zero rows never
        count.
    Raises:
        ShapeError: the query has another width, or is zero.
    """
    query = np.asarray(query, np.float32).reshape(-1)
    norm = float(np.linalg.norm(query))
    if len(query) != vectors.shape[1] or not norm > 0:
        raise ShapeError(f"a query needs {vectors.shape[1]} numbers, not all zero; got {len(query)}")
    best, rows = np.empty(0, np.float32), np.empty(0, np.int64)
    for here, cosine in _by_chunk(vectors, query / norm, among):
        # Rows come in ascending order, so one that only equals the k-th best so far comes too late.
        better = np.isfinite(cosine) if len(best) < k else cosine > best[-1]
        best = np.concatenate([best, cosine[better]])
        rows = np.concatenate([rows, here[better]])
        order = np.argsort(-best, kind="stable")[:k]
        best, rows = best[order], rows[order]
    return rows, best


def _by_chunk(
    vectors: ChunkedArray, query: np.ndarray, among: np.ndarray | None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the searched rows of each chunk and their cosines, in order; several chunks at a time."""

    def compare(number: int) -> tuple[np.ndarray, np.ndarray]:
        first, chunk = vectors.chunk_start(number), vectors.chunk(number)
        here = np.arange(len(chunk)) if among is None else np.flatnonzero(among[first : first + len(chunk)])
        return first + here, _cosines(chunk, here, query)

    if vectors.n_chunks == 1:
        yield compare(0)
        return
    with ThreadPoolExecutor(MOST_THREADS) as pool:  # numpy lets other threads run while it computes
        yield from pool.map(compare, range(vectors.n_chunks))


def _cosines(chunk: np.ndarray, here: np.ndarray, query: np.ndarray) -> np.ndarray:
    """(len(here),) float32 cosines of some rows, ascending, to a unit vector; NaN for a zero row."""
    height = max(1, BLOCK // chunk.shape[1])
    dots, squares = np.empty(len(here), np.float32), np.empty(len(here), np.float32)
    rows = np.empty((min(height, len(here)), chunk.shape[1]), np.float32)
    whole = len(here) == len(chunk)
    for start in range(0, len(here), height):
        part = slice(start, min(start + height, len(here)))
        block = rows[: part.stop - start]
        block[...] = chunk[part] if whole else chunk[here[part]]
        np.dot(block, query, out=dots[part])
        np.einsum("ij,ij->i", block, block, out=squares[part])
    return safe_divide(dots, np.sqrt(squares)).astype(np.float32)


def like_image(
    study: Study, row: int, k: int, *, space: str = "representations", among: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Find the images most similar to one of the study: rows (m,) and cosines, without the image itself.

    Args:
        space: "representations", or "clip_images" once the step `search` has embedded the images.
    Raises:
        StudyError: the study does not hold the space, or the image has no vector there.
    """
    vectors = study.array(space)
    others = np.ones(len(vectors), bool) if among is None else np.array(among, bool)
    others[row] = False
    query = vectors.rows([row])[0]
    if not np.any(query):
        raise StudyError(f"the image in row {row} of '{study.path}' has no vector in '{space}'")
    return most_alike(vectors, query, k, among=others)


def said_of(study: Study, text: str, *, among: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Find images with a crop whose nearest captions contain all the words of a text; needs no CLIP.

    A word matches at the beginning: "bell" finds "bells", but not "doorbell".

    Returns:
        rows (m,) int64 and the cosine of each image's best such caption (m,) float32, descending; empty if
        the study has no captions.
    """
    if not plain_words(text) or not study.has("captions"):
        return np.empty(0, np.int64), np.empty(0, np.float32)
    table = study.table("captions", ["image_id", "caption", "cosine"])
    hits = table.loc[_says(pd.Series(table["caption"]), text)]
    best = hits.groupby("image_id")["cosine"].max()
    image_rows = study.rows_held(best.index.tolist())
    rows = np.array([image_rows[name] for name in best.index], np.int64)
    cosine = best.to_numpy(np.float32)
    if among is not None:
        in_population = np.asarray(among, bool)[rows]
        rows, cosine = rows[in_population], cosine[in_population]
    order = np.lexsort((rows, -cosine))
    return rows[order], cosine[order]


def captioned(study: Study, text: str, *, among: np.ndarray | None = None) -> np.ndarray:
    """Find the images whose own caption contains all the words of a text: rows (m,) int64 in study order.

    Words match as in `said_of`; needs no CLIP. The caption came with the image (column `caption`).
    """
    if not plain_words(text) or not _has_own(study):
        return np.empty(0, np.int64)
    hits = study.column("attributes", "image_id")[_says(study.column("attributes", OWN), text)].tolist()
    fits = np.zeros(study.n_images, bool)
    fits[list(study.rows_held(hits).values())] = True
    return np.flatnonzero(fits if among is None else fits & among)


def has_captions(study: Study) -> bool:
    """Return True when images of a study, or parts of them, have captions that can be searched."""
    return study.has("captions") or _has_own(study)


def own_caption(study: Study, image_id: str) -> str | None:
    """Return the caption that came with an image; None without one."""
    if not _has_own(study):
        return None
    of_image = study.column("attributes", "image_id").eq(image_id).to_numpy(bool)
    texts = study.column("attributes", OWN).loc[of_image].dropna()
    return str(texts.iloc[0]) if len(texts) else None


def _has_own(study: Study) -> bool:
    return study.has("attributes") and OWN in study.columns("attributes")


def _says(captions: pd.Series, text: str) -> np.ndarray:
    """(n,) bool: captions with all the words of a text but articles, each at the beginning of a word."""
    asked = plain_words(text)
    words = [f" {word}" for word in asked if word not in ARTICLES or not set(asked).difference(ARTICLES)]
    codes, texts = pd.factorize(captions)  # not an array of fixed width: n x the longest
    fits = [all(word in f" {' '.join(plain_words(str(one)))}" for word in words) for one in texts]
    return (codes >= 0) & np.array([*fits, False], bool)[codes]


def of_classes(study: Study, text: str, *, among: np.ndarray | None = None) -> np.ndarray:
    """Find the images whose class has a name with all the words of a text: rows (m,) int64 in study order.

    A WordNet id has the names of its synset, too. Where no class has them as whole words, a word matches at
    the beginning, as in `said_of`; a word inside another one of the first name is no whole one: a "dog" is no
    "hotdog, hot dog". Needs neither CLIP nor captions.
    """
    words = plain_words(text)
    whole, begun = [], []
    for name in study.class_names if words else ():
        first, every = with_class_names(name), f"{name} {wordnet_lemmas().get(name, '')}"
        if all(_is_whole(word, plain_words(first), plain_words(every)) for word in words):
            whole.append(name)
        called = f" {' '.join(plain_words(every))}"
        if all(f" {word}" in called for word in words):
            begun.append(name)
    fits = study.column("images", "label").isin(whole or begun).to_numpy(bool)
    return np.flatnonzero(fits if among is None else fits & among)


def _is_whole(word: str, first: list[str], every: list[str]) -> bool:
    return word in first or (word in every and not any(word in one for one in first))


def plain_words(text: str) -> list[str]:
    """Split a searched text into plain words in lower case.

    >>> plain_words("A Red-brick wall!")
    ['a', 'red', 'brick', 'wall']
    """
    return "".join(letter if letter.isalnum() else " " for letter in text.lower()).split()


def tidy(text: str) -> str:
    """Normalise a search text: single spaces, at most LONGEST characters."""
    return " ".join(text.split())[:LONGEST]


def has_index(study: Study) -> bool:
    """Return True when the images of a study are embedded with CLIP."""
    return study.has(CLIP_IMAGES)


def index_facts(study: Study) -> SearchFacts:
    """Return what is said of the images embedded with CLIP; nothing, and no CLIP, without them."""
    return study.facts(SearchFacts) if study.has(CLIP_IMAGES) else SearchFacts()


def kept_text(study: Study, text: str) -> np.ndarray | None:
    """Return the vector of a searched text that `search` has kept; None if there is none."""
    path = text_path(study, text)
    if path is None or not path.exists():
        return None
    query = seals.read_array(path)
    if query is None:
        path.unlink(missing_ok=True)
    return query


def text_path(study: Study, text: str) -> Path | None:
    """Return the path of a searched text's vector; None before the images are embedded by CLIP."""
    clip = index_facts(study).clip_fingerprint
    if not clip:
        return None
    return inside(study.path, f"{FOLDER}/{manifests.digest([clip, tidy(text)])[:24]}.npy")


def keep_text(study: Study, text: str, vector: np.ndarray) -> Path:
    """Store the vector of a searched text by CLIP atomically."""
    path = text_path(study, text)
    if path is None:
        raise StudyError(
            f"the images of '{study.path}' are not embedded. Run: {command_line('search', study.path)}"
        )
    path.parent.mkdir(exist_ok=True)
    seals.write_array(path, np.asarray(vector, np.float32))
    return path


def hits(study: Study, rows: Sequence[int] | np.ndarray, cosines: np.ndarray) -> list[dict[str, object]]:
    """Return the images that a search found as records for output: image_id, cosine."""
    ids = study.column("images", "image_id").to_numpy(object)
    return [
        {"image_id": str(ids[row]), "cosine": float(value)} for row, value in zip(rows, cosines, strict=True)
    ]


# Images whose name holds a text: the name of the file first, then the folders above it. No torch.


SHORTEST = 2  # characters that a text needs: one is in nearly every name


def rows_named(image_ids: pd.Series, text: str) -> np.ndarray:
    """Search images by a part of their names, whatever the case of letters.

    Args:
        image_ids: (n,) names, which may begin with folders ("dog/beagle_3.jpg").
        text: a part of them, at least SHORTEST characters; spaces around it are ignored.
    Returns:
        (m,) int64 rows: those whose file is called so with or without its ending, then those whose file
        begins with the text, then those whose file holds it, each in the order of the study; where no file
        does, those of which a folder holds it.
    """
    part = text.strip().casefold()
    if len(part) < SHORTEST:
        return np.empty(0, np.int64)
    names = image_ids.astype(str).str.casefold()
    rows = np.flatnonzero(names.str.contains(part, regex=False).to_numpy(bool))
    files = names.iloc[rows].str.replace(r"^.*/", "", regex=True)
    stems = files.str.replace(r"\.[^.]*$", "", regex=True)
    called = ((files == part) | (stems == part)).to_numpy(bool)
    begins = files.str.startswith(part).to_numpy(bool)
    holds = files.str.contains(part, regex=False).to_numpy(bool)
    rank = np.select([called, begins, holds], [0, 1, 2], default=3)
    is_listed = (rank < 3) | ~holds.any()
    return rows[is_listed][np.argsort(rank[is_listed], kind="stable")].astype(np.int64)


# How well a text fits the images that CLIP finds for it: a search always finds something. No torch.


GENERIC = ("object", "things", "stuff", "texture")  # the canonical phrases of Kerr et al. 2023
JUDGED = 5  # nearest images
SAMPLE = 2000  # images that give the spread of the cosines
FITS = 0.5  # standard deviations; see docs/method.md


def text_fit(nearest: np.ndarray, sample: np.ndarray, text: np.ndarray, generic: np.ndarray) -> float:
    """How much better a searched text fits the images nearest to it than words that fit anything.

    fit = median over the nearest i of (cos(text, i) - max_g cos(g, i)) / sd of cos(text, .) over a sample
    (relevancy to canonical phrases as in Kerr et al. 2023, arXiv 2303.09553, in a unit of its own).

    Args:
        nearest: (m, d) vectors of the nearest images. sample: (n, d) of any images. text: (d,).
        generic: (k, d) of words that fit anything. All of any length; zero rows have no cosine.
    Returns:
        standard deviations, higher is better, FITS or more is a fit; NaN where nothing varies or m is 0.
    """
    text, generic, nearest, sample = (_unit(one) for one in (text, generic, nearest, sample))
    spread = float(np.nanstd(sample @ text)) if len(sample) else 0.0
    if not len(nearest) or not spread > 1e-9:
        return float("nan")
    ahead = nearest @ text - (nearest @ generic.T).max(1)
    return float(np.median(ahead) / spread)


def unknown_words(clip: str, text: str) -> list[str]:
    """List the words of a text that an embedded CLIP (`asset:NAME`) cannot read; others read every word.

    >>> unknown_words("asset:glyphworld", "A walrus on grass"), unknown_words("ViT-B-32@openai", "a walrus")
    (['walrus'], [])
    """
    kind, _, name = clip.partition(":")
    if kind != "asset" or name not in asset_names("clip", ".json"):
        return []
    tokens = WordTokenizer(read_json_file(asset(f"clip/{name}.json"))["tokenizer"]["words"], 0)
    words = split_words(text) or plain_words(text)
    return [word for word in dict.fromkeys(words) if tokens.number(word) == UNKNOWN]


def _unit(vectors: np.ndarray) -> np.ndarray:
    vectors = np.asarray(vectors, np.float64)
    return safe_divide(vectors, np.linalg.norm(vectors, axis=-1, keepdims=True))
