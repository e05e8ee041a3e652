"""Sections on features: which they are, where they look, what they mean, and how they lead to errors."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from markupsafe import Markup

from core.analysis.caveats import notes_on_features
from core.analysis.remedies import base_sentence, remedies_finding, remedy_sentence, worst_sentence
from core.charts.feature_points import most_telling
from core.charts.sentences import bands_sentence
from core.common.captions import with_class_names
from core.common.dataframes import evenly, numbers
from core.common.formatting import counted, full_sentence, number, percent, signed, with_interval
from core.common.step_facts import (
    CausesFacts,
    ConceptsFacts,
    FailuresFacts,
    FeaturesFacts,
    OverlapFacts,
    RemediesFacts,
)
from core.measures import saved_slices
from core.measures.feature_names import feature_names
from core.measures.finder import judged, worst_slices
from core.measures.image_columns import NO_CAUSE, tells_causes
from core.measures.plain_names import plain_name
from core.measures.slice import Slice
from core.measures.slice_comparison import images_of
from core.pictures.cause_words import shares_sentence
from core.publish.report_page import Source, parts
from core.store import Narrowed, Study

FEATURES, TOP_IMAGES, HEATS, PAIRS, CONCEPTS, SLICES = 8, 6, 6, 12, 20, 6
NONE_WORSE = "None is saved, and none has clearly more errors."
NONE_JUDGED = "None is saved, and which images are misclassified is not known."


def features(source: Source) -> list[Markup]:
    """Section of a report: how many features fire how often, the most telling with words and images."""
    study = source.study
    table, epsilon = study.table("features"), study.facts(FeaturesFacts).epsilon
    shown_epsilon = math.nan if epsilon is None else epsilon
    pieces = [parts.paragraph(f"{bands_sentence(table)} Epsilon is {shown_epsilon:g}.")]
    pieces += [parts.paragraph(note) for note in notes_on_features(study)]
    pieces += source.charts.row("sorted_activation", "purity")
    pieces.append(parts.heading("The most telling features"))
    pieces.append(
        parts.quiet("With the images on which each is largest, and where it looks if that is stored.")
    )
    seen = study.has("heatmap_maps")
    for feature, facts, rows in telling(study, FEATURES):
        pieces += [parts.heading(source.feature_name(feature)), parts.quiet(facts)]
        if study.has("top_images"):
            pieces.append(source.seen_tiles(rows, [feature]) if seen else source.tiles(rows))
    return pieces


def telling(study: Study, most: int) -> Iterator[tuple[int, str, list[int]]]:
    """Yield the most telling features for a report: number, images, class, best rows."""
    table = study.table("features")
    by_number = {row["feature"]: row for row in table.to_dict("records")}
    top = study.vector("top_images") if study.has("top_images") else None
    images = study.images_named("train images")
    for feature in most_telling(study)[:most]:
        fact = by_number[feature]
        facts = f"fires on {fact['activation_rate']:.3g} % of the {images}"
        if isinstance(fact["top_class"], str):
            facts += f", {percent(fact['purity'], 0)} of them {fact['top_class']}"
        rows = [] if top is None else top[feature][top[feature] >= 0][:TOP_IMAGES].tolist()
        yield feature, with_class_names(facts), rows


def slices(source: Source) -> list[Markup]:
    """Section of a report: slices with clearly more errors than other images, and the saved ones."""
    study = source.study
    whole = study.whole if isinstance(study, Narrowed) else study
    inside = study.rows_of_slice(np.ones(study.n_images, bool))
    words = feature_names(whole)
    pieces: list[Markup] = []
    worst = worst_slices(whole, limit=SLICES, among=study.chosen, significant=True)
    for row in worst.to_dict("records"):
        where = Slice.parse(str(row["where"]))
        ends = f"{100 * row['low']:.0f} to {100 * row['high']:.0f}"
        rates = f"{percent(row['error_rate'])} ({ends}) of {counted(int(row['n']), 'image')} misclassified"
        beside = f"{rates}, others {percent(row['rest'])}: {row['where']}"
        name = plain_name(where, words, study.feature_kind)
        pieces += [parts.heading(with_class_names(name)), parts.quiet(beside)]
        pieces.append(_some(source, where.mask(whole) & inside))
    for saved in saved_slices.listed(whole)[:SLICES]:
        is_read = saved["n_images"] is not None
        mask = images_of(whole, Slice.of_saved(saved["where"])) & inside if is_read else np.zeros(0, bool)
        count = counted(int(mask.sum()), "image") if is_read else "cannot be read"
        pieces += [parts.heading(f"Saved: {saved['name']}"), parts.quiet(f"{count}: {saved['where']}")]
        if mask.any():
            pieces.append(_some(source, mask))
    verdicts = judged(whole, study.chosen)
    return pieces or [parts.paragraph(NONE_WORSE if verdicts else NONE_JUDGED)]


def _some(source: Source, mask: np.ndarray) -> Markup:
    rows = np.flatnonzero(mask)
    return source.tiles(rows[evenly(len(rows), HEATS)])


def heatmaps(source: Source) -> list[Markup]:
    """Section of a report: correct and misclassified images with the heatmap of what fires on them."""
    firing = numbers(source.judged, "n_firing_discriminative") > 0
    pieces: list[Markup] = []
    for name, verdict in (("Correct images", 1), ("Misclassified images", 0)):
        images = source.judged.loc[firing & (numbers(source.judged, "correct") == verdict)]
        rows = images["row"].to_numpy()[evenly(len(images), HEATS)]
        if len(rows):
            pieces += [parts.heading(name), source.seen_tiles(rows)]
    rows = source.judged["row"].to_numpy()
    return pieces or [source.seen_tiles(rows[evenly(len(rows), HEATS)])]


def overlap(source: Source) -> list[Markup]:
    """Section of a report: mIoU with both kinds of mask, beside what a uniform heatmap has."""
    study = source.study
    summary = study.table("overlap_summary")
    paper = summary.loc[summary["variant"] == "paper"]
    both = paper.loc[paper["images"] == "both masks"]
    both = both if np.isfinite(numbers(both, "mean")).any() else paper
    rows = []
    for row in both.to_dict("records"):
        rows.append([row["mask"], row["group"], row["split"], _amount(row), f"{int(row['n']):,}"])
    head = ["Mask", "Images", "Split", "mIoU (95 % interval)", "n"]
    pieces = [
        *source.charts.row("miou", "threshold_sweep"),
        parts.table(head, rows, caption="Variant of the paper."),
    ]
    if study.has("overlap_controls"):
        controls = study.table("overlap_controls")
        control_rows = []
        for row in controls.loc[controls["variant"] == "paper"].to_dict("records"):
            control_rows.append([row["control"], row["mask"], _amount(row), f"{int(row['n']):,}"])
        head = ["Heatmap", "Mask", "mIoU (95 % interval)", "n"]
        pieces += [parts.heading("What other heatmaps would have"), parts.table(head, control_rows)]
    if notes := study.facts(OverlapFacts).notes:
        pieces.append(parts.bullets(notes))
    return pieces


def _amount(row: dict) -> str:
    return with_interval(float(row["mean"]), float(row["low"]), float(row["high"]))


def failures(source: Source) -> list[Markup]:
    """Section of a report: the features that push the most common confusions."""
    study = source.study
    pairs = study.table("failure_pairs")
    by_pair: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in pairs.loc[pairs["side"] == "predicted"].to_dict("records"):
        by_pair.setdefault((row["true"], row["predicted"]), []).append(row)
    rows = []
    order = sorted(by_pair.items(), key=lambda one: (-one[1][0]["n_images"], one[0]))
    for (true, predicted), part in order[:PAIRS]:
        strongest = sorted(part, key=lambda row: row["rank"])[:3]
        named = [
            f"{source.feature_name(row['feature'])}: {signed(row['contribution'], 2)}" for row in strongest
        ]
        classes = with_class_names(true), with_class_names(predicted)
        rows.append([*classes, f"{int(part[0]['n_images']):,}", "; ".join(named)])
    caption = "Contribution of the strongest features to the logit of the class that was answered."
    pieces = [parts.table(["Class", "Taken for", "Images", "Features"], rows, caption=caption)]
    if interventions := study.facts(FailuresFacts).interventions:
        pieces.append(parts.paragraph(f"{interventions[0].upper()}{interventions[1:].rstrip('.')}."))
    return pieces


def causes(source: Source) -> list[Markup]:
    """Section of a report: the share of errors by cause, beside how often that would explain right images."""
    if not tells_causes(source.study):
        return []
    rates = source.study.table("cause_rates")
    tried = rates.loc[(rates["n_tried"] > 0) | (rates["cause"].isin(NO_CAUSE) & (rates["n"] > 0))]
    rows = []
    for row in tried.to_dict("records"):
        share, low, high = (float(row[name]) for name in ("share", "low", "high"))
        cells = with_interval(share, low, high), number(row["false_rate_alike"])
        rows.append([row["cause"], f"{int(row['n']):,}", *cells])
    head = ["Cause", "Errors", "Share (95 % interval)", "Correct images with a similar margin"]
    pieces = [parts.paragraph(shares_sentence(rates)), *source.charts.row("error_causes")]
    pieces.append(parts.table(head, rows))
    if notes := source.study.facts(CausesFacts).notes:
        pieces.append(parts.bullets(notes))
    return pieces


def remedies(source: Source) -> list[Markup]:
    """Section of a report: what each remedy of the head gains on images that it has not seen."""
    table, facts = source.study.table("remedies"), source.study.facts(RemediesFacts)
    study, name = source.study, ""
    if facts.worst_slice:
        whole = study.whole if isinstance(study, Narrowed) else study
        name = plain_name(Slice.parse(facts.worst_slice), feature_names(whole), study.feature_kind)
    pieces = [
        parts.paragraph(f"{full_sentence(remedies_finding(table))} {base_sentence(facts)}"),
        *source.charts.row("remedies"),
    ]
    if worst := worst_sentence(facts, name):
        pieces.append(parts.paragraph(worst))
    return [*pieces, parts.bullets([full_sentence(remedy_sentence(row)) for row in table.to_dict("records")])]


def concepts(source: Source) -> list[Markup]:
    """Section of a report: the words of the features with most highly activating images."""
    study = source.study
    facts = study.facts(ConceptsFacts)
    explained = study.table("explained")
    explained = explained.sort_values("n_images", ascending=False, kind="stable").head(CONCEPTS)
    rows = []
    for row in explained.to_dict("records"):
        words, n_images = row["words"] or "no word was kept", f"{int(row['n_images']):,}"
        interpretable = "yes" if row["interpretable"] else "no"
        rows.append([row["group"], words, n_images, number(row["clip_cosine"]), interpretable])
    n, bank = facts.n_explained_features, facts.n_bank
    captions = f"{bank:,} captions ({facts.captions})" if bank else str(facts.captioner)
    named = f"{counted(n, 'feature')} {'was' if n == 1 else 'were'}"
    text = (
        f"{named} put into words with {facts.clip} "
        f"and {captions}; highly activating means above alpha = {number(facts.alpha)}."
    )
    head = ["Feature", "Words, best first", "Images", "Likeness of their crops", "Interpretable"]
    pieces = [parts.paragraph(text), parts.table(head, rows)]
    if notes := facts.notes:
        pieces.append(parts.bullets(notes))
    return pieces
