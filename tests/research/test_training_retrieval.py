"""Recall at k between images and captions, against a loop and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from core.research.visual_tokens_train import recall_at, retrieval
from tests.concepts import reference_clip as reference


def unit_rows(rng, n, d):
    rows = rng.normal(size=(n, d))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize(("n", "n_groups"), [(1, 1), (8, 8), (60, 25)])
def test_recall__matches_loop(rng, k, n, n_groups):
    texts = unit_rows(rng, n, 6)
    images = texts + 0.7 * unit_rows(rng, n, 6)
    groups = [f"caption {number}" for number in rng.integers(0, n_groups, n)]
    assert recall_at(images, texts, k, groups) == pytest.approx(reference.recall_at(images, texts, k, groups))


def test_recall__by_hand():
    images, texts = np.eye(3), np.eye(3)[[1, 0, 2]]
    assert recall_at(images, texts, 1) == pytest.approx(1 / 3)
    assert recall_at(images, texts, 1, ["same", "same", "other"]) == 1
    assert recall_at(images, texts, 3) == 1
    assert recall_at(np.zeros((2, 3)), np.zeros((2, 3)), 1) == 0  # ties count against
    assert np.isnan(recall_at(np.zeros((0, 3)), np.zeros((0, 3)), 1))


def test_retrieval__by_hand():
    images, texts = np.eye(3), np.eye(3)[[1, 0, 2]]
    found = retrieval(images, texts, ["a", "b", "c"])
    assert found["image_to_text"] == found["text_to_image"] == pytest.approx(1 / 3)
    assert found["diagonal"] == pytest.approx(1 / 3) and found["off_diagonal"] == pytest.approx(2 / 6)
    same = retrieval(images, texts, ["a", "a", "c"])
    assert same["image_to_text"] == 1.0  # either image of the caption counts
    assert np.isnan(retrieval(np.zeros((0, 3)), np.zeros((0, 3)), [])["diagonal"])
