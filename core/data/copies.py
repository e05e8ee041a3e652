"""Copies of one photograph and frames of one clip, known by file names and a look at some pictures."""

import os
import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import comb
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from core.common.arrow_tables import TextsOf, as_texts, column_of
from core.common.dataframes import evenly
from core.common.formatting import first_of
from core.common.records import Templates
from core.data.groups import find_group
from core.data.source import Listing
from core.errors import UnreadableImage

# How alike two pictures are, small and in grey, and whether pairs of them are more alike than others.


PAIRS_COMPARED = 24  # pairs of pictures that are compared
FEWEST_PAIRS, BY_CHANCE = 10, 0.002  # pairs, and a probability by the sign test
SIDE = 16  # pixels of the pictures compared
PictureOf = Callable[[int], Image.Image]


def _resemble_more(pairs: Sequence[Sequence[float]]) -> bool:
    """Whether copies of images are more alike than others more often than by chance, by pairs of numbers."""
    k = sum(alike > other for alike, other in pairs)
    return len(pairs) >= FEWEST_PAIRS and _by_chance(k, len(pairs)) < BY_CHANCE


def _by_chance(k: int, n: int) -> float:
    """Probability that k or more of n pairs of images are alike by chance, each 1/2 (sign test).

    >>> _by_chance(10, 10) < BY_CHANCE < _by_chance(9, 10)
    True
    """
    return sum(comb(n, i) for i in range(k, n + 1)) / 2**n


def likeness(look: PictureOf, row: int, other: int) -> float:
    """Likeness of two images, by which copies in a folder are told: correlation in small and grey.

    NaN where one is plain or unreadable.
    """
    try:
        small = [_small(look(one)) for one in (row, other)]
    except UnreadableImage:
        return np.nan
    deviations = [one - one.mean() for one in small]
    lengths = [float(np.linalg.norm(deviation)) for deviation in deviations]
    if min(lengths) < 1e-6:
        return np.nan
    return float((deviations[0] * deviations[1]).sum() / (lengths[0] * lengths[1]))


def _small(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX), np.float64)


# Copies that an operating system has named, such as `x - Copy.jpg`, `x copy 2.jpg` or `x (1).jpg` of `x.jpg`.
#
# A name with a word for "copy" is enough. Numbers in brackets are also given to different pictures of one
# series, so a numbered file counts as a copy only if it looks like the file without the number.


COPIES_COMPARED = 100  # pairs of pictures that are compared
SAME = 0.98  # correlation of a picture and its copy, which may have been encoded again
SHARE_OF_COPIES = 0.9  # of the compared pairs; from this share on, the pairs not compared count as copies
_COPY_NAMES = tomllib.loads(Path(__file__).with_name("unit_names.toml").read_text(encoding="utf-8"))
NAMED_COPY, NUMBERED_COPY = (
    re.compile("|".join(_COPY_NAMES[name]), re.IGNORECASE) for name in ("said_copies", "numbered_copies")
)
IN_ALL = (")", "cop", "cóp", "kop", "副本", "コピー", "коп")  # one is in each such name


def _originals(ids: Sequence[str], look: PictureOf) -> dict[int, int]:
    """Return the row of the original image for the row of each augmented copy in a listing.

    Args:
        ids: paths below the root. look: reads the picture of a row.
    """
    named = _named_as_copies(ids)
    if not named:
        return {}
    row_of = {image_id: row for row, image_id in enumerate(ids)}
    first_of: dict[int, int] = {}
    numbered: dict[int, int] = {}
    for row in named:
        for pattern, pairs in ((NAMED_COPY, first_of), (NUMBERED_COPY, numbered)):
            original = _original_name(ids[row], pattern)
            if original is not None and original in row_of:
                pairs[row] = row_of[original]
    pairs = first_of | _that_look_alike(numbered, look)
    return {row: _first_copy(row, pairs) for row in pairs}


def _original_name(image_id: str, pattern: re.Pattern[str]) -> str | None:
    """Return the file name of the original that a copy's name says; None for another name.

    >>> _original_name("a/x - Copy (2).jpg", NAMED_COPY), _original_name("a/Copy of x.jpg", NAMED_COPY)
    ('a/x.jpg', 'a/x.jpg')
    >>> _original_name("a/x (1).jpg", NUMBERED_COPY), _original_name("a/x.jpg", NUMBERED_COPY)
    ('a/x.jpg', None)
    """
    folder, slash, name = image_id.rpartition("/")
    stem, ending = os.path.splitext(name)
    original = pattern.sub("", stem)
    return f"{folder}{slash}{original}{ending}" if original not in ("", stem) else None


def _named_as_copies(ids: Sequence[str]) -> list[int]:
    text = "\n".join(ids).lower()
    if not any(mark in text for mark in IN_ALL):  # quick, as a million names are asked
        return []
    names = (os.path.splitext(image_id.rpartition("/")[2])[0] for image_id in ids)
    return [row for row, name in enumerate(names) if NAMED_COPY.search(name) or NUMBERED_COPY.search(name)]


def _that_look_alike(pairs: dict[int, int], look: PictureOf) -> dict[int, int]:
    """Leave out pairs that do not look alike; of very many pairs only some are looked at."""
    rows = list(pairs)
    looked_at = [rows[int(at)] for at in evenly(len(rows), COPIES_COMPARED)]
    alike = {row: pairs[row] for row in looked_at if likeness(look, row, pairs[row]) >= SAME}
    return pairs if len(rows) > COPIES_COMPARED and len(alike) >= SHARE_OF_COPIES * len(looked_at) else alike


def _first_copy(row: int, pairs: dict[int, int]) -> int:
    """Follow copies of copies to what they began with; each name is shorter than the one before."""
    while row in pairs:
        row = pairs[row]
    return row


# Frames of one clip, track or burst, known by file names and pictures: most resemble each other closely.
#
# The unit is the folder below the class (`CLASS/CLIP/0001.jpg`), else what stands before the last number of
# a name (`CLASS/00003_00017.ppm`). Names alone are no evidence: subspecies are called so, too.


SAMPLED_FRAMES = 2000  # names that tell whether it is worth looking at all
RUN = 50  # names in a row
LEAST_SHARE_OF_FRAMES = 0.5  # of images with a neighbour of the same unit
FEWEST_SEQUENCES = 5  # units with several images
PER_CLASS = 1.5  # units of a class in the mean, at least
NEAR = 0.8  # median correlation of two frames
NUMBERED_FRAME = re.compile(r"(?P<unit>.*[^ _.-])[ _.-]+[A-Za-z]{0,8}[ _.-]?\d+")
UnitOf = Callable[[str, str | None], str]


def _sequences(ids: Sequence[str], labels: Sequence[str | None], look: PictureOf) -> list[str] | None:
    """Name the clip or track of each image; None where files do not show that several are of one.

    Args:
        ids: paths below the root. labels: names of folders among them. look: reads the picture of a row.
    """
    for unit_of in (_folder_below, _before_number):
        if not _is_promising(ids, labels, unit_of):
            continue
        units = [unit_of(one, label) or one for one, label in zip(ids, labels, strict=True)]
        if _are_several(units, labels) and _are_near(units, labels, look):
            return units
    return None


def _folder_below(image_id: str, label: str | None) -> str:
    """Return the folder of an image below the folder of its class: perhaps a clip or a track.

    >>> _folder_below("yoyo/v_g01/1.jpg", "yoyo"), _folder_below("yoyo/1.jpg", "yoyo")
    ('yoyo/v_g01', '')
    """
    folder = image_id.rpartition("/")[0]
    at = f"/{folder}/".rfind(f"/{label}/") if label is not None else -1
    return folder if at >= 0 and len(folder) > at + len(str(label)) else ""


def _before_number(image_id: str, label: str | None) -> str:
    """Return what stands before the number of a frame in an image's name: perhaps a clip or a track.

    >>> _before_number("1/00003_00017.ppm", "1"), _before_number("cat/IMG.1.jpg", "cat")
    ('1/00003', 'cat/IMG')
    >>> _before_number("1.jpg", None)
    ''
    """
    folder, slash, name = image_id.rpartition("/")
    match = NUMBERED_FRAME.fullmatch(name.rpartition(".")[0] or name)
    return folder + slash + match["unit"] if match else ""


def _is_promising(ids: Sequence[str], labels: Sequence[str | None], unit_of: UnitOf) -> bool:
    """Whether a look at some names shows units, more than classes, and neighbours of one."""
    rows = [int(at) for at in evenly(len(ids), SAMPLED_FRAMES)]
    units = {unit for row in rows if (unit := unit_of(ids[row], labels[row]))}
    if len(units) < PER_CLASS * len({labels[row] for row in rows}):
        return False
    starts = [int(at) for at in evenly(len(ids), SAMPLED_FRAMES // RUN)]
    pairs: list[tuple[int, int]] = []
    for start in starts:
        end = min(start + RUN, len(ids) - 1)
        pairs += [(row, row + 1) for row in range(start, end)]
    shared = []
    for row, after in pairs:
        unit = unit_of(ids[row], labels[row])
        shared.append(bool(unit) and unit == unit_of(ids[after], labels[after]))
    return sum(shared) >= LEAST_SHARE_OF_FRAMES * max(len(shared), 1)


def _are_several(units: Sequence[str], labels: Sequence[str | None]) -> bool:
    """Whether at least `FEWEST` units have several images, and none holds half of its class."""
    sizes, of_class = Counter(units), Counter(labels)
    class_of_unit = dict(zip(units, labels, strict=True))
    several = [(sizes[unit], label) for unit, label in class_of_unit.items() if sizes[unit] > 2]
    large = any(2 * n > of_class[label] for n, label in several)
    return not large and sum(n > 1 for n in sizes.values()) >= FEWEST_SEQUENCES


def _are_near(units: Sequence[str], labels: Sequence[str | None], look: PictureOf) -> bool:
    """Whether two images of a unit resemble each other closely, and more than others of their class."""
    rng = np.random.default_rng(0)
    unit_codes, class_codes = (
        pd.factorize(pd.Series(list(column), dtype="str"))[0] for column in (units, labels)
    )
    several = np.flatnonzero(np.bincount(unit_codes)[unit_codes] > 1)
    outcomes = []
    for row in rng.permutation(several)[: 2 * PAIRS_COMPARED]:
        same = np.flatnonzero(unit_codes == unit_codes[row])
        others = np.flatnonzero((class_codes == class_codes[row]) & (unit_codes != unit_codes[row]))
        if not len(others) or len(outcomes) == PAIRS_COMPARED:
            continue
        frame, other = int(rng.choice(same[same != row])), int(rng.choice(others))
        alike = [likeness(look, int(row), one) for one in (frame, other)]
        if np.isfinite(alike).all():
            outcomes.append(alike)
    return _resemble_more(outcomes) and float(np.median([frame for frame, _ in outcomes])) >= NEAR


# Copies of one photograph, known by file names: corruptions below domain folders, augmented variants.
#
# A name alone is weak evidence (0001.jpg is in every folder). The rules, of which one has to hold:
#
# * *Below domains*: of images DOMAIN/…/CLASS/…/NAME at least half have a namesake of the same class below
#   another domain, or are named after one there (`x_3` after `x`), and namesakes look more alike than other
#   pictures of the class do, tested on pictures.
# * *Copies of files*: see `system_copies`.
# * *Frames*: see `frames`.
# * *Variants*: names such as `x_aug1`, `x_flip` or Roboflow's `x_jpg.rf.…` (`unit_names.toml`) share what
#   stands before the suffix with another image of their folder: 5 photographs or more, none half of its
# class.


PHOTOGRAPH, SEQUENCE = "photograph", "sequence"  # columns
SAMPLED = 2000  # names that tell whether it is worth looking at all
LEAST_SHARE = 0.5  # of images with a namesake
FEWEST = 5  # photographs with variants
SUFFIXES = 4  # of a name, such as x_flip_rot90
LAST_WORD = re.compile(r"(?<=[^/])[-_. (]+[^-_. (/]*$")
_WRITTEN = tomllib.loads(Path(__file__).with_name("unit_names.toml").read_text(encoding="utf-8"))
VARIANT = re.compile("|".join(f"(?:{pattern})" for pattern in _WRITTEN["variants"]), re.IGNORECASE)
_say = Templates.beside(__file__)


def with_photographs(listing: Listing, asked: str | None, look: PictureOf) -> Listing:
    """Add to a listing the photograph, or the clip, of each image, where files show copies or frames.

    It is the group then.

    Args:
        asked: the group that was asked for, if any. look: reads the picture of a row.
    """
    if listing.group is not None or listing.split_given or find_group(listing.extras, None)[0] is not None:
        return listing
    ids, labels = (TextsOf(as_texts(column_of(listing.table, name))) for name in ("image_id", "label"))
    for column, groups_of in ((PHOTOGRAPH, photographs), (SEQUENCE, _sequences)):
        is_there = listing.extras is not None and column in listing.extras
        if asked not in (None, column) or is_there:
            continue
        if (groups := groups_of(ids, labels, look)) is not None:
            return _grouped(listing, column, ids, groups)
    return listing


def _grouped(listing: Listing, column: str, ids: Sequence[str], groups: Sequence[str]) -> Listing:
    extras = listing.extras if listing.extras is not None else pd.DataFrame(index=listing.table.index)
    extras = extras.assign(**{column: pd.array(groups, dtype="str")})
    counts = Counter(groups)
    several = [name for name, n in counts.items() if n > 1]
    shown = min(several, key=lambda name: (-counts[name], name))
    kind = "copies" if column == PHOTOGRAPH else "frames"
    note = _say(kind, n=len(groups), of=len(counts), what=shown, why=first_of(_of(shown, groups, ids), 3))
    return replace(listing, extras=extras, group=column, notes=[*listing.notes, note])


def _of(group: str, groups: Sequence[str], ids: Sequence[str]) -> list[str]:
    return [image_id for image_id, one in zip(ids, groups, strict=True) if one == group]


def photographs(ids: Sequence[str], labels: Sequence[str | None], look: PictureOf) -> list[str] | None:
    """Name the photograph that each image is of; None where names do not show that several are of one.

    Args:
        ids: paths below the root. labels: names of folders among them.
    """
    bases = _bases(ids, labels)
    return _below_domains(ids, labels, look) or _with_originals(ids, bases, look)


def _with_originals(ids: Sequence[str], bases: list[str] | None, look: PictureOf) -> list[str] | None:
    """Name a copy of a file as its original, beside variants if there are any."""
    original_of = _originals(ids, look)
    if not original_of:
        return bases
    names = bases if bases is not None else [_stem(image_id) for image_id in ids]
    return [names[original_of.get(row, row)] for row in range(len(ids))]


def _stem(image_id: str) -> str:
    folder, slash, name = image_id.rpartition("/")
    return folder + slash + (name.rpartition(".")[0] or name)


def base_name(stem: str) -> str:
    """Return the name of an image without suffixes that say how a copy of it was augmented.

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


def _have_variants(ids: Sequence[str]) -> bool:
    sampled = [_stem(ids[int(at)]) for at in evenly(len(ids), SAMPLED)]
    return any(base_name(stem) != stem for stem in sampled)


def _without_variants(ids: Sequence[str]) -> list[str]:
    stems = [_stem(image_id) for image_id in ids]
    return [base_name(stem) for stem in stems] if _have_variants(ids) else stems


def _bases(ids: Sequence[str], labels: Sequence[str | None]) -> list[str] | None:
    """The name of each image without the suffixes of variants; None where they are no variants."""
    if not _have_variants(ids):
        return None
    bases = _without_variants(ids)
    sizes, of_class = Counter(bases), Counter(labels)
    shared = {base for base, n in sizes.items() if n > 1}
    class_of_base = [(base, label) for base, label in zip(bases, labels, strict=True) if base in shared]
    too_large = any(_is_large(sizes[base], of_class[label]) for base, label in class_of_base)
    return None if len(shared) < FEWEST or too_large else bases


def _is_large(n: int, n_of_class: int) -> bool:
    """Return whether more than half of a class are variants of one image."""
    return 2 * n > n_of_class and n > 2


def _below_domains(ids: Sequence[str], labels: Sequence[str | None], look: PictureOf) -> list[str] | None:
    """The name of each image from its class folder on, where the folders above it hold copies."""
    for at in map(int, evenly(len(ids), SAMPLED)):
        if not _apart(ids[at], labels[at])[0]:
            return None
    parts = [_apart(name, label) for name, label in zip(_without_variants(ids), labels, strict=True)]
    if not all(domain for domain, _ in parts):
        return None
    frame = pd.DataFrame(_named_after(parts), columns=["domain", "name"])
    n_domains = frame.groupby("name")["domain"].transform("nunique").to_numpy()
    if (n_domains > 1).mean() < LEAST_SHARE or not _look_alike(frame, n_domains > 1, labels, look):
        return None
    return frame["name"].tolist()


def _named_after(parts: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Call images that are named after one below another domain as that one: `Augmented/x_3`, `Original/x`.

    Args:
        parts: of each image, its domain and its name.
    """
    domains: dict[str, set[str]] = defaultdict(set)  # of each name
    for domain, name in parts:
        domains[name].add(domain)
    return [(domain, _original(domain, name, domains)) for domain, name in parts]


def _original(domain: str, name: str, domains: Mapping[str, set[str]]) -> str:
    if len(domains[name]) > 1:
        return name
    shorter = name
    for _ in range(SUFFIXES):
        match = LAST_WORD.search(shorter)
        if match is None:
            break
        shorter = shorter[: match.start()]
        if domains.get(shorter, frozenset()) - {domain}:
            return shorter
    return name


def _apart(name: str, label: str | None) -> tuple[str, str]:
    """The folders above the class, and the rest from the class on; no folders where it is not among them.

    Of an image without a label: its folder, and its own name.
    """
    if label is None:
        above, _, own_name = name.rpartition("/")
        return above, own_name
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
    for row in rng.permutation(firsts)[: 2 * PAIRS_COMPARED]:
        copies = np.flatnonzero((names == names[row]) & (domains != domains[row]))
        copy = int(rng.choice(copies))
        others = np.flatnonzero((domains == domains[copy]) & (names != names[row]))
        of_class = others[classes[others] == classes[row]]
        if not len(others) or len(outcomes) == PAIRS_COMPARED:
            continue
        other = int(rng.choice(of_class if len(of_class) else others))
        alike = [likeness(look, int(row), one) for one in (copy, other)]
        if np.isfinite(alike).all():
            outcomes.append(alike)
    return _resemble_more(outcomes)
