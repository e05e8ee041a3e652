"""The slider in the opened image: it moves the embedding, and the galleries show what is near then."""

from __future__ import annotations

import numpy as np
import pytest

from core.research.changed_inputs_moved import near_moved
from core.store import open_study
from core.study.writer import write_study
from tests.dashboard.conftest import all_text, tiles


@pytest.mark.exhaustive("tests/research moves embeddings")
@pytest.mark.slow
def test_moved__the_galleries_follow_the_slider(open_page, seen, rng):
    study = open_study(seen)
    query = {"study": "seen", "image": study.images["image_id"].iat[3], "detail_part": "Similar images"}
    plain = open_page("images", **query)
    assert not plain.exception and not plain.slider and "Moved embedding" not in all_text(plain)
    vectors, views = (rng.normal(size=(study.n_images, 6)).astype(np.float32) for _ in range(2))
    with write_study(seen) as writer, writer.step("perturbed", {}) as step:
        step.vector("head_vectors", vectors)
        step.vector("head_views", views)
    study = open_study(seen)
    app = open_page("images", **query)
    for epsilon in (0.2, 1.5):
        if epsilon != 0.2:
            app = app.slider(key="alike_epsilon").set_value(epsilon).run()
        assert not app.exception
        for kind in ("positive", "negative"):
            rows, _ = near_moved(study, 3, 6, epsilon=epsilon, kind=kind)
            names = [study.images["image_id"].iat[row].rpartition("/")[2] for row in rows]
            shown = tiles(app, f"detail_moved_{kind}")
            assert len(shown) == 6 and all(name in str(tile) for name, tile in zip(names, shown, strict=True))
