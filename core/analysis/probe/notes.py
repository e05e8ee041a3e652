"""What a reader of an accuracy should know: whose it is, and what to mind. No torch."""

from collections.abc import Mapping

from core.analysis.probe.seen_images import seen_images
from core.answers.head import LIKELY_WRONG, SEVERAL
from core.answers.requests import CHANCE
from core.common.step_facts import ProbeFacts
from core.store import Study

BETWEEN = 0.3  # ratio of neighbouring candidates, about


def rate_note(lr: float, searched: Mapping[float, float]) -> str:
    """Describe a learning rate at an end of those compared; empty where another one is as good.

    Args:
        lr: of the probe. searched: rate -> accuracy on held-out train images; empty where `lr` was given.

    >>> rate_note(0.01, {0.03: 0.70, 0.01: 0.71})
    'The probe learnt best at the smallest of 2 rates, 0.01. A smaller one, such as 0.003, may be better.'
    >>> rate_note(0.03, {0.1: 0.69, 0.03: 0.71, 0.01: 0.70}), rate_note(0.1, {0.1: 1.0, 0.03: 1.0})
    ('', '')
    """
    if len(searched) < 2 or sum(value == max(searched.values()) for value in searched.values()) > 1:
        return ""
    ends = {
        min(searched): ("smallest", "smaller", lr * BETWEEN),
        max(searched): ("largest", "larger", lr / BETWEEN),
    }
    if lr not in ends:
        return ""
    end, beyond, next_rate = ends[lr]
    return (
        f"The probe learnt best at the {end} of {len(searched)} rates, {lr:g}. "
        f"A {beyond} one, such as {next_rate:.1g}, may be better."
    )


def whose_accuracy(study: Study) -> str:
    """Name the answer that a study is read by, as a title."""
    return f"{study.answer.title[:1].upper()}{study.answer.title[1:]}" if study.answer else "Linear probe"


def notes_on_accuracy(study: Study) -> list[str]:
    """Return notes to show beside the accuracy of a study's answer; for most studies there are none.

    Those that put it in question, and for who trains a probe again that another rate may be better.
    """
    note = _rate_note(study) if study.answer is None else ""
    return [note, *doubts_on_accuracy(study)] if note else doubts_on_accuracy(study)


def doubts_on_accuracy(study: Study) -> list[str]:
    """Return notes that put the accuracy or the confidences of a study's answer in question."""
    if study.answer is not None:
        notes = (str(note) for note in study.answer.facts.get("notes", []))
        marks = (LIKELY_WRONG, CHANCE, SEVERAL)
        doubts = [doubt(one) for one in notes if any(mark in one for mark in marks)]
        return [*doubts, *(seen_images(study) if study.answer.is_fitted else [])]
    return list(seen_images(study) if _probe(study).top1 is not None else [])


def doubt(note: str) -> str:
    """Return a note of an answer as a sentence on its own.

    >>> doubt("it may be at chance")
    'It may be at chance.'
    """
    return f"{note[:1].upper()}{note[1:]}."


def _rate_note(study: Study) -> str:
    facts = _probe(study)
    if facts.lr is None or not facts.lr_accuracy:
        return ""
    return rate_note(facts.lr, {float(rate): accuracy for rate, accuracy in facts.lr_accuracy.items()})


def _probe(study: Study) -> ProbeFacts:
    return getattr(study, "whole", study).facts(ProbeFacts)  # a slice has the probe of the whole study
