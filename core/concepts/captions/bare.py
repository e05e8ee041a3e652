"""Concepts without what a list adds to each: numbers, bullets, quotes, ids, counts, remarks. No torch."""

import re

import pandas as pd

from core.concepts.captions.line_form import NEARLY_ALL

REMARK = re.compile(r"#")
ADDED = (  # in front of each concept, or behind it
    re.compile(r"^\s*[-*•–—+]\s+"),
    re.compile(r"^\s*\(?\d+[.):]?\s+"),
    re.compile(r"^n\d{8}[\s:,-]+"),
    re.compile(r"\s+#.*$"),
    re.compile(r"\.[nvars]\.\d\d$"),
    re.compile(r"\s*[:=]\s*[\d.]+$"),
    re.compile(r"\s*[,;:]$"),
    re.compile(r"^['\"](?=.*['\"]$)|(?<=.)['\"]$"),
    re.compile(r"\s*,.*$"),  # further names of one thing: "dog,dogs"
)
ROUNDS = 3


def bare_concepts(concepts: pd.Series) -> pd.Series:
    """Return concepts without remarks, and without what nearly all of them have; underscores become blanks.

    The index tells which they were.

    >>> bare_concepts(pd.Series(["1. 'dog',", "2. 'fire_truck',"])).tolist()
    ['dog', 'fire truck']
    >>> bare_concepts(pd.Series(["# a list", "dog", "t-shirt"])).tolist()
    ['dog', 't-shirt']
    """
    are_remarks = concepts.str.match(REMARK)
    texts = concepts[~are_remarks] if 2 * are_remarks.sum() < len(concepts) else concepts
    for _ in range(ROUNDS):
        before = texts
        for added in ADDED:
            if texts.str.contains(added).mean() >= NEARLY_ALL:
                texts = texts.str.replace(added, "", regex=True).str.strip()
        if texts is before:
            break
    words = ~texts.str.contains(" ", regex=False)
    return texts.where(~words, texts.str.replace("_", " ", regex=False))
