"""The tables of docs/RESULTS.md from a study, as Markdown: `python -m benchmarks.evidence.tables STUDY …`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from core.analysis.quality.label_free.consensus import COMBINED
from core.analysis.quality.trust_check import read_check
from core.common.dataframes import by_values, known_mean, numbers
from core.common.formatting import number, with_interval
from core.export.summary import info
from core.store import Study, open_study

BY_CAUSE = ("combined", *COMBINED, "pca_residual", "q_score", "confidence")
MEASURED = ("auroc", "auprc_correct", "auprc_error", "aurc", "augrc", "auroc_difference")


def metric_text(row: Mapping[Any, Any], metric: str) -> str:
    """'0.512 (0.480 to 0.545)'."""
    return with_interval(row[metric], row[f"{metric}_low"], row[f"{metric}_high"])


def facts(study: Study) -> Iterator[str]:
    summary = info(study)
    quality = study.summary("quality")
    yield "| | |"
    yield "|---|---|"
    images = f"{summary['n_train']:,} train, {summary['n_val']:,} val"
    yield f"| images | {images}, {summary['n_classes']} classes |"
    yield f"| probe top-1 / top-5 | {100 * summary['accuracy']:.2f} % / {100 * summary['top5']:.2f} % |"
    n_discriminative = f"{summary['n_discriminative']} of {summary['n_features']}"
    yield f"| epsilon, discriminative features | {summary['epsilon']:g}, {n_discriminative} |"
    yield f"| mean number of firing features | {quality['mean_firing']:.2f} |"
    yield f"| images with a firing discriminative feature | {100 * quality['share_nonempty']:.1f} % |"
    zero, dead = 100 * quality["near_zero_share"], 100 * quality["dead_share"]
    yield f"| near-zero entries, dead features | {zero:.1f} %, {dead:.1f} % |"
    yield f"| RankMe, alpha-ReQ | {number(quality['rankme'], 1)}, {number(quality['alpha_req'], 2)} |"
    yield ""
    if trust := read_check(study):
        yield f"> {trust.sentence} {trust.facts}"


def scores(study: Study) -> Iterator[str]:
    """Every score, the best AUROC first; base rates in the heading."""
    table = study.table("quality_metrics").sort_values("auroc", ascending=False)
    correct, error = table["base_rate_correct"].iloc[0], table["base_rate_error"].iloc[0]
    yield (
        f"| score | labels | AUROC (chance 0.5) | AUPRC, correct (base rate {correct:.3f}) "
        f"| AUPRC, error (base rate {error:.3f}) | AURC (lower is better) | AUGRC (guessing {error / 2:.3f}) "
        "| AUROC minus Q's, paired |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for row in table.to_dict("records"):
        labels = "no" if row["label_free"] else "yes"
        name = "**q_score**" if row["score"] == "q_score" else row["score"]
        cells = [metric_text(row, name) if name in table else "–" for name in MEASURED]  # an older study
        yield f"| {name} | {labels} | {' | '.join(cells)} |"


def accuracies(study: Study) -> Iterator[str]:
    """How many evaluation images of each cause there are, and how many the probe gets right."""
    judged = study.table("probe").merge(study.table("attributes", ["image_id", "cause"]), on="image_id")
    judged = judged.loc[judged["split"] == "val"].reset_index(drop=True)
    shares = [
        (cause, len(rows), known_mean(numbers(rows, "correct")))
        for (cause,), rows in by_values(judged, ["cause"])
    ]
    yield "| what speaks against the image | images | classified correctly |"
    yield "|---|---|---|"
    for cause, n, share in sorted(shares, key=lambda row: -row[2]):
        yield f"| {cause} | {n} | {100 * share:.0f} % |"


def causes(study: Study) -> Iterator[str]:
    """AUROC of some scores for the failures of each cause, against all correct images."""
    table = study.table("quality_by_cause")
    score_names = set(table["score"])
    shown = [score for score in BY_CAUSE if score in score_names]  # an older study lacks some
    yield f"| cause of failure | failures | {' | '.join(shown)} |"
    yield "|---|---|" + "---|" * len(shown)
    for (cause,), rows in by_values(table, ["cause"]):
        n, by_score = rows["n_errors"].iloc[0], rows.set_index("score")
        cells = [with_interval(*by_score.loc[score, ["auroc", "low", "high"]], digits=2) for score in shown]
        yield f"| {cause} | {n} | {' | '.join(cells)} |"


def overlaps(study: Study) -> Iterator[str]:
    """mIoU of the discriminative heatmaps on images with both masks; train images in the first rows only."""
    table = study.table("overlap_summary").query("images == 'both masks'")
    yield "| images | mask | n | paper | binary | soft | energy |"
    yield "|---|---|---|---|---|---|---|"
    for split, group in (("all", "all"), ("val", "all"), ("val", "correct"), ("val", "misclassified")):
        for mask in ("core", "spurious"):
            rows = table.query("split == @split and group == @group and mask == @mask").set_index("variant")
            cells = [f"{r['mean']:.3f} ({r.low:.3f} to {r.high:.3f})" for _, r in rows.iterrows()]
            group_text = f"{'train and val' if split == 'all' else split}, {group}"
            yield f"| {group_text} | {mask} | {rows['n'].iloc[0]:,} | {' | '.join(cells)} |"


def controls(study: Study) -> Iterator[str]:
    """The same measures for heatmaps whose truth is known."""
    table = study.table("overlap_controls")
    wide = table.pivot_table(index="control", columns=["mask", "variant"], values="mean", sort=False)
    yield f"| heatmap | {' | '.join(f'{mask}: {variant}' for mask, variant in wide.columns)} |"
    yield "|---" * (1 + len(wide.columns)) + "|"
    for control, row in wide.iterrows():
        yield f"| {control} | {' | '.join(f'{value:.3f}' for value in row)} |"


def interventions(study: Study) -> Iterator[str]:
    """What the removal of features does to misclassified and to correct images."""
    rows = study.table("interventions").to_dict("records")
    row_of = {(row["removed"], row["order"], row["images"]): row for row in rows}
    n = {row["images"]: int(row["n"]) for row in rows}
    yield (
        f"| removed | by | of {n['misclassified']:,} errors, prediction changes | becomes correct "
        f"| minus random, paired | of {n['correct']:,} correct images, prediction changes |"
    )
    yield "|---|---|---|---|---|---|"
    for removed in sorted({row["removed"] for row in rows}):
        for order in dict.fromkeys(row["order"] for row in rows):
            wrong, right = (row_of[removed, order, kind] for kind in ("misclassified", "correct"))
            cells = [
                _share(wrong, "flip_rate", "flip"),
                _share(wrong, "to_true", "to_true"),
                _share(wrong, "difference", "difference"),
                _share(right, "flip_rate", "flip"),
            ]
            yield f"| {removed} | {order} | {' | '.join(cells)} |"


def blamed_causes(study: Study) -> Iterator[str]:
    """How often the feature that is removed first responds to the cue that misled."""
    table = study.table("interventions_by_cause")
    yield "| cause | removed by | errors | responds to the image's own cue | prediction changes |"
    yield "|---|---|---|---|---|"
    for row in table.to_dict("records"):
        cells = [_share(row, "of_cause", "of_cause"), _share(row, "flip_rate", "flip")]
        yield f"| {row['cause']} | {row['order']} | {row['n']} | {' | '.join(cells)} |"


def _share(row: Mapping[Any, Any], name: str, ends: str) -> str:
    """'51.9 % (46.8 to 57.7)'."""
    if pd.isna(row[name]):
        return "–"
    return f"{100 * row[name]:.1f} % ({100 * row[f'{ends}_low']:.1f} to {100 * row[f'{ends}_high']:.1f})"


def curves(study: Study) -> Iterator[str]:
    """Accuracy against the number of kept features (Kalibhat et al. 2024, Fig. 2)."""
    table = study.table("probe_curves")
    yield table.to_csv(index=False, float_format="%.4f")


def main() -> None:
    for folder in sys.argv[1:]:
        study = open_study(Path(folder))
        print(f"## {study.name}\n")
        parts = [facts, scores]
        if study.has("quality_by_cause"):
            parts += [accuracies, causes]
        if study.has("overlap_summary"):
            parts += [overlaps, controls]
        if study.has("interventions"):
            parts.append(interventions)
        if study.has("interventions_by_cause"):
            parts.append(blamed_causes)
        if study.has("probe_curves"):
            parts.append(curves)
        for part in parts:
            print("\n".join(part(study)), end="\n\n")


if __name__ == "__main__":
    main()
