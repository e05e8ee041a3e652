"""Salient ImageNet's folder on disk: `WNID/image_names_map.csv` and `WNID/feature_ID/NAME.JPEG`."""

import csv
import os
import re
from collections import defaultdict
from pathlib import Path

from core.data.masks.mask_match import without_extension
from core.data.sources.folder import missing_folder
from core.errors import MaskError
from core.research.salient_imagenet.masks.answers import ANSWERS_FILE, CLASSES_FILE, read_classes

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
                name = image_name(row[at].strip()) if at < len(row) else ""
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
            self._folders[feature] = {image_name(name): f"{folder}/{name}" for name in names}
        return self._folders[feature]


def image_name(file: str) -> str:
    """Return the name of an ImageNet image as Salient ImageNet lists it.

    >>> image_name("n01440764_39.JPEG"), image_name("n01440764_39_n01440764.JPEG"), image_name("n01440764_39")
    ('n01440764_39', 'n01440764_39', 'n01440764_39')
    """
    name = without_extension(file)
    # some hubs append the class when they re-pack the files
    return WNID_AT_THE_END.sub("", name) if name.count("_") > 1 else name


def find_classes(root: str) -> dict[int, str]:
    """Map class indices to wnids. Raises MaskError if `root` is not Salient ImageNet's folder."""
    path = os.path.join(root, CLASSES_FILE)
    if os.path.isfile(path):
        return read_classes(path)
    if not os.path.isdir(root):
        is_file = os.path.exists(root)
        raise MaskError(f"'{root}' is a file, not a folder" if is_file else str(missing_folder(Path(root))))
    below = next(Path(root).glob(f"*/{CLASSES_FILE}"), None)
    hint = f"It is in '{below.parent}': give that folder" if below else "Check the path"
    raise MaskError(f"no {CLASSES_FILE} in '{root}', so it is not Salient ImageNet's folder. {hint}")


def find_answers(root: str, annotations: str | None) -> str:
    """Find the CSV of worker answers. Raises MaskError if there is none."""
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


def wnids_by_name(folders: dict[str, ClassFolder]) -> dict[str, list[str]]:
    """Map image names to the classes that list them."""
    wnids: dict[str, list[str]] = defaultdict(list)
    for wnid, folder in folders.items():
        for name in folder.features:
            wnids[name].append(wnid)
    return dict(wnids)
