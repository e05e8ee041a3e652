"""Names of classes that mean the same: in any spelling, or of WordNet. No torch."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from core.common.records import Record, Templates
from core.common.wordnet import WORDNET, imagenet_synsets, wordnet_lemmas
from core.errors import closest

# The forms of a name in which two spellings of one class are equal, the most exact form first. No torch.
#
# A name may be a number ("01"), a WordNet id, words, or an id or a number before its words
# ("n02085620-Chihuahua", "001.Black_footed_Albatross"). Words may be synonyms with commas between them.


BY_ID = "by WordNet id"
BY_NAME = "by name"
BY_NUMBER = "by number"
ID_BEFORE = re.compile(r"\s*(n\d{8})(?=[\s\-_.,:;]|$)[\s\-_.,:;]*(.*)", re.IGNORECASE | re.DOTALL)
ID_BEHIND = re.compile(r"(.+?)\s*\((n\d{8})\)\s*", re.IGNORECASE | re.DOTALL)
WHOLE = re.compile(r"([+-]?\d{1,18})(?:\.0+)?")
SEPARATORS = re.compile(r"[_\-\s/\\‐-―]+")
NUMBER_BEFORE = re.compile(r"\d+\s*[.):_\-\s]\s*(?=[^\W\d])")
# A space between digits and a point before one tell numbers apart: "1 12" is not "11 2".
BETWEEN_WORDS = re.compile(r"['’`´]|\.(?!\d)|(?<!\d)\s|\s(?!\d)")


def wordnet_id(name: str) -> str | None:
    """Return the WordNet id that a name is, begins with, or has in brackets behind it.

    >>> wordnet_id("n02085620-Chihuahua"), wordnet_id("crane (n03126707)"), wordnet_id("tench")
    ('n02085620', 'n03126707', None)
    """
    return _parted(name)[0]


def words_of(name: str) -> str:
    """Return a class name without its WordNet id; "" for an id alone.

    >>> words_of("n02085620-Chihuahua"), words_of("n01440764 tench, Tinca tinca"), words_of("n01440764")
    ('Chihuahua', 'tench, Tinca tinca', '')
    """
    return _parted(name)[1]


@lru_cache(maxsize=1 << 16)
def _parted(name: str) -> tuple[str | None, str]:
    if before := ID_BEFORE.fullmatch(name):
        return before[1].lower(), before[2].strip()
    if behind := ID_BEHIND.fullmatch(name):
        return behind[2].lower(), behind[1].strip()
    return None, name.strip()


def integer_of(name: str) -> int | None:
    """Return the whole number that the name of a class is.

    >>> integer_of("01"), integer_of("1.0"), integer_of("1.5"), integer_of("one")
    (1, 1, None, None)
    """
    number = WHOLE.fullmatch(unicodedata.normalize("NFKC", name).strip())
    return int(number[1]) if number else None


@lru_cache(maxsize=1 << 16)
def plain(name: str) -> str:
    """Return a class name without regard to case, Unicode form, underscores, hyphens and slashes.

    >>> plain("Golden_retriever"), plain("black-and-tan  coonhound"), plain("-1")
    ('golden retriever', 'black and tan coonhound', '-1')
    """
    text = unicodedata.normalize("NFKC", name).casefold().strip()
    return text if WHOLE.fullmatch(text) else " ".join(SEPARATORS.sub(" ", text).split())


def without_number(name: str) -> str:
    """Return a class name without a number that stands before its words.

    >>> without_number("001.Black_footed_Albatross"), without_number("3d printer"), without_number("12")
    ('Black_footed_Albatross', '3d printer', '12')
    """
    text = name.strip()
    return NUMBER_BEFORE.sub("", text, count=1) if NUMBER_BEFORE.match(text) else text


def _as_one_word(name: str) -> str:
    """Return a plain class name whose words are written as one: "air plane" is "airplane".

    >>> [_as_one_word(name) for name in ("Air-plane", "jack-o'-lantern", "St. Bernard", "10-19")]
    ['airplane', 'jackolantern', 'stbernard', '10 19']
    """
    return BETWEEN_WORDS.sub("", plain(name))


def synonyms(name: str) -> list[str]:
    """Return the words of a class name, one for each synonym.

    >>> synonyms("n01440764 tench, Tinca tinca")
    ['tench', 'Tinca tinca']
    """
    return [part for one in words_of(name).split(",") if (part := one.strip())]


class Spelling(NamedTuple):
    """A form in which names are compared: what it is called, and the keys that a name has in it."""

    how: str
    keys: Callable[[str], list[str]]


def _ids(name: str) -> list[str]:
    return list(filter(None, [wordnet_id(name)]))


def _numbers(name: str) -> list[str]:
    number = integer_of(name)
    return [] if number is None else [str(number)]


def _plain_words(name: str) -> list[str]:
    return list(filter(None, [plain(words_of(name))]))


def _first_synonym(name: str) -> list[str]:
    return [plain(synonym) for synonym in synonyms(name)[:1]]


def _synonyms(name: str) -> list[str]:
    return [plain(one) for one in (words_of(name), *synonyms(name)) if one]


def _without_number(name: str) -> list[str]:
    return [plain(without_number(one)) for one in (words_of(name), *synonyms(name)) if one]


def _joined(name: str) -> list[str]:
    return [_as_one_word(one) for one in _without_number(name)]


def _stripped(name: str) -> list[str]:
    return [name.strip()]


def _composed(name: str) -> list[str]:
    return [unicodedata.normalize("NFC", name.strip())]


_BY_WORDS = (_plain_words, _first_synonym, _synonyms, _without_number, _joined)
_KEYS = ((BY_ID, (_ids,)), (BY_NAME, (_stripped, _composed)), (BY_NUMBER, (_numbers,)), (BY_NAME, _BY_WORDS))
SPELLINGS = tuple(Spelling(how, keys) for how, all_keys in _KEYS for keys in all_keys)


# Which WordNet id the name of a class means, by the names that timm's table of synsets has. No torch.


# How exactly a name is that of an id, the most exact first: in this spelling, all names, the first or any.
SYNSET_SPELLINGS: tuple[Callable[[str], str], ...] = (str.strip, plain)


def _whole(names: str) -> list[str]:
    return [names]


def _first(names: str) -> list[str]:
    return names.split(",")[:1]


def _each(names: str) -> list[str]:
    return names.split(",")


SYNSET_PARTS: tuple[Callable[[str], list[str]], ...] = (_whole, _first, _each)
SYNSET_LEVELS = [(spelling, parts) for spelling in SYNSET_SPELLINGS for parts in SYNSET_PARTS]


def _match_synsets(
    outputs: Sequence[Iterable[str]], labels: Sequence[str]
) -> tuple[list[int], dict[str, list[str]]]:
    """The place in `labels` of the id that an output's names mean, and the names that mean several.

    The names are told apart among the 1,000 classes of ImageNet where the labels are of them and there are no
    more outputs, else among all of the table. Of two outputs that mean one label, the more exact name counts.

    Returns:
        (n_outputs,) places, -1 for none; the labels that each name of several labels or outputs may mean.

    >>> _match_synsets([["tench"], ["crane"], ["x"]], ["n01440764", "n02012849"])
    ([0, -1, -1], {'crane': ['n02012849']})
    """
    ids = [label for label in labels if WORDNET.fullmatch(label)]
    small = len(outputs) <= len(imagenet_synsets()) and set(ids) <= set(imagenet_synsets())
    tables = _tables(imagenet_synsets() if small else tuple(wordnet_lemmas())) if ids else []
    places = {label: label_number for label_number, label in enumerate(labels)}
    shared = dict[str, list[str]]()
    owners: dict[str, dict[int, list[int]]] = {}  # of an id: the outputs that mean it, by level
    for output, names in enumerate(outputs):
        for name in names:
            level, meant = _meant(name, tables)
            if len(meant) == 1:
                owners.setdefault(next(iter(meant)), {}).setdefault(level, []).append(output)
            elif held := sorted(meant & places.keys()):
                shared[name] = held
    code = [-1] * len(outputs)
    for one in owners.keys() & places.keys():
        best = set(owners[one][min(owners[one])])
        if len(best) == 1:
            code[best.pop()] = places[one]
        else:
            shared |= {name: [one] for name in outputs[min(best)]}
    return code, shared


def _meant(name: str, tables: Sequence[dict[str, set[str]]]) -> tuple[int, set[str]]:
    """The ids that a name means by the most exact table that has it, and the number of that table."""
    for level, ((spelling, parts), table) in enumerate(zip(SYNSET_LEVELS, tables, strict=False)):
        ids = [table[key] for part in parts(name) if (key := spelling(part)) in table]
        if ids:
            return level, set().union(*ids)
    return len(SYNSET_LEVELS), set()


@lru_cache(maxsize=2)
def _tables(pool: tuple[str, ...]) -> list[dict[str, set[str]]]:
    """For each level, the ids of `pool` that have a name."""
    lemmas, tables = wordnet_lemmas(), []
    for spelling, parts in SYNSET_LEVELS:
        table: dict[str, set[str]] = {}
        for one in pool:
            for part in parts(lemmas.get(one, one)):
                table.setdefault(spelling(part), set()).add(one)
        tables.append(table)
    return tables


# Which label is meant: names of any origin matched to the labels of images. No torch.
#
# Outputs of a classifier, categories of an annotation file, predictions of a table, lines of a list of
# classes and the folders of another split all name classes; one function says which label each means. An id
# is the identity of a class, words are how it is shown; two classes are never taken for one.


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
    """Match names of classes to other names of classes, the labels, whatever their spelling.

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
    """Describe which names of classes mean the same where that is known, in whatever spelling they are.

    A name that is not the only one of its spelling gets its number behind it.

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
        places, shared = _match_synsets(words, _once(self.label_ids))
        self.take({thing: {label} for thing, label in enumerate(places) if label >= 0}, BY_SYNSET)
        places_of = {label: label_number for label_number, label in enumerate(self.labels)}
        by_id = {label_id: label_number for label_number, label_id in enumerate(self.label_ids) if label_id}
        for name, ids in shared.items():
            self.shared[name] |= {by_id[one] for one in ids}
        alone = _once([next(iter(ids)) if len(ids) == 1 else None for ids in self.ids])
        of_labels = [
            [] if label_id else [label] for label_id, label in zip(self.label_ids, self.labels, strict=True)
        ]
        things, shared = _match_synsets(of_labels, alone)
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
    for output, mine in enumerate(keys):
        for key in mine:
            owners[key].add(output)
    return owners


def _once(ids: Sequence[str | None]) -> list[str]:
    """WordNet ids, with "" for none and for one that stands twice."""
    uses = Counter(ids)
    return [one if one and uses[one] == 1 else "" for one in ids]


def few(names: Sequence[str], n: int | None = None) -> str:
    """List the first of some class names in a text, with an ellipsis where there are more."""
    return ", ".join(names[:SHOWN]) + " …" * ((len(names) if n is None else n) > SHOWN)
