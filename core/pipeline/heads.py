"""Which of several classifiers in a file is the encoder's own: by the labels of images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.answers.classes import ORDERS, match_classes, possible_orders, read_class_file, right_by_order
from core.common.dataframes import evenly
from core.common.label_match import Match
from core.common.records import Record, Templates
from core.errors import SettingsError
from core.measures.choice import choose, deciding_rows
from core.measures.design_effect import groups_among
from core.study.chunked_array import ChunkedArray

if TYPE_CHECKING:
    from core.encoders.head import Head
    from core.study.writer import StepWriter

say_of_heads = Templates.beside(__file__)
WHAT = "the classifier"
OWN = "that of its architecture"
IMAGES = 4096  # that they are compared on


def likely_head(
    out: StepWriter,
    head: Head,
    images: pd.DataFrame,
    class_file: str | None,
    groups: np.ndarray | None = None,
) -> tuple[Head, list[Record]]:
    """Choose, as `embed` runs, the classifier that labels favour, and say why; nothing if stated.

    Each is tried in every order in which its outputs may stand. Those of which no output is a label are left
    out, unless none is left.

    Args:
        out: of the step that has written the representations. images: the table of the readable images.
        class_file: that names the outputs, if the user gave one.
        groups: (n_images,) of the readable images, as for `choose`.
    """
    if not head.others:
        return head, []
    labels = sorted(images["label"].dropna().unique())
    true = pd.Index(labels).get_indexer(pd.Index(images["label"].to_numpy(object)))
    rows = deciding_rows(true >= 0, images["split"].eq("val").to_numpy())
    rows = rows[evenly(len(rows), IMAGES)]
    raw = _representations(out).rows(rows).astype(np.float64)
    candidates = [(one, match) for one in (head, *head.others) for match in _matches(one, labels, class_file)]
    if not candidates:
        nothing = choose(np.zeros((1 + len(head.others), 0), bool))
        return head, [nothing.record(WHAT, [_name(one) for one in (head, *head.others)])]
    right = [right_by_order([match], _won(one, raw), true[rows])[0] for one, match in candidates]
    choice = choose(np.stack(right), groups=groups_among(groups, rows))
    names = [_name(one, match) for one, match in candidates]
    notes = [choice.record(WHAT, names)] if len(names) > 1 else []
    tried = [id(one) for one, _ in candidates]
    if none_of_labels := tuple(_name(one) for one in (head, *head.others) if id(one) not in tried):
        notes.append(say_of_heads("other_labels", names=none_of_labels))
    return candidates[choice.taken][0], notes


def _name(head: Head, match: Match | None = None) -> str:
    """What a classifier is called in a note, with the order in which its outputs are taken."""
    name = f"'{head.source}'" if head.source else OWN
    return f"{name} {match.how.partition(' (')[0]}" if match and match.how in ORDERS else name


def _matches(head: Head, labels: list[str], class_file: str | None) -> list[Match]:
    """The matches of the outputs of a classifier that are possible, the documented one first."""
    if not labels:
        return []
    if class_file is not None:
        try:
            return [read_class_file(Path(class_file), head.n_outputs, labels, head.names)]
        except SettingsError:
            return []
    match = match_classes(head.names, labels)
    if match is None and head.assumed:
        match = match_classes([[]] * head.n_outputs, labels)
    return possible_orders(match, labels) if match is not None else []


def _won(head: Head, raw: np.ndarray) -> np.ndarray:
    """(n,) int: the largest output of each image."""
    assert head.linear is not None  # as all of several are
    weights, bias = (one.double().numpy() for one in head.linear)
    return (raw @ weights.T + bias).argmax(1)


def _representations(out: StepWriter) -> ChunkedArray:
    """What a step has written of the representations, before it is entered in the study."""
    item = out.items["representations"]
    rows = [chunk["rows"] for chunk in item["chunks"]]
    return ChunkedArray(out.folder / "representations", rows, item["dtype"], item["shape"][1:])
