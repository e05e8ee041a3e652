"""The grid of visual tokens: its arms are trainings, and the verdict is the protocol's."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from core.jobs.progress import Progress
from core.research.grids.definition import CellJob, cells_of_grid, preset_values
from core.research.grids.over_seeds import NOT_ENOUGH
from core.research.grids.registry import load_grid
from core.research.visual_tokens.evaluation.run import SwapScore
from core.research.visual_tokens.settings import ExtractConfig
from core.research.visual_tokens.training.grid import (
    AGAINST,
    ARMS,
    SOURCES,
    cell_settings,
    columns_of_tests,
    try_again,
)
from core.research.visual_tokens.training.verdict import ARM_NAMES, token_verdicts
from tests.tables import rows_where


class Folder:
    def __init__(self, path):
        self.path = path


@pytest.mark.parametrize("preset", ["cpu", "short", "paper"])
def test_arms__each_is_a_training_that_differs_in_what_it_says(tmp_path, preset):
    grid = load_grid("tokens")
    values = preset_values(grid, preset)
    made = {}
    for cell in cells_of_grid(grid, values, 2):
        if cell.columns["vision"] == "none":
            continue
        job = CellJob(cell, values, tmp_path / f"{cell.name}.safetensors", tmp_path, Progress.silent())
        config = cell_settings(job, Folder(cell.columns["source"]), Folder("planted"))  # type: ignore[arg-type]
        assert (config.seed, config.captions) == (cell.seed, "planted")
        kept = {k: v for k, v in asdict(config).items() if k not in ("output", "seed")}
        made[cell.arm] = kept
    assert len({str(one) for one in made.values()}) == len(made) == len(ARMS) - 1
    differs = [name for name in made["tokens"] if made["tokens"][name] != made["plain"][name]]
    assert differs == ["additive"]


def test_arms__are_compared_with_arms_and_read_known_sources():
    assert set(AGAINST) | set(AGAINST.values()) == set(ARMS)
    assert SOURCES["planted"] == ExtractConfig()
    assert {changes.get("source", "planted") for changes in ARMS.values()} == set(SOURCES)


def table(**means):
    rows = []
    for arm, (relation, found) in means.items():
        for seed in range(5):
            noise = 0.001 * (seed - 2) * (1 if len(arm) % 2 else -1)
            rows.append({"arm": arm, "seed": seed, "relation": relation + noise, "text_to_image": found})
    return pd.DataFrame(rows)


def usual(**changes):
    means = {"tokens": (0.9, 0.7), "plain": (0.5, 0.6), "shuffled": (0.5, 0.6), "patches": (0.5, 0.5)}
    return table(**{**means, **changes})


def verdict(rows):
    (said,) = token_verdicts({}, rows)
    return said.removeprefix("Additive attention: ").partition(". ")[0]


def test_verdict__is_the_sentence_of_the_protocol():
    assert verdict(usual()) == "works"
    assert verdict(usual(tokens=(0.5, 0.7))) == "fails"
    assert verdict(usual(shuffled=(0.9, 0.6))) == "fails"  # a wrong graph helps as much
    patches = usual()
    patches.loc[patches["arm"] == "patches", "text_to_image"] = np.linspace(0.8, 0.81, 5)
    assert verdict(patches) == "fails"
    ceiling = usual(tokens=(0.5, 0.7), **{"tokens-onehot": (0.9, 0.7), "plain-onehot": (0.5, 0.7)})
    assert verdict(ceiling) == "fails: the gain is there with planted one-hots only"
    few = usual()
    few = rows_where(few, few["seed"] < 3)
    assert verdict(few) == NOT_ENOUGH
    (said,) = load_grid("tokens").verdicts({}, few)
    # 40.4, 40.2 and 40.0: 4.303 x 0.2 / sqrt(3) = 0.5
    gain = "+40.2 points (95 % interval +39.7 to +40.7, 3 runs)"
    assert f"Relation, additive over plain attention: {gain}" in said
    assert "text-to-image R@1 over patches: +20.0 points" in said and "planted one-hots: not run" in said


def test_arm_names__one_each():
    assert set(ARM_NAMES) == set(ARMS) and len(set(ARM_NAMES.values())) == len(ARMS)


def test_follow_up__tries_models_of_one_source_and_seed(tmp_path):
    grid = load_grid("tokens")
    values = preset_values(grid)
    made = tmp_path / "cells"
    said = try_again(values, tmp_path, cells_of_grid(grid, values, 2))
    assert said.startswith(
        f"python -m core compositionality {made}/tokens-s0.safetensors,{made}/plain-s0.safetensors --root "
    )
    assert said.endswith(f"--tokens {tmp_path}/tokens/planted")
    assert "compositionality asset:glyphworld " in try_again(
        values, tmp_path, cells_of_grid(grid, values, 1, arms=["clip"])
    )


def test_columns__of_the_four_tests():
    def score(test, measure, value):
        return SwapScore(f"glyphworld {test}", "m", measure, value, 0, 1, 0.5, 10, 0)

    scores = [score("relation", "accuracy", 0.7), score("relation", "mean over groups", 0.1)]
    scores += [score("winoground", "text", 0.3), score("winoground", "text, relation", 0.2)]
    assert columns_of_tests(scores) == {"relation": 0.7, "pairs_text": 0.3}
