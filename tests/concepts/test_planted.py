from __future__ import annotations

import numpy as np
import pytest

from core.concepts.blame import FEWEST_PLANTED, PlantedAttributes, best_attributes


def auc_by_loop(inside, outside):
    wins = sum((a > b) + 0.5 * (a == b) for a in inside for b in outside)
    return wins / (len(inside) * len(outside))


@pytest.fixture
def scenes(rng):
    """90 images whose feature 0 tells sand, 1 the companion key, and 2 nothing."""
    background = rng.choice(np.array(["sand", "sky", "grass"], object), 90)
    companion = rng.choice(np.array(["key", "hat", None], object), 90)
    raw = rng.integers(0, 4, (90, 3)).astype(float)
    raw[background == "sand", 0] += 3
    raw[companion == "key", 1] += 3
    return raw, {"background": background, "companion": companion}


def test_best_attributes__match_loop(scenes):
    raw, values = scenes
    column, value, auc = best_attributes(raw, values)
    assert (column[0], value[0], column[1], value[1]) == ("background", "sand", "companion", "key")
    for feature in range(3):
        areas = {}
        for name, held in values.items():
            for one in {text for text in held if text is not None}:
                mask = held == one
                if FEWEST_PLANTED <= mask.sum() <= len(mask) - FEWEST_PLANTED:
                    areas[name, one] = auc_by_loop(raw[mask, feature], raw[~mask, feature])
        assert len(areas) >= 4
        assert auc[feature] == pytest.approx(max(areas.values()))
        assert areas[column[feature], value[feature]] == pytest.approx(auc[feature])


def test_best_attributes__none_with_too_few_images():
    column, value, auc = best_attributes(np.ones((9, 2)), {"background": np.array(["a"] * 9, object)})
    assert column.tolist() == value.tolist() == ["", ""] and np.isnan(auc).all()


def test_answers__the_image_s_own_value_counts():
    planted = PlantedAttributes(
        np.array(["background", "companion"], object),
        np.array(["sand", "key"], object),
        np.array([0.9, 0.8]),
        np.array(["background"] * 3, object),
        {"background": np.array(["sand", "sky", "sand"], object)},
    )
    hits = planted.answers(np.array([0, 1, 2, 0]), np.array([0, 0, 1, -1]), "background")
    assert hits[:3].tolist() == [1.0, 0.0, 0.0] and np.isnan(hits[3])
    assert np.isnan(planted.answers(np.array([0]), np.array([0]), "small")).all()
    assert planted.table()["value"].tolist() == ["sand", "key"]
