"""Compare studies over the same images: for `compare`, the view *Compare* and reports. No torch."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from core.analysis.trust_check import read_check
from core.common.command_line import command_line
from core.common.dataframes import numbers
from core.common.records import Templates
from core.common.step_facts import ConceptsFacts, EmbedFacts, FeaturesFacts
from core.common.threads import cached_property
from core.common.topics import function_of_option
from core.compare.across import across_table, concept_counts, shared_matrix, shared_words
from core.compare.images import GAINED, LOST, SIDES, Shared, left_out, shared_images, side_table, surest_first
from core.compare.measures import MEASURES, class_accuracy_changes, judged_of, measure_table, overlaps_of
from core.compare.notes import (
    Note,
    answer_notes,
    chosen_by_result,
    correction_notes,
    damage_notes,
    feature_notes,
    few_error_notes,
    penalty_notes,
    precision_notes,
    relabelled_notes,
    unjudged,
)
from core.compare.separation import separation_table
from core.encoders.readout import chosen_readout
from core.measures.design_effect import groups_among
from core.measures.headline import out_of_fold
from core.measures.paired_accuracy import PairedAccuracy
from core.measures.slice import Slice
from core.store import Study

# Compare the concepts of several studies: shared and unshared words. No torch.


@dataclass(frozen=True)
class Words:
    """The words of the studies that have concepts.

    Attributes:
        across: Table B.1. matrix: words shared by each pair. shared: word, n_studies, and the number of
            features and groups of each study that have it. changes: study, gained, lost (words by the number
            of features that have them), compared with the first study that has concepts.
    """

    across: pd.DataFrame
    matrix: pd.DataFrame
    shared: pd.DataFrame
    changes: dict[str, dict[str, list[str]]]


def compare_words(shared: Shared) -> Words | None:
    """Compare the words of the studies that have concepts; None if fewer than two have."""
    counts: dict[str, Counter[str]] = {}
    facts = {}
    for name, study in zip(shared.names, shared.studies, strict=True):
        if study.has("concepts"):
            counts[name] = concept_counts(study.table("concepts"))
            facts[name] = study.facts(ConceptsFacts)
    if len(counts) < 2:
        return None
    first, *others = counts
    changes = {}
    for name in others:
        gained, lost = _only(counts[name], counts[first]), _only(counts[first], counts[name])
        changes[name] = {"gained": gained, "lost": lost}
    return Words(across_table(counts, facts), shared_matrix(counts), shared_words(counts), changes)


def _only(here: Counter[str], there: Counter[str]) -> list[str]:
    """List the words of `here` that `there` lacks, those of most features first."""
    only_here = [(word, n) for word, n in here.items() if word not in there]
    return [word for word, _ in sorted(only_here, key=lambda pair: (-pair[1], pair[0]))]


# Compare studies over the same images: for `compare`, the view *Compare* and reports. No torch.
#
# The other studies are compared with the first one: the start point before its fine-tunes, say.


_say = Templates.beside(__file__)
EVERYTHING = Slice()
FACTS = (
    ("n_features", FeaturesFacts),
    ("n_discriminative", FeaturesFacts),
    ("n_explainable", ConceptsFacts),
    ("n_interpretable_features", ConceptsFacts),
    ("n_concepts", ConceptsFacts),
)


@dataclass(frozen=True)
class Alike:
    """A setting on which some measures and facts depend, and the way to make it equal in all studies."""

    setting: str
    step: str
    measures: tuple[str, ...]
    remedy: str = ""


OF_Q = ("q_correct", "q_misclassified", "q_gap", "q_auroc", "q_auprc", "q_auprc_gain")
OF_FIRING = ("mean_firing", "mean_firing_discriminative", "share_scored", "n_discriminative")
OF_D = (*OF_Q, "mean_firing_discriminative", "share_scored", "n_discriminative")
OF_MIOU, OF_WORDS = ("miou_core", "miou_spurious"), ("n_concepts", "n_interpretable_features")
ALIKE = (
    Alike("epsilon", "features", (*OF_Q, *OF_FIRING, *OF_MIOU), "--epsilon"),
    Alike("low", "features", (*OF_D, *OF_MIOU)),
    Alike("high", "features", (*OF_D, *OF_MIOU)),
    Alike("threshold", "overlap", OF_MIOU, "--threshold"),
    Alike("k", "concepts", ("n_explainable", *OF_WORDS), "--k"),
    Alike("clip", "concepts", OF_WORDS, "--clip"),
    Alike("captions", "concepts", OF_WORDS, "--captions"),
    Alike("split", "concepts", ("n_explainable", *OF_WORDS), "--split"),
    Alike("confidence", "concepts", OF_WORDS, "--confidence"),
    Alike("crop", "concepts", OF_WORDS),
)


@dataclass(frozen=True)
class Comparison:
    """The results of several studies on the images that they share.

    Attributes:
        shared: the images. among: the slice that restricts them; if empty, all of them.
        measures: see `measure_table`. facts: one row per study: study, encoder, n_features, n_discriminative,
            n_explainable, n_interpretable_features, n_concepts (None where not known), premise (what Q is
            worth) and premise_facts (what stands beside that).
        classes: see `class_accuracy_changes`. sides: see `side_table`, one block for each study except the
            first.
        separation: see `separation_table`. estimates: accuracy without labels, as the topic
            `transfer_learning` reads it: its `table`, `sentences()` and `by_method()`.
        words: None if fewer than two studies have concepts. transfers: words transferred between them, as the
            topic `transfer` reads them: a list with `sentences()` and `report()`. notes: what a reader should
            know.
        not_comparable: measures and facts that mean different things because of different settings.
        pair: of two answers of one study (`core.compare.answers`), None of studies.
    """

    shared: Shared
    among: Slice
    measures: pd.DataFrame
    facts: pd.DataFrame
    classes: pd.DataFrame
    sides: pd.DataFrame
    separation: pd.DataFrame
    estimates: Any
    words: Words | None
    transfers: Any
    notes: list[Note]
    not_comparable: frozenset[str]
    pair: PairedAccuracy | None = None

    @property
    def names(self) -> list[str]:
        return self.shared.names

    @property
    def narrowed(self) -> bool:
        """True when some evaluation images are left out: what is known of all then says nothing of these."""
        return self.among not in (EVERYTHING, Slice(split="val"))

    @property
    def is_chosen_by_result(self) -> bool:
        """True when images were chosen by what the first study makes of them: no change is judged then."""
        return bool(chosen_by_result(self.among, self.shared))

    @property
    def population(self) -> str:
        """The images that the numbers are of, and how many are left out: "50 evaluation images of bird"."""
        n, among = int(self.shared.judged.sum()), self.among
        but = left_out(int(self.shared.other_label.sum()))
        if n and all(study.is_out_of_fold for study in self.shared.studies):
            of_both_splits = replace(among, split=None)
            narrowed = of_both_splits.describe() if of_both_splits else ""
            return out_of_fold(n, narrowed.removeprefix("images") + but)
        if not n:
            n = self.shared.n_images
        elif self.shared.held_out:
            among = Slice.joined([among, Slice(split="val")])
        what = among.describe().removeprefix("all ")
        return f"{n:,} {what.replace('images', 'image', 1) if n == 1 else what}{but}"

    def value(self, measure: str, study: str) -> dict[str, Any]:
        """Return one row of `measures` as a dict; empty if the study does not have that number."""
        return self._values.get((measure, study), {})

    @cached_property
    def _values(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The rows of `measures`: a page asks for a hundred of them."""
        return {(row["measure"], row["study"]): row for row in records(self.measures)}

    def side_counts(self, study: str) -> dict[str, int]:
        """Count the evaluation images by side: changed or unchanged from the first study to this one."""
        here = self.sides.loc[self.sides["study"] == study]
        return {side: int((here["side"] == side).sum()) for side in SIDES}

    def changed(self, study: str, side: str) -> pd.DataFrame:
        """List the images on one side, most confident new answer first."""
        return surest_first(self.sides, study, side)


@dataclass(frozen=True)
class Common:
    """What is known of several studies whichever of their images are compared: see `Comparison`.

    Attributes:
        first_notes, last_notes: those before and after what concerns the images that are compared.
    """

    shared: Shared
    facts: pd.DataFrame
    words: Words | None
    transfers: Any
    first_notes: list[Note]
    last_notes: list[Note]
    not_comparable: frozenset[str]


def in_common(studies: Sequence[Study]) -> Common:
    """Read what `compare` needs of studies and no slice changes. Raises as `compare`, but of slices."""
    shared = shared_images(studies)
    notes, odd = differences_in_setup(shared)
    first_notes = [*map(Note, shared.notes), *damage_notes(shared)]
    last_notes = [*answer_notes(shared), *precision_notes(shared), *penalty_notes(shared), *notes]
    last_notes += map(Note, feature_notes(shared))
    transfers = function_of_option("compare of transfers").of(shared)
    return Common(shared, fact_table(shared), compare_words(shared), transfers, first_notes, last_notes, odd)


def compare(
    studies: Sequence[Study],
    *,
    among: Slice = EVERYTHING,
    resamples: int = 1000,
    seed: int = 0,
    common: Common | None = None,
) -> Comparison:
    """Compare studies on shared images: means and metrics on evaluation images, mIoU on images with masks.

    Args:
        among: only these images of the first study; facts, words and transfers still cover all images.
        common: `in_common` of the studies, for who compares them on many slices.

    Raises:
        SettingsError: fewer than two different studies. StudyError: they share no image, or none matches.
        SliceError: `among` names something that the first study lacks.
    """
    common = common or in_common(studies)
    shared = common.shared.narrowed(among)
    judged, settings = shared.rows[:, shared.judged], {"resamples": resamples, "seed": seed}
    scores = [judged_of(study, rows) for study, rows in zip(studies, judged, strict=True)]
    parts = [
        measure_table(scores, shared.names, **settings),
        measure_table(overlaps_of(shared), shared.names, **settings),
    ]
    measures = sort_measures(pd.concat([part for part in parts if len(part)] or parts[:1]))
    correct = np.stack([score.correct for score in scores])
    labels = shared.labels[shared.judged]
    estimates = function_of_option("compare of estimates")
    groups = groups_among(shared.groups, shared.judged)
    by_class = class_accuracy_changes(correct, labels, shared.names, **settings, groups=groups)
    few_errors = few_error_notes(dict(zip(shared.names, correct, strict=True)))
    classes, sides = _one_class_as_accuracy(by_class, measures), side_table(shared)
    notes = [*common.first_notes, *correction_notes(shared), *relabelled_notes(shared.names[0], sides)]
    if chosen := chosen_by_result(among, shared):
        measures, classes = unjudged(measures), unjudged(classes)
    notes += [*chosen, *estimates.notes(shared)]
    notes += [*common.last_notes, *map(Note, few_errors)]
    separation = separation_table(shared, measures)
    estimated = estimates.of(shared)
    return Comparison(
        shared,
        among,
        measures,
        common.facts,
        classes,
        sides,
        separation,
        estimated,
        common.words,
        common.transfers,
        notes,
        common.not_comparable,
    )


def _one_class_as_accuracy(classes: pd.DataFrame, measures: pd.DataFrame) -> pd.DataFrame:
    """Give a class that is all of the images the interval of the change of accuracy, the same number."""
    accuracy = measures.loc[measures["measure"] == "accuracy"]
    if len(classes) != len(accuracy) or not np.array_equal(numbers(classes, "n"), numbers(accuracy, "n")):
        return classes
    ends = ["difference_low", "difference_high"]
    return classes.assign(**{end: numbers(accuracy, end) for end in ends})


def sort_measures(table: pd.DataFrame) -> pd.DataFrame:
    """Sort a table of compared studies by the order of MEASURES, keeping the order of studies."""
    position = {name: at for at, name in enumerate(MEASURES)}
    return table.take(np.argsort([position[name] for name in table["measure"]], kind="stable")).reset_index(
        drop=True
    )


def fact_table(shared: Shared) -> pd.DataFrame:
    """Tabulate facts of compared studies: counts that have no interval, and what each Q is worth."""
    rows = []
    for name, study in zip(shared.names, shared.studies, strict=True):
        counts = {name: getattr(study.facts(kind), name) for name, kind in FACTS}
        encoder = study.facts(EmbedFacts).encoder
        counts["n_features"] = counts["n_features"] or encoder.n_features
        trust = read_check(study)
        trust_facts = {"premise": trust and trust.sentence, "premise_facts": trust and trust.facts}
        encoder_text = chosen_readout(encoder, study.settings("embed"))
        encoder_text = ", ".join(filter(None, [study.encoder_name, encoder_text]))
        rows.append({"study": name, "encoder": encoder_text, **counts, **trust_facts})
    return pd.DataFrame(rows)


def differences_in_setup(
    shared: Shared, measures_shown: Collection[str] | None = None
) -> tuple[list[Note], frozenset[str]]:
    """Note the settings in which compared studies differ, and measures that are incomparable by that.

    Args:
        measures_shown: only settings that one of these depends on; None: all.
    """
    notes, measures = [], set()
    for alike in ALIKE:
        if measures_shown is not None and not set(measures_shown) & set(alike.measures):
            continue
        values = [_value_of(study, alike) for study in shared.studies]
        present = [at for at, value in enumerate(values) if value is not None]
        if len({values[at] for at in present}) < 2:
            continue
        by_study = ", ".join(f"{shared.names[at]} {values[at]}" for at in present)
        odd = next(at for at in present if values[at] != values[present[0]])
        arguments, command = {alike.setting: values[present[0]]}, ""
        if alike.remedy:
            command = command_line(alike.step, shared.studies[odd].path, **arguments)
        notes.append(Note(_say("differs", what=alike.setting, why=by_study), command))
        measures |= set(alike.measures)
    if len({tuple(names) for study in shared.studies if (names := study.class_names)}) > 1:
        notes.append(Note(_say("other_classes")))
    return notes, frozenset(measures)


def _value_of(study: Study, setting: Alike) -> Any:
    """Return a setting as a finished step recorded it, else as given; None without its results."""
    summary = study.summary(setting.step)
    if not summary or "skipped" in summary:
        return None
    given = study.settings(setting.step).get(setting.setting)
    return _plain(summary.get(setting.setting, given))


def _plain(value: object) -> str | None:
    """A setting with all its digits, so that two that differ never read alike."""
    if isinstance(value, float):
        return str(value).removesuffix(".0")
    return None if value is None else str(value)


def report(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as a JSON-able dict: tables as lists of rows, only images that changed sides."""
    changed = comparison.sides.loc[comparison.sides["side"].isin([GAINED, LOST])]
    shared, words = comparison.shared, comparison.words
    studies = zip(comparison.names, shared.studies, strict=True)
    side_counts = {name: comparison.side_counts(name) for name in comparison.names[1:]}
    estimates = records(comparison.estimates.table)
    class_rows = records(comparison.classes)
    tables = {
        "measures": records(titled(comparison.measures)),
        "facts": records(comparison.facts),
        "classes": class_rows,
        "estimates": estimates,
        "side_counts": side_counts,
        "changed_sides": records(changed),
    }
    about: dict[str, Any] = {"studies": [{"name": name, "path": str(study.path)} for name, study in studies]}
    about["where"] = str(comparison.among)
    about |= {"n_images": shared.n_images, "n_judged": int(shared.judged.sum())}
    about["notes"] = list(map(str, comparison.notes))
    about |= tables
    about["words"] = None if words is None else _word_report(words)
    about["transfers"] = comparison.transfers.report()
    about["answers"] = comparison.pair and asdict(comparison.pair)
    return about


def _word_report(words: Words) -> dict[str, Any]:
    return {
        "across": records(words.across),
        "shared_matrix": words.matrix.to_dict("index"),
        "changes": words.changes,
    }


def records(frame: Any) -> list[dict[str, Any]]:
    """Return the rows of a table of compared studies as dicts."""
    return frame.to_dict("records")


def titled(measures: pd.DataFrame) -> pd.DataFrame:
    """Add a column `title` after the name of the measure to a table of compared studies."""
    result = measures.copy()
    result.insert(1, "title", [MEASURES[name].title for name in measures["measure"]])
    return result
