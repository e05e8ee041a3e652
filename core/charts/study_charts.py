"""Charts of a study: read its tables and call the drawing functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.analysis.features.notes import notes_on_curves, notes_on_features
from core.charts import baselines, compare, features, groups, interpretability, maps, quality, score_overlap
from core.charts import kept_features as kept
from core.charts import score_pair as pairs
from core.charts.options import FigureOptions
from core.charts.theme import Theme
from core.common.arrays import safe_divide
from core.common.dataframes import numbers, where
from core.common.score_names import SCORES, available_scores
from core.comparison.images import study_names as names
from core.errors import SettingsError, StudyError, did_you_mean
from core.slices.inspection.populations import shown_images

if TYPE_CHECKING:
    from core.store import Study

Studies = Sequence["Study"]
MOST_ON_A_MAP = 20_000  # points; more would only hide each other on paper


def sorted_activation(studies: Studies, options: FigureOptions, theme: Theme) -> go.Figure:
    """[Q] Fig. 1."""
    settings = studies[0].settings("features")
    bounds = (float(settings.get("low", 50)), float(settings.get("high", 95)))
    selected = options.features[0] if options.features else None
    return features.sorted_activation(
        studies[0].table("features"),
        selected=selected,
        percentiles=bounds,
        log=options.log,
        images=_rated_on(studies[0]),
        note=" ".join(notes_on_features(studies[0])),
        theme=theme,
    )


def purity(studies: Studies, options: FigureOptions, theme: Theme) -> go.Figure:
    selected = options.features[0] if options.features else None
    return features.purity_scatter(
        studies[0].table("features"), selected=selected, images=_rated_on(studies[0]), theme=theme
    )


def _rated_on(study: Study) -> str:
    """Name the images that activation rates are shares of."""
    return features.TRAIN if study.chosen is None else "images of the slice"


def class_representations(studies: Studies, options: FigureOptions, theme: Theme) -> go.Figure:
    """[Q] Fig. 3."""
    study = studies[0]
    counts = study.vector("group_counts")
    chosen = class_numbers(study, options) or groups.choose_classes(counts, most=10).tolist()
    discriminative = study.table("features", ["discriminative"])["discriminative"].to_numpy(bool)
    columns = options.features or groups.choose_features(study.vector("class_means"), discriminative, chosen)
    return groups.class_representations(
        study.vector("class_means_correct"),
        study.vector("class_means_misclassified"),
        study.class_names,
        classes=chosen,
        features=columns,
        counts=counts,
        panels=options.panels or groups.PANELS,
        selectable=options.selectable,
        theme=theme,
    )


def sparsity(studies: Studies, options: FigureOptions, theme: Theme) -> go.Figure:
    """[Q] A.1."""
    study = studies[0]
    counts = study.vector("group_counts").sum(1).tolist()
    return groups.sparsity(
        study.vector("sparsity_ranks"), study.vector("sparsity_curves"), counts, theme=theme
    )


def kept_features(studies: Studies, options: FigureOptions, theme: Theme) -> go.Figure:
    """[Q] Figs 2, A.5, A.7."""
    tables = {study.name: study.table("probe_curves") for study in studies}
    notes = {study.name: notes_on_curves(study) for study in studies}
    return kept.kept_features(tables, notes=notes, theme=theme)


def q_distribution(studies: Studies, options: FigureOptions, theme: Theme) -> go.Figure:
    """[Q] Fig. 4, for any score; several studies get one panel each, on one axis."""
    found = {name: _judged(study, options) for name, study in zip(names(studies), studies, strict=True)}
    score = options.score
    if len(studies) > 1:
        return compare.score_distributions(compare.score_table(found, score=score), score=score, theme=theme)
    values, correct = next(iter(found.values()))
    zero = quality.zero_mass(values, correct) if SCORES[score].zero_means else None
    histogram = score_histogram(values, correct, score)
    return quality.score_distribution(histogram, score=score, zero=zero, cutoff=options.cutoff, theme=theme)


def score_histogram(values: np.ndarray, correct: np.ndarray, score: str) -> pd.DataFrame:
    """Return the table behind `q_distribution`: images in each bin of a score, by verdict."""
    about = SCORES[score]
    return quality.score_histogram(
        values, correct, whole=about.whole_number, drop_zero=bool(about.zero_means)
    )


def _judged(study: Study, options: FigureOptions) -> tuple[np.ndarray, np.ndarray]:
    """Return score and correctness (1, 0, NaN) of the images of `shown_images`."""
    table = study.table("quality")
    score = known_score(table, options.score)
    table = table.loc[shown_images(study)]
    return numbers(table, score), numbers(table, "correct")


def roc(studies: Studies, options: FigureOptions, theme: Theme) -> go.Figure:
    return quality.roc(*_curves(studies[0], options), theme=theme)


def precision_recall(studies: Studies, options: FigureOptions, theme: Theme) -> go.Figure:
    return quality.precision_recall(*_curves(studies[0], options), theme=theme)


def finding_errors(studies: Studies, options: FigureOptions, theme: Theme) -> go.Figure:
    return quality.precision_recall(*_curves(studies[0], options), positive="error", theme=theme)


def risk_coverage(studies: Studies, options: FigureOptions, theme: Theme) -> go.Figure:
    return quality.risk_coverage(*_curves(studies[0], options), theme=theme)


def score_ranking(studies: Studies, options: FigureOptions, theme: Theme) -> go.Figure:
    selected = known_score(studies[0].table("quality"), options.score)
    table = studies[0].table("quality_metrics")
    return baselines.rivals(table, metric=options.metric, selected=selected, theme=theme)


def by_cause(studies: Studies, options: FigureOptions, theme: Theme) -> go.Figure:
    return baselines.by_cause(studies[0].table("quality_by_cause"), theme=theme)


def score_pair(studies: Studies, options: FigureOptions, theme: Theme) -> go.Figure:
    """Risk by two scores: --score and the first one to compare with, or the usual pair."""
    pair = (options.score, options.against[0]) if options.against else pairs.PAIR
    table = studies[0].table("quality")
    first, second = (known_score(table, name) for name in pair)
    rows = shown_images(studies[0])
    columns = (numbers(table, name)[rows] for name in (first, second, "correct"))
    return pairs.pair_heat(pairs.pair_table(*columns), (first, second), theme=theme)


def representation_map(studies: Studies, options: FigureOptions, theme: Theme) -> go.Figure:
    """The map (UMAP if available), coloured by a feature, by a score other than Q, or by class."""
    study = studies[0]
    kind = "umap" if study.has("map_umap") else "pca"
    rows = np.arange(study.n_images) if study.chosen is None else np.flatnonzero(study.chosen)
    rows = rows[seeded_rows(len(rows), MOST_ON_A_MAP, options.seed)]
    if options.features:
        raw = study.array("representations").rows(rows).astype(np.float64)
        value = safe_divide(raw[:, options.features[0]], np.linalg.norm(raw, axis=1), empty=0.0)
        colouring = maps.by_amount(value, title=f"feature {options.features[0]}", theme=theme)
    elif options.score != FigureOptions.score or not study.labelled:
        table = study.table("quality")
        score = known_score(table, options.score)
        colouring = maps.score_colouring(numbers(table, score)[rows], score, theme)
    else:
        names = study.images["label"].to_numpy(object)[rows]
        colouring = maps.by_name(names, title="class", theme=theme, order=options.classes)
    shares = study.summary("map").get("shares", [])
    return maps.representation_map(
        study.vector(f"map_{kind}")[rows], colouring, kind=kind, shares=shares, theme=theme
    )


def seeded_rows(n_images: int, most: int, seed: int) -> np.ndarray:
    """Draw at most `most` rows in a seeded order, so that no class covers the others."""
    return np.random.default_rng(seed).permutation(n_images)[:most]


def miou(studies: Studies, options: FigureOptions, theme: Theme) -> go.Figure:
    """[Q] Fig. 7, for one or several studies."""
    tables = {
        name: study.table("overlap_summary") for name, study in zip(names(studies), studies, strict=True)
    }
    both = any(np.isfinite(numbers(_both(table), "mean")).any() for table in tables.values())
    controls = studies[0].table("overlap_controls") if studies[0].has("overlap_controls") else None
    return interpretability.miou_bars(
        tables,
        variant=options.variant,
        images=options.masked or ("both masks" if both else "any mask"),
        split=options.split,
        controls=controls,
        theme=theme,
    )


def threshold_sweep(studies: Studies, options: FigureOptions, theme: Theme) -> go.Figure:
    study = studies[0]
    variant = options.variant
    if variant not in ("paper", "binary"):
        raise SettingsError(f"--variant {variant}: only 'paper' and 'binary' have a threshold to sweep")
    threshold = float(study.settings("overlap").get("threshold", 0.5))
    table = study.table("overlap_sweep")
    return interpretability.threshold_sweep(table, variant=variant, threshold=threshold, theme=theme)


def miou_by_class(studies: Studies, options: FigureOptions, theme: Theme) -> go.Figure:
    table = studies[0].table("overlap_by_class")
    if options.classes:
        class_numbers(studies[0], options)
        table = where(table, table["label"].isin(options.classes).to_numpy())
    return interpretability.miou_by_class(table, mask=options.mask, variant=options.variant, theme=theme)


def q_against_miou(studies: Studies, options: FigureOptions, theme: Theme) -> go.Figure:
    """Every image with a mask, of any split; the score is Q by default."""
    study = studies[0]
    table = study.table("quality")
    score = known_score(table, options.score)
    frame = study.table("overlap").drop(columns=[score], errors="ignore")
    frame = frame.assign(**{score: table[score].to_numpy()[frame["row"].to_numpy()]})
    return score_overlap.q_against_miou(frame, score=score, variant=options.variant, theme=theme)


def class_numbers(study: Study, options: FigureOptions) -> list[int]:
    """Return the requested classes as numbers; empty if none was requested.

    Raises:
        SettingsError: the study has no such class.
    """
    place = {name: number for number, name in enumerate(study.class_names)}
    for name in options.classes:
        if name not in place:
            raise SettingsError(f"no class '{name}' in '{study.path}'.{did_you_mean(name, place)}")
    return [place[name] for name in options.classes]


def known_score(table: pd.DataFrame, score: str) -> str:
    """Return the score, checked to exist.

    Raises:
        SettingsError: there is no score of this name, or it has no value in this study.
    """
    known = available_scores(table)
    if score not in known:
        raise SettingsError(
            f"no score '{score}' in this study.{did_you_mean(score, known)} It has: {', '.join(known)}"
        )
    return score


def _curves(study: Study, options: FigureOptions) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    known = study.table("quality")
    scores = [known_score(known, score) for score in (options.score, *options.against)]
    return study.table("quality_curves"), study.table("quality_metrics"), scores


def _both(table: pd.DataFrame) -> pd.DataFrame:
    return interpretability.chosen_rows(table, images="both masks")


def refuse_features(study: Study, options: FigureOptions) -> None:
    """Raise SettingsError for a feature number that the study does not have."""
    shape = study.manifest["items"].get("representations", {}).get("shape", [0, 0])
    outside = [feature for feature in options.features if not 0 <= feature < shape[1]]
    if outside:
        raise SettingsError(
            f"there is no feature {outside[0]} in '{study.path}': it has {shape[1]}, from 0 to {shape[1] - 1}"
        )


def check_side_by_side(studies: Studies) -> None:
    """Raise StudyError when images of several studies cannot be compared side by side."""
    first = studies[0]
    for other in studies[1:]:
        both = f"'{first.path}' and '{other.path}'"
        if not set(first.images["image_id"]) & set(other.images["image_id"]):
            raise StudyError(f"{both} share no image; before and after need the same images")
        for size in ((640, 480), (480, 640)):
            if np.abs(np.subtract(first.transform.box(*size), other.transform.box(*size))).max() > 1:
                raise StudyError(f"{both} crop images differently, so their heatmaps do not coincide")
