"""How often the words of features are right, by the majority rule and by its controls (prereg_naming.md).

python -m reproductions.naming

FALCON, FALCON without contrast, whole images, CLIP-Dissect's soft-WPMI, random words and the majority rule on
worlds that the rule was not tuned on. A word is right if it is true of at least half of the feature's highly
activating images and of less than half of the others. The stored table: 2 cores of an Intel Xeon.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.common.dataframes import numbers, safe_divide
from core.concepts.caption_words import concepts_of
from core.concepts.clip_and_captions import Tools, open_tools
from core.concepts.concept_tables import Ids, concept_table
from core.concepts.concepts_step import Selection, explain, look, make_cropper
from core.concepts.crop_store import WHOLE
from core.concepts.word_measures import (
    dissect_words,
    kept_words,
    precision_at,
    random_words,
    recall_of_true,
    without_contrast,
)
from core.config import ConceptsConfig
from core.measures.intervals import percentile_interval
from core.pipeline.run import run_step
from core.store import Study
from core.study.progress import Progress
from core.worlds.word_truth import TruthTable, truth_of
from reproductions import common

NAME = "naming"
MAJORITY, FALCON, WHOLE_IMAGES = "by majority", "FALCON", "whole images, WordScore"
DISSECT = {"CLIP-Dissect-like": 10.0, "CLIP-Dissect-like, sharp": 100.0}  # scale of its softmax over words
METHODS = (MAJORITY, FALCON, "FALCON without contrast", WHOLE_IMAGES, *DISSECT, "random words")
CONFIG = ConceptsConfig(beta=0.3)
K, SHARE = 5, 0.5
BANK_SAMPLE, RESAMPLES = 100_000, 1000
SIMCLR, FINE_TUNED = "asset:simclr_glyphworld", "asset:simclr_q_glyphworld"
WORLDS = {  # seeds, preset and encoder
    "held out": ((101, 102, 103, 104), "default", SIMCLR),
    "held out, preset spurious": ((105,), "spurious", SIMCLR),
    "held out, fine-tuned encoder": ((106,), "default", FINE_TUNED),
}
Words = Mapping[str, Sequence[str]]  # of each group, the best first


def methods_of(study: Study, selection: Selection, tools: Tools) -> dict[str, Words]:
    """Find the words of each feature by each method."""

    def concepts(**changes: Any) -> pd.DataFrame:
        config = dataclasses.replace(CONFIG, **changes)
        explained = explain(study, selection, tools, config, Progress.silent(), "cpu")
        return concept_table(explained.units, Ids(selection.probe))

    names, vocabulary = [unit.name for unit in selection.units], bank_words(tools)
    falcon = concepts(naming="falcon")
    found = [
        kept_words(concepts(naming="majority")),
        kept_words(falcon),
        without_contrast(falcon),
        without_contrast(concepts(naming="falcon", crop=False)),
        *dissected(study, selection, tools, vocabulary),
        random_words(names, vocabulary),
    ]
    return dict(zip(METHODS, found, strict=True))


def bank_words(tools: Tools) -> list[str]:
    """List the single words of the first captions of the bank, sorted."""
    bank: Any = tools.bank
    captions = bank.texts(np.arange(min(len(bank), BANK_SAMPLE)))
    return sorted({word.text for text in captions for word in concepts_of(text) if word.kind == "word"})


def dissected(
    study: Study, selection: Selection, tools: Tools, vocabulary: Sequence[str]
) -> Iterator[dict[str, list[str]]]:
    """Yield the words that CLIP-Dissect finds: whole images, single words; one result a scale."""
    probe, units = selection.probe, selection.units
    cropper = make_cropper(study, tools, dataclasses.replace(CONFIG, crop=False), "cpu")
    with Progress.silent() as progress, progress.stage("whole images") as bar:
        crops = cropper.embed(probe.rows, np.full(len(probe.rows), WHOLE, object), bar)
    images = np.zeros((len(probe.rows), tools.clip.width), np.float32)
    for which, held in cropper.store.blocks(crops, len(probe.rows)):
        images[which] = held["embeddings"]
    texts = np.asarray(tools.clip.embed_texts(list(vocabulary)), np.float32)
    activations = np.zeros((len(probe.rows), len(units)))
    for start, h in probe.blocks():
        for number, unit in enumerate(units):
            activations[start : start + len(h), number] = h[:, list(unit.features)].min(1)
    for scale in DISSECT.values():
        words = dissect_words(images, texts, vocabulary, activations, scale=scale)
        yield dict(zip((unit.name for unit in units), words, strict=True))


def judged_features(seed: int, spec: str, encoder: str, folder: Path) -> pd.DataFrame:
    """Judge the words of each feature of a world by each method.

    Returns:
        seed, group, method, n (words among the first K), precision, precision_1, cut (precision of as many
        words as the majority rule gives) and recall; NaN where one is undefined.
    """
    path = folder / f"seed-{seed}"
    run_step("embed", path, {"images": spec, "encoder": encoder, "device": "cpu"}, Progress.silent())
    study = Study(path)
    selection = look(study, CONFIG, Progress.silent())
    methods = methods_of(study, selection, open_tools(study, CONFIG, "cpu", Progress.silent()))
    source: Any = study.source
    places = pd.Index(source.table["image_id"]).get_indexer(
        pd.Index(study.images["image_id"].iloc[selection.probe.rows])
    )
    table = TruthTable([truth_of(source.plan(row)) for row in places.tolist()])
    rows = []
    for unit in selection.units:
        others = np.setdiff1d(np.arange(len(selection.probe)), unit.positions)
        words_of = {method: list(words.get(unit.name, [])) for method, words in methods.items()}
        given = [word for words in words_of.values() for word in words]
        related = table.of(unit.positions, others, [*table.vocabulary, *given]).related(SHARE)
        true = related & set(table.vocabulary)
        n_ours = min(len(words_of[MAJORITY]), K)
        for method, words in words_of.items():
            measures = {
                "n": min(len(words), K),
                "precision": precision_at(words, related, K),
                "precision_1": precision_at(words, related, 1),
                "cut": precision_at(words, related, n_ours) if n_ours else np.nan,
                "recall": recall_of_true(words, related, true, K),
            }
            rows.append({"seed": seed, "group": unit.name, "method": method} | measures)
    return pd.DataFrame(rows)


class FeatureResamples:
    """Means over features and worlds, under resamples of features with all their worlds."""

    def __init__(self, frame: pd.DataFrame):
        self.features = sorted(frame["group"].unique())
        n = len(self.features)
        draws = np.random.default_rng(0).integers(0, n, (RESAMPLES, n))
        counts = [np.ones(n), *(np.bincount(draw, minlength=n) for draw in draws)]
        self.counts = np.stack(counts)  # of all features first

    def means(self, frame: pd.DataFrame, values: np.ndarray) -> np.ndarray:
        """(1 + RESAMPLES,): the mean of the finite values of some rows."""
        defined = np.isfinite(values)
        places = np.searchsorted(self.features, frame["group"].to_numpy(object))
        sums = np.bincount(places, np.where(defined, values, 0.0), len(self.features))
        return safe_divide(self.counts @ sums, self.counts @ np.bincount(places, defined, len(self.features)))


def bounds(name: str, means: np.ndarray) -> dict[str, float]:
    """Name the first of some means and the 95 % interval of the others as three columns."""
    (low,), (high,) = percentile_interval(means[1:, None])
    return {name: means[0], f"{name}_low": float(low), f"{name}_high": float(high)}


def summarised(worlds: str, frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield a row a method: means over all features of the worlds, and the lead of the majority rule."""
    resamples, keys = FeatureResamples(frame), ["seed", "group"]
    ours = frame.loc[frame["method"] == MAJORITY].reset_index(drop=True)
    for method in METHODS:
        part = frame.loc[frame["method"] == method].reset_index(drop=True)
        n = numbers(part, "n")
        row = bounds("precision", resamples.means(part, numbers(part, "precision")))
        row["precision_1"] = resamples.means(part, numbers(part, "precision_1"))[0]
        row["words"] = float(n[n > 0].mean()) if (n > 0).any() else np.nan
        row["named"] = float((n > 0).mean())
        row["recall"] = resamples.means(part, numbers(part, "recall"))[0]
        lead = resamples.means(ours, numbers(ours, "precision")) - row["precision"]
        row["lead"] = np.nan if method == MAJORITY else lead[0]
        both = pd.merge(ours, part, on=keys, suffixes=("", "_other"))
        gaps = numbers(both, "cut") - numbers(both, "cut_other")
        cut = np.full(1 + RESAMPLES, np.nan) if method == MAJORITY else resamples.means(both, gaps)
        row |= bounds("lead_cut", cut)
        yield {"worlds": worlds, "method": method} | {key: round(value, 3) for key, value in row.items()}


def rows(args: Any, smoke: bool) -> Iterator[dict[str, Any]]:
    """Yield a row a method for each set of worlds."""
    folder = common.output_folder(args) / "studies" / NAME
    sizes = "train=4&val=60" if smoke else "train=200&val=1000"
    for worlds, (seeds, preset, encoder) in WORLDS.items():
        spec = f"glyphworld?{sizes}&preset={preset}"
        some = seeds[:1] if smoke else seeds
        parts = [judged_features(seed, f"{spec}&seed={seed}", encoder, folder) for seed in some]
        yield from summarised(worlds, pd.concat(parts, ignore_index=True))
        if smoke:
            break


def draw(table: pd.DataFrame) -> go.Figure:
    """Draw precision by method with its interval, a colour a set of worlds."""
    figure = go.Figure()
    for worlds, part in table.groupby("worlds", sort=False):
        above, below = part["precision_high"] - part["precision"], part["precision"] - part["precision_low"]
        error = {"type": "data", "array": above, "arrayminus": below}
        figure.add_bar(x=part["method"], y=part["precision"], error_y=error, name=str(worlds))
    return figure.update_layout(yaxis_title=f"precision at K = {K} (95 % interval)")


def main(argv: Sequence[str] | None = None) -> None:
    """Name, judge and draw, as the options ask."""
    args = common.options(__doc__).parse_args(argv)
    common.run_script(NAME, args, partial(rows, args), draw)


if __name__ == "__main__":
    main()
