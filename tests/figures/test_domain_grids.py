"""Tables and bars of the grids of domains, and the sentence that the protocol defines, on written tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.errors import SettingsError
from core.figures.domain_grids import closed_gap, ddm_bars, ddm_table, tinted_rows
from core.figures.domain_verdict import domain_verdict, lost_lead, seen_differences, unseen_style
from core.figures.options import FigureOptions
from core.figures.theme import LIGHT, paper

ARM, BASE = "simclr-on-ddm", "simclr-on-baseline"


def cells(n_seeds=5, *, gain=0.04, mlp=0.45, seen=0.0, rest=0.0, wasserstein=0.4) -> pd.DataFrame:
    """Two arms whose paired differences are known up to a small seeded spread."""
    rng, rows = np.random.default_rng(0), []
    for seed in range(n_seeds):
        noise = rng.normal(scale=0.002, size=4)
        plain = {"plain": 0.6, "sketch": 0.5, "pastel": 0.4}
        for arm, changes in ((BASE, {}), (ARM, {"pastel": gain, "sketch": seen})):
            found = {style: value + noise[0] + changes.get(style, 0.0) for style, value in plain.items()}
            found["pastel"] += noise[1] * (arm == ARM)
            row = {"cell": f"{arm}-s{seed}", "arm": arm, "seed": seed, "method": "simclr", "colour": "on"}
            row |= {"domains": arm.rpartition("-")[2], "base_rate": 1 / 3, "unseen_own_all": found["pastel"]}
            row |= {f"top1_own_{style}_all": value for style, value in found.items()}
            row |= {"domain_mlp_rest": mlp if arm == ARM else 0.9}
            row |= {"seen_own_rest": 0.5 + noise[2] + (rest if arm == ARM else 0.0)}
            rows.append(row | {"wasserstein": wasserstein if arm == ARM else np.nan})
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, "works"),
        ({"gain": 0.0}, "no use"),
        ({"seen": -0.03}, "no use"),
        ({"mlp": 0.85, "wasserstein": 0.001}, "fails"),
        ({"mlp": 0.85}, "unclear"),
        ({"gain": 0.0, "rest": -0.1}, "fails"),
        ({"n_seeds": 3}, "too few"),
    ],
)
def test_verdict__is_that_of_the_protocol(changes, outcome):
    table = cells(**{"n_seeds": 5, **changes})
    found = domain_verdict(table, ARM, BASE)
    assert found.outcome == outcome and "\n" not in found.sentence
    assert found.sentence.startswith("Not enough runs to tell") == (outcome == "too few")


def test_verdict__numbers_by_hand():
    table = cells(gain=0.04, mlp=0.45)
    assert lost_lead(table, ARM, BASE) == pytest.approx(1 - (0.45 - 1 / 3) / (0.9 - 1 / 3))
    assert unseen_style(table) == "pastel"
    assert seen_differences(table, ARM, BASE) == pytest.approx({"plain": 0.0, "sketch": 0.0})
    flat = table.assign(domain_mlp_rest=1 / 3)
    assert np.isnan(lost_lead(flat, ARM, BASE))  # no lead to lose


def test_ddm_table__holds_both_numbers_and_the_verdict():
    rows = cells()
    mean = rows.groupby("arm")["top1_own_plain_all"].mean()
    fig = ddm_table(rows, FigureOptions(), LIGHT)
    (table,) = fig.data
    heads = [text.strip("<b>/") for text in table.header.values]
    assert heads == ["method", "arm", "plain", "sketch", "pastel (unseen)", "average"]
    assert [column[0] for column in table.cells.values][:2] == ["SimCLR", "DDM"]
    assert table.cells.values[2][0] == f"{100 * mean[BASE]:.1f} / {100 * mean[ARM]:.1f}"
    assert table.cells.values[4][0].endswith(" *")  # an interval without 0
    assert "Works: the domain leaves the rest" in fig.layout.annotations[0].text


def test_ddm_bars__one_bar_an_arm_and_domain():
    fig = ddm_bars(cells(), FigureOptions(), paper(column="double"))
    assert [bar.name for bar in fig.data] == ["baseline", "DDM"]
    assert np.allclose(fig.data[1].y[2] - fig.data[0].y[2], 4.0, atol=0.3)
    assert all(np.isfinite(fig.data[0].error_y.array))
    few = ddm_bars(cells(3), FigureOptions(), LIGHT)
    assert any("not enough runs" in note.text for note in few.layout.annotations)
    with pytest.raises(SettingsError, match="no accuracies by domain"):
        ddm_bars(cells()[["arm", "seed", "domains", "method", "colour"]], FigureOptions(), LIGHT)


def tinted(one=0.9, two=0.8, ddm=0.85) -> pd.DataFrame:
    values = {"untinted": 0.92, "one-tint": one, "two-tints": two, "two-tints-ddm": ddm}
    return pd.DataFrame(
        [
            {
                "arm": arm,
                "seed": seed,
                "domains": "x",
                "tints": "x",
                "seen_seen_all": value,
                "seen_seen_rest": value,
            }
            for arm, value in values.items()
            for seed in range(2)
        ]
    )


def test_closed_gap__by_hand_and_undefined():
    assert closed_gap(tinted(), "two-tints-ddm").values == pytest.approx((0.5, 0.5))
    small = closed_gap(tinted(one=0.805), "two-tints-ddm")
    assert small.values == () and small.n_undefined == 2
    rows = tinted_rows(tinted(one=0.805))
    assert [row[-1] for row in rows] == ["", "", "", "nothing to close"]
    assert len(ddm_table(tinted(), FigureOptions(), LIGHT).data[0].cells.values) == 4
