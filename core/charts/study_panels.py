"""Panels of a study's images and heatmaps: choose and read the images, and call the drawing functions.

Heatmaps that the study does not hold are computed with its encoder; torch is loaded only then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts import groups, heat_panels
from core.charts.features import telling_features
from core.charts.heat_panels import ClassImages, Shown
from core.charts.options import FigureOptions
from core.charts.other_studies import whole_study
from core.charts.study_charts import check_side_by_side, class_numbers, names
from core.charts.study_comparison import shared_of_slice
from core.charts.study_heats import StudyHeats
from core.charts.theme import Theme
from core.common.dataframes import as_text, equals, numbers, where
from core.comparison.sides import GAINED, LOST, SIDES, side_table, surest_first
from core.errors import SettingsError, StudyError

if TYPE_CHECKING:
    from core.store import Study

Studies = Sequence["Study"]
EVENLY = "evenly spaced by Q-Score"


def class_heatmaps(studies: Studies, options: FigureOptions, theme: Theme) -> go.Figure:
    """[Q] Fig. 5: classes with correct and misclassified images; one row of heatmaps per study."""
    check_side_by_side(studies)
    study, layers = studies[0], names(studies)
    sources = [StudyHeats(one, options) for one in studies]
    facts, n = _shared(sources[0].judged(), studies[1:]), options.images or 4
    classes = class_numbers(study, options) or groups.choose_classes(_class_counts(facts, study), most=3)
    if not len(classes):
        images = "evaluation images" if study.chosen is None else "images in the slice"
        raise StudyError(f"no class of '{study.path}' has both correct and misclassified {images}")
    blocks = []
    for label in [study.class_names[number] for number in classes]:
        parts = []
        for verdict in (True, False):
            images = sources[0].shown(spread(_of(facts, label, verdict), n))
            for source, layer in zip(sources, layers, strict=True):
                images = [source.with_heat(image, layer) for image in images]
            parts.append(images)
        blocks.append(ClassImages(label, *parts))
    note = (
        f"Heatmaps of the discriminative features that fire on each evaluation image; images {EVENLY} "
        "within their group. Below a misclassified image: the predicted class."
    )
    return heat_panels.class_heatmaps(blocks, layers, note=note, colours=options.colours, theme=theme)


def changed_heatmaps(studies: Studies, options: FigureOptions, theme: Theme) -> go.Figure:
    """Images whose answer is right in one of two studies only, with the heatmaps of both.

    `options.panels` names the sides to show, of those of `core.comparison.compare.SIDES`.

    Raises:
        SettingsError: a side that does not exist. StudyError: no image is on the sides.
    """
    check_side_by_side(studies)
    sides = options.panels or (GAINED, LOST)
    if odd := [side for side in sides if side not in SIDES]:
        raise SettingsError(f"'{odd[0]}' is no side. Sides: {', '.join(SIDES)}")
    shared, layers = shared_of_slice(studies), names(studies)
    table, n = side_table(shared), options.images or 4
    sources = [StudyHeats(whole_study(study), options) for study in studies]
    found = {}
    for side in sides:
        rows = numbers(surest_first(table, shared.names[1], side), "row").astype(np.int64)[:n]
        before = _heated(sources[0], rows, layers[0])
        there = [sources[1].study.row_of(one.name) for one in before]
        after = {
            one.name: one for one in _heated(sources[1], there, layers[1])
        }  # a file may be missing there
        found[side] = [(one, after[one.name]) for one in before if one.name in after]
    if not any(found.values()):
        raise StudyError(f"no evaluation image of {layers[0]} and {layers[1]} is {' or '.join(sides)}")
    note = (
        f"Evaluation images by their answers in {as_text(layers[0])} and {as_text(layers[1])}, most sure "
        "new answer first, with the heatmaps of the discriminative features that fire. Below: the answer."
    )
    return heat_panels.changed_heatmaps(found, layers, note=note, colours=options.colours, theme=theme)


def _heated(source: StudyHeats, rows: Sequence[int] | np.ndarray, layer: str) -> list[Shown]:
    return [source.with_heat(image, layer) for image in source.shown(rows)]


def mask_overlaps(studies: Studies, options: FigureOptions, theme: Theme) -> go.Figure:
    """[Q] Fig. 6: images with low, medium and high overlap with the core mask."""
    study = studies[0]
    source = StudyHeats(study, options)
    table = study.table("overlap")
    if options.classes:
        class_numbers(study, options)
        table = table[table["label"].isin(options.classes)]
    scores = table.pivot_table(index="row", columns="mask", values=options.variant, aggfunc="first")
    scores = scores.dropna() if scores.notna().all(axis=1).any() else scores.dropna(how="all")
    if scores.empty:
        raise StudyError(f"no image of '{study.path}' has both a heatmap and a mask")
    order = scores.sort_values([scores.columns[0]]).index.to_numpy()
    correct = numbers(source.facts, "correct")[order]
    n = options.images or 3
    rows = [*middles(order[correct == 1], n), *middles(order[correct == 0], n)]
    shown = source.shown(rows or middles(order, 2 * n))
    shown = [source.with_masks(source.with_heat(image, "heatmap"), scores) for image in shown]
    threshold = float(study.settings("overlap").get("threshold", 0.5))
    note = (
        f"Below an overlap: its value (variant {options.variant}, t = {threshold:g}). Correct images first, "
        f"then misclassified ones, each evenly spaced by the overlap with the {scores.columns[0]} mask."
    )
    return heat_panels.mask_overlaps(
        shown, threshold=threshold, note=note, colours=options.colours, theme=theme
    )


def feature_heatmaps(studies: Studies, options: FigureOptions, theme: Theme) -> go.Figure:
    """[Q] A.10: the images with the largest activations of features, with the features' heatmaps."""
    study, source = studies[0], StudyHeats(studies[0], options)
    rows = [
        (title, [source.with_heat(image, "heatmap", [feature]) for image in images])
        for feature, title, images in _top_images(study, source, options, options.images or 6)
    ]
    among = "train and evaluation" if study.chosen is None else "of the slice"
    note = f"The images on which each feature is largest ({among}), with the feature's heatmap."
    return heat_panels.feature_heatmaps(rows, note=note, colours=options.colours, theme=theme)


def transferred_features(studies: Studies, options: FigureOptions, theme: Theme) -> go.Figure:
    """[Q] A.2: features chosen on one image set, and their top images in another."""
    here, there = studies[0], studies[1]
    _check_same_encoder(here, there)
    first, second = StudyHeats(here, options), StudyHeats(there, options)
    n = options.images or 4
    rows, beside = [], []
    for feature, title, images in _top_images(here, first, options, n):
        rows.append((title, [first.with_stored(image, feature) for image in images]))
        found = second.shown(_top_rows(there, feature, n))
        beside.append([second.with_stored(image, feature) for image in found])
    note = (
        f"Features chosen on {here.name}; the images of each set on which they are largest, with the heatmap "
        "where one is stored."
    )
    headers = names(studies)
    return heat_panels.feature_heatmaps(
        rows, other=beside, headers=(headers[0], headers[1]), note=note, colours=options.colours, theme=theme
    )


def directions(studies: Studies, options: FigureOptions, theme: Theme) -> go.Figure:
    """[Q] A.11 to A.14: where a top discriminative, a lowly activating and a random feature and the first
    principal component are active, on images of one class."""
    study, source = studies[0], StudyHeats(studies[0], options)
    facts, asked = source.judged(), class_numbers(study, options)
    counts = _class_counts(facts, study)
    number = asked[0] if asked else int(counts[0].argmax())
    label = study.class_names[number]
    rows = spread(_of(facts, label, bool(counts[0, number])), options.images or 6)
    if not rows:
        images = "evaluation image" if study.chosen is None else "image in the slice"
        raise StudyError(f"no {images} of '{study.path}' is of class '{label}'")
    shown, titles = source.along_directions(source.shown(rows), number)
    note = (
        f"Evaluation images of class {as_text(label)}, {EVENLY}. Rows: the discriminative feature "
        "with the largest class mean, the feature with the smallest class mean above zero, a random "
        "feature, and the first principal component of the representations. An evenly dark image has no heat."
    )
    return heat_panels.direction_heatmaps(shown, titles, note=note, colours=options.colours, theme=theme)


def _shared(facts: pd.DataFrame, others: Studies) -> pd.DataFrame:
    """Return the facts of the images that all other studies hold, too."""
    for other in others:
        facts = where(facts, facts["image_id"].isin(other.images["image_id"]).to_numpy())
    return facts


def _of(facts: pd.DataFrame, label: str, correct: bool) -> pd.DataFrame:
    return where(facts, equals(facts, "label", label) & (numbers(facts, "correct") == correct))


def spread(facts: pd.DataFrame, n: int) -> list[int]:
    """Choose rows of at most n images, evenly spaced by Q-Score; if enough images have a firing
    discriminative feature, only these (the others have no discriminative heatmap, and Q 0)."""
    firing = where(facts, numbers(facts, "n_firing_discriminative") > 0)
    facts = firing if len(firing) >= n else facts
    order = np.argsort(-np.nan_to_num(numbers(facts, "q_score")), kind="stable")
    return middles(facts["row"].to_numpy()[order], n).tolist()


def middles(ordered: np.ndarray, n: int) -> np.ndarray:
    """At most n of the entries: the middles of n equal parts."""
    if len(ordered) <= n:
        return ordered
    return ordered[((np.arange(n) + 0.5) * len(ordered) / n).astype(int)]


def _class_counts(facts: pd.DataFrame, study: Study) -> np.ndarray:
    """(2, n_classes) number of correct and misclassified evaluation images."""
    codes = pd.Categorical(facts["label"], categories=study.class_names).codes
    known, correct = codes >= 0, numbers(facts, "correct") == 1
    n = len(study.class_names)
    return np.array([np.bincount(codes[known & group], minlength=n) for group in (correct, ~correct)])


def _top_rows(study: Study, feature: int, n: int) -> list[int]:
    rows = study.vector("top_images")[feature]
    return rows[rows >= 0][:n].tolist()


def _top_images(
    study: Study, source: StudyHeats, options: FigureOptions, n: int
) -> list[tuple[int, str, list[Shown]]]:
    """Return feature, title and top images of the requested features, else of the best ones."""
    table = study.table("features").set_index("feature", drop=False)
    found = []
    for feature in options.features or _telling(study, table):
        row = table.loc[feature]
        title = f"<b>{feature}</b>"
        if isinstance(row["top_class"], str) and row["purity"] > 0:
            title += f"<br>{100 * row['purity']:.0f} % {as_text(heat_panels.short(row['top_class']))}"
        found.append((int(feature), title, source.shown(_top_rows(study, feature, n))))
    return found


def _telling(study: Study, table: pd.DataFrame, most: int = 6) -> list[int]:
    """Choose the best features, of different classes as far as possible."""
    ordered = telling_features(table.reset_index(drop=True))
    seen, first, rest = set(), [], []
    for feature in ordered:
        label = table["top_class"].get(feature)
        (rest if label in seen else first).append(feature)
        seen.add(label)
    return [*first, *rest][:most]


def _check_same_encoder(here: Study, there: Study) -> None:
    about = [study.summary("embed").get("encoder", {}) for study in (here, there)]
    if about[0].get("fingerprint") != about[1].get("fingerprint") or about[0].get("layer") != about[1].get(
        "layer"
    ):
        raise StudyError(
            f"'{here.path}' and '{there.path}' were made with different encoders, so their features have "
            "nothing in common; make the second with the first one's --encoder, --layer and --pool"
        )
