"""Sections on the Q-Score: it and its baselines, what it is worth, and the images it puts last."""

from collections.abc import Mapping

import numpy as np
from markupsafe import Markup

from core.analysis.features.notes import notes_on_features
from core.analysis.quality.recommendation import advice
from core.analysis.quality.trust_check import headline_of_all, read_check
from core.charts import baselines
from core.common.dataframes import evenly, numbers
from core.common.formatting import number, percent, with_interval
from core.common.score_names import score_label
from core.measures.score_verdicts import score_verdicts
from core.report.inputs import Source, lowest
from core.report.page import parts

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
    """Every score with its interval, beside guessing and the base rates."""
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
    words = {name: one.word for name, one in score_verdicts(study, metrics).items()}
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
    """State what the Q-Score is worth, and the facts beside that verdict."""
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
    """Images with the lowest Q, and errors of which the probe is most confident."""
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
