"""The text of a class, as a model of texts reads it. No torch."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache

from core.common.labels.spelling import plain, synonyms, without_number, wordnet_id, words_of
from core.common.labels.wordnet import wordnet_lemmas

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
    """Return the text of each class, with all synonyms where two classes share the first.

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
    """Return each text that several classes have, with these classes."""
    classes: dict[str, list[str]] = {}
    for label, text in zip(labels, texts, strict=True):
        classes.setdefault(plain(text), []).append(label)
    return [(text, several) for text, several in classes.items() if len(several) > 1]
