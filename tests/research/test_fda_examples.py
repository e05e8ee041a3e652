"""The nearest images of queries: which are shown, and the numbers below them."""

from __future__ import annotations

import numpy as np
import pytest

from core.research.fourier_figures import spread_rows
from core.store import open_study


@pytest.mark.slow
def test_spread_rows__evaluation_images_only(shared_study):
    study = open_study(shared_study)
    rows = spread_rows(study, 4)
    assert len(rows) == 4 and study.is_val[rows].all()
    assert len(spread_rows(study, 10_000)) == study.is_val.sum()


@pytest.mark.slow
def test_retrieval_sheet__prints_its_numbers(run, begun, tmp_path):
    study = open_study(begun)
    rows = np.flatnonzero(study.is_val)
    h = study.array("representations").rows(rows).astype(float)
    h /= np.linalg.norm(h, axis=1, keepdims=True)
    cosine = np.round(h @ h.T, 12) - 3 * np.eye(len(rows))
    nearest = np.argsort(-cosine, axis=1, kind="stable")[:, :4]
    labels = study.images["label"].to_numpy()[rows]
    grounds = study.table("attributes")["background"].to_numpy()[rows]
    shares = [
        np.mean([(of[nearest[i]] == of[i]).mean() for i in range(len(rows)) if (of == of[i]).sum() > 1])
        for of in (labels, grounds)
    ]
    said = run("figure", begun, "retrieval_sheet", "-o", tmp_path / "sheet.html").out
    assert f"at 4 {100 * shares[0]:.1f} %, mean average precision" in said
    assert f"same background at 4 {100 * shares[1]:.1f} %; by chance" in said
