"""WordNet ids of classes and their names, as timm's table of ImageNet's synsets has them.

timm itself is not imported, so this needs no torch.
"""

import re
from collections import Counter
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

WORDNET = re.compile(r"n\d{8}")


def _lines_of_timm(name: str) -> list[str]:
    """The lines of a file of timm about ImageNet, which is not imported; none without it."""
    timm = find_spec("timm")
    path = Path(*list(timm.submodule_search_locations or ())[:1] if timm else (), "data", "_info", name)
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


@lru_cache(maxsize=1)
def wordnet_lemmas() -> dict[str, str]:
    """The names, with commas between them, of classes by their WordNet ids: ImageNet's 21,844 synsets."""
    lines = _lines_of_timm("imagenet_synset_to_lemma.txt")
    return {synset: names.strip() for synset, _, names in (line.partition("\t") for line in lines)}


@lru_cache(maxsize=1)
def imagenet_synsets() -> tuple[str, ...]:
    """The WordNet ids that name ImageNet's 1,000 classes, in their order."""
    return tuple(_lines_of_timm("imagenet_synsets.txt"))


@lru_cache(maxsize=1)
def wordnet_names() -> dict[str, str]:
    """The first name of each synset of ImageNet, by its id; empty without the table. No two are equal.

    Among the 1,000 classes the first name alone tells one, as long as no two of them share it. Where others
    share the first name, it is all of them; where others share all, the id stands behind.

    >>> [wordnet_names()[synset] for synset in ("n02099601", "n01514859", "n03126707")]
    ['golden retriever', 'hen', 'crane (n03126707)']
    """
    lemmas = wordnet_lemmas()
    firsts = {synset: names.partition(",")[0] for synset, names in lemmas.items()}
    of_classes = Counter(firsts[synset] for synset in imagenet_synsets())
    usual = {synset: firsts[synset] for synset in imagenet_synsets() if of_classes[firsts[synset]] == 1}
    taken, same_first, same = set(usual.values()), Counter(firsts.values()), Counter(lemmas.values())

    def name(synset: str, first: str) -> str:
        if same_first[first] == 1:
            return first
        alike = same[lemmas[synset]] > 1 or lemmas[synset] in taken
        return f"{first} ({synset})" if alike else lemmas[synset]

    return {synset: name(synset, first) for synset, first in firsts.items()} | usual
