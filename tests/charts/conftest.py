"""Hand-made tables with known answers for the figures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.store import Study, open_study
from tests.charts.pictured import make_pictured
from tests.shared import made_once


@pytest.fixture
def features() -> pd.DataFrame:
    """Ten features, shuffled by number; percentiles 50 and 95 of the rates are 2.25 and 33."""
    rate = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 8.0, 24.0, 40.375])
    tail = np.repeat(["lower", "middle", "upper"], [5, 4, 1])
    number = np.array([7, 3, 9, 0, 1, 8, 2, 6, 4, 5])
    purity = np.array([np.nan, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])
    top = [None] + ["zebra"] * 9
    table = pd.DataFrame(
        {"feature": number, "activation_rate": rate, "tail": tail, "top_class": top, "purity": purity}
    )
    return table.assign(discriminative=tail == "middle").sort_values("feature", ignore_index=True)


@pytest.fixture
def metrics() -> pd.DataFrame:
    rows = []
    for score, free, auroc in (("q_score", True, 0.55), ("norm", True, 0.65), ("confidence", False, 0.85)):
        row = {"score": score, "label_free": free, "n": 400, "note": ""}
        row |= {"base_rate_correct": 0.8, "base_rate_error": 0.2}
        for name, value in (
            ("auroc", auroc),
            ("auprc_correct", auroc + 0.3),
            ("auprc_error", auroc - 0.3),
            ("aurc", 1 - auroc),
            ("augrc", 0.16 * (1 - auroc) + 0.02),
        ):
            row |= {name: value, f"{name}_low": value - 0.02, f"{name}_high": value + 0.03}
        rows.append(row)
    return pd.DataFrame(rows)


@pytest.fixture
def curves() -> pd.DataFrame:
    x = np.array([0.0, 0.25, 1.0])
    parts = [
        pd.DataFrame({"score": score, "curve": curve, "x": x, "y": x**power})
        for score, power in (("q_score", 1.0), ("norm", 0.5), ("confidence", 0.25))
        for curve in ("roc", "pr", "pr_error", "risk")
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="session")
def pictured(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A complete small study with an encoder, heatmaps and masks."""
    made = made_once(tmp_path_factory, "pictured", lambda folder: make_pictured(folder / "here"))
    return open_study(made / "here")


@pytest.fixture(scope="session")
def other_images(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The same encoder on other images."""
    made = made_once(
        tmp_path_factory, "others", lambda folder: make_pictured(folder / "there", seed=1, research=False)
    )
    return open_study(made / "there")
