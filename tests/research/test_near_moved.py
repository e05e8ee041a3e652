"""Images nearest to a moved embedding: against a loop, without a move, and undefined."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import ShapeError, StudyError
from core.research.changed_inputs_moved import has_moved, near_moved, partner_of
from core.store import open_study
from core.study.writer import write_study
from tests.concepts.test_search import loop
from tests.small import write_small_study


def test_near_moved__is_the_search_with_the_moved_embedding(rng, tmp_path):
    study = write_small_study(tmp_path / "study")
    with pytest.raises(StudyError, match="perturbed"):
        near_moved(study, 0, 3, epsilon=0.5, kind="positive")
    assert not has_moved(study)
    n = study.n_images
    vectors, views = (rng.normal(size=(n, 4)).astype(np.float32) for _ in range(2))
    vectors, views = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (vectors, views))
    views[1] = vectors[1]
    with write_study(study.path) as writer, writer.step("perturbed", {}) as step:
        step.vector("head_vectors", vectors)
        step.vector("head_views", views)
    study = open_study(study.path)
    assert has_moved(study)
    other = partner_of(2, n)
    for kind, point in (
        ("positive", vectors[2] - 0.5 * views[2]),
        ("negative", vectors[other] + 0.5 * views[2]),
    ):
        rows, cosines = near_moved(study, 2, 3, epsilon=0.5, kind=kind)
        expected = loop(vectors, point, 3, np.ones(n, bool))
        assert rows.tolist() == [at for at, _ in expected]
        np.testing.assert_allclose(cosines, [cosine for _, cosine in expected], atol=1e-5)
    assert near_moved(study, 2, 1, epsilon=0, kind="positive")[0].tolist() == [2]
    with pytest.raises(ShapeError):  # the image is its own view: moved by its whole length, nothing is left
        near_moved(study, 1, 1, epsilon=1, kind="positive")


def test_partner_of__is_another_image_and_always_the_same():
    partners = [partner_of(row, 5) for row in range(5)]
    assert partners == [partner_of(row, 5) for row in range(5)]
    assert all(other != row and 0 <= other < 5 for row, other in enumerate(partners))
