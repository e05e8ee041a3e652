"""Do features answer to what their words say? `python -m benchmarks.evidence.word_twins` prints Markdown.

Scenes rendered with and without what a word says (docs/method.md 6.13), for the words that each method of
`benchmarks.evidence.naming` gives to features of one held-out world; that benchmark has to run first.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.evidence.naming import FOLDER, HELD_OUT, METHODS, study_of, words_of
from core.analysis.gradcam.on_demand import study_encoder
from core.common.dataframes import by_values, known_mean, numbers
from core.common.statistics.intervals import mean_intervals
from core.jobs.progress import Progress
from core.research.rendered_scenes.word_auc import activations_of
from core.research.rendered_scenes.word_twins import PAIRS, renderer, word_twins
from core.worlds.glyphworld.twins import TwinMaker

FEATURES, FIRST, SEED = 60, 2, 0
MEASURES = {"effect": "effect, in standard deviations", "twin_auc": "AUC", "selectivity": "selectivity"}


def words_to_test(words: pd.DataFrame, n_features: int) -> pd.DataFrame:
    """The first words of each method for seeded features: method, group, word."""
    groups = sorted(set(words["group"]))
    sampled = np.random.default_rng(SEED).permutation(groups)[:n_features]
    first = np.isin(words["group"], sampled) & (numbers(words, "rank") <= FIRST) & (words["word"] != "")
    return words.loc[first].reset_index(drop=True).loc[:, ["method", "group", "word"]]


def tested(words: pd.DataFrame, folder: Path, *, n_pairs: int) -> pd.DataFrame:
    """Render the twins of all words, and return each method's words with the columns of `word_twins`."""
    world = HELD_OUT[0]
    study = study_of(world, folder)
    source: Any = study.source
    pairs = words.loc[:, ["group", "word"]].drop_duplicates(ignore_index=True)
    names = list(dict.fromkeys(pairs["group"]))
    scales = activations_of(study, np.flatnonzero(study.is_val), names).std(0)
    maker = TwinMaker(source.seed, source.world)
    represent = renderer(study_encoder(study), source.world.size)
    effects = word_twins(pairs, scales, represent, maker, n_pairs=n_pairs, progress=Progress.silent())
    return words.merge(effects, on=["group", "word"], how="left")


def by_method(effects: pd.DataFrame) -> None:
    """Print a row a method: means over features of the means of their words, resampling features."""
    print(
        "| | words | with twins | answer to the word | "
        + " | ".join(MEASURES.values())
        + " |\n|---|---|---|---|---|---|---|"
    )
    for method in METHODS:
        part = effects.loc[effects["method"] == method].reset_index(drop=True)
        defined = part.loc[np.isfinite(numbers(part, "effect"))].reset_index(drop=True)
        defined["above"] = (numbers(defined, "effect_low") > 0).astype(float)
        columns = ("above", *MEASURES)
        means = [
            [known_mean(numbers(rows, name)) for name in columns]
            for _, rows in sorted(by_values(defined, ["group"]), key=lambda pair: pair[0])
        ]
        mean, low, high, _ = mean_intervals(np.reshape(means, (-1, len(columns))))
        cells = [f"{m:.2f} ({a:.2f} to {b:.2f})" for m, a, b in zip(mean, low, high, strict=True)]
        print(f"| {method} | {len(part)} | {len(defined)} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence.word_twins", description=__doc__)
    parser.add_argument(
        "--folder", type=Path, default=FOLDER, help="where `benchmarks.evidence.naming` keeps worlds"
    )
    parser.add_argument("--features", type=int, default=FEATURES, help=f"(default: {FEATURES})")
    parser.add_argument("--pairs", type=int, default=PAIRS, help=f"twins of each word (default: {PAIRS})")
    args = parser.parse_args()
    words = words_to_test(words_of(HELD_OUT[0], args.folder, redo=False), args.features)
    print(
        f"\n### Twins: seed {HELD_OUT[0].seed}, {args.features} features (seed {SEED}), the first {FIRST} "
        f"words of each method, {words['word'].nunique()} different words, {args.pairs} pairs each\n"
    )
    by_method(tested(words, args.folder, n_pairs=args.pairs))


if __name__ == "__main__":
    main()
