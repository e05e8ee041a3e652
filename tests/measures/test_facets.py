"""Numbers of images by class, prediction, verdict and split, against a count image by image."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.measures import evaluate
from core.measures.facets import (
    CORRECT,
    FACETS,
    LABEL,
    MOST_RANGES,
    PREDICTED,
    SPLIT,
    facet_counts,
    further_facets,
    range_in,
    ranges_of,
    without_facet,
)
from core.measures.slice import Slice
from tests.measures.worlds import World, make_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("facets") / "study")


def loop(world: World, facet: str, mask: np.ndarray) -> dict[str, int]:
    """Count one image after the other."""
    table = {
        LABEL: world.study.images["label"].tolist(),
        SPLIT: world.study.images["split"].tolist(),
        PREDICTED: world.study.table("probe")["predicted"].tolist(),
        CORRECT: [None if right is None else str(bool(right)).lower() for right in world.correct],
    }[facet]
    found: dict[str, int] = {}
    for row, value in enumerate(table):
        if mask[row] and isinstance(value, str):
            found[value] = found.get(value, 0) + 1
    return found


@pytest.mark.parametrize("facet", FACETS)
def test_counts__match_loop_and_the_most_common_comes_first(world, rng, facet):
    for share in (0.1, 0.5, 1.1):
        mask = world.mask(rng, share)
        found = facet_counts(world.study, facet, mask)
        assert found == loop(world, facet, mask)
        assert list(found) == sorted(found, key=lambda value: (-found[value], value))
    assert facet_counts(world.study, facet, np.zeros(len(world.raw), bool)) == {}


def test_without_facet__leaves_out_one_condition():
    chosen = Slice.parse("split=val label=dog predicted=cat correct=false q_score=..0.1")
    left = {facet: str(without_facet(chosen, facet)) for facet in FACETS}
    for facet, text in left.items():
        assert facet not in {part.partition("=")[0] for part in text.split()}
        assert len(text.split()) == 4 and "q_score" in text


def test_further_facets__every_column_of_several_values_but_names(world):
    columns = further_facets(world.study)
    assert {"third", "third_short", "long"} <= set(columns)  # of numbers that twelve digits do not tell
    assert "q_score" in columns and not {"image_id", "path", *FACETS} & set(columns)
    whole = np.ones(len(world.raw), bool)
    for column in columns:
        counts = facet_counts(world.study, column, whole)
        assert len(counts) > 1, column
        for text, n in counts.items():  # what a click gives is what the list has said
            assert int(Slice.parse(f"{column}={text}").mask(world.study).sum()) == n


def test_ranges__round_ends_that_hold_every_number(world):
    values = world.study.table("quality")["q_score"].to_numpy(float)
    values = values[np.isfinite(values)]
    ends = [range_in("q_score", text) for text in ranges_of(world.study, "q_score")]
    assert 2 <= len(ends) <= MOST_RANGES
    assert ends[0][0] <= values.min() and values.max() <= ends[-1][1]
    assert [high for _, high in ends[:-1]] == [low for low, _ in ends[1:]]
    step = np.diff(ends[0])[0]
    assert round(step / 10 ** np.floor(np.log10(step) + 1e-9), 6) in (1, 2, 5)
    assert ranges_of(world.study, "label") == []


@pytest.mark.parametrize("scale", [1e-20, 1e-300])
def test_ranges__of_tiny_numbers(world, monkeypatch, scale):
    values = pd.Series(np.linspace(-1, 1, 41) * scale)
    monkeypatch.setattr(evaluate, "column_values", lambda *_: values)
    ends = [range_in("q_score", text) for text in ranges_of(world.study, "q_score")]
    assert [round(low / scale, 6) for low, _ in ends] == [-1, -0.5, 0, 0.5]
    assert [high for _, high in ends] == [low for low, _ in ends[1:]] + [scale]
