"""Explain errors of the probe: features behind its prediction and behind the truth (docs/method.md 6.8)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from core.answers import class_logits
from core.answers.predictable import predictable
from core.common.command_line import command_line
from core.common.formatting import counted
from core.common.group_names import JOINED_BY
from core.errors import SettingsError, ShapeError, StudyError
from core.study.chunked_array import CHUNK_ROWS
from core.study.missing import OF_LATENTS

if TYPE_CHECKING:
    from core.config import FailuresConfig
    from core.store import Study
    from core.study.progress import Progress
    from core.study.writer import StepRun, StepWriter

SIDES = ("predicted", "true")
SEPARATOR = "; "
MOST_PAIRS = 1024  # pairs of classes that are added up at a time
NO_PROBE = "no probe: {why}"
NO_LAYERS = (
    "what a latent adds to an answer is not known where the layers of its classifier are not stored; what "
    "units add to its errors is"
)
OF_NO_IMAGE = "{n}: predicted as a class that no image has, whose weights are not known"
NONE_WRONG = "the probe is right on every {split} image"
NONE_JUDGED = "there are no evaluation images, so no error is known"


def contributions(raw: np.ndarray, weights: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Contribution of each feature to the logit of a class, behind a failure: raw h ⊙ U'_y.

    Args:
        raw: (n, n_features) float, raw representations. weights: (n_classes, n_features), the probe's weights
            folded back to raw h (U'). classes: (n,) int, y of each row.
    Returns:
        (n, n_features) float64, unit of the logits; with the bias, a row's sum is the logit of y.
    Raises:
        ShapeError: the inputs disagree.
    """
    if raw.shape[1] != weights.shape[1] or len(raw) != len(classes):
        raise ShapeError(f"raw {raw.shape}, weights {weights.shape} and {len(classes)} classes do not match")
    return np.asarray(raw, np.float64) * np.asarray(weights, np.float64)[classes]


def top_contributions(values: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the features with the largest contributions to each failure, positive ones only.

    Args:
        values: (n, n_features) float.
    Returns:
        features (n, min(top, n_features)) int64, -1 if no more are positive; values of the same shape, NaN
        there. By descending value, then by feature.
    """
    order = np.argsort(-values, axis=1, kind="stable")[:, :top]
    best = np.take_along_axis(values, order, axis=1)
    return np.where(best > 0, order, -1), np.where(best > 0, best, np.nan)


def top_rows(
    features: np.ndarray,
    values: np.ndarray,
    words: Mapping[int, str],
    about: Mapping[str, np.ndarray],
    side: str,
) -> pd.DataFrame:
    """Tabulate the top features behind each failure, with their words.

    One row per top feature: the columns of `about` (one entry per row of `features`), rank, feature, …
    """
    row, rank = np.nonzero(features >= 0)
    top_features = features[row, rank]
    frame = pd.DataFrame({name: column[row] for name, column in about.items()})
    words_of_rows = [words.get(int(feature), "") for feature in top_features]
    ranks = (rank + 1).astype(np.int32)
    feature_column = top_features.astype(np.int32)
    return frame.assign(
        rank=ranks, feature=feature_column, contribution=values[row, rank], side=side, words=words_of_rows
    )


def check_has_concepts(study: Study) -> None:
    """Raise StudyError, naming the command, for a study whose features have no words."""
    if not study.has("concepts"):
        why = study.why_skipped("concepts") or "not run yet"
        command = command_line("concepts", study.path)
        raise StudyError(f"'{study.path}' has no concepts ({why}). Run: {command}")


def words_of_features(concepts: pd.DataFrame) -> dict[int, str]:
    """Return the words that name each single feature, best first, as the table `concepts` kept them."""
    is_joint = concepts["group"].str.contains(JOINED_BY, regex=False)
    single_features: Any = concepts[concepts["kept"] & ~is_joint]
    joined = single_features.sort_values(["group", "rank"]).groupby("group")["word"].agg(SEPARATOR.join)
    return {int(group): str(words) for group, words in joined.items()}


def compute_failures(study: Study, step: StepWriter, config: FailuresConfig, run: StepRun) -> None:
    """Write tables `failures` (image_id, true, predicted, rank, feature, contribution, side, words) and
    `failure_pairs` (true, predicted, n_images, side, rank, feature, contribution, words, n_top); with
    `interventions` also those of `core.concepts.blame`.

    In the second table, contributions are means over all failures of a pair of classes, and `n_top` counts
    the images that have the feature among their own top features. Words come from `concepts`, if it was run.

    Raises:
        SettingsError: an option has an invalid value.
    """
    _check_failures_config(config)
    if not study.has("probe") or not study.labelled:
        why = study.why_skipped("probe") or "the step 'probe' was not run"
        step.summary = {"skipped": NO_PROBE.format(why=why)}
        return
    if study.below is not None and not class_logits.explains_errors(study):
        step.summary = {"skipped": NO_LAYERS if study.has(class_logits.GRADIENTS) else OF_LATENTS}
        return
    names, codes = predictable(study)
    rows, true, predicted = _images_of_verdict(study, config.split, names, correct=False)
    n_elsewhere = len(_rows_of_verdict(study, config.split, correct=False)) - len(rows)
    elsewhere = OF_NO_IMAGE.format(n=counted(n_elsewhere, "misclassified image")) if n_elsewhere else None
    if not len(rows):
        none_wrong = elsewhere or NONE_WRONG.format(split=config.split)
        step.summary = {"skipped": none_wrong if study.is_val.any() else NONE_JUDGED}
        return
    words = words_of_features(study.table("concepts")) if study.has("concepts") else {}
    n_features = study.array("representations").shape[1]
    allowed = np.ones(n_features, bool)
    if config.explained:
        allowed = np.isin(np.arange(n_features), list(words))
    with run.progress.stage("failures", total=len(rows), unit="images") as bar:
        images, pairs = [], []
        for block in _blocks_of_pairs(true, predicted):
            sums = PairSums(true[block], predicted[block], names, allowed, config.top)
            for start in range(0, len(block), CHUNK_ROWS):
                part = block[start : start + CHUNK_ROWS]
                sides = _of_sides(study, rows[part], true[part], predicted[part], codes)
                images.append(_image_rows(study, rows[part], true[part], predicted[part], words, sides, sums))
                bar.update(len(part))
            pairs.append(sums.table(words))
    failures = pd.concat(images, ignore_index=True)
    failures = failures.sort_values(["row", "side", "rank"], kind="stable", ignore_index=True)
    step.table("failures", failures.drop(columns="row"))
    step.table("failure_pairs", pd.concat(pairs, ignore_index=True))
    intervened = _intervene(study, step, config, run.progress) if config.interventions else {}
    features = failures["feature"].unique()
    without = sum(int(feature) not in words for feature in features)
    n_pairs = len(np.unique(np.stack([true, predicted], 1), axis=0))
    note = _note_on(len(features), without, bool(words))
    summary: dict[str, Any] = {
        "n_failures": len(rows),
        "n_pairs": n_pairs,
        "n_features": len(features),
        "n_without_words": without,
        "split": config.split,
        "note": note,
    }
    if elsewhere:
        summary["left_out"] = elsewhere
    if class_logits.has_gradients(study):
        summary["local"] = class_logits.LOCAL
    step.summary = summary | intervened


def _intervene(study: Study, step: StepWriter, config: FailuresConfig, progress: Progress) -> dict[str, Any]:
    """Write what the removal of features does (`core.concepts`); return the summary's part."""
    from core.concepts import blame

    if not class_logits.can_switch_off(study):
        return {"interventions": class_logits.NOT_SWITCHED_OFF}
    probe, names = blame.ProbeWithMeans.of_every_output(study)
    rows = {}
    for kind in (blame.MISCLASSIFIED, blame.CORRECT):
        is_correct = kind == blame.CORRECT
        rows[kind] = _images_of_verdict(study, config.split, names, correct=is_correct)[:2]
    if not len(rows[blame.MISCLASSIFIED][0]):
        return {}
    removal = blame.intervene(study, probe, rows, seed=config.seed, progress=progress)
    step.table("interventions", removal.rates)
    step.vector("feature_means", removal.means)
    if removal.by_cause is not None:
        step.table("interventions_by_cause", removal.by_cause)
    if removal.planted is not None:
        step.table("planted_attributes", removal.planted)
    return {"interventions": blame.removal_in_words(removal.rates)}


def _note_on(n_features: int, without: int, any_words: bool) -> str | None:
    """Return a note about features behind failures that have no words, if there are any."""
    if not any_words:
        return "no words: run `concepts` first, then `failures` again"
    if not without:
        return None
    return (
        f"{without} of the {n_features} features behind failures have no words: too few images activate them "
        "highly. `failures --explained` shows only features that have words."
    )


def _check_failures_config(config: FailuresConfig) -> None:
    """Raise SettingsError for invalid settings of the step `failures`, before any work is done."""
    if config.top < 1:
        raise SettingsError(f"--top must be at least 1, got {config.top}")
    if config.split not in ("val", "train", "all"):
        raise SettingsError(f"unknown split '{config.split}'; known: val, train, all")


def _images_of_verdict(
    study: Study, split: str, names: Sequence[str], *, correct: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of the images that the probe classifies correctly, or of its failures, ascending.

    Truth and prediction as places in `names`. Images that are predicted as none of these are left out.
    """
    rows, probe = _rows_of_verdict(study, split, correct=correct), study.table("probe", ["true", "predicted"])
    index = pd.Index(names)
    codes = [index.get_indexer(pd.Index(probe[side].iloc[rows])) for side in ("true", "predicted")]
    has_code = codes[1] >= 0
    return rows[has_code], codes[0][has_code], codes[1][has_code]


def _rows_of_verdict(study: Study, split: str, *, correct: bool) -> np.ndarray:
    """Rows of all images that are classified correctly, or of all others whose label is known; ascending."""
    verdict = study.table("probe", ["correct"])["correct"].astype("boolean")
    here = np.ones(len(verdict), bool) if split == "all" else study.is_val ^ (split == "train")
    return np.flatnonzero(here & (verdict == correct).fillna(False).to_numpy(bool))


def _image_rows(
    study: Study,
    rows: np.ndarray,
    true: np.ndarray,
    predicted: np.ndarray,
    words: Mapping[int, str],
    sides: Iterable[np.ndarray],
    sums: PairSums,
) -> pd.DataFrame:
    """Build the rows of `failures` for some images from `_of_sides`, and add them to `sums`."""
    names = sums.names
    about = {
        "row": rows,
        "image_id": study.images["image_id"].to_numpy(object)[rows],
        "true": names[true],
        "predicted": names[predicted],
    }
    parts = []
    for side, values in zip(SIDES, sides, strict=True):
        features, best = top_contributions(np.where(sums.allowed, values, -np.inf), sums.top)
        sums.add(side, true, predicted, values, features)
        parts.append(top_rows(features, best, words, about, side))
    text = dict.fromkeys(("image_id", "true", "predicted", "side", "words"), "str")
    return pd.concat(parts, ignore_index=True).astype(text)


def _of_sides(
    study: Study, rows: np.ndarray, true: np.ndarray, predicted: np.ndarray, codes: np.ndarray | None
) -> Iterator[np.ndarray]:
    """What each feature adds to the prediction, then to the truth: (n, n_features) float64 each.

    To the logits of both, where the classes have weights; else to the lead of the one over the other.

    Args:
        codes: of `predictable`.
    """
    raw = study.array("representations").rows(rows)
    if study.has("probe_weights"):
        weights = study.vector("probe_weights")
        if codes is not None and (whole := class_logits.own_classifier(study)) is not None:
            weights = np.zeros((codes.max() + 1, raw.shape[1]))
            weights[codes[codes >= 0]] = whole.weights[codes >= 0]
        yield from (contributions(raw, weights, classes) for classes in (predicted, true))
    else:
        local = raw.astype(np.float64) * class_logits.lead_gradients(
            study, rows, predicted, true, codes=codes
        )
        yield from (local, -local)


def _blocks_of_pairs(true: np.ndarray, predicted: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the numbers of the failures of MOST_PAIRS pairs at a time, the most frequent pairs first.

    A thousand classes have tens of thousands of pairs, and `PairSums` adds up all features for each.
    """
    both = np.stack([true, predicted], 1)
    _, pair, counts = np.unique(both, axis=0, return_inverse=True, return_counts=True)
    rank = np.argsort(np.argsort(-counts, kind="stable"))[pair.ravel()]
    for first in range(0, len(counts), MOST_PAIRS):
        yield np.flatnonzero((rank >= first) & (rank < first + MOST_PAIRS))


class PairSums:
    """Sums of contributions over all failures of each pair (true, predicted).

    Attributes:
        names: what can be predicted, labels first.
        pairs: (n_pairs, 2) places in it, by descending number of images, then by code. counts: (n_pairs,).
        shown: (n_features,) bool: features that may be named.
    """

    def __init__(
        self, true: np.ndarray, predicted: np.ndarray, names: Sequence[str], allowed: np.ndarray, top: int
    ):
        self.names, self.allowed, n_features = np.array(names, object), allowed, len(allowed)
        pairs, counts = np.unique(np.stack([true, predicted], 1), axis=0, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        self.pairs, self.counts, self.top = pairs[order], counts[order], top
        self.totals = {side: np.zeros((len(pairs), n_features)) for side in SIDES}
        self.n_top = {side: np.zeros((len(pairs), n_features), np.int32) for side in SIDES}

    def add(
        self, side: str, true: np.ndarray, predicted: np.ndarray, values: np.ndarray, features: np.ndarray
    ) -> None:
        """Add some images: contributions (n, n_features) and their top features (n, top), -1 for none."""
        codes = pd.MultiIndex.from_arrays(self.pairs.T.tolist())
        pair = codes.get_indexer(pd.MultiIndex.from_arrays([true, predicted]))
        np.add.at(self.totals[side], pair, values)
        row, column = np.nonzero(features >= 0)
        np.add.at(self.n_top[side], (pair[row], features[row, column]), 1)

    def table(self, words: Mapping[int, str]) -> pd.DataFrame:
        """Build the table `failure_pairs`."""
        names, parts = self.names, []
        pair = np.arange(len(self.pairs))
        true, predicted = self.pairs.T
        n_images = self.counts.astype(np.int32)
        about = {"pair": pair, "true": names[true], "predicted": names[predicted], "n_images": n_images}
        for side in SIDES:
            means = self.totals[side] / self.counts[:, None]
            features, best = top_contributions(np.where(self.allowed, means, -np.inf), self.top)
            frame = top_rows(features, best, words, about, side)
            n_top = self.n_top[side][frame["pair"].to_numpy(), frame["feature"].to_numpy()]
            parts.append(frame.assign(n_top=n_top))
        frame = pd.concat(parts, ignore_index=True).sort_values(
            ["pair", "side", "rank"], kind="stable", ignore_index=True
        )
        text = dict.fromkeys(("true", "predicted", "side", "words"), "str")
        return frame.drop(columns="pair").astype(text)
