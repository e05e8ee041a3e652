"""Salient ImageNet (Singla & Feizi, ICLR 2022) as a mask source, read in its original layout."""

import ast
import csv
import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from core.common.formatting import counted, first_of
from core.common.threads import cached_property
from core.data.folder import missing_folder
from core.data.mask_match import last_part, without_extension
from core.data.mask_source import EXAMPLES, KINDS, MaskListing, MaskSource, coverage, no_mask, read_mask
from core.data.source import ImageSource, file_stamp
from core.errors import MaskError, UnreadableImage, did_you_mean

# Read Salient ImageNet's two small files: the folder of each class, and the workers' answers.


CLASSES_FILE = "wordnet_dict.py"
ANSWERS_FILE = "discover_spurious_features.csv"
NOT_THE_OBJECT = ("background", "separate_object")
ANSWERS = ("main_object", *NOT_THE_OBJECT)
SPURIOUS_FROM = 3  # votes, usually out of 5 workers
COLUMNS = {
    "class": "Input.class_index",
    "wnid": "Input.wordnet_id",
    "feature": "Input.feature_index",
    "rank": "Input.feature_rank",
    "answer": "Answer.main",
    "reason": "Answer.reasons",
}
LARGEST_DICT = 1_000_000  # bytes; the real one has 24,000
MOST = 10**9  # of an index or a rank: as many as their columns can hold


@dataclass
class Pair:
    """A class and one feature of the robust ResNet-50, with the workers' answers."""

    rank: int
    n_answers: int = 0
    n_spurious: int = 0
    spellings: dict[str, str] = field(default_factory=dict)  # the first of reasons that differ by case alone

    @property
    def reasons(self) -> list[str]:
        return list(self.spellings.values())

    @property
    def kind(self) -> str:
        """Return "spurious" if 3 or more workers saw it off the object (Singla & Feizi 2022), else "core"."""
        return "spurious" if self.n_spurious >= SPURIOUS_FROM else "core"


def read_classes(path: str | Path) -> dict[int, str]:
    """Read class index -> wnid from Salient ImageNet's dict literal (research), which is never run.

    Raises:
        MaskError: it holds anything but such a literal (perhaps after `name =`).
    """
    try:
        if os.path.getsize(path) > LARGEST_DICT:
            raise ValueError
        (statement,) = ast.parse(Path(path).read_text(encoding="utf-8-sig")).body
        if not isinstance(statement, (ast.Expr, ast.Assign)):
            raise ValueError
        classes = ast.literal_eval(statement.value)
        if not all(
            isinstance(i, int) and abs(i) < MOST and re.fullmatch(r"[\w-]+", wnid)
            for i, wnid in classes.items()
        ):
            raise ValueError
    except OSError as error:
        raise MaskError(f"cannot read '{path}': {(error.strerror or str(error)).lower()}") from None
    except Exception:  # a parser may raise anything on arbitrary bytes
        raise MaskError(
            f"'{path}' is not a plain dict of class index to wnid, and will not be executed. "
            "Use the original file of Salient ImageNet"
        ) from None
    return classes


def read_judgements(
    path: str | Path, classes: dict[int, str]
) -> tuple[dict[tuple[str, int], Pair], list[str]]:
    """Read the answers for each (wnid, feature), and notes on irregularities of the file (research).

    Args:
        path: CSV with one answer per row. classes: index -> wnid, which has priority over the file.
    Raises:
        MaskError: not such a CSV; names the column or row.
    """
    pairs: dict[tuple[str, int], Pair] = {}
    disagree: set[str] = set()
    unknown: dict[str, int] = defaultdict(int)
    for number, row in enumerate(_rows(path), start=2):
        index, feature, rank = (_whole(path, number, row, role) for role in ("class", "feature", "rank"))
        stated = (row[COLUMNS["wnid"]] or "").strip()
        wnid = classes.get(index, stated)
        if stated and stated != wnid:
            disagree.add(f"{index}: {stated} against {wnid}")
        pair = pairs.setdefault((wnid, feature), Pair(rank))
        answer = (row[COLUMNS["answer"]] or "").strip().lower()
        pair.n_answers += 1
        pair.n_spurious += answer in NOT_THE_OBJECT
        if answer not in ANSWERS:
            unknown[answer] += 1
        if reason := " ".join((row[COLUMNS["reason"]] or "").split()):
            pair.spellings.setdefault(reason.lower(), reason)
    return pairs, _notes(path, pairs, sorted(disagree), unknown)


def _rows(path: str | Path) -> list[dict[str, str | None]]:
    try:
        with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
            reader = csv.DictReader(file)
            names = [name.strip() for name in reader.fieldnames or []]
            reader.fieldnames = names
            rows = list(reader)
    except OSError as error:
        raise MaskError(f"cannot read '{path}': {(error.strerror or str(error)).lower()}") from None
    except csv.Error as error:
        raise MaskError(f"cannot read '{path}' as CSV: {error}") from None
    for column in COLUMNS.values():
        if column not in names:
            hint = did_you_mean(column, names)
            raise MaskError(
                f"no column '{column}' in '{path}'.{hint} Expected Salient ImageNet's {ANSWERS_FILE}"
            )
    return rows


def _whole(path: str | Path, number: int, row: dict[str, str | None], role: str) -> int:
    text = row[COLUMNS[role]]
    try:
        value = float(text or "")
        if value != int(value) or abs(value) >= MOST:
            raise ValueError
    except (ValueError, OverflowError):
        raise MaskError(
            f"line {number} of '{path}': {COLUMNS[role]} is '{text or ''}', not a whole number. Correct it"
        ) from None
    return int(value)


def _notes(
    path: str | Path, pairs: dict[tuple[str, int], Pair], disagree: Sequence[str], unknown: dict[str, int]
) -> list[str]:
    n_spurious = sum(pair.kind == "spurious" for pair in pairs.values())
    notes = [
        f"workers rated {counted(len(pairs), 'class-feature pair')}: "
        f"{len(pairs) - n_spurious:,} core, {n_spurious:,} spurious"
    ]
    usual = 5
    if odd := sum(pair.n_answers != usual for pair in pairs.values()):
        notes.append(f"{counted(odd, 'pair')} with more or fewer than {usual} answers")
    if disagree:
        n_classes = counted(len(disagree), "class")
        notes.append(
            f"{Path(path).name} and {CLASSES_FILE} disagree on {n_classes} "
            f"(class {disagree[0]}): {CLASSES_FILE} is used"
        )
    if unknown:
        examples = ", ".join(f"'{answer}'" for answer in sorted(unknown)[:3])
        notes.append(
            f"{counted(sum(unknown.values()), 'answer')} of an unknown kind counted as core: {examples}"
        )
    return notes


# Salient ImageNet's folder on disk: `WNID/image_names_map.csv` and `WNID/feature_ID/NAME.JPEG`.


NAMES_FILE = "image_names_map.csv"
# the data set's own folder has no answers: they come with the authors' code, into which it is unpacked
ANSWERS_PLACES = (ANSWERS_FILE, f"mturk_results/{ANSWERS_FILE}", f"../mturk_results/{ANSWERS_FILE}")
FEATURE = re.compile(r"[0-9]{1,9}")
WNID_AT_THE_END = re.compile(r"_n\d{8}$")


class ClassFolder:
    """One class: the image names listed for each feature, and the location of their masks.

    Attributes:
        features: image name -> feature ids, from the names file; empty if it cannot be read.
        problem: the reason why it cannot be read, or "".
    """

    def __init__(self, root: str, wnid: str):
        self.root, self.wnid = root, wnid
        self.features: dict[str, list[int]] = {}
        self.problem = ""
        self._folders: dict[int, dict[str, str]] = {}
        try:
            self._read_names()
        except (OSError, csv.Error) as error:
            self.problem = getattr(error, "strerror", None) or str(error)

    def files(self, name: str) -> dict[int, str]:
        """Map each feature to the mask's file below the root, for existing files."""
        mask_files = {feature: self._masks(feature).get(name) for feature in self.features.get(name, ())}
        return {feature: file for feature, file in mask_files.items() if file}

    def missing(self, name: str) -> list[str]:
        """List masks of an image that are listed but missing."""
        there = self.files(name)
        listed = self.features.get(name, ())
        return [f"{self.wnid}/feature_{f}/{name}.JPEG" for f in listed if f not in there]

    def _read_names(self) -> None:
        path = os.path.join(self.root, self.wnid, NAMES_FILE)
        with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
            header, *rows = list(csv.reader(file)) or [[]]
        columns = {at: int(text) for at, text in enumerate(header) if FEATURE.fullmatch(text.strip())}
        for row in rows:
            for at, feature in columns.items():
                name = _image_name(row[at].strip()) if at < len(row) else ""
                if name and feature not in (listed := self.features.setdefault(name, [])):
                    listed.append(feature)

    def _masks(self, feature: int) -> dict[str, str]:
        """Map image names to files with one folder listing: checking each of 65 files would be slower."""
        if feature not in self._folders:
            folder = f"{self.wnid}/feature_{feature}"
            try:
                names = sorted(os.listdir(os.path.join(self.root, folder)))
            except OSError:
                names = []
            self._folders[feature] = {_image_name(name): f"{folder}/{name}" for name in names}
        return self._folders[feature]


def _image_name(file: str) -> str:
    """Return the name of an ImageNet image as the research data Salient ImageNet lists it.

    >>> _image_name("n01440764_39.JPEG"), _image_name("n01440764_39_n01440764.JPEG")
    ('n01440764_39', 'n01440764_39')
    >>> _image_name("n01440764_39")
    'n01440764_39'
    """
    name = without_extension(file)
    # some hubs append the class when they re-pack the files
    return WNID_AT_THE_END.sub("", name) if name.count("_") > 1 else name


def _find_classes(root: str) -> dict[int, str]:
    """Map classes of Salient ImageNet (research) to wnids. Raises MaskError if `root` is not its folder."""
    path = os.path.join(root, CLASSES_FILE)
    if os.path.isfile(path):
        return read_classes(path)
    if not os.path.isdir(root):
        is_file = os.path.exists(root)
        raise MaskError(f"'{root}' is a file, not a folder" if is_file else str(missing_folder(Path(root))))
    below = next(Path(root).glob(f"*/{CLASSES_FILE}"), None)
    hint = f"It is in '{below.parent}': give that folder" if below else "Check the path"
    raise MaskError(f"no {CLASSES_FILE} in '{root}', so it is not Salient ImageNet's folder. {hint}")


def _find_answers(root: str, annotations: str | None) -> str:
    """Find Salient ImageNet's CSV of worker answers (research). Raises MaskError if there is none."""
    places = [annotations] if annotations else [os.path.join(root, folder) for folder in ANSWERS_PLACES]
    for path in map(os.path.normpath, places):
        if os.path.isfile(path):
            return path
    if annotations:
        raise MaskError(f"no such file of annotations: '{annotations}'. Check the path")
    raise MaskError(
        f"no {ANSWERS_FILE} in '{root}': only the workers' answers tell core from spurious features. "
        "Give it with --annotations FILE (it is in mturk_results/ of Salient ImageNet's code)"
    )


def _wnids_by_name(folders: dict[str, ClassFolder]) -> dict[str, list[str]]:
    """Map names of images to the classes that Salient ImageNet (research) lists them in."""
    wnids: dict[str, list[str]] = defaultdict(list)
    for wnid, folder in folders.items():
        for name in folder.features:
            wnids[name].append(wnid)
    return dict(wnids)


# Salient ImageNet (Singla & Feizi, ICLR 2022) as a mask source, read in its original layout.


class TrainImage(NamedTuple):
    """An image of ImageNet's train split: its class, and its name without extension."""

    wnid: str
    name: str


class Usable(NamedTuple):
    """One usable mask: its listing row, and its annotated feature."""

    row: int
    wnid: str
    feature: int
    file: str


class SalientImageNet(MaskSource):
    """Masks of ImageNet train images: an image's core mask is the maximum of its core features' masks.

    Features are those of the authors' robust ResNet-50, five per class; an image can belong to several. All
    masks cover the crop Resize 256 + CenterCrop 224 of their image. In `report`, `n_masks` counts the images
    that have masks; it also holds n_missing_masks, n_missing_classes, n_unjudged_features, and examples.
    """

    kind = "salient_imagenet"

    def __init__(self, root: str | Path, annotations: str | Path | None, source: ImageSource):
        self.root, self.source = os.path.abspath(os.path.expanduser(root)), source
        self.annotations = os.path.abspath(os.path.expanduser(annotations)) if annotations else None
        self._folders: dict[str, ClassFolder] = {}

    def describe(self) -> dict[str, Any]:
        return {"kind": self.kind, "root": self.root, "annotations": self.annotations}

    def frame(self, image_id: str, mask: str) -> str:
        return "crop"

    def read(self, image_id: str, mask: str) -> np.ndarray:
        files = self._files(image_id, mask)
        if not files:
            raise no_mask(mask)
        masks = [_square(read_mask(os.path.join(self.root, name)), name) for name in files]
        size = max(len(one) for one in masks)
        return np.maximum.reduce([_resized(one, size) for one in masks])

    def fingerprint(self) -> str:
        digest = hashlib.sha256(self.kind.encode())
        digest.update(Path(_find_answers(self.root, self.annotations)).read_bytes())
        for image_id, mask in self.table.itertuples(index=False):
            for name in self.listing.places[mask][image_id]:
                stamp = file_stamp(os.path.join(self.root, name))
                digest.update(f"{image_id}\0{mask}\0{name}\0{stamp}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    @property
    def keywords(self) -> dict[tuple[str, int], list[str]]:
        return {key: pair.reasons for key, pair in self._judged.items()}

    @cached_property
    def _indices(self) -> dict[str, int]:
        return {wnid: index for index, wnid in _find_classes(self.root).items()}

    @cached_property
    def _answers(self) -> tuple[dict[tuple[str, int], Pair], list[str]]:
        classes = {index: wnid for wnid, index in self._indices.items()}
        return read_judgements(_find_answers(self.root, self.annotations), classes)

    @property
    def _judged(self) -> dict[tuple[str, int], Pair]:
        return self._answers[0]

    def _folder(self, wnid: str) -> ClassFolder:
        if wnid not in self._folders:
            self._folders[wnid] = ClassFolder(self.root, wnid)
        return self._folders[wnid]

    def _files(self, image_id: str, mask: str) -> list[str]:
        """Return the masks' files. Before listing, one class folder suffices if the id names its class."""
        if not self.is_listed and (image := self._named(image_id)):
            files = self._folder(image.wnid).files(image.name).items()
            judged = ((file, self._judged.get((image.wnid, feature))) for feature, file in files)
            return [file for file, pair in judged if pair and pair.kind == mask]
        return self.listing.places.get(mask, {}).get(image_id, [])

    def _named(self, path: str, label: object = None) -> TrainImage | None:
        """Identify an image whose folder, name or label names its class."""
        *folders, end = path.split("/")
        name = _image_name(end)
        candidates = (*reversed(folders), name.partition("_")[0], label)
        wnid = next((candidate for candidate in candidates if candidate in self._indices), None)
        return TrainImage(str(wnid), name) if wnid else None

    def _list(self) -> MaskListing:
        wnids, missing_classes = self._class_folders()
        rows, ambiguous = self._match(wnids)
        if not rows:
            raise self._nothing_matches(wnids, ambiguous)
        masks, unjudged, missing = self._usable(rows)
        if not masks:
            raise MaskError(
                f"{counted(len(rows), 'image')} are listed in '{self.root}', but no mask of them can be "
                f"used: {_lacking(missing, unjudged)}. Unpack the data set again, or give its own file of "
                "answers"
            )
        ids = self._image_ids()
        places: dict[str, dict[str, list[str]]] = {kind: {} for kind in KINDS}
        for mask in masks:
            kind = self._judged[mask.wnid, mask.feature].kind
            places[kind].setdefault(ids[mask.row], []).append(mask.file)
        report = self._report(coverage(len(ids), places), set(rows.values()), missing_classes, missing)
        report["n_unjudged_features"] = len(unjudged)
        report["notes"] += self._notes(missing_classes, missing, unjudged, ambiguous) + self._answers[1]
        return MaskListing(places, report, self._feature_table(masks, ids))

    def _class_folders(self) -> tuple[list[str], list[str]]:
        """Return the classes whose folders exist, and those whose folders are missing."""
        wnids, there = list(self._indices), set(os.listdir(self.root))
        here = [wnid for wnid in wnids if wnid in there]
        if not here:
            n_classes = counted(len(wnids), "class")
            folders = first_of([wnid + "/" for wnid in wnids], 2)
            raise MaskError(
                f"none of the {n_classes} of {CLASSES_FILE} has a folder in "
                f"'{self.root}': looked for such as {folders}. "
                "Unpack the data set there"
            )
        return here, [wnid for wnid in wnids if wnid not in there]

    def _match(self, wnids: Iterable[str]) -> tuple[dict[int, TrainImage], list[str]]:
        """Map listing rows to images with masks; also return names that match several images or classes."""
        by_name = _wnids_by_name({wnid: self._folder(wnid) for wnid in wnids})
        rows: dict[int, TrainImage] = {}
        unnamed: dict[str, list[int]] = defaultdict(list)
        columns = zip(*(self.source.table[name] for name in ("image_id", "path", "label")), strict=True)
        for row, (image_id, path, label) in enumerate(columns):
            for name_or_path in (image_id, path):
                name = _image_name(last_part(name_or_path))
                if name not in by_name:
                    continue
                if image := self._named(name_or_path, label):
                    if image.wnid in by_name[name]:
                        rows[row] = image
                    break
                if unnamed[name][-1:] != [row]:  # its path and its id give the same name
                    unnamed[name].append(row)
        ambiguous = []
        for name, rows_named in unnamed.items():
            rows_named = [row for row in rows_named if row not in rows]
            if len(rows_named) == len(by_name[name]) == 1:
                rows[rows_named[0]] = TrainImage(by_name[name][0], name)
            elif rows_named:
                ambiguous.append(name)
        return dict(sorted(rows.items())), ambiguous

    def _usable(self, rows: dict[int, TrainImage]) -> tuple[list[Usable], list[tuple[str, int]], list[str]]:
        """Return the masks of matched images, features without answers, and masks listed but missing."""
        masks, missing = [], []
        for row, (wnid, name) in rows.items():
            folder = self._folder(wnid)
            masks += [Usable(row, wnid, feature, file) for feature, file in folder.files(name).items()]
            missing += folder.missing(name)
        unjudged = {(mask.wnid, mask.feature) for mask in masks} - self._judged.keys()
        return (
            [mask for mask in masks if (mask.wnid, mask.feature) not in unjudged],
            sorted(unjudged),
            missing,
        )

    def _feature_table(self, masks: Sequence[Usable], ids: Sequence[str]) -> pd.DataFrame:
        pairs = [self._judged[one.wnid, one.feature] for one in masks]
        of_masks: dict[str, Any] = {"image_id": pd.array([ids[mask.row] for mask in masks], dtype="str")}
        of_masks["class"] = np.array([self._indices[mask.wnid] for mask in masks], np.int32)
        of_masks["wnid"] = pd.Categorical([mask.wnid for mask in masks])
        of_masks["feature"] = np.array([mask.feature for mask in masks], np.int32)
        reasons = ["; ".join(pair.reasons) for pair in pairs]
        kinds = [pair.kind for pair in pairs]
        ranks = [pair.rank for pair in pairs]
        of_pairs = {
            "kind": pd.Categorical(kinds, categories=KINDS),
            "rank": np.array(ranks, np.int32),
            "keywords": pd.Categorical(reasons),
        }
        return pd.DataFrame({**of_masks, **of_pairs})

    def _report(
        self,
        covered: dict[str, Any],
        matched: set[TrainImage],
        missing_classes: list[str],
        missing: list[str],
    ) -> dict[str, Any]:
        listed = [
            TrainImage(wnid, name) for wnid, folder in self._folders.items() for name in folder.features
        ]
        left = [f"{image.wnid}/{image.name}" for image in listed if image not in matched]
        report = {"kind": self.kind, "n_masks": len(listed)} | covered
        for name, examples in (
            ("unmatched_masks", left),
            ("missing_masks", missing),
            ("missing_classes", missing_classes),
        ):
            report |= {f"n_{name}": len(examples), name: examples[:EXAMPLES]}
        return report

    def _nothing_matches(self, wnids: Sequence[str], ambiguous: list[str]) -> MaskError:
        images = [TrainImage(wnid, name) for wnid in wnids for name in self._folder(wnid).features]
        problem = next((one.problem for wnid in wnids if (one := self._folder(wnid)).problem), "")
        if not images:
            why = f" ({problem.lower()})" if problem else ""
            return MaskError(
                f"no image is listed in '{os.path.join(self.root, wnids[0], NAMES_FILE)}' or its like{why}. "
                "Unpack the data set again"
            )
        several = f" ({counted(len(ambiguous), 'name')} would match several images)" if ambiguous else ""
        ids = self._image_ids()
        n_masked, n_images = counted(len(images), "image"), counted(len(ids), "image")
        example = f"{images[0].wnid}/{images[0].name}.JPEG"
        return MaskError(
            f"none of the {n_masked} with masks in '{self.root}' is among the {n_images} of the "
            f"study{several}: looked for images such as '{example}', the study has images like "
            f"'{ids[0] if ids else ''}'. "
            "The masks belong to ImageNet's train split, under its own names"
        )

    def _notes(
        self, missing_classes: list[str], missing: list[str], unjudged: list[Any], ambiguous: list[str]
    ) -> list[str]:
        broken = [wnid for wnid, folder in self._folders.items() if folder.problem]
        without_answer = [f"{wnid}/feature_{feature}" for wnid, feature in unjudged]
        groups = (
            (missing_classes, "class folder", "missing"),
            (broken, "class", f"without a readable {NAMES_FILE}"),
            (missing, "mask", "listed but missing"),
            (without_answer, "feature", "without any answer"),
            (ambiguous, "name", "not used, ambiguous between several images or classes"),
        )
        return [
            f"{counted(len(names), noun)} {what}: {first_of(names, 3)}"
            for names, noun, what in groups
            if names
        ]


def _lacking(missing: list[str], unjudged: list[tuple[str, int]]) -> str:
    parts = [f"{counted(len(missing), 'file')} missing, such as '{missing[0]}'"] if missing else []
    if unjudged:
        wnid, feature = unjudged[0]
        parts.append(f"no answers for {counted(len(unjudged), 'feature')}, such as {wnid}/feature_{feature}")
    return "; ".join(parts)


def _square(mask: np.ndarray, name: str) -> np.ndarray:
    height, width = mask.shape
    if height != width:
        raise UnreadableImage(f"mask {name} is {width} x {height}, not the square centre crop")
    return mask


def _resized(mask: np.ndarray, size: int) -> np.ndarray:
    if len(mask) == size:
        return mask
    return np.asarray(Image.fromarray(mask).resize((size, size), Image.Resampling.BILINEAR))
