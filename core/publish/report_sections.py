"""Sections of a report on the origin of a study and on its scores."""

import os
import platform
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from itertools import compress
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from core.analysis.caveats import notes_on_accuracy, notes_on_features, whose_accuracy
from core.analysis.recommendation import advice
from core.analysis.trust_check import headline_of_all, read_check
from core.charts import baselines
from core.common.assets import PROJECT, version
from core.common.captions import with_class_names
from core.common.command_line import command_line
from core.common.dataframes import evenly, numbers, words
from core.common.formatting import counted, number, percent, with_interval
from core.common.private_paths import without_folders
from core.common.score_names import score_label
from core.common.step_facts import EmbedFacts, ProbeFacts
from core.encoders.readout import encoder_title, layer_words, readout_words, weights_words
from core.measures.corrected_accuracy import before_corrections
from core.measures.evaluate import result_column
from core.measures.intervals import share_bounds, wilson
from core.measures.label_issues import errors_in_doubt
from core.measures.leaks import leakage
from core.measures.score_verdicts import score_verdicts
from core.measures.slice_comparison import shown_images
from core.publish.accuracies import accuracies, accuracies_line, table_of
from core.publish.finding import study_finding
from core.publish.image_sections import telling
from core.publish.report_page import Source, lowest, parts
from core.store import Narrowed, Study
from core.study.manifest import digest
from core.study.steps import STEPS

# Sections on the origin of a study: images, encoder, settings, versions and command lines.


PACKAGES = ("torch", "torchvision", "timm", "numpy", "pandas", "pyarrow", "plotly")
SAMPLES, CLASSES, LOOKS = 12, 30, 7


def holds(source: Source) -> list[Markup]:
    """Section of a report: counts, classes, samples, and everything that was assumed or left out."""
    study, embed = source.study, source.study.facts(EmbedFacts)
    encoder = embed.encoder
    n_val = int(study.is_val.sum())
    narrowed = []
    if isinstance(study, Narrowed):
        narrowed = [("Images of the slice", f"{study.n_chosen:,}", study.slice.describe())]
    n_classes = f"{len(study.class_names):,}" if study.labelled else "none"
    others = counted(study.n_images - n_val, "other")
    numbers_shown = [
        *narrowed,
        ("Images", f"{study.n_images:,}", f"{embed.n_skipped:,} skipped as unreadable"),
        ("Evaluation images", f"{n_val:,}", f"beside {others}"),
        *([("Groups", f"{embed.n_groups or 0:,}", f"by {embed.group}")] if embed.group else []),
        ("Classes", n_classes, "from the labels"),
        ("Features", f"{encoder.n_features or 0:,}", layer_words(encoder)),
    ]
    samples = source.judged["row"].to_numpy()
    pieces = [parts.cards(numbers_shown), parts.facts(_encoder(study))]
    if study.has("thumbnails"):
        some = samples[evenly(len(samples), SAMPLES)]
        pieces += [parts.heading("Some of the images"), source.tiles(some)]
    if study.has("classes") and study.labelled:
        pieces += [parts.heading("Classes"), _classes(source)]
    notes = [without_folders(note) for note in (*embed.notes, *encoder.assumptions)]
    if leaked := leakage(study):
        notes = [leaked, *notes]
    if notes:
        pieces += [parts.heading("Assumed, ignored or noted"), parts.bullets(notes)]
    return pieces


def _encoder(study: Study) -> list[tuple[object, object]]:
    encoder = study.facts(EmbedFacts).encoder
    transform = encoder.transform or {}
    seen = [f"{name} {value}" for name, value in transform.items() if value is not None]
    pairs = {
        "Images from": _plain(study.settings("embed").get("images") or "") or None,
        "Encoder": _plain(encoder.spec) or None,
        "Layer": encoder.layer,
        "One vector from": readout_words(encoder),
        "Precision": encoder.precision,
        "Weights": weights_words(encoder.report),
        "Sees": ", ".join(seen),
        "Checksum of weights and transform": encoder.fingerprint,
    }
    return [(name, value) for name, value in pairs.items() if value]


def _classes(source: Source) -> Markup:
    study, table_ = source.study, source.study.table("classes")
    all_labels = study.column("images", "label").to_numpy(object)
    n_train, n_val = (Counter(all_labels[split]) for split in (~study.is_val, study.is_val))
    correct = pd.Series(numbers(source.judged, "correct"), dtype=float)
    means = correct.groupby(source.judged["label"].astype(object).to_numpy()).agg(["mean", "count"])
    rows = []
    if study.chosen is not None:
        labels = source.judged["label"].dropna().unique().tolist()
        table_ = table_.loc[table_["label"].isin(labels)]
    for row in table_.head(CLASSES).to_dict("records"):
        accuracy = "not known"
        if row["label"] in means.index and means.loc[row["label"], "count"]:
            share, n = means.loc[row["label"], "mean"], int(means.loc[row["label"], "count"])
            low, high = wilson(float(share) * n, n)
            accuracy = f"{percent(share)} ({100 * low:.1f} to {100 * high:.1f})"
        label = row["label"]
        rows.append([with_class_names(label), f"{n_train[label]:,}", f"{n_val[label]:,}", accuracy])
    more = len(table_) - CLASSES
    caption = f"The first {CLASSES} of {len(table_):,} classes." if more > 0 else ""
    return parts.table(["Class", "Train", "Evaluation", "Accuracy (95 % interval)"], rows, caption=caption)


def settings(source: Source) -> list[Markup]:
    """Section of a report: all that is needed to make the study again, but for folders of files."""
    study, rows = source.study, []
    for step in _done_steps(study):
        given = {name: value for name, value in study.settings(step).items() if value is not None}
        rows.append((step, ", ".join(f"{name} {_plain(value)}" for name, value in given.items())))
    return [
        parts.table(["Step", "Settings"], rows),
        parts.heading("Command lines"),
        parts.listing("\n".join(command_lines(study))),
        parts.heading("Versions"),
        parts.facts([("Report made with", _versions()), ("Study", f"digest {digest(study.manifest)}")]),
    ]


def _done_steps(study: Study) -> list[str]:
    """List for a report the steps that were run, in order; those of commands beside the steps last."""
    run, order = [step for step in study.manifest["steps"] if study.settings(step)], list(STEPS)
    return sorted(run, key=lambda step: (order.index(step) if step in STEPS else len(order), step))


def command_lines(study: Study) -> list[str]:
    """List for a report a command a step, with the options that are not at their default."""
    lines = []
    for step in _done_steps(study):
        if step not in STEPS:
            continue
        usual, options = {}, {}
        for field in STEPS[step].config.__dataclass_fields__.values():
            default = field.default
            usual[field.name] = list(default) if isinstance(default, tuple) else default
        for name, value in study.settings(step).items():
            if name in usual and value is not None and value != usual[name]:
                options |= {f"no_{name}": True} if value is False else {name: _plain(value)}
        lines.append(command_line(step, study.name, **options))
    return lines


def _plain(value: Any) -> bool | str:
    if value is True:
        return True
    if isinstance(value, list | tuple):
        return ",".join(map(str, map(_plain, value)))
    text = str(value)
    return os.path.basename(text.rstrip("/")) if os.path.isabs(text) else without_folders(text)


def _versions() -> str:
    """List for a report the versions of Python, Peregrine and the packages that it rests on."""
    installed = [f"Python {platform.python_version()}", f"{PROJECT} {version()}"]
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            installed.append(f"{name} {metadata.version(name)}")
    return ", ".join(installed)


def introduction(source: Source) -> list[Markup]:
    """Section of a report: what was found, what features look at, and which score to take."""
    study = source.study
    words = counted(study.n_images, "image")
    words += f" of {counted(len(study.class_names), 'class')}" if study.class_names else " without labels"
    words += f", seen by {encoder_title(study.encoder_name)}" if study.encoder_name else ""
    paragraphs = [parts.lead(f"{study_finding(study)}."), parts.paragraph(f"{words}."), *narrowed_to(study)]
    score = advice(study) if study.has("quality_metrics") else ""
    return [*paragraphs, *_looks(source), *([parts.paragraph(score)] if score else [])]


def _looks(source: Source) -> list[Markup]:
    """The most telling features, each on the image on which it is largest; empty without heatmaps."""
    tiles = []
    for feature, _, rows in telling(source.study, LOOKS) if source.study.has("heatmap_maps") else ():
        heats = (source.heat(row, [feature]) for row in rows)
        if heat := next(filter(None, heats), None):
            tiles.append(([heat], [source.feature_name(feature)]))
    return [parts.heading("What its most telling features look at"), parts.gallery(tiles)] if tiles else []


def narrowed_to(study: Study) -> list[Markup]:
    """Say in a report which slice the study is narrowed to; empty for a whole study."""
    if not isinstance(study, Narrowed):
        return []
    images = counted(study.n_chosen, "image")
    return [parts.strong(f"This report is about {images}: {study.slice.describe()}.")]


def accuracy(source: Source) -> list[Markup]:
    """Section of a report: the accuracy of the answer beside guessing, and what it confuses."""
    study = source.study
    images = study.images_named("evaluation images")
    probe = study.facts(ProbeFacts)
    if probe.top1 is None:
        return []
    labels = source.judged["label"].dropna().value_counts(normalize=True)
    n, base = probe.n_val, float(labels.iloc[0]) if len(labels) else None
    low, high = _bounds_of_accuracy(study, probe.top1, n)
    beside = f"{100 * low:.1f} to {100 * high:.1f} %"
    if study.chosen is None:  # in a slice of one class, every guess would be right
        beside += f"; guessing {percent(base)}"
    cards = [(f"{whose_accuracy(study)}, top-1", percent(probe.top1), beside)]
    if probe.has_top5:
        cards.append(("Top-5", percent(probe.top5), f"{n:,} {images}"))
    if probe.train_top1 is not None:
        cards.append(("On train images", percent(probe.train_top1), "optimistic: it was trained on them"))
    notes = [before_corrections(study, shown_images(study)), *notes_on_accuracy(study)]
    beside_it = _accuracies(study) if study.chosen is None else []
    return [parts.cards(cards), *map(parts.paragraph, filter(None, notes)), *beside_it, *_confusions(source)]


def _accuracies(study: Study) -> list[Markup]:
    """Every accuracy of the study beside each other; nothing where there is one."""
    rows = accuracies(study)
    return [parts.heading(accuracies_line(rows)), parts.table(*table_of(rows))] if len(rows) > 1 else []


def _bounds_of_accuracy(study: Study, top1: float, n: int) -> tuple[float, float]:
    """Wilson's interval, of the images that the accuracy is of, over groups where the study has some."""
    correct = result_column(study, "correct")
    shown = study.rows_of_slice(study.is_val)
    judged_rows = np.flatnonzero(np.isfinite(correct) & shown)
    if study.groups is None or len(judged_rows) != n:
        low, high = wilson(top1 * n, n)
        return float(low), float(high)
    return share_bounds(correct[judged_rows], study.groups[judged_rows])


def _confusions(source: Source, most: int = 12) -> list[Markup]:
    wrong = source.judged.loc[numbers(source.judged, "correct") == 0]
    if not len(wrong):
        return []
    names = list(zip(words(wrong, "label"), words(wrong, "predicted"), strict=True))
    is_doubtful = [row in source.errors_of_labels for row in wrong["row"]]
    pairs, doubtful = Counter(names), Counter(compress(names, is_doubtful))
    of = Counter(words(source.judged, "label"))
    head = ["Class", "Taken for", "Images", "Of the class", *["Label in doubt"] * any(is_doubtful)]
    rows = []
    for (true, predicted), n in sorted(pairs.items(), key=lambda one: (-one[1], one[0]))[:most]:
        cells = [with_class_names(true), with_class_names(predicted), f"{n:,}", percent(n / of[true])]
        rows.append([*cells, f"{doubtful[true, predicted]:,}"][: len(head)])
    doubts = [source.errors_of_labels[row] for row in compress(wrong["row"], is_doubtful)]
    note = errors_in_doubt(doubts, len(names))
    return [
        parts.heading("Most common confusions"),
        *([parts.paragraph(note)] if note else []),
        parts.table(head, rows),
    ]


# Sections on the Q-Score: it and its baselines, what it is worth, and the images it puts last.


SHOWN = 12
SOME_FIRST = " First some of these, then the lowest above 0."
COLUMNS = {  # of the table of scores
    "auroc": "AUROC",
    "auprc_correct": "AUPRC correct",
    "auprc_error": "AUPRC errors",
    "aurc": "AURC (lower is better)",
    "augrc": "AUGRC (lower is better)",
}


def quality(source: Source) -> list[Markup]:
    """Section of a report: every score with its interval, beside guessing and the base rates."""
    study = source.study
    metrics = study.table("quality_metrics").sort_values("auroc", ascending=False, kind="stable")
    pieces = [parts.strong(baselines.finding(metrics))]
    if sentence := advice(study):
        pieces.append(parts.paragraph(sentence))
    if not numbers(metrics, "n").any():  # no image is known to be right or wrong
        return [*pieces, *source.charts.row("q_distribution")]
    of_q = metrics.loc[metrics["score"] == "q_score"].to_dict("records")
    if of_q:
        pieces.append(parts.cards(_headline(of_q[0])))
    pieces += source.charts.row("errors_found", "baselines", "q_distribution", "roc", "risk_coverage")
    words = {name: verdict.word for name, verdict in score_verdicts(study, metrics).items()}
    return [*pieces, _metrics(metrics.to_dict("records"), words), *source.charts.row("by_cause")]


def _headline(of_q: dict) -> list[tuple[str, str, str]]:
    def card(name: str, beside: str) -> tuple[str, str]:
        ends = f"{number(of_q[f'{name}_low'])} to {number(of_q[f'{name}_high'])}"
        return number(of_q[name]), f"{ends}; {beside}"

    rate_correct, rate_error = number(of_q["base_rate_correct"]), number(of_q["base_rate_error"])
    cards = [("AUROC of Q", *card("auroc", "guessing 0.500"))]
    cards.append(("AUPRC, correct", *card("auprc_correct", f"base rate {rate_correct}")))
    cards.append(("AUPRC, errors", *card("auprc_error", f"base rate {rate_error}")))
    cards.append(("AURC", *card("aurc", f"guessing {rate_error}")))
    return cards


def _metrics(rows: list[dict], words: Mapping[str, str]) -> Markup:
    """A row a score; `words`: the verdict on each, "" where there is none."""
    cells = []
    for row in rows:
        name, verdict = score_label(row["score"]), words[row["score"]] or "not judged"
        values = [with_interval(row[name], row[f"{name}_low"], row[f"{name}_high"]) for name in COLUMNS]
        cells.append([name, verdict, "no" if row["label_free"] else "yes", *values])
    if rows:
        right, wrong = number(rows[0]["base_rate_correct"]), number(rows[0]["base_rate_error"])
        half = number(rows[0]["base_rate_error"] / 2)
        cells.append(["Guessing (base rate)", "", "", "0.500", right, wrong, wrong, half])
    n = f"{int(rows[0]['n']):,} images; 95 % intervals." if rows else ""
    head = ["Score", "Verdict", "Needs a classifier", *COLUMNS.values()]
    return parts.table(head, cells, caption=n)


def premise(source: Source) -> list[Markup]:
    """Section of a report: what the Q-Score is worth, and the facts beside that verdict."""
    of_q, trust = headline_of_all(source.study), read_check(source.study)
    if trust is None:
        return []
    near_zero = percent(of_q.near_zero_share)
    facts = [
        ("Entries near zero (below 1 % of the row's largest)", near_zero),
        ("Negative entries", percent(of_q.negative_share)),
        ("Features that are 0 on every train image", percent(of_q.dead_share)),
    ]
    facts.append(("Images on which a discriminative feature fires", percent(of_q.share_nonempty)))
    facts.append(("Features firing on an image, on average", number(of_q.mean_firing, 2)))
    facts.append(("RankMe, effective rank of the representations", number(of_q.rankme, 1)))
    facts.append(("alpha-ReQ, decay of their spectrum", number(of_q.alpha_req, 2)))
    notes = [parts.paragraph(note) for note in notes_on_features(source.study)]
    return [parts.strong(trust.sentence), parts.paragraph(trust.facts), *notes, parts.facts(facts)]


def worst_images(source: Source) -> list[Markup]:
    """Section of a report: images with the lowest Q, and errors of which the probe is most confident."""
    study = source.study
    q = numbers(source.judged, "q_score")
    zero = int((q == 0).sum())
    positive = source.judged.loc[q > 0]
    none = source.judged.loc[q == 0, "row"].to_numpy()
    rows = [*none[evenly(len(none), SHOWN // 2)].tolist(), *lowest(positive, "q_score", SHOWN // 2)]
    n_images, verb = int(np.isfinite(q).sum()), "has" if zero == 1 else "have"
    note = (
        f"{zero:,} of {n_images:,} images {verb} Q = 0: no discriminative feature fires "
        f"there.{SOME_FIRST if zero else ''}"
    )
    pieces = [parts.heading("Lowest Q-Scores"), parts.quiet(note), source.tiles(rows)]
    return [*pieces, *_most_confident_errors(source)] if study.has("probe") else pieces


def _most_confident_errors(source: Source) -> list[Markup]:
    confidence = numbers(source.study.table("probe", ["confidence"]), "confidence")
    wrong = source.judged.loc[numbers(source.judged, "correct") == 0]
    if not len(wrong):
        return []
    rows = wrong["row"].to_numpy()
    order = np.argsort(-confidence[rows], kind="stable")[:SHOWN]
    return [parts.heading("Errors with the highest confidence"), source.tiles(rows[order])]
