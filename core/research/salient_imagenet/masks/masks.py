"""Salient ImageNet (Singla & Feizi, ICLR 2022) as a mask source, read in its original layout."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from core.common.formatting import counted
from core.common.threadsafe import cached_property
from core.data.masks.mask_match import last_part
from core.data.masks.mask_source import EXAMPLES, KINDS, MaskListing, MaskSource, coverage, no_mask, read_mask
from core.data.sources.source import ImageSource, file_stamp, some
from core.errors import MaskError, UnreadableImage
from core.research.salient_imagenet.masks.answers import CLASSES_FILE, Pair, read_judgements
from core.research.salient_imagenet.masks.folder import (
    NAMES_FILE,
    ClassFolder,
    find_answers,
    find_classes,
    image_name,
    wnids_by_name,
)


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
        digest.update(Path(find_answers(self.root, self.annotations)).read_bytes())
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
        return {wnid: index for index, wnid in find_classes(self.root).items()}

    @cached_property
    def _answers(self) -> tuple[dict[tuple[str, int], Pair], list[str]]:
        classes = {index: wnid for wnid, index in self._indices.items()}
        return read_judgements(find_answers(self.root, self.annotations), classes)

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
        name = image_name(end)
        candidates = (*reversed(folders), name.partition("_")[0], label)
        wnid = next((one for one in candidates if one in self._indices), None)
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
        for one in masks:
            kind = self._judged[one.wnid, one.feature].kind
            places[kind].setdefault(ids[one.row], []).append(one.file)
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
            folders = some([wnid + "/" for wnid in wnids], 2)
            raise MaskError(
                f"none of the {n_classes} of {CLASSES_FILE} has a folder in "
                f"'{self.root}': looked for such as {folders}. "
                "Unpack the data set there"
            )
        return here, [wnid for wnid in wnids if wnid not in there]

    def _match(self, wnids: Iterable[str]) -> tuple[dict[int, TrainImage], list[str]]:
        """Map listing rows to images with masks; also return names that match several images or classes."""
        by_name = wnids_by_name({wnid: self._folder(wnid) for wnid in wnids})
        rows: dict[int, TrainImage] = {}
        unnamed: dict[str, list[int]] = defaultdict(list)
        columns = zip(*(self.source.table[name] for name in ("image_id", "path", "label")), strict=True)
        for row, (image_id, path, label) in enumerate(columns):
            for name_or_path in (image_id, path):
                name = image_name(last_part(name_or_path))
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
        unjudged = {(one.wnid, one.feature) for one in masks} - self._judged.keys()
        return [one for one in masks if (one.wnid, one.feature) not in unjudged], sorted(unjudged), missing

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
        listed = [TrainImage(wnid, name) for wnid, one in self._folders.items() for name in one.features]
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
            f"{counted(len(names), noun)} {what}: {some(names, 3)}" for names, noun, what in groups if names
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
