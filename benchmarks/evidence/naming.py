"""How often the words of features are right: `python -m benchmarks.evidence.naming` prints Markdown.

The measurement that prereg_naming.md fixes: FALCON, its ablations, whole-image scoring, random words and the
majority rule on Glyphworlds that the rule was tuned on, and on others. Worlds and their words are kept in
build/naming for the next run.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.evidence.concept_evaluation import (
    DISSECT,
    FALCON,
    MAJORITY,
    NO_CONTRAST,
    NO_CROPS_NO_CONTRAST,
    RANDOM,
    Ranked,
    truths_of_units,
    words_by_method,
)
from core.common import dataframes
from core.common.dataframes import by_values, numbers, safe_divide
from core.common.statistics.intervals import percentile_interval
from core.concepts.step import look
from core.concepts.tools import open_tools
from core.concepts.word_measures import precision_at, recall_of_true
from core.config import ConceptsConfig
from core.jobs.progress import Progress
from core.pipeline.run import run_step
from core.research.rendered_scenes.word_auc import activations_of, truths_of, word_aucs
from core.store import Study, open_study

FOLDER = Path("build/naming")
K, MAJORITY_SHARE = 5, 0.5
RESAMPLES, SEED, RANDOM_SEED = 1000, 0, 0
GOAL = 0.90
METHODS = (MAJORITY, FALCON, NO_CONTRAST, NO_CROPS_NO_CONTRAST, *DISSECT, RANDOM)
CONFIG = ConceptsConfig(beta=0.3)
SIMCLR, FINE_TUNED = "asset:simclr_glyphworld", "asset:simclr_q_glyphworld"


@dataclass(frozen=True)
class WorldOfScenes:
    """A Glyphworld with an encoder; 1,000 evaluation scenes are the probe images."""

    seed: int
    preset: str = "default"
    encoder: str = SIMCLR

    @property
    def spec(self) -> str:
        return f"glyphworld?train=200&val=1000&seed={self.seed}&preset={self.preset}"


TUNING = tuple(WorldOfScenes(seed) for seed in (0, 1, 2))
HELD_OUT = tuple(WorldOfScenes(seed) for seed in (101, 102, 103, 104))
APART = {
    "another preset (spurious)": (WorldOfScenes(105, preset="spurious"),),
    "another encoder (fine-tuned)": (WorldOfScenes(106, encoder=FINE_TUNED),),
}
SETS = {"tuning": {"tuning worlds": TUNING}, "held-out": {"held-out worlds": HELD_OUT}, "apart": APART}


def study_of(world: WorldOfScenes, folder: Path) -> Study:
    """Make the study of a world, or open it."""
    path = folder / f"seed_{world.seed}"
    options = {"images": world.spec, "encoder": world.encoder, "device": "cpu"}
    run_step("embed", path, options, Progress.silent())
    return open_study(path)


def words_of(world: WorldOfScenes, folder: Path, *, redo: bool) -> pd.DataFrame:
    """Return each feature's words by each method, from the file of an earlier run if there is one.

    Returns:
        seed, method, group, rank, word, related, auc (of the group's activation as a detector of the word's
        images among the probe images), n_true (single words that are true of the feature), n_found (how many
        of these the method's first five words say); a row without a word where a method gives none.
    """
    path = folder / f"words_{world.seed}.parquet"
    if path.exists() and not redo:
        return pd.read_parquet(path)
    study = study_of(world, folder)
    progress = Progress.silent()
    selection = look(study, CONFIG, progress)
    tools = open_tools(study, CONFIG, "cpu", progress)
    methods = words_by_method(study, selection, tools, CONFIG, progress, "cpu", RANDOM_SEED)
    table = truths_of(study, selection.probe.rows, progress)
    truths = truths_of_units(table, selection, methods)
    single = set(table.vocabulary)
    rows = []
    for method in METHODS:
        for group, words in methods[method].items():
            related = truths[group].related(MAJORITY_SHARE)
            true = related & single
            recall = recall_of_true(words, related, true, K)
            n_found = round(recall * len(true)) if true else 0
            for rank, word in enumerate(words or [""], start=1):
                rows.append((world.seed, method, group, rank, word, word in related, len(true), n_found))
    columns = ["seed", "method", "group", "rank", "word", "related", "n_true", "n_found"]
    frame = pd.DataFrame(rows, columns=columns)
    names = [unit.name for unit in selection.units]
    activations = activations_of(study, selection.probe.rows, names)
    frame["auc"] = word_aucs(
        dataframes.words(frame, "group"), dataframes.words(frame, "word"), activations, names, table
    )["auc"].to_numpy()
    frame.to_parquet(path)
    return frame


def by_feature(words: pd.DataFrame) -> pd.DataFrame:
    """Summarise each feature of each world by each method: seed, group, method, n (words among the first
    five), precision (NaN without words), cut (the same of as many words as the majority rule gives; NaN where
    one of both gives none), recall (NaN where no word is true), auc (mean of the first five words).
    """
    ranked: dict[tuple[Any, ...], Ranked] = {}
    rows = []
    keys = ["seed", "group", "method"]
    for key, part in by_values(words, keys):
        named = part.loc[part["word"] != "", "word"].tolist()
        related = set(part.loc[part["related"], "word"])
        n_true, n_found = int(part["n_true"].iloc[0]), int(part["n_found"].iloc[0])
        recall = n_found / n_true if n_true else np.nan
        auc = part.loc[part["rank"] <= K, "auc"].mean()
        rows.append((*key, min(len(named), K), precision_at(named, related, K), recall, auc))
        ranked[key] = {"said": named, "related": list(related)}
    frame = pd.DataFrame(rows, columns=[*keys, "n", "precision", "recall", "auc"])
    given = frame[frame["method"] == MAJORITY].set_index(["seed", "group"])["n"]
    cut = []
    for seed, group, method in frame[keys].itertuples(index=False):
        n, one = int(given.loc[(seed, group)]), ranked[seed, group, method]
        cut.append(precision_at(one["said"], set(one["related"]), n) if n else np.nan)
    return frame.assign(cut=cut)


class FeatureResamples:
    """Means over features and worlds, under resamples of features with all their worlds."""

    def __init__(self, frame: pd.DataFrame):
        self.features = sorted(frame["group"].unique())
        draws = np.random.default_rng(SEED).integers(0, len(self.features), (RESAMPLES, len(self.features)))
        self.counts = np.stack([np.bincount(draw, minlength=len(self.features)) for draw in draws])

    def means(self, frame: pd.DataFrame, column: str) -> np.ndarray:
        """(1 + RESAMPLES,): the mean of a column without NaN, over all features first."""
        values = numbers(frame, column)
        defined = np.isfinite(values)
        places = np.searchsorted(self.features, dataframes.words(frame, "group"))
        sums = np.bincount(places, np.where(defined, values, 0.0), len(self.features))
        counts = np.concatenate([np.ones((1, len(self.features))), self.counts])
        return safe_divide(counts @ sums, counts @ np.bincount(places, defined, len(self.features)))


def interval(values: np.ndarray, *, signed: bool = False) -> str:
    """The first value with the 95 % interval of the others."""
    low, high = percentile_interval(values[1:, None])
    sign = "+" if signed else ""
    return f"{values[0]:{sign}.3f} ({low[0]:{sign}.3f} to {high[0]:{sign}.3f})"


def compare(frame: pd.DataFrame) -> Iterator[str]:
    """The table of all methods over some worlds, line by line."""
    resamples = FeatureResamples(frame)
    parts = {method: frame.loc[frame["method"] == method].reset_index(drop=True) for method in METHODS}
    ours = parts[MAJORITY]
    yield (
        f"| | precision at K = {K} | words | features named | recall | the majority rule's lead "
        "| … with as many words | AUC of a word |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for method, part in parts.items():
        n = numbers(part, "n")
        named = part.assign(named=(n > 0).astype(float), words=np.where(n > 0, n, np.nan))
        leads = ["–", "–"]
        if method != MAJORITY:
            gap = resamples.means(ours, "precision") - resamples.means(part, "precision")
            both = pd.merge(ours, part, on=["seed", "group"], suffixes=("", "_other"))
            both = both.loc[
                np.isfinite(numbers(both, "cut")) & np.isfinite(numbers(both, "cut_other"))
            ].reset_index(drop=True)
            cut = resamples.means(both, "cut") - resamples.means(both, "cut_other")
            leads = [interval(gap, signed=True), interval(cut, signed=True)]
        yield (
            f"| {method} | {interval(resamples.means(part, 'precision'))} "
            f"| {resamples.means(named, 'words')[0]:.2f} | {100 * resamples.means(named, 'named')[0]:.0f} % "
            f"| {interval(resamples.means(part, 'recall'))} | {' | '.join(leads)} "
            f"| {resamples.means(part, 'auc')[0]:.3f} |"
        )


def failures(words: pd.DataFrame) -> Iterator[str]:
    """Which words are wrong most often, by method."""
    for method in (MAJORITY, FALCON, NO_CONTRAST):
        part = words[(words["method"] == method) & (words["rank"] <= K) & (words["word"] != "")]
        wrong = part.loc[~part["related"], "word"].value_counts()
        listed = ", ".join(f"{word} {n}" for word, n in wrong.head(12).items())
        yield f"* {method}: {wrong.sum()} of {len(part)} words are wrong: {listed}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence.naming", description=__doc__)
    parser.add_argument("--worlds", choices=[*SETS, "all"], default="all", help="which worlds to measure")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where worlds and words are kept")
    parser.add_argument("--redo", action="store_true", help="find the words again")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    options = {
        title: worlds for name in SETS if args.worlds in (name, "all") for title, worlds in SETS[name].items()
    }
    for title, worlds in options.items():
        words = pd.concat([words_of(world, args.folder, redo=args.redo) for world in worlds])
        frame = by_feature(words)
        seeds = ", ".join(str(world.seed) for world in worlds)
        n = frame[frame["method"] == MAJORITY].groupby("seed").size()
        print(f"\n### {title}: seeds {seeds}; {', '.join(map(str, n))} explainable features\n")
        print("\n".join(compare(frame)), end="\n\n")
        print("\n".join(failures(words)))


if __name__ == "__main__":
    main()
