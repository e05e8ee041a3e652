"""The rows of the training table as Markdown: mean and standard deviation beside the published numbers."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

# Kalibhat et al. 2024, Table A.1: ResNet-18, top-1 in percent of base, lasso, Q, each fine-tuned for 50
# epochs.
PUBLISHED = {
    "CIFAR-10": {
        "simclr": (90.83, 89.33, 92.31),
        "swav": (89.23, 89.37, 90.03),
        "moco": (92.95, 90.59, 94.77),
        "byol": (92.59, 90.27, 92.82),
        "dino": (89.54, 89.57, 89.85),
        "simsiam": (91.03, 90.74, 92.48),
        "vicreg": (92.69, 91.83, 93.74),
        "barlow": (93.46, 91.75, 93.87),
    },
    "CIFAR-100": {
        "simclr": (65.82, 68.21, 68.90),
        "moco": (70.12, 67.23, 71.16),
        "byol": (70.54, 71.26, 72.71),
    },
}
KINDS = ("none", "lasso", "q")
SHOWN = (  # column, heading, factor, digits
    ("top1", "top-1 %", 100, 2),
    ("top5", "top-5 %", 100, 2),
    ("q_auroc", "Q AUROC", 1, 3),
    ("q_auroc_start_d", "Q AUROC, start's D", 1, 3),
    ("confidence_auroc", "confidence AUROC", 1, 3),
    ("q_auprc", "Q AUPRC (correct)", 1, 3),
    ("base_rate", "base rate", 1, 3),
    ("mean_q_correct", "mean Q, correct", 1, 4),
    ("mean_q_misclassified", "mean Q, misclassified", 1, 4),
    ("mean_firing", "mean L_i", 1, 2),
    ("near_zero", "near-zero %", 100, 1),
    ("miou_core", "mIoU core", 1, 3),
    ("weight_change", "weights moved", 1, -1),
    ("batchnorm_change", "BatchNorm weights moved", 1, -1),
    ("statistics_change", "BatchNorm statistics moved", 1, -1),
)


def write_report(folder: Path) -> Path:
    """FOLDER/table.md from FOLDER/runs.csv."""
    rows = pd.read_csv(folder / "runs.csv", keep_default_na=False, na_values=["nan"])
    out = folder / "table.md"
    out.write_text("\n".join(report(rows)) + "\n", encoding="utf-8")
    return out


def report(rows: pd.DataFrame) -> Iterator[str]:
    """One line after the other."""
    yield from accuracies(rows)
    for key, part in rows.groupby(["rate", "frozen"], sort=False):
        rate, frozen = pairs(key)
        title = "start" if not rate else f"{rate} rate{', weights frozen' if frozen else ''}"
        yield ""
        yield f"### Everything measured: {title}"
        yield ""
        yield from details(part)
    yield ""
    seconds = rows["seconds"].astype(float).sum()
    yield f"{len(rows)} runs, {seconds / 60:.0f} minutes in all; {'; '.join(sorted(set(rows['device'])))}."


def accuracies(rows: pd.DataFrame) -> Iterator[str]:
    """Top-1 of each method: start, base, lasso, Q at each rate, and the published accuracies."""
    rates = [rate for rate in ("practical", "paper") if rate in set(rows["rate"])]
    live: Any = rows[~rows["frozen"].astype(bool)]
    heads = ["method", "start", *[f"{kind}, {rate} rate" for rate in rates for kind in KINDS]]
    heads += [f"published {name}: base / lasso / Q" for name in PUBLISHED]
    yield "### Top-1 of the linear probe in percent, mean ± standard deviation over seeds (number of seeds)"
    yield ""
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    for method in dict.fromkeys(rows["method"]):
        of_method = live[live["method"] == method]
        cells = [method, spread(of_method.loc[of_method["regularizer"] == "start", "top1"], 100, 2)]
        for rate in rates:
            for kind in KINDS:
                runs = of_method[(of_method["rate"] == rate) & (of_method["regularizer"] == kind)]
                cells.append(spread(runs["top1"], 100, 2))
        for published in PUBLISHED.values():
            reported = published.get(method)
            cells.append("" if reported is None else " / ".join(f"{value:.2f}" for value in reported))
        yield f"| {' | '.join(cells)} |"


def details(rows: pd.DataFrame) -> Iterator[str]:
    """Every number of each method and regulariser."""
    shown = [column for column in SHOWN if column[0] in rows and spread(rows[column[0]], 1, 1)]
    yield f"| method | regulariser | {' | '.join(head for _, head, _, _ in shown)} |"
    yield "|---" * (2 + len(shown)) + "|"
    for key, part in rows.groupby(["method", "regularizer"], sort=False):
        method, kind = pairs(key)
        cells = [spread(part[name], factor, digits) for name, _, factor, digits in shown]
        yield f"| {method} | {kind} | {' | '.join(cells)} |"


def pairs(key: Any) -> tuple[Any, Any]:
    return key[0], key[1]


def spread(values: Iterable[Any], factor: float, digits: int) -> str:
    """'62.31 ± 0.42 (3)'; the sample standard deviation, none of a single run; '' without runs.

    >>> spread([0.1, 0.3], 100, 1), spread([2e-6], 1, -1)
    ('20.0 ± 14.1 (2)', '2e-06 (1)')
    """
    numbers = factor * np.array([float(value) if value != "" else np.nan for value in values])
    finite = numbers[np.isfinite(numbers)]
    if not len(finite):
        return ""
    form = (lambda value: f"{value:.2g}") if digits < 0 else (lambda value: f"{value:.{digits}f}")
    deviation = f" ± {form(np.std(finite, ddof=1))}" if len(finite) > 1 else ""
    return f"{form(finite.mean())}{deviation} ({len(finite)})"


if __name__ == "__main__":
    print(write_report(Path(sys.argv[1])).read_text(encoding="utf-8"))
