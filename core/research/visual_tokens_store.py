"""A TOKENS folder: the visual tokens of many images on disk, the same from any source. No torch.

manifest.json; chunks `global/` (one row an image), `tangible/` (one row an object, `offsets.npy` says which
are an image's) and `predicates/` (one row a word); tables `images.parquet` (image_id, split, width, height),
`objects.parquet` (image_id, object, score, left, top, right, bottom, name) and `relations.parquet` (image_id,
subject, object, predicate, score). It is written beside its place and renamed when it is whole. Each file is
compared with its checksum in the manifest when it is first read; an older manifest has no checksums.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from core.common.arrow_tables import as_frame
from core.common.command_line import command_line
from core.common.inside import parse_json, read_bounded
from core.common.parquet_footer import check_study_table
from core.common.threads import cached_property
from core.errors import TokenError, did_you_mean
from core.research.visual_tokens_graph import Node, SceneGraph, Triple
from core.research.visual_tokens_tokens import ImageTokens
from core.study.chunked_array import CHUNK_ROWS, ChunkedArray, array_entry, file_sha256, write_chunk
from core.study.seals import checksum_fits, sealed_json

MANIFEST, KIND, VERSION = "manifest.json", "visual tokens", 1
ARRAYS = ("global", "tangible", "predicates")
TABLES = ("images", "objects", "relations")
CORNERS = ["left", "top", "right", "bottom"]
COLUMNS = {
    "images": {"image_id": "str", "split": "str", "width": "int64", "height": "int64"},
    "objects": {"image_id": "str", "object": "int64", "score": "float64"}
    | dict.fromkeys(CORNERS, "float64")
    | {"name": "str"},
    "relations": {
        "image_id": "str",
        "subject": "int64",
        "object": "int64",
        "predicate": "str",
        "score": "float64",
    },
}


class TokenFolder:
    """A TOKENS folder, opened for reading."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.manifest = _read_manifest(self.path)
        try:
            self._arrays = {name: self._array(name) for name in ARRAYS}
            self._check_manifest()
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            raise self._damaged(f"{MANIFEST} does not describe its arrays") from error

    def _array(self, name: str) -> ChunkedArray:
        entry = self.manifest["arrays"][name]
        rows = [chunk["rows"] for chunk in entry["chunks"]]
        checksums = [chunk.get("sha256") for chunk in entry["chunks"]]
        return ChunkedArray(
            *(self.path / name, rows, entry["dtype"], entry["shape"][1:]),
            checksums=checksums,
            damaged=self._damaged,
        )

    def _check_manifest(self) -> None:
        """Raise ValueError or KeyError for what a later reader would trip over."""
        _, words = self.fingerprint, self.manifest["predicates"]
        n_words = len(self._arrays["predicates"])
        distinct_words = {word for word in words if isinstance(word, str)}
        if not len(distinct_words) == len(words) == n_words:
            raise ValueError("predicates")
        for array in self._arrays.values():
            if array.dtype.kind != "f" or len(array.shape) != 2 or (np.diff(array.starts) < 0).any():
                raise ValueError(array.folder.name)
            np.empty((0, *array.shape[1:]), array.dtype)  # a width that numpy refuses

    def _damaged(self, what: str) -> TokenError:
        return _damaged(self.path, what)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def fingerprint(self) -> str:
        """Return the checksum of what the tokens were made from and with."""
        return str(self.manifest["fingerprint"])

    def _unchanged(self, path: Path) -> Path:
        checksum = self.manifest.get("files", {}).get(path.name)
        if checksum is not None and path.is_file() and file_sha256(path) != checksum:
            raise self._damaged(f"{path.name} has changed since it was written (checksum differs)")
        return path

    def _table(self, name: str) -> pd.DataFrame:
        path, kinds = self._unchanged(self.path / f"{name}.parquet"), COLUMNS[name]
        try:
            check_study_table(path)
            frame = as_frame(pq.read_table(path, columns=list(kinds)))
            if frame.isna().to_numpy().any():
                raise ValueError("values are missing")
            return frame.astype(kinds)
        except Exception as error:
            raise self._damaged(f"{name}.parquet cannot be read ({type(error).__name__})") from error

    @cached_property
    def images(self) -> pd.DataFrame:
        images = self._table("images")
        if len(images) != len(self._arrays["global"]):
            raise self._damaged("images.parquet does not fit the arrays")
        return images

    @cached_property
    def objects(self) -> pd.DataFrame:
        return self._table("objects")

    @cached_property
    def relations(self) -> pd.DataFrame:
        return self._table("relations")

    @cached_property
    def row_of(self) -> dict[str, int]:
        return {image_id: row for row, image_id in enumerate(self.images["image_id"])}

    @cached_property
    def _offsets(self) -> np.ndarray:
        """(N + 1,) first object of each image."""
        path = self._unchanged(self.path / "offsets.npy")
        try:
            if not path.is_file():  # a pipe would be waited for
                raise FileNotFoundError
            offsets = np.load(path)
            if offsets.ndim != 1 or offsets.dtype.kind != "i":
                raise ValueError("no list of whole numbers")
        except (OSError, ValueError, EOFError) as error:
            raise self._damaged(f"offsets.npy cannot be read ({type(error).__name__})") from error
        fits = len(offsets) == len(self) + 1 and (np.diff(offsets) >= 0).all()
        if not (fits and offsets[-1] == len(self.objects) == self._arrays["tangible"].shape[0]):
            raise self._damaged("offsets.npy does not fit the tables")
        return offsets

    @cached_property
    def _relation_rows(self) -> np.ndarray:
        """(N + 1,) first relation of each image; relations lie image after image."""
        rows = np.array([self.row_of.get(image_id, -1) for image_id in self.relations["image_id"]], np.int64)
        if len(rows) and (rows[0] < 0 or (np.diff(rows) < 0).any()):
            raise self._damaged("relations.parquet does not fit images.parquet")
        return np.searchsorted(rows, np.arange(len(self) + 1))

    @cached_property
    def _columns(self) -> dict[str, list]:
        """The columns of both tables as lists: slicing a frame for each image is a hundred times slower."""
        columns = {name: self.objects[name].tolist() for name in ("name", "score")}
        columns["box"] = self.objects[CORNERS].to_numpy(np.float64).tolist()
        related = ("subject", "object", "predicate", "score")
        columns["relation"] = list(zip(*(self.relations[name].tolist() for name in related), strict=True))
        return columns

    @property
    def words(self) -> dict[str, np.ndarray]:
        """Return the embedding (e,) of each predicate."""
        return dict(zip(self.manifest["predicates"], self._arrays["predicates"][:], strict=True))

    @property
    def widths(self) -> dict[str, int]:
        """Return the widths of global features, objects and predicates."""
        return {name: int(array.shape[1]) for name, array in self._arrays.items()}

    def graph(self, image: int | str) -> SceneGraph:
        """Return the graph of an image, by row or id. Raises TokenError for an unknown id."""
        row = self._row(image)
        stored = slice(self._offsets[row], self._offsets[row + 1])
        related = slice(self._relation_rows[row], self._relation_rows[row + 1])
        columns = self._columns
        nodes = tuple(Node(name) for name in columns["name"][stored])
        boxes = np.asarray(columns["box"][stored], np.float64).reshape(-1, 4)
        scores = np.asarray(columns["score"][stored], np.float64)
        relations = tuple(Triple(*values) for values in columns["relation"][related])
        return SceneGraph(nodes, boxes, scores, relations)

    def tokens(self, images: Sequence[int | str]) -> list[ImageTokens]:
        """Return the tokens of images, by rows or ids."""
        rows = [self._row(image) for image in images]
        features = self._arrays["global"].rows(rows)
        sizes = self.images[["width", "height"]].to_numpy(np.int64)
        tokens = []
        for position, row in enumerate(rows):
            first, last = int(self._offsets[row]), int(self._offsets[row + 1])
            tangible = self._arrays["tangible"].span(first, last)
            size = (int(sizes[row, 0]), int(sizes[row, 1]))
            tokens.append(ImageTokens(features[position], tangible, self.graph(row), size))
        return tokens

    def _row(self, image: int | str) -> int:
        if not isinstance(image, str):
            return int(image)
        if image not in self.row_of:
            raise TokenError(f"'{self.path}' has no image '{image}'.{did_you_mean(image, self.row_of)}")
        return self.row_of[image]


class TokenWriter:
    """Writes a TOKENS folder; leaving the block without an error puts it in its place."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        self._rows: dict[str, list[np.ndarray]] = {"global": [], "tangible": []}
        self._ledger: dict[str, list[dict[str, Any]]] = {name: [] for name in ARRAYS}
        self._tables: dict[str, list[tuple]] = {name: [] for name in TABLES}
        self._offsets = [0]
        self._words: dict[str, np.ndarray] = {}
        self._about: dict[str, Any] = {}

    def __enter__(self) -> TokenWriter:
        for name in ARRAYS:
            (self._temporary / name).mkdir(parents=True)
        return self

    def add(self, image_id: str, split: str, tokens: ImageTokens) -> None:
        """Add an image."""
        graph = tokens.graph
        self._tables["images"].append((image_id, split, *tokens.size))
        for number, node in enumerate(graph.nodes):
            box = graph.boxes[number].tolist()
            self._tables["objects"].append((image_id, number, float(graph.scores[number]), *box, node.phrase))
        for t in graph.triples:
            self._tables["relations"].append((image_id, t.subject, t.object, t.predicate, t.score))
        self._offsets.append(self._offsets[-1] + len(graph.nodes))
        self._rows["global"].append(tokens.features[None])
        if len(tokens.embeddings):
            self._rows["tangible"].append(tokens.embeddings)
        for name in self._rows:
            if sum(map(len, self._rows[name])) >= CHUNK_ROWS:
                self._flush(name)

    def finish(self, words: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
        """Say what the predicates' embeddings are, and what the manifest tells of their origin."""
        self._words, self._about = dict(words), dict(about)

    @property
    def predicates(self) -> list[str]:
        """List the predicates of all images so far, sorted."""
        return sorted({row[3] for row in self._tables["relations"]})

    def _flush(self, name: str) -> None:
        if self._rows[name]:
            rows = np.concatenate(self._rows[name]).astype(np.float32)
            self._write(name, rows)
            self._rows[name] = []

    def _write(self, name: str, rows: np.ndarray) -> None:
        entry = write_chunk(self._temporary / name, len(self._ledger[name]), rows)
        self._ledger[name].append(entry)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._close()
                if self.path.exists():
                    shutil.rmtree(self.path)
                os.replace(self._temporary, self.path)
        finally:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def _close(self) -> None:
        if not self._tables["images"]:
            raise TokenError(f"no image has tokens: '{self.path}' is not written")
        for name in self._rows:
            self._flush(name)
        width = next(iter(self._words.values())).shape[0] if self._words else 1
        self._write(
            "predicates", np.stack(list(self._words.values())) if self._words else np.zeros((0, width))
        )
        if not self._ledger["tangible"]:
            self._write("tangible", np.zeros((0, 1), np.float32))
        np.save(self._temporary / "offsets.npy", np.asarray(self._offsets, np.int64))
        for name, frame in _token_tables(self._tables).items():
            frame.to_parquet(self._temporary / f"{name}.parquet", index=False)
        counts = {f"n_{name}": len(rows) for name, rows in self._tables.items()}
        arrays = {name: array_entry(lines) for name, lines in self._ledger.items()}
        files = {path.name: file_sha256(path) for path in self._temporary.iterdir() if path.is_file()}
        manifest = {
            "kind": KIND,
            "version": VERSION,
            "predicates": list(self._words),
            "arrays": arrays,
            **counts,
            "files": files,
            **self._about,
        }
        (self._temporary / MANIFEST).write_bytes(sealed_json(manifest))


def _token_tables(rows: Mapping[str, Sequence[tuple]]) -> dict[str, pd.DataFrame]:
    """Build the three tables of a folder of visual tokens (research) from their rows."""
    tables = {}
    for name, kinds in COLUMNS.items():
        tables[name] = pd.DataFrame(list(rows[name]), columns=list(kinds)).astype(kinds)
    return tables


def _damaged(path: Path, what: str) -> TokenError:
    return TokenError(f"'{path}': {what}. Extract the tokens again")


def is_token_folder(path: str | Path) -> bool:
    """Return True for a folder of visual tokens (research) of any version; a study has a manifest, too."""
    return _manifest(path) is not None


def _manifest(path: str | Path) -> tuple[dict[str, Any], bool] | None:
    """Return the manifest, and whether it is as it was written as far as its checksum tells."""
    try:
        content = read_bounded(Path(path) / MANIFEST)
        manifest = parse_json(content)
    except (OSError, ValueError):
        return None
    if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
        return None
    return manifest, checksum_fits(content) or not {"checksum", "files"} & set(manifest)


def _read_manifest(path: Path) -> dict[str, Any]:
    if (held := _manifest(path)) is None:
        command = command_line("extract-tokens", "IMAGES", output=path)
        raise TokenError(f"'{path}' is no TOKENS folder. Make one: {command}")
    manifest, sound = held
    if not sound:
        raise _damaged(path, f"{MANIFEST} has changed since it was written (checksum differs)")
    if (version := manifest.get("version")) != VERSION:
        raise TokenError(
            f"'{path}' holds {KIND} of version {version}, expected {VERSION}. Extract them again"
        )
    return manifest
