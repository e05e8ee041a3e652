"""The kinds of answers: one table. No torch; what is heavy is named, and imported when it is used."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind of answer.

    Attributes:
        summary: what it is, in a line.
        make: "module:function" that makes it, (study, request, progress) -> `outcome.AnswerValues`; "" for
            the probe, which is a step of its own.
        fitted: something was fitted on the study's train images, so only the others are evaluation images.
    """

    name: str
    summary: str
    make: str = ""
    fitted: bool = False


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "head", "the classifier that the encoder's own checkpoint holds", "core.answers.head:head_answer"
        ),
        Kind("probe", "the linear probe that the study trains", fitted=True),
        Kind("knn", "a vote of the 20 nearest train images", "core.answers.knn:knn_answer", fitted=True),
        Kind(
            "zero-shot",
            "the class whose texts are nearest, by the text tower of the encoder (open_clip)",
            "core.concepts.clip.zero_shot:zero_shot_answer",
        ),
        Kind("file", "predictions that you have, from a file", "core.answers.predictions:file_answer"),
    )
}
