"""Slow twins of `core.compare.measures`: images drawn one by one, pairs of images compared one by one."""

from __future__ import annotations

import math

import numpy as np


def mean(values: list[float]) -> float:
    finite = [value for value in values if not math.isnan(value)]
    return sum(finite) / len(finite) if finite else math.nan


def auroc(score: list[float], correct: list[float]) -> float:
    right = [s for s, c in zip(score, correct, strict=True) if c == 1]
    wrong = [s for s, c in zip(score, correct, strict=True) if c == 0]
    if not right or not wrong:
        return math.nan
    won = sum((a > b) + 0.5 * (a == b) for a in right for b in wrong)
    return won / (len(right) * len(wrong))


def average_precision(score: list[float], correct: list[float]) -> float:
    n_right, last_recall, total = sum(correct), 0.0, 0.0
    if n_right in (0, len(correct)):
        return math.nan
    for threshold in sorted(set(score), reverse=True):
        above = [c for s, c in zip(score, correct, strict=True) if s >= threshold]
        recall, precision = sum(above) / n_right, sum(above) / len(above)
        total += (recall - last_recall) * precision
        last_recall = recall
    return total


def drawn_images(n: int, seed: int, number: int) -> list[int]:
    return np.random.default_rng([seed, number]).integers(0, n, n).tolist()


def numbers_of(columns: dict[str, list[float]], score: list[float], correct: list[float], rows: list[int]):
    """Every number of one study on the images `rows`, with repetition."""
    numbers = {name: mean([values[row] for row in rows]) for name, values in columns.items()}
    scored = [row for row in rows if not math.isnan(score[row]) and not math.isnan(correct[row])]
    some, right = [score[row] for row in scored], [correct[row] for row in scored]
    numbers["q_auroc"], numbers["q_auprc"] = auroc(some, right), average_precision(some, right)
    numbers["base_rate"] = mean(right)
    numbers["q_gap"] = numbers["q_correct"] - numbers["q_misclassified"]
    numbers["q_auprc_gain"] = numbers["q_auprc"] - numbers["base_rate"]
    confidence = columns["confidence"]
    scored = [row for row in rows if not math.isnan(confidence[row]) and not math.isnan(correct[row])]
    numbers["confidence_auroc"] = auroc([confidence[row] for row in scored], [correct[row] for row in scored])
    return numbers


def percentiles(values: list[float]) -> tuple[float, float]:
    finite = [value for value in values if not math.isnan(value)]
    return tuple(np.percentile(finite, [2.5, 97.5]).tolist()) if finite else (math.nan, math.nan)
