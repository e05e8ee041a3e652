"""What a study knows of each image, as other tools take it: fields, tags, a vector and maps."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.charts.table_file import provenance
from core.common.inside import read_bounded
from core.common.picture_bytes import image_file
from core.common.private_paths import folder_of_ids
from core.common.score_names import DUPLICATE_OF, NEAR_DUPLICATE_OF
from core.common.step_facts import EmbedFacts
from core.common.threads import cached_property
from core.errors import PeregrineError, SliceError, StudyError
from core.measures.causes import HOLDS
from core.measures.image_columns import LEAK, first_causes, repetition, tells_causes
from core.measures.image_columns import TABLE as CAUSES
from core.measures.saved_slices_file import texts
from core.measures.slice import Slice
from core.measures.slice_comparison import images_of
from core.publish.export_files import has_ids, names_of_classes
from core.publish.label_links import image_places
from core.store import Study
from core.study.heatmaps import place_on_image
from core.study.label_decisions import decisions
from core.study.overlay_image import limited
from core.study.traces import read_traces

# Heatmap and masks of an image of a study, laid on the image: whole pixels from 0 to 255. No torch.


HEAT, CORE, SPURIOUS = "heatmap", "core", "spurious"
MAPS = (HEAT, CORE, SPURIOUS)
LONGEST = 256  # pixels of the longer side of a map that is laid over its image by the tool
LEVELS = 255  # what the heat 1 is written as
HOT = 0.6  # heat from which on a pixel belongs to the hot region (docs/method.md 6.2)


class ImageMaps:
    """The stored heatmaps and the masks of a study."""

    def __init__(self, study: Study):
        self.study = study

    @cached_property
    def kinds(self) -> dict[str, frozenset[str]]:
        """The masks that each image has, by image id; empty where they cannot be opened here."""
        try:
            table = self.study.masks.table if self.study.masks is not None else None
        except (PeregrineError, OSError):
            return {}
        if table is None:
            return {}
        return {str(name): frozenset(rows["mask"]) for name, rows in table.groupby("image_id")}

    @property
    def held(self) -> list[str]:
        """The names in MAPS of the maps that any image of the study has."""
        held = set().union(*self.kinds.values()) | ({HEAT} if self.study.has("heatmap_rows") else set())
        return [name for name in MAPS if name in held]

    def size(self, row: int) -> tuple[int, int]:
        """Return width and height of an image, upright, in pixels. Raises UnreadableImage."""
        if self.study.has("pictures"):
            width, height = (self.study.column("pictures", name).iat[row] for name in ("width", "height"))
            if not (np.isnan(width) or np.isnan(height)):
                return int(width), int(height)
        return self.study.image(row).size

    def of_image(self, row: int, longest: int | None = LONGEST) -> dict[str, np.ndarray]:
        """Return the maps of an image by their names in MAPS; one that is not there is left out.

        Args:
            longest: pixels of the longer side; None: as the image has.
        Returns:
            (H, W) uint8: heat times LEVELS, rounded; of a mask LEVELS inside (>= .5). What the encoder does
            not see is 0.
        """
        image_id = str(self.study.column("images", "image_id").iat[row])
        kinds = self.kinds.get(image_id, frozenset())
        if not (kinds or self.has_heat(row)):
            return {}
        try:
            picture = self.study.image(row)
            frames = dict(self._frames(row, image_id, kinds, picture.size))
            box = np.array(self.study.transform.box(*picture.size))
        except PeregrineError:
            return {}
        shown = limited(picture, longest)
        left, top, right, bottom = (box / np.tile(picture.size, 2) * np.tile(shown.size, 2)).tolist()
        placed = {}
        for name, frame in frames.items():
            on_image = place_on_image(frame, (left, top, right, bottom), *shown.size)
            placed[name] = np.nan_to_num(on_image)
        return {name: _levels(name, frame) for name, frame in placed.items()}

    def has_heat(self, row: int) -> bool:
        """Return True for an image with a stored map of any feature."""
        return bool(len(self.study.heatmap_reader.features_of(row)))

    def _frames(
        self, row: int, image_id: str, kinds: frozenset[str], size: tuple[int, int]
    ) -> Iterator[tuple[str, np.ndarray]]:
        """The maps in the encoder's input view."""
        if self.has_heat(row):
            with suppress(PeregrineError):  # not all that the image's heatmap needs may be stored
                yield HEAT, self.study.heatmap(row)
        for kind in MAPS[1:]:
            if kind in kinds:
                yield kind, self.study.mask(image_id, kind, size=size)


def _levels(name: str, frame: np.ndarray) -> np.ndarray:
    values = frame if name == HEAT else frame >= 0.5
    return np.round(values * LEVELS).astype(np.uint8)


def hot_region(heat: np.ndarray) -> np.ndarray:
    """Return where a heatmap of `ImageMaps` is hot, for export to other tools: LEVELS there, 0 elsewhere."""
    return ((heat >= HOT * LEVELS) * LEVELS).astype(np.uint8)


# What a study knows of each image, as other tools take it: fields, tags, a vector and maps.


OURS = "peregrine"
PREFIX = f"{OURS}_"  # of every field and tag, so that none of the user's is overwritten
ISSUES = "label_issues"
TEXT, NUMBER, WHOLE, TRUTH, TEXTS = "text", "number", "whole number", "truth", "texts"
FIELDS = {  # in their order; one that the study does not hold is left out
    "image_id": TEXT,
    "split": TEXT,
    "label": TEXT,
    "label_name": TEXT,
    "predicted": TEXT,
    "predicted_name": TEXT,
    "confidence": NUMBER,
    "correct": TRUTH,
    "q_score": NUMBER,
    "cause": TEXT,
    "causes": TEXTS,
    "suggested": TEXT,
    "suggested_confidence": NUMBER,
    "label_margin": NUMBER,
    "label_rank": WHOLE,
    "label_doubtful": TRUTH,
    "corrected_label": TEXT,
    "by_decision": TEXT,
    DUPLICATE_OF: TEXT,
    NEAR_DUPLICATE_OF: TEXT,
    "slices": TEXTS,
    "note": TEXT,
}
LARGEST_PICTURE = 1 << 30  # bytes of a file that is copied
ROWS = 256  # representations that are read at once
Column = list[Any]


@dataclass(frozen=True)
class KnownImages:
    """Some images of a study, and what it knows of each.

    Attributes:
        study: read by the answer that predictions are of. rows: (n,) of the images in the study.
        facts: what the numbers are of. fields: by their names in FIELDS, n values each; None: undefined.
        tags: n lists of names. root: folder of the image files; "" where they are no files of this machine.
        paths: of the images, relative to `root`; as `image_id` where there is none.
    """

    study: Study
    rows: np.ndarray
    facts: dict[str, str]
    fields: dict[str, Column]
    tags: list[list[str]]
    root: str
    paths: list[str]

    def __len__(self) -> int:
        return len(self.rows)

    def of_image(self, at: int) -> dict[str, Any]:
        """Return what is known of an image by the names of its fields with the prefix; no undefined one."""
        values = {f"{PREFIX}{name}": column[at] for name, column in self.fields.items()}
        return {name: value for name, value in values.items() if value not in (None, [])}

    def file(self, at: int) -> str:
        """Return the path of an image on this machine; "" where it is no file."""
        return os.path.join(self.root, self.paths[at]) if self.root else ""

    def content(self, at: int) -> tuple[bytes, str]:
        """Return an image as the bytes of a file, and its ending: the file itself, or .png of its pixels."""
        if self.root:
            path = Path(self.file(at))
            return read_bounded(path, LARGEST_PICTURE), path.suffix.lower()
        return image_file(self.study.image(int(self.rows[at])), "PNG"), ".png"

    def write_picture(self, at: int, folder: Path, name: str) -> str:
        """Write an image into a new or old folder called `name` in `folder`, and return its path there."""
        content, ending = self.content(at)
        (folder / name).mkdir(exist_ok=True)
        path = f"{name}/{self.rows[at]:07d}{ending}"
        (folder / path).write_bytes(content)
        return path

    def vectors(self) -> Iterator[np.ndarray]:
        """Yield (at most ROWS, n_features) float32: the representations of the images, in their order."""
        array = self.study.array("representations")
        for start in range(0, len(self), ROWS):
            yield np.asarray(array.rows(self.rows[start : start + ROWS]), np.float32)


def known_images(study: Study, among: Slice | None = None) -> KnownImages:
    """Collect what a study knows of its images, for export to other tools.

    Args:
        study: read by the answer whose predictions count. among: only these images; None: all, of any split.
    Raises:
        StudyError: it holds no images.
    """
    if not study.has("images"):
        raise StudyError(f"no images in '{study.path}'")
    rows = np.flatnonzero(among.mask(study)) if among else np.arange(study.n_images)
    columns = _of_images(study) | _of_answer(study) | _of_causes(study) | _of_labels(study)
    columns |= _of_repeats(study) | {"note": _notes(study)}
    slices = _saved_slices(study)
    columns["slices"] = [
        [name for name, mask in slices.items() if mask[row]] for row in range(study.n_images)
    ]
    fields = {}
    for name, kind in FIELDS.items():
        if name in columns:
            fields[name] = [_plain(columns[name][row], kind) for row in rows]
    fields = {
        name: values for name, values in fields.items() if any(value not in (None, []) for value in values)
    }
    root, paths = _root_and_paths(study, rows)
    tags = [_tags(fields, at) for at in range(len(rows))]
    for at, names in enumerate(_left_tags(study, rows)):
        tags[at] += [f"{PREFIX}tag_{name}" for name in names]
    _add_leaks(study, rows, tags)
    return KnownImages(study, rows, provenance(study, among), fields, tags, root, paths)


def _of_images(study: Study) -> dict[str, Any]:
    ids, split, label = (study.column("images", name) for name in ("image_id", "split", "label"))
    ids = ids.str.removeprefix(folder_of_ids(ids))
    columns = {"image_id": ids, "split": split, "label": label}
    renamed = {"label_name": names_of_classes(label)} if has_ids(study) else {}
    return {name: column.to_numpy(object) for name, column in (columns | renamed).items()}


def _of_answer(study: Study) -> dict[str, Any]:
    """What the answer predicts, and Q."""
    columns = {}
    for table, names in {"probe": ("predicted", "confidence", "correct"), "quality": ("q_score",)}.items():
        present = [name for name in names if study.has(table) and name in study.columns(table)]
        columns |= {name: study.column(table, name).to_numpy(object) for name in present}
    if "predicted" in columns and has_ids(study):
        columns["predicted_name"] = names_of_classes(study.column("probe", "predicted")).to_numpy(object)
    return columns


def _of_causes(study: Study) -> dict[str, Any]:
    """The first cause of each error, and all that hold, the best first."""
    if not tells_causes(study):
        return {}
    table = study.table(CAUSES, ["image_id", "cause", "rank", "outcome"])
    table = table.loc[table["outcome"] == HOLDS].sort_values("rank", kind="stable")
    causes: Column = [[] for _ in range(study.n_images)]
    row_of = study.rows_held(table["image_id"].unique().tolist())
    for image_id, cause in zip(table["image_id"], table["cause"], strict=True):
        causes[row_of[image_id]].append(str(cause))
    return {"cause": first_causes(study), "causes": causes}


def _of_labels(study: Study) -> dict[str, Any]:
    """Labels as they are judged out of fold, and what people decided."""
    columns: dict[str, Any] = {}
    ids = study.column("images", "image_id")
    if study.has(ISSUES):
        of = {"suggested": "suggested", "confidence": "suggested_confidence", "margin": "label_margin"}
        of |= {"rank": "label_rank", "listed": "label_doubtful"}
        table = study.table(ISSUES, ["image_id", *of]).set_index("image_id").reindex(ids)
        columns |= {name: table[column].to_numpy(object) for column, name in of.items()}
    decided = decisions(study).set_index("image_id").reindex(ids)
    columns |= {name: decided[name].to_numpy(object) for name in ("corrected_label", "by_decision")}
    return columns


def _of_repeats(study: Study) -> dict[str, Any]:
    if not study.has("pictures"):
        return {}
    folder = folder_of_ids(study.column("images", "image_id"))
    table = study.table("pictures", [DUPLICATE_OF, NEAR_DUPLICATE_OF])
    return {name: table[name].str.removeprefix(folder).to_numpy(object) for name in table}


def _notes(study: Study) -> Column:
    notes: Column = [None] * study.n_images
    left = read_traces(study.path).images
    for name, row in study.rows_held(list(left)).items():
        notes[row] = left[name].note or None
    return notes


def _left_tags(study: Study, rows: np.ndarray) -> list[tuple[str, ...]]:
    """The tags that people gave to each image."""
    left = read_traces(study.path).images
    ids = study.column("images", "image_id").to_numpy(object)[rows].tolist()
    return [left[name].tags if name in left else () for name in ids]


def _saved_slices(study: Study) -> dict[str, np.ndarray]:
    """(n_images,) bool by the name of each saved slice; one that cannot be read any more is left out."""
    masks = {}
    for name, text in texts(study.path).items():
        try:
            masks[name] = images_of(study, Slice.of_saved(text))
        except SliceError:
            continue
    return masks


def _tags(fields: dict[str, Column], at: int) -> list[str]:
    def value(name: str) -> Any:
        return fields[name][at] if name in fields else None

    is_doubtful = value("label_doubtful") is True and value("by_decision") is None
    holds = {
        "misclassified": value("correct") is False,
        "label_doubtful": is_doubtful,
        "duplicate": value(DUPLICATE_OF) is not None,
        "near_duplicate": value(NEAR_DUPLICATE_OF) is not None,
    }
    names = [name for name, is_so in holds.items() if is_so]
    names += [f"cause_{cause}" for cause in value("causes") or ()]
    names += [f"slice_{name}" for name in value("slices") or ()]
    return [f"{PREFIX}{name}" for name in names]


def _add_leaks(study: Study, rows: np.ndarray, tags: list[list[str]]) -> None:
    if study.has("pictures"):
        for at in np.flatnonzero(repetition(study, LEAK)[rows]):
            tags[at].append(f"{PREFIX}{LEAK}")


def _root_and_paths(study: Study, rows: np.ndarray) -> tuple[str, list[str]]:
    """The folder of the image files, and the path of each in it."""
    try:
        places = image_places(study, rows)
    except StudyError:
        places = [""]
    if not all(map(os.path.isfile, places)):
        return "", _of_images(study)["image_id"][rows].tolist()
    whole = [os.path.abspath(path) for path in places]
    stated = study.facts(EmbedFacts).source.root
    root = os.path.abspath(stated) if stated else ""
    if not root or not all(path.startswith(f"{root}{os.sep}") for path in whole):
        root = os.path.commonpath(list(map(os.path.dirname, whole))) if whole else ""
    return root, [os.path.relpath(path, root) for path in whole]


_PLAIN: dict[str, Callable[[Any], Any]] = {TEXT: str, NUMBER: float, WHOLE: int, TRUTH: bool}


def _plain(value: Any, kind: str) -> Any:
    """A value as Python's own type; None for an undefined one."""
    if kind == TEXTS:
        return list(value)
    return None if pd.isna(value) or (kind == TEXT and value == "") else _PLAIN[kind](value)
