"""What WordNet ids mean, by the table that comes with timm. No torch: timm itself is not imported."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

WORDNET = re.compile(r"n\d{8}")
TABLE = ("data", "_info", "imagenet_synset_to_lemma.txt")  # of the 21,844 synsets of ImageNet


@lru_cache(maxsize=1)
def wordnet_names() -> dict[str, str]:
    """The first name of each synset of ImageNet, by its id; empty without the table.

    >>> wordnet_names()["n02099601"]
    'golden retriever'
    """
    timm = find_spec("timm")
    folders = list(timm.submodule_search_locations or ()) if timm else []
    path = Path(*folders[:1], *TABLE)
    if not path.is_file():
        return {}
    lines = (line.partition("\t") for line in path.read_text(encoding="utf-8").splitlines())
    return {synset: lemmas.partition(",")[0].strip() for synset, _, lemmas in lines}
