"""Copies of one photograph, known by file names: corruptions below domain folders, augmented variants.

A name alone is weak evidence (0001.jpg is in every folder). The rules, of which one has to hold:

* *Below domains*: of images DOMAIN/…/CLASS/…/NAME at least half have a namesake of the same class below
  another domain, and namesakes look more alike than other pictures of the class do, tested on pictures.
* *Variants*: names such as `x_aug1`, `x_flip` or Roboflow's `x_jpg.rf.…` (`unit_names.toml`) share what
  stands before the suffix with another image of their folder: 5 photographs or more, none half of its class.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import comb
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from core.common.dataframes import evenly
from core.common.records import Templates
from core.data.sources.source import Listing, some
from core.errors import UnreadableImage

COLUMN = "photograph"
SAMPLED = 2000  # names that tell whether it is worth looking at all
LEAST_SHARE = 0.5  # of images with a namesake
LOOKED_AT = 24  # namesakes whose pictures are compared
FEWEST_LOOKED_AT, BY_CHANCE = 10, 0.002  # pictures, and a probability by the sign test
SIDE = 16  # pixels of the pictures compared
FEWEST = 5  # photographs with variants
SUFFIXES = 4  # of a name, such as x_flip_rot90
_WRITTEN = tomllib.loads(Path(__file__).with_name("unit_names.toml").read_text(encoding="utf-8"))
VARIANT = re.compile("|".join(f"(?:{pattern})" for pattern in _WRITTEN["variants"]), re.IGNORECASE)
PictureOf = Callable[[int], Image.Image]
_say = Templates.beside(__file__)


def with_photographs(listing: Listing, asked: str | None, look: PictureOf) -> Listing:
    """Add a column of the photograph of each image, and make it the group, where file names show copies.

    Args:
        asked: the group that was asked for, if any. look: reads the picture of a row.
    """
    may_group = asked in (None, COLUMN) and listing.group is None and not listing.split_given
    if not may_group or (listing.extras is not None and COLUMN in listing.extras):
        return listing
    ids = list(listing.table["image_id"])
    labels = [label if isinstance(label, str) else None for label in listing.table["label"]]
    groups = photographs(ids, labels, look)
    if groups is None:
        return listing
    extras = listing.extras if listing.extras is not None else pd.DataFrame(index=listing.table.index)
    extras = extras.assign(**{COLUMN: pd.array(groups, dtype="str")})
    counts = Counter(groups)
    shown = min((name for name, n in counts.items() if n > 1), key=lambda name: (-counts[name], name))
    note = _say("copies", n=len(groups), of=len(counts), what=shown, why=some(_of(shown, groups, ids), 3))
    return replace(listing, extras=extras, group=COLUMN, notes=[*listing.notes, note])


def _of(group: str, groups: Sequence[str], ids: Sequence[str]) -> list[str]:
    return [image_id for image_id, one in zip(ids, groups, strict=True) if one == group]


def photographs(ids: Sequence[str], labels: Sequence[str | None], look: PictureOf) -> list[str] | None:
    """Name the photograph that each image is of; None where names do not show that several are of one.

    Args:
        ids: paths below the root. labels: names of folders among them.
    """
    bases = _bases(ids, labels)
    names = bases or [_stem(image_id) for image_id in ids]
    return _below_domains(names, labels, look) or bases


def _stem(image_id: str) -> str:
    folder, slash, name = image_id.rpartition("/")
    return folder + slash + (name.rpartition(".")[0] or name)


def base_name(stem: str) -> str:
    """
    >>> base_name("cat/x_flip_rot90"), base_name("cat/12_aug_3"), base_name("cat/1"), base_name("cat/_aug1")
    ('cat/x', 'cat/12', 'cat/1', 'cat/_aug1')
    """
    folder, slash, name = stem.rpartition("/")
    for _ in range(SUFFIXES):
        match = VARIANT.search(name)
        if match is None or match.start() == 0:
            break
        name = name[: match.start()]
    return folder + slash + name


def _bases(ids: Sequence[str], labels: Sequence[str | None]) -> list[str] | None:
    """The name of each image without the suffixes of variants; None where they are no variants."""
    sampled = [_stem(ids[int(at)]) for at in evenly(len(ids), SAMPLED)]
    if all(base_name(stem) == stem for stem in sampled):
        return None
    bases = [base_name(_stem(image_id)) for image_id in ids]
    sizes, of_class = Counter(bases), Counter(labels)
    shared = {base for base, n in sizes.items() if n > 1}
    too_large = any(
        2 * sizes[base] > of_class[label] and sizes[base] > 2
        for base, label in zip(bases, labels, strict=True)
        if base in shared
    )
    return None if len(shared) < FEWEST or too_large else bases


def _below_domains(names: Sequence[str], labels: Sequence[str | None], look: PictureOf) -> list[str] | None:
    """The name of each image from its class folder on, where the folders above it hold copies."""
    for at in map(int, evenly(len(names), SAMPLED)):
        if not _apart(names[at], labels[at])[0]:
            return None
    parts = [_apart(name, label) for name, label in zip(names, labels, strict=True)]
    if not all(domain for domain, _ in parts):
        return None
    frame = pd.DataFrame(parts, columns=["domain", "name"])
    n_domains = frame.groupby("name")["domain"].transform("nunique").to_numpy()
    if (n_domains > 1).mean() < LEAST_SHARE or not _look_alike(frame, n_domains > 1, labels, look):
        return None
    return frame["name"].tolist()


def _apart(name: str, label: str | None) -> tuple[str, str]:
    """The folders above the class, and the rest from the class on; no folders where it is not among them."""
    if label is None:
        return "", name
    folder = f"/{name.rpartition('/')[0]}/"
    at = folder.rfind(f"/{label}/")
    return ("", name) if at < 1 else (name[: at - 1], name[at:])


def _look_alike(
    frame: pd.DataFrame, has_namesake: np.ndarray, labels: Sequence[str | None], look: PictureOf
) -> bool:
    """Whether pictures resemble their namesakes more than another picture of the class and domain."""
    rng = np.random.default_rng(0)
    firsts = np.flatnonzero(has_namesake & ~frame["name"].duplicated().to_numpy())
    columns = frame["name"], frame["domain"], pd.Series(list(labels), dtype="str")
    names, domains, classes = (pd.factorize(column)[0] for column in columns)
    outcomes = []
    for row in rng.permutation(firsts)[: 2 * LOOKED_AT]:
        copies = np.flatnonzero((names == names[row]) & (domains != domains[row]))
        copy = int(rng.choice(copies))
        others = np.flatnonzero((domains == domains[copy]) & (names != names[row]))
        of_class = others[classes[others] == classes[row]]
        if not len(others) or len(outcomes) == LOOKED_AT:
            continue
        other = int(rng.choice(of_class if len(of_class) else others))
        alike = [_likeness(look, int(row), one) for one in (copy, other)]
        if np.isfinite(alike).all():
            outcomes.append(alike[0] > alike[1])
    return len(outcomes) >= FEWEST_LOOKED_AT and _by_chance(sum(outcomes), len(outcomes)) < BY_CHANCE


def _by_chance(k: int, n: int) -> float:
    """Probability of k or more of n, each with probability 1/2 (sign test).

    >>> _by_chance(10, 10) < BY_CHANCE < _by_chance(9, 10)
    True
    """
    return sum(comb(n, i) for i in range(k, n + 1)) / 2**n


def _likeness(look: PictureOf, row: int, other: int) -> float:
    """Correlation of two pictures in small and grey; NaN where one is plain or cannot be read."""
    try:
        small = [_small(look(one)) for one in (row, other)]
    except UnreadableImage:
        return np.nan
    deviations = [one - one.mean() for one in small]
    lengths = [float(np.linalg.norm(one)) for one in deviations]
    if min(lengths) < 1e-6:
        return np.nan
    return float((deviations[0] * deviations[1]).sum() / (lengths[0] * lengths[1]))


def _small(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX), np.float64)
