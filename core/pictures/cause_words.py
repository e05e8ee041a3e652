"""Why images are wrong in words (docs/method.md 9): each cause, the errors of a filter, what trials take."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from core.common.captions import with_class_names
from core.common.durations import expected_duration
from core.common.records import Record, Templates
from core.config import CausesConfig
from core.measures.causes import TOO_FEW, order_of_causes
from core.measures.image_columns import (
    BACKGROUND,
    CAUSES,
    CROP,
    FEATURE,
    LABEL,
    NEIGHBOURS,
    PICTURE,
    TOO_FEW_TO_TELL,
    TURN,
    UNEXPLAINED,
)
from core.pictures.trial_outcomes import n_compared
from core.study.label_decisions import CHANGED, DOUBTED
from core.study.speed import Speed

_say = Templates.beside(__file__)
DECIDED = "decided"
NOUNS = {  # of so many errors
    DECIDED: ("wrong label as decided", "wrong labels as decided"),
    "label": ("doubtful label", "doubtful labels"),
    "crop": ("crop", "crops"),
    "picture": ("unusual picture", "unusual pictures"),
    "turn": ("turn", "turns"),
    "neighbours": ("image among another class", "images among another class"),
    "feature": ("single feature", "single features"),
    "background": ("background", "backgrounds"),
    UNEXPLAINED: ("unexplained", "unexplained"),
    TOO_FEW_TO_TELL: ("not judged", "not judged"),
}
TRIED = {  # that makes the answer right: a cause, or a measure of the picture
    CROP: "few_crop",
    "brightness": "few_brightness",
    "contrast": "few_contrast",
    "sharpness": "few_sharpness",
    TURN: "few_turn",
    FEATURE: "few_feature",
    BACKGROUND: "few_background",
    NEIGHBOURS: "few_neighbours",
}
KINDS_ALONE = ("few", "few_one", "unexplained")  # of changes that are not judged: several, one or none
KINDS_BESIDE_DOUBT = ("doubt_few", "doubt_few_one", "doubt_unexplained")
EXTREMES = {"brightness": ("dark", "bright"), "contrast": ("low", "high")}


def cost_of_one(n_right: int, seconds: float | None) -> Record:
    """Say what it takes to find out why one image is wrong: tries of changed pictures, and about how long.

    Args:
        n_right: right images that it is compared with. seconds: None where that is not known.
    """
    return _say("cost_of_one", n=n_right, parts=_about(seconds))


def cost_of_all(n_errors: int, n_right: int, seconds: float | None) -> Record:
    """Say what finding out why images are wrong takes; `seconds` None where that is not known."""
    return _say("cost_of_all", n=n_errors, of=n_right, parts=_about(seconds))


def _about(seconds: float | None) -> tuple[Record, ...]:
    return () if seconds is None else (_say("takes", parts=(expected_duration(seconds),)),)


def cause_sentence(row: Mapping[str, Any]) -> Record:
    """Say why an image is wrong, by one cause, and how it was found. row: of table `causes`, which holds."""
    cause, gain = str(row["cause"]), float(row["gain"])
    label, answer = (with_class_names(str(row[name])) for name in ("label", "predicted"))
    threshold, value, usual = (float(row[name]) for name in ("threshold", "value", "usual"))
    if cause == LABEL and (corrected := corrected_class(row)) is not None:
        if not corrected:
            return _say("taken_for_wrong")
        return _say("corrected_to_answer" if corrected == answer else "corrected", what=corrected)
    if cause == LABEL:
        return _say("label", what=with_class_names(str(row["suggested"])), value=value)
    if cause == NEIGHBOURS:
        return _say("neighbours", what=label, why=answer, value=value, chance=usual)
    if cause == TURN:
        return _say("turn", n=int(row["degrees"]), what=label, value=gain, chance=threshold)
    if cause == FEATURE:
        return _say("feature", n=int(row["feature"]), what=label, value=gain, chance=threshold)
    if cause == CROP:
        return _say("crop", what=label, value=gain, chance=threshold)
    if cause == BACKGROUND:
        return _say("background", what=label, value=gain, chance=threshold)
    if row["measure"] == "sharpness":
        return _say("sharpness", what=label, value=gain, chance=threshold)
    kind, extreme = str(row["measure"]), EXTREMES[str(row["measure"])][int(value > usual)]
    if kind == "brightness":
        return _say("brightness", why=extreme, what=label, value=gain, chance=threshold)
    return _say("contrast", why=extreme, what=label, value=gain, chance=threshold)


def corrected_class(row: Mapping[str, Any]) -> str | None:
    """Of why an image is wrong: the class that somebody gave it in place of its label.

    "" for a wrong label without a better one; None where nobody took its label for wrong.

    Args:
        row: of table `causes`.
    """
    if row["by_decision"] == CHANGED:
        return with_class_names(str(row["corrected_label"]))
    return "" if row["by_decision"] == DOUBTED else None


def image_sentences(rows: pd.DataFrame) -> list[Record]:
    """Say why one image is wrong, its best cause first; one sentence where no cause holds.

    Args:
        rows: those of the image in table `causes`. Without a cause that holds, and where a doubt about its
            label is the only one, changes that make the answer right are named, the best first, where too few
            right images can be compared with.
    """
    ranked = rows.loc[rows["rank"].to_numpy() > 0].sort_values("rank").to_dict("records")
    causes = [cause_sentence(row) for row in ranked]
    if not ranked:
        return [_unjudged_changes(rows, *KINDS_ALONE)]
    if len(ranked) == 1 and ranked[0]["cause"] == LABEL and corrected_class(ranked[0]) is None:
        return [*causes, _unjudged_changes(rows, *KINDS_BESIDE_DOUBT)]
    return causes


def _unjudged_changes(rows: pd.DataFrame, several: str, one: str, none: str) -> Record:
    """Name the changes that make the answer right without being judged, or say that there are none.

    Args:
        rows: as for `image_sentences`. several, one, none: kinds of the sentence, by how many there are.
    """
    few = rows.loc[rows["outcome"].to_numpy(object) == TOO_FEW]
    if few.empty:
        return _say(none)
    best_first = order_of_causes(few["cause"].to_numpy(object), few["gain"].to_numpy(float))
    changes = tuple(_change(row) for row in few.iloc[best_first].to_dict("records"))
    label = with_class_names(str(few["label"].iat[0]))
    return _say(several if len(changes) > 1 else one, what=label, names=changes)


def _change(row: Mapping[str, Any]) -> Record:
    """The change of one trial. row: of table `causes`."""
    cause = str(row["cause"])
    number = {TURN: "degrees", FEATURE: "feature"}.get(cause)
    kind = str(row["measure"]) if cause == PICTURE else cause
    return _say(TRIED[kind], n=int(row[number]) if number else 0)


def shares_sentence(rates: pd.DataFrame) -> str:
    """Say for how many errors each cause ranks first, most frequent first; empty without errors.

    Args:
        rates: table `cause_rates`.
    """
    n_errors = int(rates["n_errors"].to_numpy().max()) if len(rates) else 0
    if not n_errors:
        return ""
    order = [*CAUSES, UNEXPLAINED, TOO_FEW_TO_TELL]
    counts = dict(zip(rates["cause"], rates["n_first"].astype(int), strict=True))
    causes = sorted(CAUSES, key=lambda cause: (-counts[cause], order.index(cause)))
    counts[DECIDED] = int(rates["n_decided"].to_numpy().sum())
    counts[LABEL] -= counts[DECIDED]
    listed = [name for name in (DECIDED, *causes, UNEXPLAINED, TOO_FEW_TO_TELL) if counts[name]]
    return _say("shares", n=n_errors, names=tuple(_counted(counts[name], name) for name in listed))


def unjudged_sentence(rates: pd.DataFrame) -> str:
    """Say why, of some wrong images, no cause can be told: those not judged; empty where each was.

    Args:
        rates: table `cause_rates`.
    """
    n = int(rates.loc[rates["cause"] == TOO_FEW_TO_TELL, "n"].sum())
    return _say("unjudged", n=n) if n else ""


def _counted(n: int, cause: str) -> str:
    return f"{n:,} {NOUNS[cause][int(n != 1)]}"


def evidence_text(row: Mapping[str, Any]) -> str:
    """Say in a few words why an image is wrong: its first cause, and the number behind it."""
    cause = str(row["cause"])
    if cause == LABEL and (corrected := corrected_class(row)) is not None:
        return _say("corrected_short", what=corrected) if corrected else _say("taken_for_wrong_short")
    if cause == LABEL:
        suggested = with_class_names(str(row["suggested"]))
        return _say("suggested_short", what=suggested, value=float(row["value"]))
    if cause == NEIGHBOURS:
        return _say("neighbours_short", value=float(row["value"]))
    detail = ""
    if cause == TURN and np.isfinite(row["degrees"]):
        detail = f"by {row['degrees']:.0f}°, "
    elif cause == FEATURE:
        detail = f"feature {int(row['feature'])}, "
    elif cause == PICTURE:
        detail = f"{row['measure']}, "
    return f"{detail}+{float(row['gain']):.2f} logits"


def sampled_sentence(n_errors: int, n_all: int) -> str:
    """Say that for only a part of the wrong images it was tried why they are wrong; empty where for all."""
    return _say("sampled", n=n_errors, of=n_all) if n_errors < n_all else ""


# What finding out why images are wrong takes, before it is started: images, and seconds of the encoder.


CHANGES = 12  # passes of an image: 11.5 on average of the demo (docs/RESULTS.md)
OVERHEAD = 2.0  # of a pass: reading the picture and changing it


def right_images_for_one(n_right: int, config: CausesConfig | None = None) -> int:
    """Return how many right images are tried with one named error, to find its cause.

    Args:
        n_right: right images that there are.
    """
    drawn = min(n_right, (config or CausesConfig()).right)
    return n_compared(drawn // 2)


def images_of_all(n_errors: int, n_right: int, config: CausesConfig | None = None) -> tuple[int, int]:
    """Return how many errors and right images are tried for causes where no image is named."""
    settings = config or CausesConfig()
    return min(n_errors, settings.errors), min(n_right, settings.right)


def seconds_of_trials(n_images: int, speed: Speed | None) -> float | None:
    """Return about how many seconds the trials of causes of errors take; None for an untimed encoder."""
    return None if speed is None else n_images * CHANGES * OVERHEAD * speed.milliseconds / 1000
