"""Two answers of one study against each other: a comparison of the study with itself. No torch."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from core.answers.answer import HEAD, PROBE
from core.common.dataframes import words
from core.common.formatting import counted
from core.common.records import Record, Templates
from core.common.topics import function_of_option
from core.compare.compare import EVERYTHING, Comparison, fact_table, sort_measures
from core.compare.images import Shared, side_table, with_known_outcomes
from core.compare.measures import judged_of, measure_table
from core.compare.notes import Note, chosen_by_result, few_error_notes, unjudged
from core.compare.separation import separation_table
from core.errors import SettingsError
from core.measures.design_effect import groups_among
from core.measures.intervals import share_bounds
from core.measures.paired_accuracy import PairedAccuracy, accuracy_by_class, paired_accuracy
from core.measures.slice import Slice
from core.store import Study

OF_ANSWERS = (  # measures that depend on the answer, but for those that follow from its accuracy
    *("accuracy", "q_correct", "q_misclassified", "q_gap", "q_auroc", "confidence_auroc", "confidence"),
)
_say = Templates.beside(__file__)
NOT_OF_ANSWERS = ("n_features", "n_discriminative", "n_explainable", "n_interpretable_features", "n_concepts")


def compare_answers(
    study: Study, first: str, second: str, *, among: Slice = EVERYTHING, resamples: int = 1000, seed: int = 0
) -> Comparison:
    """Compare two answers of a study, on the images that both are judged on.

    Raises:
        SettingsError: the study has no such answer, or both are one. StudyError: no image is in `among`.
        SliceError: the study lacks something that `among` names.
    """
    if first == second:
        raise SettingsError(f"'{first}' is named twice; name two answers of the study")
    names = first, second
    studies = study.answering(first), study.answering(second)
    val = np.stack([one.is_val for one in studies])
    judged = np.asarray(val.all(0)) if val.any() else np.ones(study.n_images, bool)
    rows = np.tile(np.arange(study.n_images), (2, 1))
    judged, notes = with_known_outcomes(studies, rows, judged)
    none, notes = np.zeros(study.n_images, bool), [*_not_judged(val, names), *notes]
    shared = Shared(studies, list(names), rows, judged, none, notes).narrowed(among)
    places = shared.rows[0, shared.judged]
    scores = [judged_of(one, places) for one in studies]
    correct = np.stack([score.correct for score in scores])
    predicted = [words(one.table(PROBE, ["predicted"]).take(places), "predicted") for one in studies]
    groups = scores[0].groups
    pair = paired_accuracy(correct, np.array(predicted, object), groups)
    measures = sort_measures(measure_table(scores, names, resamples=resamples, seed=seed))
    measures = measures.loc[measures["measure"].isin(OF_ANSWERS).to_numpy()].reset_index(drop=True)
    chosen = chosen_by_result(among, shared)
    notes = [*map(Note, shared.notes), *chosen]
    notes += map(Note, few_error_notes(dict(zip(names, correct, strict=True))))
    facts = fact_table(shared).assign(**dict.fromkeys(NOT_OF_ANSWERS))
    by_class = accuracy_by_class(correct, shared.labels[shared.judged], names, groups)
    no_estimates = function_of_option("compare of estimates")(pd.DataFrame())
    no_transfers = function_of_option("compare of transfers")()
    paired, sides = _paired(measures, pair, names, correct, groups), side_table(shared)
    if chosen:
        paired, by_class = unjudged(paired), unjudged(by_class)
    separation = separation_table(shared, measures)
    return Comparison(
        shared,
        among,
        paired,
        facts,
        by_class,
        sides,
        separation,
        no_estimates,
        None,
        no_transfers,
        notes,
        frozenset(),
        pair,
    )


def _not_judged(val: np.ndarray, names: tuple[str, str]) -> list[str]:
    """A note on each answer that is not judged on images that the other one is judged on."""
    notes = []
    for name, mine, other in zip(names, val, val[::-1], strict=True):
        n = int((other & ~mine).sum())
        if n:
            notes.append(f"{counted(n, 'image')} that {name} was fitted on are left out")
    return notes


def _paired(
    measures: pd.DataFrame,
    pair: PairedAccuracy,
    names: tuple[str, str],
    correct: np.ndarray,
    groups: np.ndarray | None,
) -> pd.DataFrame:
    """The accuracies on the images with both verdicts, with Wilson's intervals and that of the difference.

    correct: (2, n) 1, 0 or NaN. groups: (n,) of patients, lesions or sequences, or None.
    """
    others = measures.loc[(measures["measure"] != "accuracy").to_numpy()].reset_index(drop=True)
    if not pair.n:
        return others
    rows, in_both = [], np.asarray(np.isfinite(correct).all(0))
    paired_groups = groups_among(groups, in_both)
    for name, right, outcomes in zip(names, pair.n_right, correct[:, in_both], strict=True):
        ends = (pair.difference, pair.low, pair.high) if name == names[1] else [np.nan] * 3
        rows.append(["accuracy", name, right / pair.n, *share_bounds(outcomes, paired_groups), *ends, pair.n])
    return pd.concat([pd.DataFrame(rows, columns=measures.columns), others], ignore_index=True)


def answers_finding(comparison: Comparison) -> str:
    """State what two compared answers of a study show of each other.

    With a head and a probe, whether the representation holds what the head misses. No full stop.
    """
    pair, (first, second) = comparison.pair, comparison.names
    if pair is None or not pair.n:
        return _say("no_verdicts")
    alone = {first: pair.only_first, second: pair.only_second}
    if HEAD in alone and PROBE in alone and alone[PROBE]:
        return _say("missed_by_head", n=alone[PROBE])
    return alone_right(alone)


def alone_right(counts: Mapping[str, int]) -> Record:
    """State on how many images each of two studies or answers is right and the other wrong. No full stop.

    Args:
        counts: by the name of the study or answer.
    """
    return _say("alone", parts=tuple(_say("right_on", what=name, n=n) for name, n in counts.items()))


def agreement_lines(comparison: Comparison) -> list[str]:
    """State on how many images two answers of a study agree, who is right where, and what that shows."""
    pair, (first, second) = comparison.pair, comparison.names
    if pair is None or not pair.n:
        return [answers_finding(comparison)]
    ends = f"{100 * pair.agreement_low:.1f} to {100 * pair.agreement_high:.1f}"
    share = f"{100 * pair.agreement:.1f} % ({ends})"
    only_one = f"only {first} {pair.only_first:,}, only {second} {pair.only_second:,}"
    agreement = f"{first} and {second} agree on {share} of {counted(pair.n, 'image')}"
    right = f"right: both {pair.both_right:,}, {only_one}, neither {pair.both_wrong:,}; {mcnemar_text(pair)}"
    return [agreement, right, answers_finding(comparison)]


def mcnemar_text(pair: PairedAccuracy) -> str:
    """State the p of McNemar's test of two answers that are compared.

    >>> mcnemar_text(PairedAccuracy(9, 9, 0, 0, 0, 0.0, 0.0, 0.0, 0.0004, 1.0, 1.0, 1.0))
    "McNemar's test: p < 0.001"
    """
    return "McNemar's test: p " + ("< 0.001" if pair.p < 0.001 else f"= {pair.p:.3f}")
