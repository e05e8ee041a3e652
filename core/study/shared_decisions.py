"""Take over what people decided on the labels of the same images in another study.

from core.study import shared_decisions
shared = shared_decisions.shared_decisions(study, other)
len(shared), shared.left_out
done = shared_decisions.take_over(study, shared)  # `trace_changes.take_back` takes it back
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from core.common.dataframes import words
from core.common.records import Record, Templates
from core.study.label_decisions import decided_trace, decision_on, decisions
from core.study.reader import StudyReader
from core.study.trace_changes import ChangedTraces, rewrite
from core.study.traces import UNSURE, ImageTrace, read_traces

_PRINTS = "picture_prints"
_TAKEN = ("image_id", "label", "corrected_label")  # columns of `decisions`
_CHECKSUM = slice(0, 2)  # columns of _PRINTS: two halves of a checksum of the pixels
OBSTACLES = OTHER_IMAGE, OTHER_LABEL, DECIDED_HERE, OTHER_CLASSES = (
    *("other_image", "other_label", "decided_here", "other_classes"),
)
_say = Templates.beside(__file__)


@dataclass(frozen=True)
class SharedDecisions:
    """The decisions of another study, by whether a study can take them over.

    Attributes:
        classes: the class decided on, or `UNSURE`, by the id of each image whose decision can be taken over,
            in the order of the other study.
        left_out: how many cannot be, by the first of OBSTACLES that holds.
    """

    classes: Mapping[str, str]
    left_out: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.classes)


def shared_decisions(study: StudyReader, other: StudyReader) -> SharedDecisions:
    """Read which decisions of another study on labels of the same images a study can take over.

    A decision holds for an image of the same id and the same pixels, whose label is the one that was decided
    on. Nothing that people decided in this study is replaced.

    Raises:
        DamagedTraces: what people left in one of the studies cannot be read.
    """
    made, here = decisions(other), read_traces(study.path).images
    same, class_names = _same_pictures(study, other, words(made, "image_id")), set(study.class_names)
    own_labels = words(study.images, "label")
    classes, left_out = dict[str, str](), Counter[str]()
    for image_id, label, better in zip(*(words(made, name) for name in _TAKEN), strict=True):
        row, decision = same.get(image_id), better or UNSURE
        if row is None:
            left_out[OTHER_IMAGE] += 1
        elif own_labels[row] != label:
            left_out[OTHER_LABEL] += 1
        elif decision_on(here.get(image_id, ImageTrace()), label):
            left_out[DECIDED_HERE] += 1
        elif decision != UNSURE and decision not in class_names:
            left_out[OTHER_CLASSES] += 1
        else:
            classes[image_id] = decision
    return SharedDecisions(classes, {name: left_out[name] for name in OBSTACLES if left_out[name]})


def _same_pictures(study: StudyReader, other: StudyReader, image_ids: list[str]) -> dict[str, int]:
    """Map those of these images of another study that a study holds, by id and pixels, to its rows."""
    rows, others = study.rows_held(image_ids), other.rows_held(image_ids)
    names = [name for name in image_ids if name in rows]
    if not (names and study.has(_PRINTS) and other.has(_PRINTS)):
        return {}
    mine, theirs = (
        _checksums(one, [at[name] for name in names]) for one, at in ((study, rows), (other, others))
    )
    is_same = (mine == theirs).all(axis=1) & mine.any(axis=1)  # 0 of an image without a picture
    return {name: rows[name] for name, holds in zip(names, is_same.tolist(), strict=True) if holds}


def _checksums(study: StudyReader, rows: list[int]) -> np.ndarray:
    """(n, 2) uint64: those of the pixels of some images."""
    return np.asarray(study.array(_PRINTS).rows(np.array(rows)))[:, _CHECKSUM]


def take_over(study: StudyReader, shared: SharedDecisions) -> ChangedTraces:
    """Decide in a study as was decided in another one, in one write; return what `take_back` takes back.

    What people decided here since `shared` was read stays.

    Raises:
        StudyError: the study cannot be written to.
    """
    rows, labels = study.rows_held(list(shared.classes)), words(study.images, "label")

    def changed(image_id: str, now: ImageTrace) -> ImageTrace:
        label = labels[rows[image_id]]
        return now if decision_on(now, label) else decided_trace(now, label, shared.classes[image_id])

    return rewrite(study, list(rows), changed)


def take_over_label(shared: SharedDecisions, name: str) -> Record:
    """Label a button that takes the shared decisions of the study of that name over."""
    return _say("take_over", n=len(shared), what=name)


def taken_over(done: ChangedTraces, name: str) -> Record:
    """State how many decisions of the study of that name were taken over."""
    return _say("taken_over", n=len(done), what=name)


def shared_sentence(shared: SharedDecisions, name: str, n_listed: int) -> str:
    """State how many decisions of a study can be taken over, how many cannot, and why.

    Args:
        name: of the other study. n_listed: those on labels that the reader sees listed.
    """
    sentence = _say("shared", what=name, of=len(shared), n=n_listed)
    parts = tuple(_say(kind, n=n) for kind, n in shared.left_out.items())
    return " ".join([sentence, *([_say("left_out", parts=parts)] if parts else [])])
