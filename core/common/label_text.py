"""Names of classes as texts: as a model of texts reads them, and all of them different. No torch."""

import re
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache

from core.common.label_match import few, plain, synonyms, without_number, wordnet_id, words_of
from core.common.records import Record, Templates
from core.common.wordnet import wordnet_lemmas

# The text of a class, as a model of texts reads it. No torch.


NUMBER_BEHIND = re.compile(r"\s*\(\d+\)$")


def class_text(name: str, of_ids: Mapping[str, str] | None = None, *, whole: bool = False) -> str:
    """Return the words of a class without ids, numbers, underscores and slashes.

    Of the synonyms of a WordNet id the first one is the text; other commas belong to a name.

    Args:
        of_ids: the texts of WordNet ids, which count where a name has one.
        whole: all synonyms.

    >>> names = ("001.Black_footed_Albatross", "n02085620-Chihuahua", "tench, Tinca tinca", "crops, annual")
    >>> [class_text(name) for name in names]
    ['Black footed Albatross', 'Chihuahua', 'tench', 'crops, annual']
    >>> class_text("church/indoor"), class_text("crane (4)"), class_text("12")
    ('church indoor', 'crane', '12')
    """
    synset = wordnet_id(name)
    if synset and of_ids and synset in of_ids:
        return of_ids[synset]
    words = words_of(name) or name
    if not whole and "," in words and plain(words) in _lemmas():
        words = synonyms(words)[0]
    words = without_number(NUMBER_BEHIND.sub("", words))
    return " ".join(re.sub(r"[_/\\\s]+", " ", words).split())


@lru_cache(maxsize=1)
def _lemmas() -> frozenset[str]:
    """All synonyms of each WordNet id, as plain text."""
    return frozenset(map(plain, wordnet_lemmas().values()))


def class_texts_of(names: Sequence[str], of_ids: Mapping[str, str] | None = None) -> list[str]:
    """Spell each class name as plain text, with all its synonyms where two classes share the first.

    >>> class_texts_of(["maillot", "maillot, tank suit", "tench, Tinca tinca"])
    ['maillot', 'maillot, tank suit', 'tench']
    """
    texts = [class_text(name, of_ids) for name in names]
    uses = Counter(texts)
    return [
        class_text(name, of_ids, whole=True) if uses[text] > 1 else text
        for name, text in zip(names, texts, strict=True)
    ]


def same_texts(labels: Sequence[str], texts: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Return each name, in whatever spelling, that several classes share, with these classes."""
    classes: dict[str, list[str]] = {}
    for label, text in zip(labels, texts, strict=True):
        classes.setdefault(plain(text), []).append(label)
    return [(text, several) for text, several in classes.items() if len(several) > 1]


# Names of classes that are all different: two classes of one name stay two.


say_of_names = Templates.beside(__file__)


def distinct_names(
    ids: Sequence[Hashable], names: Sequence[str | None]
) -> tuple[list[str | None], list[Record]]:
    """Spell names of classes so that all differ, repeated ones by their ids; and what is said of it.

    Where no two classes have one name, the names are the labels. Else the labels of a list whose classes all
    have WordNet ids are these, whose words are shown; in another list the id stands behind a repeated name.

    Args:
        ids: the id or the number of each class, all different. names: what each is called, None for nothing.

    >>> distinct_names(["n02012849", "n03126707"], ["crane", "crane"])[0]
    ['n02012849', 'n03126707']
    >>> distinct_names([4, 9, 5], ["crane", "crane", "cat"])[0]
    ['crane (4)', 'crane (9)', 'cat']
    """
    uses = Counter(name for name in names if name is not None)
    repeated = tuple(sorted(name for name, n in uses.items() if n > 1))
    if not repeated:
        return list(names), []
    of_wordnet = [wordnet_id(str(one)) for one in ids]
    if all(of_wordnet):
        return [*of_wordnet], [say_of_names("by_id", n=len(repeated), what=few(repeated), names=repeated)]
    labels = []
    for image, name in zip(ids, names, strict=True):
        is_repeated = name is not None and uses[name] > 1
        labels.append(f"{name} ({image})" if is_repeated else name)
    return labels, [say_of_names("id_behind", n=len(repeated), what=few(repeated), names=repeated)]
