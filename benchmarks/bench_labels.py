"""Planted wrong labels: how high the list of the step `crossfit` ranks them, against documented pipelines.

2, 5 and 10 % of the labels of three data sets are changed, to any other class ("random") and to the class
that each is most likely taken for ("confusable"), five draws each. In one run, on the same labels:

* cleanlab's documented pipeline: `cross_val_predict` of scikit-learn's `LogisticRegression`, its defaults,
  over five folds; `find_label_issues`, the listed images ranked by self-confidence, then all others by it.
  Beside it the same ranking without the list (Datalab's score), and by normalised margin;
* the same with the penalty and standardisation of the step;
* FiftyOne's mistakenness of the first pipeline's answers, with and without logits.

Data: Glyphworld by its encoder; CIFAR-10 (PEREGRINE_CIFAR10, a folder of CLASS/IMAGE) by the shipped SimCLR;
and photographs named by a WordNet id (PEREGRINE_PHOTOGRAPHS) in broad classes by the shipped
EfficientNet-Lite0.
"""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from scipy.stats import entropy
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.results import Absent, Result
from core.common.wordnet import imagenet_synsets
from core.config.checks import default_encoder
from core.data.images import open_images
from core.data.source import ImageSource
from core.encoders.registry import load_encoder
from core.pipeline.run import run_step
from core.store import Study, open_study
from core.study.progress import Progress

SHARES, KINDS = (0.02, 0.05, 0.10), ("random", "confusable")
SEEDS = range(int(os.environ.get("PEREGRINE_BENCH_SEEDS", 5)))
N_GLYPHS, PER_CLASS, BATCH = 800, 100, 50
N_TIMED, EMBED_MS = 10_000, 54
GOAL = 1.1  # times the best of the documented rankings
OURS, WRONG, SAME = "crossfit", "probability wrong", "same penalty"
DOCUMENTED = ("cleanlab", SAME, "mistakenness", "mistakenness, logits")
BESIDE = (WRONG, "self-confidence", "margin")  # another column of ours; the first pipeline without its list
FILTERS = ("prune_by_noise_rate", "prune_by_class", "both", "confident_learning", "low_self_confidence",
           "low_normalized_margin", "predicted_neq_given")  # fmt: skip
# Places of ImageNet's classes, in its order, by what they show; a class in none of them is an object.
BROAD = {
    "fish": ((0, 7), (389, 398)),
    "bird": ((7, 25), (80, 101), (127, 147)),
    "reptile or amphibian": ((25, 69),),
    "insect or spider": ((69, 80), (300, 327)),
    "sea creature": ((107, 127), (327, 330)),
    "dog": ((151, 269),),
    "other mammal": ((101, 107), (147, 151), (269, 300), (330, 389)),
    "food": ((924, 970), (987, 999)),
    "landscape": ((970, 981),),
}
OBJECT = "object"


@dataclass(frozen=True)
class Data:
    name: str
    raw: np.ndarray  # (n, n_features) float32
    labels: np.ndarray  # (n,) int, as they are


def run() -> Iterator[Result | Absent]:
    warnings.filterwarnings("ignore")  # of scikit-learn's solver, which stops at 100 steps by default
    yield from timed()
    for name, make in {"demo": glyphs, "CIFAR-10": cifar, "photographs": photographs}.items():
        data = make()
        if isinstance(data, str):
            yield Absent(name, data)
            continue
        table: Any = pd.concat([measured(data, kind) for kind in KINDS], keys=KINDS, names=["kind"])
        print(table.groupby(["kind", "share"]).mean().T.round(3).to_string(), flush=True)
        for kind in KINDS:
            yield from compared(f"{data.name}, {kind}", table.loc[kind].mean())
        yield from compared(f"{data.name}, both", table.groupby("kind").mean().mean())


def timed() -> Iterator[Result]:
    """Processor seconds of the step on planted representations, as a share of what `embed` takes."""
    rng = np.random.default_rng(0)
    for n_classes, goal in ((10, 0.1), (1000, 1.0)):
        labels = rng.integers(0, n_classes, N_TIMED)
        hidden = 0.7 * rng.normal(size=(n_classes, 200))[labels] + rng.normal(size=(N_TIMED, 200))
        mixed = hidden @ (rng.normal(size=(200, 2048)) / np.sqrt(np.arange(1, 201))[:, None])
        began = time.process_time()
        by_the_step(np.maximum(mixed, 0).astype(np.float32), labels)
        spent = time.process_time() - began
        detail = f"{spent:.0f} s of processor time; embed of a ResNet-50: {EMBED_MS} ms a picture and core"
        name = f"{N_TIMED:,} x 2,048, {n_classes:,} classes / embed"
        yield Result(name, spent / (N_TIMED * EMBED_MS / 1000), "x", goal, False, detail)


def measured(data: Data, kind: str) -> pd.DataFrame:
    """A row a draw: the average precision of each ranking, and F1 of the list by each filter."""
    rows = []
    for share in SHARES:
        for seed in SEEDS:
            given = planted(data, kind, share, seed)
            wrong = given != data.labels
            scores, listed = rankings(data.raw, given)
            aps = {name: average_precision_score(wrong, one) for name, one in scores.items()}
            first = np.argsort(-scores[OURS], kind="stable")[: wrong.sum()]
            lists = {f"F1 {name}": f1(wrong, one) for name, one in listed.items()}
            rows.append({"share": share, **aps, "recall": wrong[first].mean(), **lists})
    return pd.DataFrame(rows)


def compared(name: str, mean: pd.Series) -> Iterator[Result]:
    """The mean average precision against the best and the second of the documented rankings."""
    best = mean.loc[list(DOCUMENTED)].sort_values(ascending=False)
    others = ", ".join(f"{one} {mean[one]:.3f}" for one in (OURS, *best.index, *BESIDE))
    detail = f"{others}; recall in the first n {mean['recall']:.2f}"
    yield Result(f"{name}: AP / best", mean[OURS] / best.iloc[0], "x", GOAL, True, detail)
    yield Result(f"{name}: AP / second", mean[OURS] / best.iloc[1], "x", 1.0, True, detail)
    filters = mean.loc[[f"F1 {one}" for one in FILTERS]].sort_values(ascending=False)
    detail = ", ".join(f"{str(one)[3:]} {value:.3f}" for one, value in filters.items())
    ratio = mean[f"F1 {FILTERS[0]}"] / filters.iloc[0]
    yield Result(f"{name}: F1 of the list / best filter", ratio, "x", 0.95, True, detail)


def planted(data: Data, kind: str, share: float, seed: int) -> np.ndarray:
    """(n,) the labels, of which a share is changed."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(data.labels), round(share * len(data.labels)), replace=False)
    given = data.labels.copy()
    n_classes = int(given.max()) + 1
    if kind == "random":
        given[rows] = (given[rows] + rng.integers(1, n_classes, len(rows))) % n_classes
    else:
        given[rows] = most_confused(data)[given[rows]]
    return given


@cache
def _answers(name: str, raw: bytes, shape: tuple[int, int], labels: tuple[int, ...]) -> np.ndarray:
    del name
    features = np.frombuffer(raw, np.float32).reshape(shape)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=200))
    return out_of_fold(model, features, np.array(labels), folds=3)


def out_of_fold(model: Any, rows: np.ndarray, labels: np.ndarray, folds: int) -> np.ndarray:
    """(n, n_classes) the probabilities that scikit-learn gives to rows that it did not see."""
    return np.asarray(cross_val_predict(model, rows, labels, cv=folds, method="predict_proba"))


def most_confused(data: Data) -> np.ndarray:
    """(n_classes,) the class that images of each class are most likely taken for, by their true labels."""
    shares = _answers(data.name, data.raw.tobytes(), data.raw.shape, tuple(data.labels.tolist()))
    means = np.array([shares[data.labels == code].mean(0) for code in range(shares.shape[1])])
    np.fill_diagonal(means, -1)
    return means.argmax(1)


def rankings(raw: np.ndarray, given: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Scores (n,) by ranking, higher where a label is more likely wrong, and lists (n,) bool by filter."""
    study, shares, strength = by_the_step(raw, given)
    plain = out_of_fold(LogisticRegression(), raw, given, folds=5)
    same = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=200))
    same_shares = out_of_fold(same, raw, given, folds=5)
    wrong = plain.argmax(1) != given
    sign, confidence = np.where(wrong, 1.0, -1.0), plain.max(1)
    scores = {
        OURS: -study.set_index("row")["rank"].sort_index().to_numpy(float),
        WRONG: study.set_index("row")["probability_wrong"].sort_index().to_numpy(float),
        SAME: documented(same_shares, given),
        "cleanlab": documented(plain, given),
        "self-confidence": -get_label_quality_scores(given, plain),
        "margin": -get_label_quality_scores(given, plain, method="normalized_margin"),
        "mistakenness": (sign * confidence + 1) / 2,
        "mistakenness, logits": (sign * np.exp(-entropy(plain, axis=1)) + 1) / 2,
    }
    lists = {one: find_label_issues(given, shares, filter_by=one, n_jobs=1) for one in FILTERS}
    return scores, {name: one & (shares.argmax(1) != given) for name, one in lists.items()}


def documented(shares: np.ndarray, given: np.ndarray) -> np.ndarray:
    """The listed images first, in cleanlab's order, then all others by self-confidence."""
    first = find_label_issues(given, shares, return_indices_ranked_by="self_confidence", n_jobs=1)
    rest = np.argsort(get_label_quality_scores(given, shares), kind="stable")
    order = np.concatenate([first, rest[~np.isin(rest, first)]])
    scores = np.empty(len(given))
    scores[order] = -np.arange(len(given))
    return scores


def by_the_step(raw: np.ndarray, given: np.ndarray) -> tuple[pd.DataFrame, np.ndarray, float]:
    """The table `label_issues` with the row of each image, all probabilities, and C, as the step has them."""
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        np.save(at / "raw.npy", raw)
        names = [f"{row:06d}" for row in range(len(given))]
        labels = [f"c{code:03d}" for code in given]
        pd.DataFrame({"image_id": names, "split": "train", "label": labels}).to_csv(
            at / "images.csv", index=False
        )
        options = {"images": str(at / "images.csv"), "representations": str(at / "raw.npy")}
        run_step("embed", at / "study", options, Progress.silent())
        run_step("crossfit", at / "study", {"device": "cpu"}, Progress.silent())
        study = open_study(at / "study")
        table = study.table("label_issues")
        return (
            table.assign(row=table["image_id"].astype(int)),
            dense(study),
            study.summary("crossfit")["strength"],
        )


def dense(study: Study) -> np.ndarray:
    """(n, n_classes) of at most 20 classes, which are all stored."""
    shares = np.zeros((study.n_images, len(study.class_names)))
    codes = study.vector("crossfit_classes")
    np.put_along_axis(shares, codes, study.vector("crossfit_probabilities").astype(float), axis=1)
    return shares


def f1(wrong: np.ndarray, listed: np.ndarray) -> float:
    hits = np.count_nonzero(wrong & listed)
    return 2 * hits / max(wrong.sum() + listed.sum(), 1)


def glyphs() -> Data:
    source = open_images(f"glyphworld?train={N_GLYPHS}&val=10&seed=5")
    return Data(
        "demo", represented(source, np.arange(N_GLYPHS), "asset:simclr_glyphworld"), codes(source)[:N_GLYPHS]
    )


def cifar() -> Data | str:
    if not (folder := os.environ.get("PEREGRINE_CIFAR10")):
        return "set PEREGRINE_CIFAR10 to a folder of CLASS/IMAGE of CIFAR-10"
    source = open_images(folder)
    labels = codes(source)
    rng = np.random.default_rng(0)
    drawn = [rng.choice(np.flatnonzero(labels == code), PER_CLASS, replace=False) for code in range(10)]
    rows = np.sort(np.concatenate(drawn))
    return Data("CIFAR-10", represented(source, rows, "asset:simclr_cifar10"), labels[rows])


def photographs() -> Data | str:
    if not (folder := os.environ.get("PEREGRINE_PHOTOGRAPHS")):
        return "set PEREGRINE_PHOTOGRAPHS to a folder of photographs whose names begin with a WordNet id"
    source = open_images(folder)
    places = {synset: place for place, synset in enumerate(imagenet_synsets())}
    names = [Path(name).name.partition("_")[0] for name in source.table["image_id"]]
    rows = np.array([row for row, name in enumerate(names) if name in places])
    broad = pd.Series([broad_class(places[names[row]]) for row in rows])
    return Data(
        "photographs",
        represented(source, rows, default_encoder({"images": "x"})),
        pd.factorize(broad, sort=True)[0],
    )


def broad_class(place: int) -> str:
    return next((name for name, spans in BROAD.items() if any(a <= place < b for a, b in spans)), OBJECT)


def codes(source: ImageSource) -> np.ndarray:
    return pd.factorize(source.table["label"], sort=True)[0]


def represented(source: ImageSource, rows: np.ndarray, spec: str) -> np.ndarray:
    """(len(rows), n_features) float32."""
    encoder = load_encoder(spec, device="cpu")
    parts = []
    for some in np.array_split(rows, max(len(rows) // BATCH, 1)):
        pixels = np.stack([encoder.transform.pixels(source.read(row)) for row in some.tolist()])
        with torch.inference_mode():
            parts.append(np.asarray(encoder.represent(torch.from_numpy(pixels)), np.float32))
    return np.concatenate(parts)
