"""The kinds of answers: one table. No torch; what is heavy is named, and imported when it is used."""

from collections.abc import Iterable
from dataclasses import dataclass

from core.config import AddedAnswerConfig
from core.errors import SettingsError, did_you_mean


@dataclass(frozen=True)
class Kind:
    """One kind of answer.

    Attributes:
        title: what the pages call it. summary: what it is, in a line.
        make: "module:function" that makes it, (study, request, progress) -> `outcome.AnswerValues`; "" where
            a step alone makes it.
        step: the step that makes it; "" where `answers --add` alone does.
        cause: "module:function" that names the likely cause of a low accuracy, (study, request, progress,
            at_chance) -> a line or None.
        gradients: "module:function" that writes, for an answer with `outputs` that are not linear on the
            representation, what features add at each misclassified image, (study, step, item, table,
            outputs, request, progress) -> None or a line that says why it cannot be had.
        options: which of the options head_classes, head_activation and restrict it reads.
        config: the settings that one of it is stored with.
        fitted: something was fitted on the study's train images, so only the others are evaluation images.
        out_of_fold: each image is answered by a model that has not seen it, so all are evaluation images.
    """

    name: str
    title: str
    summary: str
    make: str = ""
    step: str = ""
    cause: str = ""
    gradients: str = ""
    options: tuple[str, ...] = ()
    config: type = AddedAnswerConfig
    fitted: bool = False
    out_of_fold: bool = False


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "head",
            "own classifier",
            "the classifier that the encoder's own checkpoint holds",
            "core.answers.head:head_answer",
            "answers",
            "core.analysis.normalisation:likely_normalisation",
            "core.analysis.head_gradients:write_gradients",
            options=("head_classes", "head_activation", "restrict"),
        ),
        Kind("probe", "linear probe", "the linear probe that the study trains", step="probe", fitted=True),
        Kind(
            "crossfit",
            "linear probe out of fold",
            "linear probes, of which each answers for images that it has not seen, train and evaluation",
            step="crossfit",
            out_of_fold=True,
        ),
        Kind(
            "knn",
            "nearest neighbours",
            "a vote of the 20 nearest train images",
            "core.answers.knn:knn_answer",
            fitted=True,
        ),
        Kind(
            "zero-shot",
            "zero-shot by text",
            "the class whose texts are nearest, by the text tower of the encoder (open_clip)",
            "core.concepts.zero_shot:zero_shot_answer",
            options=("head_classes",),
        ),
        Kind(
            "file",
            "predictions",
            "predictions that you have, from a file",
            "core.answers.predictions:file_answer",
            options=("head_classes", "restrict"),
        ),
    )
}


def check_kinds(names: Iterable[str]) -> None:
    """Raise SettingsError for a name that is no kind of answers which a study makes by itself."""
    made = [name for name in KINDS if name != "file"]
    for name in names:
        if name not in made:
            raise SettingsError(
                f"--answers {name}: no such kind.{did_you_mean(name, made)} Kinds: {', '.join(made)}. "
                "Predictions of a file are added afterwards: answers STUDY --add FILE"
            )
