"""A folder SPLIT/CLASS/IMAGE of links to the images of a study; it appears once it is complete."""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from core.common.addresses import is_url
from core.common.dataframes import words
from core.common.formatting import counted
from core.errors import SettingsError, StudyError
from core.store import Study
from core.study.leftovers import remove_leftovers_of

# A folder that is written as a whole: it appears once it is complete, or not at all.


def check_new_folder(out: Path) -> None:
    """Raise SettingsError where a folder to be exported to is there already and is not empty."""
    if out.is_symlink() or (out.exists() and not (out.is_dir() and not any(out.iterdir()))):
        raise SettingsError(f"'{out}' is there already; name a folder that is new or empty")


@contextmanager
def complete_folder(out: Path) -> Iterator[Path]:
    """Yield a folder for an export beside `out`, renamed when complete; after an error nothing is left."""
    begun = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers_of(out)
        begun.mkdir()
        yield begun
        os.replace(begun, out)  # also an empty folder, and no other
    except OSError as error:
        raise SettingsError(f"cannot write the folder '{out}': {error.strerror}") from error
    finally:
        shutil.rmtree(begun, ignore_errors=True)


# A folder SPLIT/CLASS/IMAGE of links to the images of a study, as torchvision's ImageFolder reads it.


LONGEST = 100  # bytes of the name of a folder
UNSAFE = re.compile(r"[\x00-\x1f\x7f<>:\"/\\|?*]|^[. ]|[. ]$")
OF_WINDOWS = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


@dataclass(frozen=True)
class Links:
    """How many links were made, and what should be known of them."""

    n: int
    notes: tuple[str, ...]


def write_links(study: Study, frame: pd.DataFrame, rows: np.ndarray, out: Path) -> Links:
    """Export labels as a folder of links to images by class, which appears only when complete.

    The name of each link is one part of a path, so none lies outside the folder, and none is given twice.

    Args:
        frame: label and split of the images. rows: of the images in the study.
    Raises:
        SettingsError: `out` is there and is no empty folder.
        StudyError: the images are no files of this machine.
    """
    check_new_folder(out)
    places = image_places(study, rows)
    is_file = np.array([os.path.isfile(path) for path in places], bool)
    labelled = frame["label"].notna().to_numpy(bool)
    folders = class_folders([label for label in words(frame, "label") if label])
    taken: set[Path] = set()
    with complete_folder(out) as begun:
        for at in np.flatnonzero(labelled & is_file):
            split, label = str(frame["split"].iat[at]), str(frame["label"].iat[at])
            link = _free(Path(split, folders[label], os.path.basename(places[at])), taken)
            (begun / link).parent.mkdir(parents=True, exist_ok=True)
            (begun / link).symlink_to(os.path.abspath(places[at]))
    n_gone = int(np.count_nonzero(labelled & ~is_file))
    gone = [f"{counted(n_gone, 'image')} whose file is gone"] if n_gone else []
    return Links(len(taken), (*gone, *_renamed(folders)))


def image_places(study: Study, rows: np.ndarray) -> list[str]:
    """Return the file of each image to export. Raises StudyError where they are no files of this machine."""
    source = study.source
    at = pd.Index(source.table["image_id"]).get_indexer(study.images["image_id"].iloc[rows])
    places = [source.place(int(row)) if row >= 0 else "" for row in at]
    if not any(places) or any(map(is_url, places)):
        raise StudyError(
            f"the images of '{study.path}' are no files of this machine; export a list of labels"
        )
    return places


def class_folders(labels: Sequence[str]) -> dict[str, str]:
    """Return the name of an exported folder for each class: its own where every system takes that.

    >>> class_folders(["golden retriever", "../up", "CON", "a/b", "A-B"])
    {'../up': 'up', 'A-B': 'A-B', 'CON': 'CON-2', 'a/b': 'a-b-2', 'golden retriever': 'golden retriever'}
    """
    folders: dict[str, str] = {}
    taken: set[str] = set()
    for label in sorted(set(labels)):
        is_safe = not UNSAFE.search(label) and 0 < len(label.encode()) <= LONGEST
        plain = label if is_safe else re.sub(r"[^\w-]+", "-", label).strip("-")[: LONGEST // 4] or "class"
        name, number = plain, 1
        while name.casefold() in taken or OF_WINDOWS.fullmatch(name):
            number += 1
            name = f"{plain}-{number}"
        taken.add(name.casefold())
        folders[label] = name
    return folders


def _renamed(folders: dict[str, str]) -> list[str]:
    others = [(label, folder) for label, folder in folders.items() if label != folder]
    if not others:
        return []
    label, folder = others[0]
    many = counted(len(others), "class", "classes")
    return [f"{many} whose name no folder can have: '{label}' is '{folder}'"]


def _free(link: Path, taken: set[Path]) -> Path:
    """Return the link, with a number where another image of its folder has its name in any case."""
    name, number = link, 1
    while Path(str(name).casefold()) in taken:
        number += 1
        name = link.with_stem(f"{link.stem}-{number}")
    taken.add(Path(str(name).casefold()))
    return name
