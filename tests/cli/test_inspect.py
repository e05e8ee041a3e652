"""The command `inspect`: the same numbers as the functions give, as text and as JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from core.measures.inspect import inspect as inspect_slice
from core.measures.slice import Slice
from tests import small
from tests.measures.worlds import World, make_world

KEYS = {
    *("n", "n_against", "accuracy", "mean_confidence", "mean_q", "confusions", "features"),
    *("miou_core", "miou_spurious", "controls", "scores"),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("inspect") / "study")


def printed(run, *words: object) -> dict:
    said = run("inspect", *words, "--json")
    assert said.code == 0, said.err
    return json.loads(said.out)


def test_inspect__json_has_the_numbers_of_the_slice(run, world):
    found = printed(run, world.study.path, "--where", "label=ant", "--against", "label=bee")
    assert set(found) >= KEYS
    inside = [row for row, name in enumerate(world.labels) if name == "ant" and row % 3]
    others = [row for row, name in enumerate(world.labels) if name == "bee" and row % 3]
    assert (found["n"], found["n_against"]) == (len(inside), len(others))
    right = [bool(world.correct[row]) for row in inside]
    assert found["accuracy"] == pytest.approx(sum(right) / len(right))
    q = [world.scores.loc[row, "q_score"] for row in inside]
    assert found["mean_q"] == pytest.approx(np.nanmean(q))
    assert sum(row["n"] for row in found["confusions"]) == len(right) - sum(right)
    assert set(found["confusions"][0]) == {"true", "predicted", "n"}
    for row in found["features"]:
        fires = world.firing[:, row["feature"]]
        assert row["rate"] == pytest.approx(fires[inside].mean())
        assert row["rate_against"] == pytest.approx(fires[others].mean())
        assert set(row) >= {"difference", "low", "high", "q", "words", "mean", "mean_against", "mean_q"}
    assert {row["feature"]: row["words"] for row in found["features"]}[0] == ["red", "warm"]
    both = [row for row in inside if world.masked[row].all()]
    assert found["miou_core"] == pytest.approx(np.nanmean(world.values[both, 0]))
    noise = next(row for row in found["controls"] if (row["mask"], row["control"]) == ("spurious", "noise"))
    assert noise["value"] == pytest.approx(world.controls[both, 1, 0].mean())
    assert {"score", "auroc", "low", "high"} <= set(found["scores"][0])


def test_inspect__is_what_the_function_returns(run, world):
    found = printed(run, world.study.path, "--where", "predicted=bee")
    expected = inspect_slice(world.study, Slice(predicted=("bee",)), means=True)
    assert set(found) == {"study", "answer", "basis", "filter", *expected} and found["against"] is None
    assert found["words"] == json.loads(json.dumps(expected["words"]))
    assert [row["difference"] for row in found["features"]] == [
        None if math.isnan(row["difference"]) else row["difference"] for row in expected["features"]
    ]


def test_inspect__text_is_readable(run, world):
    said = run("inspect", world.study.path, "--where", "label=ant").out
    lines = said.splitlines()
    n = sum(name == "ant" and row % 3 > 0 for row, name in enumerate(world.labels))
    assert f"images      {n} images: evaluation images of ant" in lines
    assert any(
        line.startswith("against") and line.endswith(": the other evaluation images") for line in lines
    )
    assert "ant → " in said and "noise 0." in said and " fires on " in said and "nan" not in said
    assert "split=train" not in said


@pytest.mark.parametrize(
    ("where", "n", "told"),
    [
        (
            "norm=99..",
            0,
            "accuracy, mean_confidence, mean_q, n_firing, miou_core, miou_spurious: the slice has",
        ),
        ("image=004", 1, ""),
        ("correct=true", None, "not defined: all images are classified correctly"),
        ("correct=false", None, "not defined: all images are misclassified"),
        ("", 40, "features: there are no other images to compare with"),
    ],
)
def test_inspect__odd_slices_are_no_error(run, world, where, n, told):
    said = run("inspect", world.study.path, "--where", where)
    assert said.code == 0 and told in said.out and "nan" not in said.out
    found = printed(run, world.study.path, "--where", where)
    assert n is None or found["n"] == n
    assert len(found["features"]) == world.raw.shape[1]


def test_inspect__of_a_study_without_results(run, tmp_path: Path):
    study = small.write_small_study(tmp_path / "study", features=False)
    found = printed(run, study.path, "--where", "label=dog")
    assert (found["n"], found["features"], found["scores"]) == (1, [], [])
    assert found["accuracy"] is None and found["miou_core"] is None
    assert run("inspect", study.path).code == 0


def test_inspect__a_wrong_slice_is_one_line(run, world):
    assert "'ant'" in run("inspect", world.study.path, "--where", "label=ants").error
    assert "'elk'" in run("inspect", world.study.path, "--against", "label=elk").error
