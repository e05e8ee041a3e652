"""The tables and charts of the Fourier augmentation grids: each number in its place, and the verdicts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.charts.options import FigureOptions
from core.charts.theme import LIGHT, layout_of
from core.common.dataframes import numbers
from core.errors import SettingsError
from core.research.fourier.figures.augmentation_bars import PANELS, augmentation_bars
from core.research.fourier.figures.fda_examples import spread_rows
from core.research.fourier.figures.fda_tables import fda_table, fda_transfer
from core.research.fourier.figures.view_matrix import dual_table, view_matrix
from core.research.fourier.grids.verdicts import gain_verdict, ordered_verdict, removal_verdict
from core.research.grids.figures.grid_figures import of_measure
from core.research.grids.over_seeds import NOT_ENOUGH, over_seeds
from core.research.grids.registry import load_grid
from core.store import open_study

WOBBLE = (0.0, 0.002, -0.002, 0.001, -0.001)


def cells(means: dict[str, float], seeds: int = 5, **columns) -> pd.DataFrame:
    """A table with the mean of each arm; seeds move all arms alike, and each a little."""
    rows = []
    for number, (arm, mean) in enumerate(means.items()):
        for seed in range(seeds):
            own = {name: of(arm) for name, of in columns.items()}
            value = mean + 0.01 * seed - 0.005 * (seeds - 1) + WOBBLE[(seed + number) % 5]
            rows.append({"cell": f"{arm}-s{seed}", "arm": arm, "seed": seed, **own, "top1": value})
    return pd.DataFrame(rows)


def gains(simclr: float, byol: float, seeds: int = 5) -> pd.DataFrame:
    means = {"simclr": 0.5, "simclr-fda": 0.5 + simclr, "byol": 0.6, "byol-fda": 0.6 + byol}
    return cells(means, seeds, method=lambda arm: arm.partition("-")[0], fda=lambda arm: arm.endswith("fda"))


def finding(figure: Any) -> str:
    """The sentence above a table, on one line."""
    return layout_of(figure).annotations[0].text.replace("<br>", " ")


def texts(figure: Any) -> list[list[str]]:
    return [list(row) for row in zip(*figure.data[0].cells["values"], strict=True)]


def test_gain_verdict__the_four_cases():
    def verdict(low: float, high: float, paper: float) -> str:
        values = over_seeds([low, high, (low + high) / 2, low, high])
        said, _, measured = gain_verdict(values, paper).partition(": ")
        assert measured == values.points()
        return said

    assert verdict(-0.02, 0.03, 0.013) == "compatible with the paper's difference and with none"
    assert verdict(-0.002, 0.003, 0.013) == "compatible with no difference, not with the paper's"
    assert verdict(0.011, 0.015, 0.013) == "a gain, compatible with the paper's"
    assert verdict(-0.05, -0.04, 0.013) == "a loss, not the paper's"
    few = gain_verdict(over_seeds([0.1, 0.2]), 0.013)
    assert few == f"{NOT_ENOUGH}: +15.0 points (95 % interval -48.5 to +78.5, 2 runs)"


def test_fda_table__means_spreads_and_paired_differences():
    figure: Any = fda_table(gains(0.013, -0.05))
    first, second = texts(figure)
    assert first[0] == "SimCLR" and first[1].startswith("50.0 (1.") and first[2].startswith("51.3 (1.")
    assert first[3].startswith("+1.3 ± 0.") and first[4] == "69.2 → 70.5"
    assert second[3].startswith("-5.0")
    title = finding(figure)
    assert "SimCLR: a gain, compatible with the paper's: +1.3 points" in title
    assert "BYOL: a loss, not the paper's: -5.0 points" in title
    few: Any = fda_table(gains(0.013, 0.0, seeds=3))
    assert NOT_ENOUGH in finding(few)
    assert texts(few)[0][3].count(",") == 2  # single values


def test_fda_table__of_the_order():
    table = cells({"none": 0.5, "before": 0.52, "after": 0.52}, when=lambda arm: arm)
    figure: Any = fda_table(table)
    none, before, after = texts(figure)
    assert none[2].startswith("-2.0") and before[2] == "" and before[3] == "70.5" and after[3] == "70.4"
    assert "compatible with the paper's difference and with none" in finding(figure)


def test_fda_transfer__only_columns_with_values():
    table = gains(0.02, 0.02).rename(columns={"top1": "few_shot_5"}).assign(few_shot_10=0.3)
    figure: Any = fda_transfer(table.assign(transfer_top1=np.nan))
    assert list(figure.data[0].header["values"]) == [
        "<b></b>",
        *(f"<b>{x}</b>" for x in ("5-shot", "10-shot", "average")),
    ]
    rows = texts(figure)
    assert rows[0][:3] == ["SimCLR", "50.0", "30.0"] and rows[2][1].startswith("+2.0")
    assert rows[0][3] == "40.0" and rows[2][3].startswith("+1.0")
    assert "Of 4 differences, 2 lie above 0 and 0 below" in finding(figure)


def test_fda_transfer__no_average_of_a_seed_that_lacks_a_measure():
    table = gains(0.02, 0.02).rename(columns={"top1": "few_shot_5"}).assign(few_shot_10=0.9)
    table.loc[(table["arm"] == "simclr") & (table["seed"] == 0), "few_shot_10"] = np.nan
    figure: Any = fda_transfer(table)
    plain, _, difference = texts(figure)[:3]
    others = table[(table["arm"] == "simclr") & (table["seed"] > 0)]
    assert plain[3] == f"{50 * (others['few_shot_5'] + others['few_shot_10']).mean():.1f}"
    assert difference[3].count(",") == 3  # four pairs


def pairs(means: dict[str, float], seeds: int = 5) -> pd.DataFrame:
    sides = {"left": lambda arm: arm.split("-")[0], "right": lambda arm: arm.split("-")[1]}
    return cells(means, seeds, **sides)


def test_view_matrix__upper_triangle_and_verdict():
    table = pairs({"x-x": 0.2, "fda-x": 0.3, "image-x": 0.5, "both-image": 0.6})
    figure: Any = view_matrix(table)
    z = np.array(figure.data[0].z, float)
    assert z.shape == (4, 4)
    np.testing.assert_allclose([z[0, 0], z[0, 2], z[0, 1], z[1, 3]], [20, 30, 50, 60], atol=1e-6)
    assert np.isnan(z[2, 1]) and np.isfinite(z).sum() == 4
    assert "paper 70.5" in figure.data[0].text[1][3]
    assert layout_of(figure).title.text.startswith("Works: (x, x) < (x, FDA)")


def test_ordered_verdict__fails_open_and_too_few():
    steps = {"one": ("fda-x", "x-x"), "other": ("image-x", "fda-x")}
    down = pairs({"x-x": 0.3, "fda-x": 0.2, "image-x": 0.5})
    assert ordered_verdict(down, steps, "claim").startswith("fails: claim is contradicted; one: -10.")
    same = pairs({"x-x": 0.3, "fda-x": 0.3, "image-x": 0.5})
    assert ordered_verdict(same, steps, "claim").startswith("open: claim")
    few = pairs({"x-x": 0.2, "fda-x": 0.3, "image-x": 0.5}, seeds=3)
    assert ordered_verdict(few, steps, "claim").startswith(f"claim: {NOT_ENOUGH}; one: +10.")


def test_dual_table__two_columns_of_four():
    figure: Any = dual_table(pairs({"x-x": 0.2, "x-f": 0.1, "image-f_of_image": 0.4}))
    z = np.array(figure.data[0].z, float)
    assert z.shape == (4, 2) and z[3, 1] == pytest.approx(40)
    assert layout_of(figure).title.text.startswith(
        "Fails: (x, f) > (x, x) is contradicted; (x, f) over (x, x): -10."
    )


def test_verdicts__are_printed_by_the_grids():
    order = pairs({"x-x": 0.2, "fda-x": 0.3, "image-x": 0.5, "x-f": 0.1})
    for name, start in (("fda-views", "works: (x, x) < (x, FDA)"), ("fda-dual", "fails: (x, f) > (x, x)")):
        grid = load_grid(name)
        assert [said.startswith(start) for said in grid.verdicts(grid.presets["cpu"], order)] == [True]
    grid = load_grid("fda-gain")
    said = grid.verdicts(grid.presets["cpu"], gains(0.013, -0.05))
    assert [one.partition(":")[0] for one in said] == ["SimCLR", "BYOL"]


def test_augmentation_bars__each_arm_has_its_bar():
    arms = {f"simclr-{arm}": 0.3 + 0.01 * n for n, arm in enumerate(a for _, some in PANELS for a, _ in some)}
    table = cells(arms, method=lambda arm: "simclr", kind=lambda arm: "")
    figure: Any = augmentation_bars(table)
    bars = [trace for trace in figure.data if trace.type == "bar"]
    assert [len(bar.x) for bar in bars] == [6, 7, 9]
    assert bars[0].y[0] == pytest.approx(30, abs=0.1) and bars[0].error_y.visible
    dots = [trace for trace in figure.data if trace.type == "scatter"]
    assert [set(trace.x) for trace in dots] == [{name} for bar in bars for name in bar.x]
    runs = table.loc[table["arm"] == "simclr-add-crop", "top1"]
    assert list(dots[0].y) == pytest.approx([100 * value for value in runs])
    assert "better are SimCLR without crop" in layout_of(figure).title.text.replace("<br>", " ")


def test_augmentation_bars__dots_stand_at_their_methods_bars():
    means = {"simclr": 0.3, "byol": 0.6}
    table = cells(
        {f"{method}-{arm}": mean for method, mean in means.items() for _, some in PANELS for arm, _ in some},
        method=lambda arm: arm.partition("-")[0],
        kind=lambda arm: "",
    )
    figure: Any = augmentation_bars(table)
    height = {trace.offsetgroup: trace.y[0] for trace in figure.data if trace.type == "bar"}
    assert len(height) == 2
    dots = [trace for trace in figure.data if trace.type == "scatter"]
    assert dots and {trace.mode for trace in dots} == {"markers"}
    for trace in dots:
        assert list(trace.y) == pytest.approx([height[trace.offsetgroup]] * len(trace.y), abs=10)


def test_removal_verdict__hurts_is_open_or_unknown():
    removed = [f"simclr-remove-{name}" for name in ("crop", "flip", "jitter", "gray", "blur", "solarize")]
    columns: dict[str, Any] = {"method": lambda arm: "simclr"}
    hurt = cells({"simclr-add-solarize": 0.6} | dict.fromkeys(removed, 0.5), **columns)
    assert removal_verdict(hurt) == "Removing hurts in all 6 cases"
    part = cells({"simclr-add-solarize": 0.6} | dict.fromkeys(removed, 0.5) | {removed[1]: 0.6}, **columns)
    assert "holds for 5 of 6; the rest is open" in removal_verdict(part)
    few = cells({"simclr-add-solarize": 0.6} | dict.fromkeys(removed, 0.5), 2, **columns)
    said = "in every run: SimCLR is worse without crop, flip, jitter, gray, blur, solarize"
    assert removal_verdict(few) == f"'Removing always hurts': {NOT_ENOUGH}; {said}"
    mixed = {"simclr-add-solarize": 0.6} | dict.fromkeys(removed, 0.5) | {removed[3]: 0.7}
    said = removal_verdict(cells(mixed, 2, **columns))
    assert said.endswith("worse without crop, flip, jitter, blur, solarize; SimCLR is better without gray")
    both_ways = few.assign(top1=[0.6, 0.6, *[0.5, 0.7] * 6])  # seed 0 falls, seed 1 rises
    assert removal_verdict(both_ways).endswith("no removal changes all runs in the same direction")
    whole, first = (few["arm"] == "simclr-add-solarize"), numbers(few, "seed") == 0
    assert removal_verdict(few.loc[whole].reset_index(drop=True)).endswith("no removal has two runs yet")
    assert removal_verdict(few.loc[first].reset_index(drop=True)).endswith("no removal has two runs yet")
    begun = few.loc[first | whole | (few["arm"] == removed[0])].reset_index(drop=True)
    assert removal_verdict(begun).endswith("in every run: SimCLR is worse without crop")


def test_grid_figures__score_names_a_column():
    draw = of_measure(view_matrix)
    table = pairs({"x-x": 0.2})
    assert draw(table, FigureOptions(score="top1"), LIGHT).data
    with pytest.raises(SettingsError, match="no column 'top' in the table. Did you mean 'top1'"):
        draw(table, FigureOptions(score="top"), LIGHT)


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
