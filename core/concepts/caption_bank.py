"""Caption banks: opened from many formats, without duplicates, embedded once per CLIP. No torch."""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import pandas as pd
from pandas.util import hash_array

from core.common.addresses import is_url, located
from core.common.inside import replacing
from core.common.records import Record
from core.common.remote_objects import local_copy
from core.common.worker_group import stream_in_order
from core.concepts.caption_files import (
    EMBEDDINGS,
    METADATA,
    FormAsked,
    LaionShard,
    TextsTaken,
    laion_shards,
    read_captions,
    read_metadata,
    say_of_captions,
    taken_in_words,
)
from core.concepts.caption_text import (
    FEW_WORDS,
    NAMED_SEPARATORS,
    NEARLY_ALL,
    clean_captions,
    lines_of,
    text_encoding,
    word_count,
)
from core.concepts.caption_words import PHOTOGRAPHS, photograph_words, require_english
from core.errors import CaptionError, did_you_mean, unknown_name
from core.study.progress import Progress
from core.worlds.captions import glyph_captions, parse_bank_spec

# The address of a caption bank: a file, and what is said of its form. No torch.


CONCEPTS, SENTENCES = "concepts", "sentences"
CHOICES = {"header": ("yes", "no"), "lines": (CONCEPTS, SENTENCES)}
OPTIONS = ("text", "column", "sep", "header", "lines")


@dataclass(frozen=True)
class BankAddress:
    """Where captions are, and how they are to be read.

    Attributes:
        lines: CONCEPTS where each caption is a concept as it stands, SENTENCES where it has words; None: by
            their lengths.
    """

    place: str
    asked: FormAsked = field(default_factory=FormAsked)
    lines: str | None = None


def bank_address(text: str, column: str | None = None) -> BankAddress:
    """Take the address of a caption bank apart: `FILE?text=COLUMN&sep=tab&header=no&lines=concepts`.

    Args:
        column: of the captions, where the address names none.
    Raises:
        CaptionError: an option or a value of one that there is not.

    >>> bank_address("a.txt?sep=tab&lines=concepts")
    BankAddress(place='a.txt', asked=FormAsked(text=None, separator='\\t', header=None), lines='concepts')
    """
    place, mark, query = text.rpartition("?")
    if not mark or "=" not in query or _is_there(text):
        return BankAddress(text, FormAsked(column))
    parts = [part.partition("=") for part in query.split("&")]
    options = {name: value for name, _, value in parts}
    if unknown := [name for name in options if name not in OPTIONS]:
        if "://" in text:  # part of the address of a server
            return BankAddress(text, FormAsked(column))
        hint = unknown_name(f"no option '{unknown[0]}' of captions", unknown[0], list(OPTIONS), "Options")
        raise CaptionError(hint)
    for name, values in CHOICES.items():
        if options.get(name, values[0]) not in values:
            raise CaptionError(f"{name} is {' or '.join(values)}, not '{options[name]}'")
    header = options["header"] == "yes" if "header" in options else None
    named = options.get("text") or options.get("column") or column
    return BankAddress(place, FormAsked(named, _separator(options.get("sep")), header), options.get("lines"))


def _is_there(path: str) -> bool:
    try:
        return os.path.exists(path)
    except ValueError:  # a name that no file can have
        return False


def _separator(given: str | None) -> str | None:
    if given is None or given in NAMED_SEPARATORS:
        return None if given is None else NAMED_SEPARATORS[given]
    sign = {"\\t": "\t"}.get(given, given)
    if len(sign) != 1 or sign in "\"'\r\n" or sign.isalnum():
        separators = ", ".join(NAMED_SEPARATORS)
        raise CaptionError(f"sep is one character or one of {separators}, not '{given}'")
    return sign


# Concepts without what a list adds to each: numbers, bullets, quotes, ids, counts, remarks. No torch.


REMARK = re.compile(r"#")
ADDED = (  # in front of each concept, or behind it
    re.compile(r"^\s*[-*•–—+]\s+"),
    re.compile(r"^\s*\(?\d+[.):]?\s+"),
    re.compile(r"^n\d{8}[\s:,-]+"),
    re.compile(r"\s+#.*$"),
    re.compile(r"\.[nvars]\.\d\d$"),
    re.compile(r"\s*[:=]\s*[\d.]+$"),
    re.compile(r"\s*[,;:]$"),
    re.compile(r"^['\"](?=.*['\"]$)|(?<=.)['\"]$"),
    re.compile(r"\s*,.*$"),  # further names of one thing: "dog,dogs"
)
ROUNDS = 3


def _bare_concepts(concepts: pd.Series) -> pd.Series:
    """Return a caption bank's concepts without remarks and what nearly all have; underscores are blanks.

    The index tells which they were.

    >>> _bare_concepts(pd.Series(["1. 'dog',", "2. 'fire_truck',"])).tolist()
    ['dog', 'fire truck']
    >>> _bare_concepts(pd.Series(["# a list", "dog", "t-shirt"])).tolist()
    ['dog', 't-shirt']
    """
    are_remarks = concepts.str.match(REMARK)
    texts = concepts.loc[~are_remarks] if 2 * are_remarks.sum() < len(concepts) else concepts
    for _ in range(ROUNDS):
        before = texts
        for added in ADDED:
            if texts.str.contains(added).mean() >= NEARLY_ALL:
                texts = texts.str.replace(added, "", regex=True).str.strip()
        if texts is before:
            break
    words = ~texts.str.contains(" ", regex=False)
    return texts.where(~words, texts.str.replace("_", " ", regex=False))


# Captions in a folder with a .txt for each picture, as trainers of diffusion models lay them.


ENDINGS = (".txt", ".caption")
LARGEST = 100_000  # bytes of one file; a list of all captions is given itself


def _read_caption_files(folder: Path) -> TextsTaken | None:
    """Read the captions of all text files below a folder, sorted by path; None where there are none.

    Links and large files are left out.
    """
    paths = list(_caption_files(folder))
    if not paths:
        return None
    texts = [line.strip() for path in paths for line in lines_of(path, text_encoding(path))]
    captions = pd.Series([text for text in texts if text], dtype="str")
    return TextsTaken(captions, say_of_captions("files", n=len(paths)))


def _caption_files(folder: Path) -> Iterator[Path]:
    for here, folders, names in os.walk(folder):
        folders.sort()
        paths = (Path(here, name) for name in sorted(names) if name.lower().endswith(ENDINGS))
        yield from (path for path in paths if _is_small_file(path))


def _is_small_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and path.stat().st_size <= LARGEST


# Caption banks: opened from many formats, without duplicates, embedded once per CLIP. No torch.


SHARD_ROWS = 65_536
GIVE = f"Give a file, a LAION folder, {PHOTOGRAPHS} or glyphworld"
SAMPLE = 200  # captions used to detect the language
NORM_TOLERANCE = 0.02  # half precision leaves 0.001
SAME_MODEL = 0.8  # minimum mean cosine of stored and own embeddings of one model


class TextEmbedder(Protocol):
    """The parts of a CLIP that are needed here."""

    name: str
    width: int

    @property
    def fingerprint(self) -> str: ...

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray: ...


@dataclass(frozen=True)
class Shard:
    """Embeddings in a memory-mapped .npy; `keep` selects the valid rows, None for all."""

    path: Path
    n_rows: int
    keep: np.ndarray | None = None

    def __len__(self) -> int:
        return self.n_rows if self.keep is None else len(self.keep)

    @property
    def width(self) -> int:
        return int(np.load(self.path, mmap_mode="r").shape[1])

    def read(self, start: int, stop: int) -> np.ndarray:
        """Read the valid rows start … stop, as they are stored."""
        rows = np.load(self.path, mmap_mode="r")
        return rows[start:stop] if self.keep is None else rows[self.keep[start:stop]]


class Bank:
    """Distinct captions in order of first appearance.

    Attributes:
        name: the SPEC that opened it. fingerprint: sha256 over the captions in order.
        report: n_read, n_empty, n_duplicates, n_cut (longer than the maximum length).
        of_concepts: each caption is a concept as it stands, not a sentence that holds some.
        general: of a concept the next more general one, "" or missing without any.
        notes: what was taken of the file, at most one sentence.
    """

    of_concepts = False
    general: Mapping[str, str] = MappingProxyType({})
    notes: Sequence[Record] = ()

    def __init__(self, name: str, captions: pd.Series, report: dict[str, int]) -> None:
        self.name, self.report, self._captions = name, report, captions

    def __len__(self) -> int:
        return len(self._captions)

    def texts(self, indices: Sequence[int] | np.ndarray) -> list[str]:
        """Return the captions at these indices, in this order. Raises IndexError for an invalid index."""
        return self._captions.take(np.asarray(indices, np.int64)).tolist()

    @property
    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for start in range(0, len(self), SHARD_ROWS):
            digest.update("\0".join(self._captions.iloc[start : start + SHARD_ROWS]).encode() + b"\0")
        for pair in self.general.items():
            digest.update("\0".join(pair).encode() + b"\0")
        return digest.hexdigest()

    @property
    def shards(self) -> list[Shard] | None:
        """Return the embeddings supplied with the captions, None if there are none."""
        return None


class LaionBank(Bank):
    """Captions that stay in their tables, with the embeddings beside them."""

    def __init__(self, name: str, files: list[LaionShard], keep: list[np.ndarray], report: dict[str, int]):
        self.name, self.report, self.files, self.keep = name, report, files, keep
        self.starts = np.cumsum([0, *(len(rows) for rows in keep)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def texts(self, indices: Sequence[int] | np.ndarray) -> list[str]:
        numbers = np.asarray(indices, np.int64)
        if len(numbers) and (numbers.min() < 0 or numbers.max() >= len(self)):
            raise IndexError(f"the bank has captions 0 to {len(self) - 1}")
        texts = np.empty(len(numbers), object)
        file_of = np.searchsorted(self.starts, numbers, side="right") - 1
        for number in np.unique(file_of):
            places = np.flatnonzero(file_of == number)
            rows, back = np.unique(
                self.keep[number][numbers[places] - self.starts[number]], return_inverse=True
            )
            captions = clean_captions(read_metadata(self.files[number], rows))[0].to_numpy(object)
            texts[places] = captions[back]
        return texts.tolist()

    @property
    def fingerprint(self) -> str:
        digest = hashlib.sha256(f"laion {len(self)}".encode())
        for file in self.files:
            for path in (file.embeddings, file.metadata):
                digest.update(f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}".encode())
        return digest.hexdigest()

    @property
    def shards(self) -> list[Shard] | None:
        shards = []
        for file, keep in zip(self.files, self.keep, strict=True):
            rows = None if len(keep) == file.n_rows else keep
            shards.append(Shard(file.embeddings, file.n_rows, rows))
        return shards


def open_bank(spec: str | Path, *, column: str | None = None) -> Bank:
    """Open a caption bank and read it through once.

    Args:
        spec: `glyphworld` (or `glyphworld?n=30000&seed=0`), `photographs` (the shipped words), a .txt, .csv,
            .tsv, .json, .jsonl or .parquet file, a folder of clip-retrieval/LAION, or one of .txt files;
            `FILE?text=COLUMN&sep=tab&header=no&lines=concepts` says what its first lines leave open
            (`bank_address`). A file may lie elsewhere (s3://…).
        column: of the captions, where `spec` names none.
    Raises:
        CaptionError: no such bank, unknown format or column, fewer than two captions, not English.
    """
    name = str(spec)
    if name.partition("?")[0] == "glyphworld" and not os.path.exists(name):
        return _drawn_bank(name)
    if name == PHOTOGRAPHS:  # also beside a folder of that name: ./photographs is the folder
        return _shipped_words()
    address = bank_address(name, column)
    path = _path_of(address)
    if path.is_dir() and _is_of_clip_retrieval(path):
        return _laion_bank(name, path, address)
    taken = _of_folder(path) if path.is_dir() else read_captions(path, address.asked)
    bank = _bank_of(name, taken.captions)
    bank.of_concepts = address.lines == CONCEPTS or (address.lines is None and _are_short(bank))
    if bank.of_concepts:
        bank, how = _bare(bank)
    else:
        require_english(_some(bank))
        how = []
    sentence = taken_in_words(taken, *how)
    bank.notes = [] if sentence is None else [sentence]
    return bank


def _bare(bank: Bank) -> tuple[Bank, list[Record]]:
    """Return concepts without what a list adds to each, and how they were taken."""
    lines = pd.Series(bank.texts(range(len(bank))), dtype="str")
    concepts = _bare_concepts(lines)
    changed = (concepts != lines[concepts.index]).to_numpy()
    if not changed.any() and len(concepts) == len(lines):
        return bank, [say_of_captions("concepts")]
    bare = _bank_of(bank.name, concepts)
    bare.report |= {name: bank.report[name] for name in ("n_read", "n_empty", "n_cut")}
    bare.of_concepts = True
    if not changed.any():
        return bare, [say_of_captions("concepts"), say_of_captions("remarks")]
    first = concepts.index[int(changed.argmax())]
    return bare, [say_of_captions("bare", what=lines[first], why=concepts[first])]


def _are_short(bank: Bank) -> bool:
    """Whether captions are words rather than sentences: FEW_WORDS or fewer in the median."""
    return float(np.median([word_count(text) for text in _some(bank)])) <= FEW_WORDS


def _some(bank: Bank) -> list[str]:
    return bank.texts(np.linspace(0, len(bank) - 1, min(SAMPLE, len(bank))).astype(int))


@lru_cache(maxsize=1)
def _drawn_bank(name: str) -> Bank:
    """Draw a bank of Glyphworld once: a step asks for its fingerprint before it runs."""
    return _bank_of(name, pd.Series(glyph_captions(**parse_bank_spec(name)), dtype="str"))


@lru_cache(maxsize=1)
def _shipped_words() -> Bank:
    words = photograph_words()
    bank = _bank_of(PHOTOGRAPHS, pd.Series(list(words), dtype="str"))
    bank.of_concepts, bank.general = True, words
    return bank


def _path_of(address: BankAddress) -> Path:
    if is_url(address.place):
        return _copied(address.place)
    path = Path(address.place)
    if not os.path.exists(path):
        folder = path.parent if path.parent.is_dir() else Path()
        hint = did_you_mean(path.name, [p.name for p in folder.iterdir()])
        raise CaptionError(f"no captions at '{path}'.{hint} {GIVE}")
    if not (path.is_file() or path.is_dir()):  # a pipe or a device would be read for ever
        raise CaptionError(f"'{path}' is no regular file. {GIVE}")
    return path


def _copied(url: str) -> Path:
    try:
        return Path(local_copy(located(url)))
    except OSError as error:
        raise CaptionError(f"no captions at '{url}': {error.strerror}. Check the address") from None


def _bank_of(name: str, captions: pd.Series) -> Bank:
    text, n_cut = clean_captions(captions)
    filled = text.loc[text != ""]
    distinct = filled.loc[~filled.duplicated()].reset_index(drop=True)
    report = {"n_read": len(text), "n_empty": len(text) - len(filled)}
    report |= {"n_duplicates": len(filled) - len(distinct), "n_cut": n_cut}
    _require_choice(name, len(distinct), report)
    return Bank(name, distinct, report)


def _require_choice(name: str, n: int, report: dict[str, int]) -> None:
    if n < 2:
        what = "no caption" if n == 0 else "a single caption"
        raise CaptionError(
            f"'{name}' holds {what} ({report['n_read']} lines read, {report['n_empty']} empty, "
            f"{report['n_duplicates']} repeated): a bank needs at least two captions"
        )


def _is_of_clip_retrieval(folder: Path) -> bool:
    return (folder / EMBEDDINGS).is_dir() and (folder / METADATA).is_dir()


def _of_folder(folder: Path) -> TextsTaken:
    """Read a folder of text files.

    Raises:
        CaptionError: there are none.
    """
    taken = _read_caption_files(folder)
    if taken is None:
        raise CaptionError(
            f"the folder '{folder}' holds no captions: give one with {EMBEDDINGS}/ and {METADATA}/, as "
            "written by clip-retrieval, or with a .txt for each picture"
        )
    return taken


def _laion_bank(name: str, folder: Path, address: BankAddress) -> LaionBank:
    """Open a LAION folder. Duplicate captions are detected by 64-bit hashes, 8 bytes per caption."""
    files = laion_shards(folder, address.asked.text)
    filled, sample, n_cut = [], [], 0
    hashes: list[np.ndarray] = []
    for file in files:
        text, cut = clean_captions(read_metadata(file))
        hashes.append(np.asarray(hash_array(text.to_numpy(object))))  # pyright: ignore[reportCallIssue]
        filled.append(np.asarray(text != "", bool))
        sample += list(text.iloc[: SAMPLE // len(files) + 1])
        n_cut += cut
    every = np.concatenate(hashes)
    first = np.zeros(len(every), bool)
    first[np.unique(every, return_index=True)[1]] = True
    there = np.concatenate(filled)
    counts = np.cumsum([0, *(file.n_rows for file in files)])
    used = first & there
    keep = [np.flatnonzero(used[start:end]) for start, end in pairwise(counts)]
    n_kept = sum(len(rows) for rows in keep)
    report = {"n_read": len(every), "n_empty": int((~there).sum())}
    report |= {"n_duplicates": int(there.sum()) - n_kept, "n_cut": n_cut}
    _require_choice(name, n_kept, report)
    bank = LaionBank(name, files, keep, report)
    bank.of_concepts = address.lines == CONCEPTS
    if not bank.of_concepts:
        require_english(sample)
    return bank


def embed_bank(
    bank: Bank, clip: TextEmbedder, cache_dir: str | Path, *, progress: Progress | None = None
) -> list[Shard]:
    """Return the bank's embeddings as float16 shards of SHARD_ROWS rows; made once per bank and CLIP,
    resumable.

    Raises:
        CaptionError: supplied embeddings have another width, are not of unit length, or belong to another
            model.
    """
    given = bank.shards
    if given is not None:
        _check_given(bank, given, clip)
        return given
    folder = Path(cache_dir) / f"{bank.fingerprint[:20]}-{clip.fingerprint[:20]}"
    folder.mkdir(parents=True, exist_ok=True)
    spans = [range(start, min(start + SHARD_ROWS, len(bank))) for start in range(0, len(bank), SHARD_ROWS)]
    if progress is None:
        return [_embed_shard(bank, clip, folder, number, span) for number, span in enumerate(spans)]
    with progress.stage("embed captions", total=len(bank), unit="captions") as bar:
        return [_embed_shard(bank, clip, folder, number, span, bar) for number, span in enumerate(spans)]


def _embed_shard(
    bank: Bank, clip: TextEmbedder, folder: Path, number: int, span: range, bar: Any = None
) -> Shard:
    path = folder / f"{number:05d}.npy"
    if not _is_whole(path, (len(span), clip.width)):
        rows, start = np.empty((len(span), clip.width), np.float16), 0
        parts = [bank.texts(span[at : at + 1024]) for at in range(0, len(span), 1024)]
        for vectors in stream_in_order(partial(_embedded, clip), parts):
            rows[start : start + len(vectors)] = vectors
            start += len(vectors)
            if bar is not None:
                bar.update(len(vectors))
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.save(file, rows)
    elif bar is not None:
        bar.skip(len(span))
    return Shard(path, len(span))


def _embedded(clip: TextEmbedder, parts: Sequence[Sequence[str]]) -> Iterator[np.ndarray]:
    yield from map(clip.embed_texts, parts)


def _is_whole(path: Path, shape: tuple[int, int]) -> bool:
    try:
        rows = np.load(path, mmap_mode="r")
    except (OSError, ValueError):
        return False
    return rows.shape == shape and rows.dtype == np.float16


def _check_given(bank: Bank, shards: Sequence[Shard], clip: TextEmbedder) -> None:
    """Raise CaptionError unless supplied embeddings can be compared with those of this CLIP."""
    for shard in shards:
        rows = np.load(shard.path, mmap_mode="r")
        if rows.shape[1] != clip.width:
            raise CaptionError(
                f"the embeddings in '{shard.path}' have {rows.shape[1]} numbers per caption, those of "
                f"{clip.name} {clip.width}: give the CLIP that made them (--clip), or the captions alone"
            )
        ends = np.concatenate([rows[:64], rows[-64:]]).astype(np.float32)
        norms = np.linalg.norm(ends, axis=1)
        if not np.allclose(norms, 1, atol=NORM_TOLERANCE):
            raise CaptionError(
                f"the embeddings in '{shard.path}' are not of unit length ({norms.min():.3g} to "
                f"{norms.max():.3g}): normalise them, or give the captions alone"
            )
    first = shards[0]
    stored = first.read(0, 16).astype(np.float32)
    computed = clip.embed_texts(bank.texts(np.arange(len(stored))))
    likeness = float(np.mean(np.sum(stored * computed, axis=1)))
    if likeness < SAME_MODEL:
        raise CaptionError(
            f"the embeddings of '{bank.name}' are not those of {clip.name} (mean cosine with its own of the "
            f"same captions {likeness:.2f}): give the CLIP that made them, or the captions alone"
        )
