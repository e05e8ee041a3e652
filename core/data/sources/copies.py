"""Copies of one photograph, known by file names: corruptions below domain folders, augmented variants.

A name alone is weak evidence (0001.jpg is in every folder). The rules, of which one has to hold:

* *Below domains*: of images DOMAIN/…/CLASS/…/NAME at least half have a namesake of the same class below
  another domain, or are named after one there (`x_3` after `x`), and namesakes look more alike than other
  pictures of the class do, tested on pictures.
* *Copies of files*: see `system_copies`.
* *Frames*: see `frames`.
* *Variants*: names such as `x_aug1`, `x_flip` or Roboflow's `x_jpg.rf.…` (`unit_names.toml`) share what
  stands before the suffix with another image of their folder: 5 photographs or more, none half of its class.
"""

import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from core.common.arrow_texts import TextsOf, as_texts, column_of
from core.common.dataframes import evenly
from core.common.records import Templates
from core.data.sources.frames import sequences
from core.data.sources.groups import find_group
from core.data.sources.likeness import LOOKED_AT, PictureOf, likeness, resemble_more
from core.data.sources.source import Listing, some
from core.data.sources.system_copies import originals

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
    """Add a column of the photograph, or the clip, of each image, where files show copies or frames.

    It is the group then.

    Args:
        asked: the group that was asked for, if any. look: reads the picture of a row.
    """
    if listing.group is not None or listing.split_given or find_group(listing.extras, None)[0] is not None:
        return listing
    ids, labels = (TextsOf(as_texts(column_of(listing.table, name))) for name in ("image_id", "label"))
    for column, groups_of in ((PHOTOGRAPH, photographs), (SEQUENCE, sequences)):
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
    note = _say(kind, n=len(groups), of=len(counts), what=shown, why=some(_of(shown, groups, ids), 3))
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
    original_of = originals(ids, look)
    if not original_of:
        return bases
    names = bases if bases is not None else [_stem(image_id) for image_id in ids]
    return [names[original_of.get(row, row)] for row in range(len(ids))]


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
    for row in rng.permutation(firsts)[: 2 * LOOKED_AT]:
        copies = np.flatnonzero((names == names[row]) & (domains != domains[row]))
        copy = int(rng.choice(copies))
        others = np.flatnonzero((domains == domains[copy]) & (names != names[row]))
        of_class = others[classes[others] == classes[row]]
        if not len(others) or len(outcomes) == LOOKED_AT:
            continue
        other = int(rng.choice(of_class if len(of_class) else others))
        alike = [likeness(look, int(row), one) for one in (copy, other)]
        if np.isfinite(alike).all():
            outcomes.append(alike)
    return resemble_more(outcomes)
