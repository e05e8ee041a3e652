"""Trees with a file for each band of a record, as satellites and microscopes store them. They are not read.

`PATCH/PATCH_B01.tif`, `PATCH/VV.tif`, `ID_red.png`, `B02_s1_w1.png`, `train_nir/nir_patch_1.tif`: paths
that differ in the band alone, and pictures without colour.
"""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np

from core.common.dataframes import evenly
from core.common.records import Record, Templates
from core.data.sources.decode import decode
from core.data.sources.folder_splits import join
from core.data.sources.folder_walk import Folder, readable
from core.errors import UnreadableImage

COLOURS = frozenset(("red", "green", "blue", "yellow"))
SPECTRAL = frozenset(
    ("nir", "swir", "swir1", "swir2", "rededge", "re", "vv", "vh", "hh", "hv", "dapi", "er", "rna")
)
NUMBERED = re.compile(
    r"b(?:and)?\d{1,2}a?|ch\d{1,2}(?:sk\d+fk\d+fl\d+)?|w[1-9](?:[0-9a-f-]{36})?", re.IGNORECASE
)
WORDS = re.compile(r"([/_. -]+)")
MOST_FOLDERS, MOST_FILES = 400, 4000  # that are looked at
LEAST_SHARE = 0.5  # of files that name a band, and of records with all bands
FEWEST_RECORDS, FEWEST_COLOURS = 2, 3
OPENED = 2  # records whose pictures are looked at
SHOWN = 3
say_of_bands = Templates.beside(__file__)


def bands_in_files(root: str, tree: Mapping[str, Folder]) -> Record | None:
    """Say that the files of a tree are bands of fewer records; None where they are pictures.

    Args:
        tree: every folder by its path below the root, without masks.
    """
    paths = list(_some_paths(tree))
    records: dict[str, dict[str, str]] = defaultdict(dict)  # of each record, the path of each band
    n_named = 0
    for path in paths:
        record, band = band_apart(path)
        if band:
            n_named += 1
            records[record][band] = path
    if len(records) < FEWEST_RECORDS or n_named < LEAST_SHARE * len(paths):
        return None
    sets = Counter(frozenset(bands) for bands in records.values())
    bands, n_alike = max(sets.items(), key=lambda item: (item[1], len(item[0])))
    if not are_bands(bands) or n_alike < max(FEWEST_RECORDS, LEAST_SHARE * len(records)):
        return None
    whole = [one for one in records.values() if one.keys() == bands]
    looked_at = [one[band] for one in whole[:OPENED] for band in sorted(bands)]
    if not _are_without_colour([os.path.join(root, path) for path in looked_at]):
        return None
    shown = [readable(whole[0][band]) for band in sorted(bands)[:SHOWN]]
    files = [os.path.basename(path) for path in shown]
    names = tuple(files if len(set(files)) == len(files) else shown)
    return say_of_bands("bands", what=readable(root), n=len(bands), names=names)


def band_apart(path: str) -> tuple[str, str]:
    """Return a path without its band, and the band; no band where it names none.

    >>> band_apart("p1/p1_B8A.tif"), band_apart("p1/VV.tif"), band_apart("train_nir/nir_7.tif")
    (('p1/p1_*', 'b8a'), ('p1/*', 'vv'), ('train_*/*_7', 'nir'))
    >>> band_apart("Plate1/B02_s1_w1.png"), band_apart("cat/red_7.jpg"), band_apart("cat/7.jpg")
    (('Plate1/B02_s1_*', 'w1'), ('cat/*_7', 'red'), ('cat/7', ''))
    """
    stem = os.path.splitext(path)[0]
    parts = WORDS.split(stem)
    last = parts[-1].lower()
    if NUMBERED.fullmatch(last) or last in COLOURS | SPECTRAL:
        return "".join(parts[:-1]) + "*", last.split("-")[0][:2] if last.startswith("w") else last
    named = {word.lower() for word in parts} & (COLOURS | SPECTRAL)
    if len(named) != 1:
        return stem, ""
    (band,) = named
    return "".join("*" if word.lower() == band else word for word in parts), band


def are_bands(bands: Collection[str]) -> bool:
    """Return True for several bands; a few colours alone may be of cars.

    >>> are_bands(["b01", "b02"]), are_bands(["red", "green"]), are_bands(["red", "nir"]), are_bands(["b01"])
    (True, False, True, False)
    """
    only_colours = COLOURS.issuperset(bands)
    return len(bands) >= (FEWEST_COLOURS if only_colours else 2)


def _some_paths(tree: Mapping[str, Folder]) -> Iterator[str]:
    """Yield the first files of folders spread over a tree: all bands of a record lie side by side."""
    held = [path for path, folder in tree.items() if folder.images]
    shown = [held[int(at)] for at in evenly(len(held), MOST_FOLDERS)]
    n_each = max(1, MOST_FILES // max(1, len(shown)))
    for path in shown:
        yield from (join(path, name) for name in tree[path].images[:n_each])


def _are_without_colour(paths: Sequence[str]) -> bool:
    """Whether no picture has colours; bands that cannot be read have none."""
    for path in paths:
        try:
            pixels = np.asarray(decode(path), np.int16)
        except UnreadableImage:
            continue
        if (pixels != pixels[..., :1]).any():
            return False
    return True
