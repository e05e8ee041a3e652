"""Which label is meant: names of any origin matched to the labels of images. No torch.

Outputs of a classifier, categories of an annotation file, predictions of a table, lines of a list of classes
and the folders of another split all name classes; one function says which label each means. An id is the
identity of a class, words are how it is shown; two classes are never taken for one.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from core.common.labels.spelling import SPELLINGS, Spelling, plain, wordnet_id, words_of
from core.common.labels.synsets import match_synsets
from core.common.records import Record, Templates
from core.errors import closest

ALIKE = 0.8  # difflib's ratio: a truck is meant by trucks, no crate by cat
SHOWN = 3
BY_SYNSET = "by WordNet name"
say_of_labels = Templates.beside(__file__)


@dataclass(frozen=True)
class Match:
    """Which label each of several things means, such as the outputs of a classifier.

    Attributes:
        code: (n_things,) place in the labels; -1 for a thing that means none of them.
        names: (n_things,) what each is called; one without a label as no label and no other thing.
        how: by what they were matched, in words. unmatched: labels that nothing means.
        shared: names that several labels or things have, hence matched to none, and those labels.
        called: all that each may be called, as for `match_labels`.
    """

    code: np.ndarray
    names: list[str]
    how: str
    unmatched: tuple[str, ...]
    shared: Mapping[str, Sequence[str]] = field(default_factory=dict)
    called: Sequence[Sequence[str]] = ()

    @property
    def n_matched(self) -> int:
        return len(np.unique(self.code[self.code >= 0]))

    @property
    def one_to_one(self) -> bool:
        """Whether no label is meant by two things."""
        return self.n_matched == np.count_nonzero(self.code >= 0)

    @property
    def left(self) -> list[str]:
        """The names of the things that mean no label."""
        return [name for name, code in zip(self.names, self.code, strict=True) if code < 0]

    def notes(self, remedy: str = "") -> list[Record]:
        """What a user has to know of the match, one line each; `remedy`: what to do about labels without
        an output.
        """
        n = self.n_matched
        of, outputs = n + len(self.unmatched), len(self.code)
        lines = [say_of_labels("matched", n=n, of=of, value=outputs, why=self.how)]
        if self.unmatched:
            nearest = [self._with_nearest(one) for one in self.unmatched[:SHOWN]]
            what = few(nearest, len(self.unmatched))
            lines.append(say_of_labels("unmatched", what=what, names=self.unmatched, why=remedy))
        return lines + self.shared_note()

    def _with_nearest(self, label: str) -> str:
        """A label and the name of an output without one that is most like it, if any is."""
        if not words_of(label) or label.isdecimal():
            return label
        free = [names for names, code in zip(self.called, self.code, strict=False) if code < 0]
        parts = {plain(part): part for names in free for one in names for part in one.split(",")}
        names = (plain(label), plain(re.sub(r"\(.*?\)", " ", label)))
        near = next(filter(None, (closest(name, parts, least=ALIKE) for name in names if name)), None)
        return f"{label} (output {parts[near].strip()}?)" if near else label

    def shared_note(self) -> list[Record]:
        """Name the names that several classes have, if there are any."""
        shared = [(name.strip(), label) for name, labels in sorted(self.shared.items()) for label in labels]
        both = [label if plain(label) == plain(name) else f"{name} ({label})" for name, label in shared]
        names = tuple(dict.fromkeys(both))
        return [say_of_labels("shared", what=few(names), names=names)] if names else []

    def left_note(self, things: str) -> list[Record]:
        """Count and name the things that mean no label, but those of `shared_note`, if there are any.

        Args:
            things: what they are called.
        """
        unclear = set(map(plain, self.shared))
        left = tuple(name for name in self.left if plain(name) not in unclear)
        if not left:
            return []
        return [
            say_of_labels("no_label", n=len(left), of=len(self.code), why=things, what=few(left), names=left)
        ]


def match_labels(called: Sequence[Sequence[str]], labels: Sequence[str], *, several: bool = False) -> Match:
    """Say which label each of several things means, by what the things are called.

    Names are compared form by form, the most exact first (`SPELLINGS`): WordNet id, the text as it stands,
    its Unicode form, number ("01" is "1"), words without regard to case, space, underscore and hyphen,
    synonyms, words without a number before them, joined words; at last by the names of WordNet ids. In each
    form, a key that several things or several labels have matches none, and a thing never means a label of
    another WordNet id.

    Args:
        called: what each thing may be called: a WordNet id, names, a number; nothing where that is not known.
        labels: the labels, all different.
        several: whether several things may mean one label.
    Returns:
        The match; its `n_matched` is 0 where nothing means a label.

    >>> match = match_labels([["Hot Dog"], ["n01440764", "tench"], ["02"]], ["2", "hot_dog", "Tench"])
    >>> match.code.tolist(), match.how
    ([1, 2, 0], 'by name and by number')
    """
    matching = _Matching(called, labels, several)
    for form in SPELLINGS:
        if matching.is_whole():
            break
        matching.add(form)
    if not matching.is_whole():
        matching.add_synsets()
    how = [way for way, _ in matching.ways.most_common()]
    return match_as_stated(called, matching.code, labels, " and ".join(how), matching.unclear())


def match_as_stated(
    called: Sequence[Sequence[str]],
    code: np.ndarray,
    labels: Sequence[str],
    how: str,
    shared: Mapping[str, Sequence[str]] | None = None,
) -> Match:
    """The match of things whose labels are known, with the number of a thing behind a name that is not its
    own.

    Args:
        code: (n_things,) place in `labels`, -1 for none. called, labels: as for `match_labels`.
    """
    names = [next(iter(names), "") or f"output {place}" for place, names in enumerate(called)]
    others = np.flatnonzero(code < 0).tolist()
    uses = Counter([*labels, *(names[output] for output in others)])
    for output in others:
        while uses[names[output]] > 1:
            names[output] += f" (output {output})"
            uses[names[output]] += 1
    matched = set(code[code >= 0].tolist())
    missing = tuple(label for place, label in enumerate(labels) if place not in matched)
    return Match(code, names, how, missing, shared or {}, called)


class _Matching:
    """A match while it is made: which label each thing means so far, and the keys that were not unique."""

    def __init__(self, called: Sequence[Sequence[str]], labels: Sequence[str], several: bool):
        self.called, self.labels, self.several = called, labels, several
        self.code = np.full(len(called), -1)
        self.taken = np.zeros(len(labels), bool)
        self.ways: Counter[str] = Counter()
        self.shared: dict[str, set[int]] = defaultdict(set)
        self.ids = [{one for name in names if (one := wordnet_id(name))} for names in called]
        self.label_ids = [wordnet_id(label) for label in labels]

    def add(self, form: Spelling) -> None:
        """Match what is left by one form of the names."""
        things = _owners([key for name in names for key in form.keys(name)] for names in self.called)
        labels = _owners(form.keys(label) for label in self.labels)
        meant: dict[int, set[int]] = defaultdict(set)
        for key in things.keys() & labels.keys():
            alone = len(labels[key]) == 1 and (self.several or len(things[key]) == 1)
            pairs = [(thing, label) for thing in things[key] for label in labels[key]]
            if alone:
                for thing, label in pairs:
                    meant[thing].add(label)
            elif any(self.may_be(thing, label) for thing, label in pairs):
                self.shared[key] |= labels[key]
        self.take(meant, form.how)

    def is_whole(self) -> bool:
        """Whether nothing is left to match: each thing means a label, or no label is left."""
        return bool((self.code >= 0).all() or (self.taken.all() and not self.several))

    def may_be(self, thing: int, label: int) -> bool:
        """Whether a thing and a label are both left, and are not of different WordNet ids."""
        left = self.code[thing] < 0 and (self.several or not self.taken[label])
        ids, label_id = self.ids[thing], self.label_ids[label]
        return bool(left) and (not ids or label_id is None or label_id in ids)

    def take(self, meant: Mapping[int, set[int]], how: str) -> None:
        """Match the things that mean one label, where no other thing means it (unless several may)."""
        clear = {}
        for thing, several in meant.items():
            possible = [label for label in several if self.may_be(thing, label)]
            if len(possible) == 1:
                clear[thing] = possible[0]
        uses = Counter(clear.values())
        for thing, label in clear.items():
            if self.several or uses[label] == 1:
                self.code[thing], self.taken[label] = label, True
                self.ways[how] += 1

    def add_synsets(self) -> None:
        """Match what is left by the names that WordNet has for ids: words to ids, and ids to words."""
        words = [[] if ids else list(names) for names, ids in zip(self.called, self.ids, strict=True)]
        places, shared = match_synsets(words, _once(self.label_ids))
        self.take({thing: {label} for thing, label in enumerate(places) if label >= 0}, BY_SYNSET)
        places_of = {label: place for place, label in enumerate(self.labels)}
        by_id = {one: place for place, one in enumerate(self.label_ids) if one}
        for name, ids in shared.items():
            self.shared[name] |= {by_id[one] for one in ids}
        alone = _once([next(iter(ids)) if len(ids) == 1 else None for ids in self.ids])
        of_labels = [[] if one else [label] for one, label in zip(self.label_ids, self.labels, strict=True)]
        things, shared = match_synsets(of_labels, alone)
        meant: dict[int, set[int]] = defaultdict(set)
        for label, thing in enumerate(things):
            if thing >= 0:
                meant[thing].add(label)
        self.take(meant, BY_SYNSET)
        for label in shared.keys() & places_of.keys():
            self.shared[label].add(places_of[label])

    def unclear(self) -> dict[str, list[str]]:
        """The names that several things or labels have, with those of their labels that nothing means."""
        left = {}
        for key, places in self.shared.items():
            left[key] = sorted(place for place in places if not self.taken[place])
        named: dict[tuple[int, ...], str] = {}  # one name for the same labels, the most exact one
        for key, places in left.items():
            named.setdefault(tuple(places), key)
        return {key: [self.labels[one] for one in places] for places, key in named.items() if places}


def _owners(keys: Iterable[Iterable[str]]) -> dict[str, set[int]]:
    """The places that have each key."""
    owners: dict[str, set[int]] = defaultdict(set)
    for place, mine in enumerate(keys):
        for key in mine:
            owners[key].add(place)
    return owners


def _once(ids: Sequence[str | None]) -> list[str]:
    """WordNet ids, with "" for none and for one that stands twice."""
    uses = Counter(ids)
    return [one if one and uses[one] == 1 else "" for one in ids]


def few(names: Sequence[str], n: int | None = None) -> str:
    """The first names of `n`, or of all."""
    return ", ".join(names[:SHOWN]) + " …" * ((len(names) if n is None else n) > SHOWN)
