"""Slow twins of the numeric functions: plain loops written from docs/method.md and the papers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np


def normalise_rows(raw: np.ndarray) -> np.ndarray:
    rows = []
    for row in np.asarray(raw, np.float64):
        norm = math.sqrt(math.fsum(value * value for value in row))
        rows.append([value / max(norm, 1e-12) for value in row])
    return np.array(rows).reshape(np.shape(raw))


def row_moments(row: np.ndarray) -> tuple[float, float]:
    values = [float(value) for value in row]
    mean = math.fsum(values) / len(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / len(values)
    return mean, math.sqrt(variance)


def highly_activating(h: np.ndarray, epsilon: float) -> np.ndarray:
    firing = np.zeros(np.shape(h), bool)
    for i, row in enumerate(np.asarray(h, np.float64)):
        mean, std = row_moments(row)
        if row.max() == row.min():
            continue
        for j, value in enumerate(row):
            firing[i, j] = value > mean + epsilon * std
    return firing


def activation_rate(firing: np.ndarray) -> np.ndarray:
    n_images, n_features = firing.shape
    return np.array([100.0 * sum(bool(firing[i, j]) for i in range(n_images)) / n_images
                     for j in range(n_features)])  # fmt: skip


def percentile(values: np.ndarray, q: float) -> float:
    ordered = sorted(float(value) for value in values)
    place = q / 100.0 * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def discriminative_features(rate: np.ndarray, low: float, high: float) -> np.ndarray:
    bottom, top = percentile(rate, low), percentile(rate, high)
    return np.array([bottom <= a <= top and a > 0 for a in rate])


def auto_epsilon(raw: np.ndarray, low: float, high: float) -> tuple[float | None, str]:
    """The epsilon of docs/method.md 1.3 and what it meets: all, half (not P_low > 0), some or none."""
    met = {}
    for epsilon in (4, 3.5, 3, 2.5, 2, 1.5, 1):
        firing = highly_activating(normalise_rows(raw), epsilon)
        n_with_one = sum(any(row) for row in firing)
        rate = activation_rate(firing)
        chosen = discriminative_features(rate, low, high)
        met[epsilon] = (any(chosen), 2 * n_with_one >= len(raw), percentile(rate, low) > 0)
    for name, wanted in (("all", 3), ("half", 2)):
        for epsilon in met:  # the largest first
            if all(met[epsilon][:wanted]):
                return float(epsilon), name
    with_any = [epsilon for epsilon in met if met[epsilon][0]]
    return (float(with_any[-1]), "some") if with_any else (None, "none")


def q_score(h: np.ndarray, discriminative: np.ndarray, epsilon: float) -> np.ndarray:
    firing = highly_activating(h, epsilon)
    scores = []
    for i, row in enumerate(np.asarray(h, np.float64)):
        mean, _ = row_moments(row)
        excess = [row[j] - mean for j in range(len(row)) if firing[i, j] and discriminative[j]]
        scores.append(math.fsum(excess) / len(excess) if excess else 0.0)
    return np.array(scores)


def hoyer(row: np.ndarray) -> float:
    l1 = math.fsum(abs(float(value)) for value in row)
    l2 = math.sqrt(math.fsum(float(value) ** 2 for value in row))
    root = math.sqrt(len(row))
    return (root - l1 / l2) / (root - 1) if l2 and root > 1 else math.nan


def near_zero_share(raw: np.ndarray, threshold: float) -> np.ndarray:
    shares = []
    for row in raw:
        peak = max(row)
        shares.append(sum(value < threshold * peak for value in row) / len(row) if peak > 0 else 1.0)
    return np.array(shares)


def firing_by_class(firing: np.ndarray, labels: np.ndarray, n_classes: int) -> np.ndarray:
    counts = np.zeros((firing.shape[1], n_classes), int)
    for i, label in enumerate(labels):
        for j in range(firing.shape[1]):
            counts[j, label] += firing[i, j]
    return counts


def top_images(h: np.ndarray, k: int) -> np.ndarray:
    """Rows of each feature's largest positive values, ties by row, padded with -1."""
    found = np.full((h.shape[1], k), -1)
    for j in range(h.shape[1]):
        order = sorted((-value, i) for i, value in enumerate(h[:, j]) if value > 0)[:k]
        for place, (_, i) in enumerate(order):
            found[j, place] = i
    return found


def auroc(score: np.ndarray, positive: np.ndarray) -> float:
    wins = pairs = 0.0
    for s, p in zip(score, positive, strict=True):
        for t, q in zip(score, positive, strict=True):
            if p and not q:
                pairs += 1
                wins += 1.0 if s > t else 0.5 if s == t else 0.0
    return wins / pairs if pairs else math.nan


def average_precision(score: np.ndarray, positive: np.ndarray) -> float:
    total, area, recall = sum(positive), 0.0, 0.0
    for threshold in sorted(set(score), reverse=True):
        chosen = [p for s, p in zip(score, positive, strict=True) if s >= threshold]
        area += (sum(chosen) / total - recall) * sum(chosen) / len(chosen)
        recall = sum(chosen) / total
    return area


def aurc_of_order(correct: list[bool]) -> float:
    risks, wrong = [], 0
    for k, right in enumerate(correct, start=1):
        wrong += not right
        risks.append(wrong / k)
    return sum(risks) / len(risks)


def mean_over_orders(
    score: np.ndarray, correct: np.ndarray, of_order: Callable[[list[bool]], float]
) -> float:
    """Mean over every order of the images that sorts the scores: only for a handful of images."""
    items = list(zip(score, correct, strict=True))
    orders = [
        order
        for order in itertools.permutations(items)
        if all(first[0] >= second[0] for first, second in itertools.pairwise(order))
    ]
    return sum(of_order([bool(right) for _, right in order]) for order in orders) / len(orders)


def augrc_of_order(correct: list[bool]) -> float:
    """Area under the line through (kept images / n, wrong kept images / n), by trapezoids."""
    n, wrong, area, before = len(correct), 0, 0.0, 0.0
    for right in correct:
        wrong += not right
        area += (before + wrong / n) / 2 / n
        before = wrong / n
    return area


def nearest(val: np.ndarray, train: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions and cosines of the k most similar train rows of each val row."""
    val, train = normalise_rows(val), normalise_rows(train)
    places, cosines = [], []
    for row in val:
        similarity = [math.fsum(a * b for a, b in zip(row, other, strict=True)) for other in train]
        order = sorted(range(len(train)), key=lambda i: (-similarity[i], i))[:k]
        places.append(order)
        cosines.append([similarity[i] for i in order])
    return np.array(places), np.array(cosines)


def rankme(raw: np.ndarray) -> float:
    singular = np.linalg.svd(np.asarray(raw, np.float64), compute_uv=False)
    total = math.fsum(singular)
    shares = [s / total + 1e-7 for s in singular]
    return math.exp(-math.fsum(p * math.log(p) for p in shares))


def logits(raw: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return np.array([[math.fsum(u * v for u, v in zip(row, w, strict=True)) + b
                      for w, b in zip(weights, bias, strict=True)] for row in raw])  # fmt: skip


def group_means(raw: np.ndarray, code: np.ndarray, correct: np.ndarray, n_classes: int) -> np.ndarray:
    """(2, n_classes, n_features): mean normalised row of the correct and of the misclassified images."""
    h = normalise_rows(raw)
    means = np.full((2, n_classes, h.shape[1]), np.nan)
    for verdict in (True, False):
        for label in range(n_classes):
            rows = [h[i] for i in range(len(h)) if code[i] == label and bool(correct[i]) == verdict]
            for j in range(h.shape[1]):
                if rows:
                    means[0 if verdict else 1, label, j] = math.fsum(row[j] for row in rows) / len(rows)
    return means


def sparsity_curve(raw: np.ndarray) -> list[float]:
    """Mean over images of the activations of an image, largest first."""
    ordered = [sorted((float(value) for value in row), reverse=True) for row in normalise_rows(raw)]
    return [math.fsum(row[place] for row in ordered) / len(ordered) for place in range(len(ordered[0]))]


def overlap(heat: np.ndarray, mask: np.ndarray, threshold: float) -> dict[str, float]:
    """The four overlaps of one image, pixel by pixel (docs/method.md 5)."""
    shared_heat = joined_heat = heat_sum = mask_sum = lower = upper = product = 0.0
    shared = joined = region = 0
    for g, m in zip(np.ravel(heat).tolist(), np.ravel(mask).tolist(), strict=True):
        looked, marked = g >= threshold, m >= 0.5
        region += marked
        if looked and marked:
            shared, shared_heat = shared + 1, shared_heat + g
        if looked or marked:
            joined, joined_heat = joined + 1, joined_heat + g
        heat_sum, mask_sum, product = heat_sum + g, mask_sum + m, product + g * m
        lower, upper = lower + min(g, m), upper + max(g, m)
    nan = math.nan
    has_region, has_mask = heat_sum > 0 and region > 0, heat_sum > 0 and mask_sum > 0
    return {
        "paper": (shared_heat / joined_heat if joined_heat else 0.0) if has_region else nan,
        "binary": shared / joined if has_region else nan,
        "soft": lower / upper if has_mask else nan,
        "energy": product / heat_sum if has_mask else nan,
    }


def mean_of_rows(values: np.ndarray, rows: np.ndarray) -> list[float]:
    """Mean of each column over the given rows (with repetition), NaN entries left out."""
    means = []
    for column in np.transpose(values):
        known = [float(column[row]) for row in rows if not math.isnan(column[row])]
        means.append(math.fsum(known) / len(known) if known else math.nan)
    return means


def match_names(images: list[str], masks: list[str]) -> dict[str, str]:
    """Every image against every mask, rule after rule; a pair counts where neither has another."""
    splits = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val"}
    splits |= {"test": "test", "testing": "test"}

    def parts(name: str) -> list[str]:
        stem = name.rsplit(".", 1)[0]
        first, *rest = [part for part in stem.split("/") if part]
        return [splits.get(first, first) if rest else first, *rest]

    def inner(name: str) -> list[str]:
        return parts(name)[1:] if split(name) else parts(name)

    def split(name: str) -> str | None:
        return parts(name)[0] if len(parts(name)) > 1 and parts(name)[0] in splits.values() else None

    def ends(a: list[str], b: list[str]) -> bool:
        n = min(len(a), len(b))
        return a[-n:] == b[-n:]

    def agree(a: str, b: str) -> bool:
        return split(a) is None or split(b) is None or split(a) == split(b)

    rules = [
        lambda image, mask: image == mask,
        lambda image, mask: parts(image) == parts(mask),
        lambda image, mask: ends(parts(image), parts(mask)),
        lambda image, mask: ends(inner(image), inner(mask)) and agree(image, mask),
    ]
    found: dict[str, str] = {}
    left_images, left_masks = set(images), set(masks)
    for rule in rules:
        pairs = [(image, mask) for image in images for mask in left_masks if rule(image, mask)]
        for image, mask in pairs:
            others = [pair for pair in pairs if (pair[0] == image) != (pair[1] == mask)]
            if image in left_images and not others:
                found[image] = mask
        left_images -= {image for image, _ in pairs}
        left_masks -= {mask for _, mask in pairs}
    return found


def resample_axis(values: list[float], start: float, end: float, size: int) -> list[float]:
    """Pixels start..end of a line as `size` pixels: triangle filter, wider on the way down; 0 beyond."""
    step = (end - start) / size
    reach = max(step, 1.0)
    line = []
    for i in range(size):
        centre = start + (i + 0.5) * step
        weights = [max(0.0, 1 - abs(j + 0.5 - centre) / reach) for j in range(len(values))]
        inside = 0 <= centre <= len(values) and sum(weights) > 0
        weighted = sum(w * v for w, v in zip(weights, values, strict=True))
        line.append(weighted / sum(weights) if inside else 0.0)
    return line


def scale_heatmap(map_: np.ndarray) -> np.ndarray:
    values = [[float(v) for v in row] for row in map_]
    least = min(min(row) for row in values)
    most = max(max(row) for row in values) - least
    return np.array([[(v - least) / (1e-7 + most) for v in row] for row in values])


def resize_heatmap(map_: np.ndarray, size: int) -> np.ndarray:
    """Bilinear between pixel centres; the border's values go on outwards."""
    height, width = map_.shape

    def neighbours(place: int, n: int) -> tuple[int, int, float]:
        at = min(max((place + 0.5) * n / size - 0.5, 0.0), n - 1.0)
        low = min(int(at), n - 1)
        return low, min(low + 1, n - 1), at - low

    resized = np.zeros((size, size))
    for y in range(size):
        top, bottom, v = neighbours(y, height)
        for x in range(size):
            left, right, u = neighbours(x, width)
            above = (1 - u) * map_[top, left] + u * map_[top, right]
            below = (1 - u) * map_[bottom, left] + u * map_[bottom, right]
            resized[y, x] = (1 - v) * above + v * below
    return resized


def combine_heatmaps(raw_maps: np.ndarray, how: str, size: int) -> np.ndarray:
    """From ReLU'd, unscaled Grad-CAM maps (K, h, w)."""
    if how == "sum":
        total = np.zeros(raw_maps.shape[1:])
        for map_ in raw_maps:
            total = total + map_
        return scale_heatmap(resize_heatmap(scale_heatmap(total), size))
    singles = [scale_heatmap(resize_heatmap(scale_heatmap(map_), size)) for map_ in raw_maps]
    combined = np.zeros((size, size))
    for y in range(size):
        for x in range(size):
            values = [single[y, x] for single in singles]
            combined[y, x] = {"mean": sum(values) / len(values), "max": max(values), "min": min(values)}[how]
    return scale_heatmap(combined) if how == "mean" else combined


def gradcam_of_pooled(layer: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Grad-CAM of <direction, mean of the layer (C, h, w) over its pixels>."""
    channels, height, width = layer.shape
    map_ = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            total = math.fsum(float(direction[c]) * float(layer[c, y, x]) for c in range(channels))
            map_[y, x] = max(total, 0.0) / (height * width)
    return map_


def chosen(right: np.ndarray, level: float) -> tuple[int, list[float]]:
    """Which of several candidates is taken, and the corrected p of each: sums of the binomial by hand."""
    p, taken = [1.0], 0
    for candidate in range(1, len(right)):
        won = sum(
            bool(one) and not bool(first) for one, first in zip(right[candidate], right[0], strict=True)
        )
        lost = sum(
            bool(first) and not bool(one) for one, first in zip(right[candidate], right[0], strict=True)
        )
        differ = won + lost
        tail = sum(math.comb(differ, k) for k in range(min(won, lost) + 1)) / 2**differ
        p.append(min(1.0, (len(right) - 1) * min(1.0, 2 * tail)))
        if won > lost and p[-1] < level and (taken == 0 or sum(right[candidate]) > sum(right[taken])):
            taken = candidate
    return taken, p


def usual_bound(values: list[float], gaps: list[float], at: float, n: int) -> float:
    """The bound of docs/method.md 9.3: the value at place .95 (n + 1) of the nearest right images."""
    if len(values) < 30:
        return math.nan
    nearest = sorted(range(len(values)), key=lambda one: (abs(abs(gaps[one]) - abs(at)), one))
    ordered = sorted(values[one] for one in nearest[:n])
    place = 0.95 * (len(ordered) + 1)
    below = min(max(math.floor(place), 1), len(ordered))
    above = min(below + 1, len(ordered))
    return ordered[below - 1] + (place - below) * (ordered[above - 1] - ordered[below - 1])


def trial_outcome(
    gain: float,
    answered: bool,
    neutral: list[float],
    lead: float | None,
    gap: float,
    right: list[tuple[float, float, float | None]],
    n: int,
) -> str:
    """What the rule says of one image; right: gap, gain and lead of the right images that were tried."""
    if math.isnan(gain):
        return "not tried"
    if not answered or any(gain <= other for other in neutral):
        return "no"
    bound = usual_bound([one[1] for one in right], [one[0] for one in right], gap, n)
    if math.isnan(bound):
        return "too few"
    leads = 0.0
    if lead is not None:
        leads = usual_bound([one[2] or 0.0 for one in right], [one[0] for one in right], gap, n)
    return "holds" if gain > bound and (lead is None or lead > leads) else "no"


def remedy_gain(
    before: list[bool], after: list[bool], units: list[int], resamples: int, seed: int
) -> tuple[float, float, float]:
    """The gain of a remedy and its percentile interval over whole units, by loops.

    The units that a resample holds are those that numpy's generator draws, in one matrix of all resamples.
    """
    names = sorted(set(units))
    changes = {name: [0.0, 0] for name in names}
    for was, now, unit in zip(before, after, units, strict=True):
        changes[unit][0] += float(now) - float(was)
        changes[unit][1] += 1
    gain = sum(one[0] for one in changes.values()) / sum(one[1] for one in changes.values())
    drawn = np.random.default_rng(seed).integers(0, len(names), (resamples, len(names)))
    gains = []
    for draw in drawn.tolist():
        total, n = 0.0, 0
        for place in draw:
            total += changes[names[place]][0]
            n += changes[names[place]][1]
        gains.append(total / n)
    return gain, percentile(np.array(gains), 2.5), percentile(np.array(gains), 97.5)


def calibration_error(confidence: list[float], right: list[bool], n_bins: int = 15) -> float:
    """The weighted mean distance of confidence and accuracy over bins of equal width, open below."""
    total = 0.0
    for number in range(n_bins):
        inside = [
            at
            for at, value in enumerate(confidence)
            if number / n_bins < value <= (number + 1) / n_bins or (number == 0 and value == 0)
        ]
        if inside:
            mean = math.fsum(confidence[at] for at in inside) / len(inside)
            share = sum(right[at] for at in inside) / len(inside)
            total += len(inside) / len(right) * abs(mean - share)
    return total


def best_temperature(logits: np.ndarray, labels: list[int]) -> float:
    """The T of the least mean log loss among a fine grid."""
    losses = {}
    for step in range(-300, 301):
        temperature = math.exp(step / 100)
        total = 0.0
        for row, label in zip(logits.tolist(), labels, strict=True):
            scaled = [value / temperature for value in row]
            most = max(scaled)
            total += most + math.log(math.fsum(math.exp(value - most) for value in scaled)) - scaled[label]
        losses[temperature] = total
    return min(losses, key=lambda one: losses[one])
