"""The features behind one confusion, and the answer without one (docs/method.md 6.8)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.analysis.removal import logits_without
from core.answers.class_logits import by_class, class_logits, lead_gradients, output_logits
from core.answers.predictable import predictable
from core.common.dataframes import safe_divide
from core.common.records import Record, Templates
from core.concepts.blame import ProbeWithMeans
from core.concepts.failures import SIDES, top_contributions, top_rows, words_of_features
from core.config import FailuresConfig
from core.store import Study

# The features that push images towards a wrong class, in a sentence (docs/method.md 6.8).


_say = Templates.beside(__file__)


def pushing_sentence(
    predicted: str, names: Sequence[str], shares: Sequence[float], too_little: Sequence[bool]
) -> Record:
    """Say which features make an image be taken for `predicted`, and how much of the lead they are.

    Args:
        names: of features, one or more. shares: of the lead of the answer over the label, a number each;
            where one is not known, NaN or below 0, none is given. too_little: whether it is the lack of the
            feature that pushes.
    """
    parts = [_say("lack", what=name) if weak else name for name, weak in zip(names, too_little, strict=True)]
    if not all(share > 0 for share in shares):
        return _say("because", what=predicted, names=tuple(map(str, parts)))
    kind = "others_push_back" if sum(shares) > 1 else "with_shares"
    of_lead = tuple(_say("share", value=float(share)) for share in shares)
    return _say(kind, what=predicted, names=tuple(map(str, parts)), parts=of_lead)


# The features behind one confusion, over any of its images, and the answer without one (docs/method.md
# 6.8).
#
# For answers that are linear in the features, and near each image for others (`class_logits`). No torch.


COLUMNS = ["side", "rank", "feature", "push", "share", "too_little", "words"]
OTHER = "another output"  # of a head, which means no label and which no image is taken for
ALIKE = 20  # features of the nearest activation rate, taken out for comparison


@dataclass(frozen=True)
class Without:
    """What the answer would be on the images of a confusion without one feature.

    Attributes:
        answers: the classes that are answered without it. to_true: images whose answer becomes the truth.
        changed: images whose answer changes. too_little: the feature is weaker here than usual, so "without"
            brings it back. changed_alike: the mean of `changed` over features that fire as often, `n_alike`
            of them; NaN for none.
        lead: mean lead of the answer over the truth, in logits. push: how much of it goes with the feature.
    """

    answers: list[str]
    to_true: int
    changed: int
    too_little: bool
    changed_alike: float
    n_alike: int
    lead: float
    push: float


def pushes(raw: np.ndarray, means: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """How much each feature moves the lead of the answer over the truth of a confused image.

    push_ij = (raw_ij - m_j) (U'_aj - U'_tj), the answer a, the truth t: by so much the lead of image i falls
    when feature j is set to its mean m_j. Where the classes have no weights, the gradient of the lead stands
    for their difference, and the push is local.

    Args:
        raw: (n, n_features) raw representations. means: (n_features,) of the train images. gradients: (n,
            n_features) of the lead (`lead_gradients`).
    Returns:
        (n, n_features) float64, in logits.
    """
    return (np.asarray(raw, np.float64) - means) * gradients


def _pushes(
    study: Study, probe: ProbeWithMeans, rows: np.ndarray, true: int, predicted: int, codes: np.ndarray | None
) -> tuple[np.ndarray, float]:
    """Mean pushes over images, (n_features,), and the mean lead of the answer, in logits.

    Args:
        codes: as for `lead_gradients`.
    """
    raw = study.array("representations").rows(rows)
    if codes is None:
        logits = class_logits(study, rows)
    else:
        logits = by_class(output_logits(study, rows), codes, codes.max() + 1)
    sides = (np.full(len(rows), code) for code in (predicted, true))
    mean = pushes(raw, probe.means, lead_gradients(study, rows, *sides, codes=codes)).mean(0)
    return mean, float((logits[:, predicted] - logits[:, true]).mean())


def behind_confusion(
    study: Study, probe: ProbeWithMeans, rows: np.ndarray, true: str, predicted: str
) -> pd.DataFrame:
    """Explain why confused images are wrong: features that push to the answer, and those to the truth.

    Args:
        probe: of the study. rows: (n,) int, images of the class `true` that are taken for `predicted`, which
            may be an output of a head that means no label.
    Returns:
        side ('predicted', 'true'), rank, feature, push (`pushes`, mean over the images; towards the side, so
        positive), share (of the mean lead), too_little (bool: it pushes because its mean activation here is
        below the usual one), words (separated by '; '); empty without images.
    """
    usual = FailuresConfig()
    settings = study.settings("failures") if study.has("failure_pairs") else {}
    words = words_of_features(study.table("concepts")) if study.has("concepts") else {}
    names, codes = _classes_and_codes(study, predicted)
    raw = study.array("representations").rows(rows).astype(np.float64)
    if not len(rows) or predicted not in names:
        return pd.DataFrame(columns=COLUMNS)
    mean, lead = _pushes(study, probe, rows, names.index(true), names.index(predicted), codes)
    allowed = np.ones(len(mean), bool)
    if settings.get("explained", usual.explained):
        allowed = np.isin(np.arange(len(mean)), list(words))
    parts = []
    for side, sign in zip(SIDES, (1.0, -1.0), strict=True):
        values = np.where(allowed, sign * mean, -np.inf)[None]
        features, best = top_contributions(values, int(settings.get("top", usual.top)))
        parts.append(top_rows(features, best, words, {}, side).rename(columns={"contribution": "push"}))
    table = pd.concat(parts, ignore_index=True)
    table["share"] = safe_divide(table["push"].to_numpy(), np.full(len(table), lead))
    weak = raw.mean(0) < probe.means  # (n_features,)
    table["too_little"] = weak[table["feature"].to_numpy(np.int64)]
    return table.loc[:, COLUMNS]


def without_feature(
    study: Study, probe: ProbeWithMeans, rows: np.ndarray, feature: int, true: str, predicted: str
) -> Without:
    """Ask why images are confused: take out one feature, and others that fire as often for comparison.

    Args:
        probe: `ProbeWithMeans.of_every_output` of the study. rows, true, predicted: as for
            `behind_confusion`; at least one row.
    """
    names, codes = _classes_and_codes(study, predicted)
    truth, answer = names.index(true), names.index(predicted)
    raw = study.array("representations").rows(rows).astype(np.float64)
    units = study.in_units().array("representations").rows(rows)
    classifier, started = probe.classifier, probe.classifier.start_of(raw, units)

    def answers(one: int) -> np.ndarray:
        removed = np.full((len(rows), 1), one)
        changed = logits_without(classifier, started, raw, probe.means, removed)
        return probe.classes(changed).argmax(1)

    mean, lead = _pushes(study, probe, rows, truth, answer, codes)
    now, here = probe.classes(classifier.finish(started)).argmax(1), answers(feature)
    alike = _firing_as_often(study, feature)
    changed = [np.count_nonzero(answers(int(one)) != now) for one in alike]
    predicted_names, _ = predictable(study)
    named = [predicted_names[one] if one < len(predicted_names) else OTHER for one in here.tolist()]
    to_true = np.count_nonzero(here == truth)
    to_another = np.count_nonzero(here != now)
    too_little = raw[:, feature].mean() < probe.means[feature]
    changed_alike = float(np.mean(changed)) if changed else np.nan
    push_of_feature = float(mean[feature])
    return Without(
        answers=named,
        to_true=int(to_true),
        changed=int(to_another),
        too_little=bool(too_little),
        changed_alike=changed_alike,
        n_alike=len(changed),
        lead=lead,
        push=push_of_feature,
    )


def _classes_and_codes(study: Study, predicted: str) -> tuple[list[str], np.ndarray | None]:
    """The names of classes and, where that of an answer is no label, what each output means among them."""
    return (study.class_names, None) if predicted in study.class_names else predictable(study)


def _firing_as_often(study: Study, feature: int) -> np.ndarray:
    """(n,) int: the other features whose activation rate is nearest, at most ALIKE."""
    if not study.has("features"):
        return np.empty(0, np.int64)
    table = study.table("features", ["feature", "activation_rate"])
    numbers, rates = table["feature"].to_numpy(np.int64), table["activation_rate"].to_numpy(np.float64)
    mine = rates[numbers == feature]
    order = np.argsort(np.abs(rates - mine[0]), kind="stable")
    return numbers[order][numbers[order] != feature][:ALIKE]
