"""The thresholds of FALCON for a CLIP other than the paper's (docs/method.md 6). No torch.

The range of cosines depends on a CLIP's temperature. At another one than the paper's the thresholds are
scaled: threshold = paper's threshold * F / 0.284, with F the mean cosine of a crop with its best caption, and
0.284 what that is for the paper's CLIP (Kalibhat 2023, B.4). A softmax shares 1 for every CLIP: not scaled.
"""

from dataclasses import dataclass

import numpy as np

from core.common.records import Record, Templates
from core.concepts.naming import LEAST_SHARE, MAJORITY, MOST_ELSEWHERE, naming_of
from core.config import CONCEPT_SCORES, ConceptsConfig

_say = Templates.beside(__file__)
PAPER_TEMPERATURE, PAPER_FITTING, PAPER_GAMMA = 100.0, 0.284, 0.8
NEAR = 0.02  # relative: 99.99 of a checkpoint is 100


@dataclass(frozen=True)
class Thresholds:
    """The thresholds in use.

    Attributes:
        min_score, counter_score, gamma: see `ConceptsConfig`. fitting: cosine of a fitting caption, else NaN.
        note: one sentence on what was scaled and why, or "".
    """

    min_score: float
    counter_score: float
    gamma: float
    fitting: float
    note: str = ""


def clip_temperature(clip: object) -> float:
    """Return the factor of cosines in a CLIP's training; the paper's if it is unknown."""
    return float(getattr(clip, "temperature", PAPER_TEMPERATURE))


def is_papers(temperature: float) -> bool:
    """Return True if a CLIP's cosines are comparable with those of the paper's CLIP."""
    return abs(temperature / PAPER_TEMPERATURE - 1) <= NEAR


def thresholds_of(
    config: ConceptsConfig, *, temperature: float, best_cosine: np.ndarray, usual_cosine: float
) -> Thresholds:
    """Keep the given thresholds, and set the others by the rule of this module.

    Args:
        temperature: the CLIP's own. best_cosine: (n_crops,) of each crop and its best caption, NaN with a
            captioner. usual_cosine: mean cosine of two crops of the study.
    """
    finite = best_cosine[np.isfinite(best_cosine)]
    fitting = float(finite.mean()) if len(finite) else float("nan")
    shares = naming_of(config) == MAJORITY
    least, counter = (LEAST_SHARE, MOST_ELSEWHERE) if shares else CONCEPT_SCORES[config.confidence]
    gamma = PAPER_GAMMA
    notes: list[Record] = []
    if not is_papers(temperature):
        gamma = (1 + usual_cosine) / 2
        if config.confidence == "cosine" and np.isfinite(fitting) and not shares:
            least, counter = (value * fitting / PAPER_FITTING for value in (least, counter))
        if config.min_score is None and not shares:
            notes.append(_say("least", value=least))
        if config.counter_score is None and not shares:
            notes.append(_say("counter", value=counter))
        if config.gamma is None:
            notes.append(_say("gamma", value=gamma))
    if config.gamma == "auto":
        gamma = (1 + usual_cosine) / 2
    elif config.gamma is not None:
        gamma = float(config.gamma)
    return Thresholds(
        least if config.min_score is None else float(config.min_score),
        counter if config.counter_score is None else float(config.counter_score),
        gamma,
        fitting,
        _scaling_note(temperature, fitting, tuple(notes)),
    )


def _scaling_note(temperature: float, fitting: float, notes: tuple[Record, ...]) -> str:
    if not notes:
        return ""
    if not np.isfinite(fitting):
        return _say("scaled", value=temperature, parts=notes)
    return _say("scaled_by_caption", value=temperature, names=(f"{fitting:.2f}",), parts=notes)
