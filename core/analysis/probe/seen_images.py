"""Evaluation images that a fitted answer has met in train: of the same patient, or copies. No torch."""

from __future__ import annotations

import numpy as np

from core.common.records import Record, Templates
from core.common.step_facts import EmbedFacts
from core.store import Study

COPY = 0.999  # cosine of two representations from which on they are of one picture
_say = Templates.beside(__file__)


def seen_images(study: Study) -> list[Record]:
    """What to mind beside the accuracy of a probe or another answer that was fitted to train images.

    Returns:
        kind `groups_on_both_sides`: n of the groups in evaluation have images in train; `copies_in_train`:
        n evaluation images have a representation within COPY of a train image's. Empty where none has.
    """
    whole: Study = getattr(study, "whole", study)
    is_val = whole.is_val
    shown = is_val if study.chosen is None else is_val & study.chosen
    notes = []
    if whole.groups is not None:
        evaluated, fitted = np.unique(whole.groups[shown]), np.unique(whole.groups[~is_val])
        if n := int(np.isin(evaluated, fitted).sum()):
            group = whole.facts(EmbedFacts).group or ""
            notes.append(_say("groups_on_both_sides", n=n, of=len(evaluated), what=group))
    if n := int(np.count_nonzero(_nearest(whole)[shown[is_val]] >= COPY)):
        notes.append(_say("copies_in_train", n=n, of=int(np.count_nonzero(shown)), value=COPY))
    return notes


def _nearest(study: Study) -> np.ndarray:
    """(n_val,) cosine of each evaluation image to the nearest train image; NaN where it is not known."""
    if not study.has("neighbour_similarity"):
        return np.full(int(np.count_nonzero(study.is_val)), np.nan)
    return study.vector("neighbour_similarity")[:, 0]
