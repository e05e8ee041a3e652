"""`lambda-search`: its cells, its table that grows, and its figure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.charts.theme import layout_of
from core.errors import SettingsError
from core.research.lambda_search import search as lambda_search
from core.research.lambda_search.figure import lambda_grid
from core.research.lambda_search.search import GridPoint, cells_of

pytestmark = pytest.mark.slow


def test_cells_of__a_grid_its_baseline_and_the_lasso():
    cells = cells_of([0.0, 1e-4], [1e-3], [0.0, 0.1])
    assert [cell.name for cell in cells] == ["none", "q-0-0.001", "q-0.0001-0.001", "lasso-0.1"]
    assert cells[2] == GridPoint("q", 1e-4, 1e-3) and cells_of([0.0], [0.0], [1.0])[1:] == [
        GridPoint("lasso", weight=1.0)
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [(([-1.0], [1.0], []), "-1 is not a valid weight"), (([0.0], [0.0], []), "nothing to search")],
)
def test_cells_of__refuses(values, message):
    with pytest.raises(SettingsError, match=message):
        cells_of(*values)


def test_lambda_search__fills_a_table_that_a_second_run_only_completes(run, begun, tmp_path, monkeypatch):
    out = tmp_path / "search"
    quick = ("--epochs", "1", "--practical", "--device", "cpu", "--workers", "1")
    words = ("lambda-search", begun, "-o", out, *quick, "--cache", begun.parent / "cache")
    outcome = run(*words, "--lambda1", "1e-4", "--lambda2", "1e-4")
    assert outcome.code == 0, outcome.err
    first = pd.read_csv(out / "cells.csv")
    assert first["cell"].to_list() == ["none", "q-0.0001-0.0001"]
    for name in ("top1", "q_auroc", "mean_q_correct", "near_zero", "weight_change", "q_auroc_start_d"):
        assert np.isfinite(first[name].to_numpy()).all(), name
    assert (out / "lambda_search.html").exists() and not list((out / "cells").glob("*.safetensors"))

    done: list[str] = []
    real = lambda_search.run_cell

    def counted(study, folder, cell, progress, **options):
        done.append(cell.name)
        return real(study, folder, cell, progress, **options)

    monkeypatch.setattr(lambda_search, "run_cell", counted)
    assert run(*words, "--lambda1", "1e-4", "--lambda2", "1e-4", "--weights", "0.1").code == 0
    assert done == ["lasso-0.1"]
    again: Any = pd.read_csv(out / "cells.csv")
    pd.testing.assert_frame_equal(again.iloc[:2][list(first.columns)], first)

    outcome = run(*words, "--lambda1", "1e-4", "--lambda2", "1e-4", "--seed", "3")
    assert "holds a search with another seed. Choose another -o." in outcome.error
    outcome = run(*words, "--lambda1", "1e-4", "--lambda2", "1e-4", "--reading", "mean")
    assert "holds a search with another reading. Choose another -o." in outcome.error

    drawn = run("figure", out, "lambda_search", "-o", tmp_path / "search.json", "--score", "q_auroc")
    assert drawn.code == 0 and (tmp_path / "search.json").exists()
    assert "no lambda search in" in run("figure", begun, "lambda_search", "-o", tmp_path / "b.json").error


def searched() -> pd.DataFrame:
    rows = [("none", 0.0, 0.0, 0.0, 0.5), ("lasso", 0.0, 0.0, 0.1, 0.4)]
    rows += [("q", a, b, 0.0, 0.5 + a + 10 * b) for a in (0.001, 0.01) for b in (0.0, 0.02)]
    return pd.DataFrame(rows, columns=["kind", "lambda1", "lambda2", "weight", "top1"])


def test_lambda_grid__puts_each_value_in_its_place():
    figure: Any = lambda_grid(searched())
    grid, lasso = figure.data
    assert (list(grid.x), list(grid.y)) == (["0", "0.02"], ["0.001", "0.01"])
    assert [[round(value, 6) for value in line] for line in grid.z] == [[50.1, 70.1], [51.0, 71.0]]
    assert grid.text[1][1] == "71.0" and list(lasso.y) == ["0.1"] and lasso.z[0][0] == 40.0
    assert "no regulariser: 50.0" in layout_of(figure).title.text


def test_lambda_grid__along_lines_as_fig_a8_has_an_interval_at_each_weight():
    """lambda1 at lambda2 = 0, then lambda2 at the best lambda1; three cells of four are no grid."""
    table = searched().drop(index=3)  # lambda1 0.001 with lambda2 0.02
    table = table.assign(top1_low=table["top1"] - 0.01, top1_high=table["top1"] + 0.03)
    figure: Any = lambda_grid(table)
    first, second, lasso = figure.data
    titles = [layout_of(figure)[axis].title.text for axis in ("xaxis", "xaxis2", "xaxis3")]
    assert titles == ["λ₁ (λ₂ = 0)", "λ₂ (λ₁ = 0.01)", "Lasso's weight"]
    assert (list(first.x), np.round(first.y, 6).tolist()) == (["0.001", "0.01"], [50.1, 51.0])
    assert (list(second.x), np.round(second.y, 6).tolist()) == (["0", "0.02"], [51.0, 71.0])
    assert (list(lasso.x), np.round(lasso.y, 6).tolist()) == (["0.1"], [40.0])
    assert np.allclose(first.error_y.arrayminus, 1) and np.allclose(first.error_y.array, 3)
    band, *_ = (shape for shape in layout_of(figure).shapes if shape.type == "rect")
    assert (round(band.y0, 6), round(band.y1, 6)) == (49.0, 53.0)
    title = "Top-1 accuracy (%): highest with λ₁ = 0.01, λ₂ = 0.02, 71.0 (no regulariser: 50.0)"
    assert layout_of(figure).title.text == title


def test_lambda_grid__without_what_it_should_show():
    assert not lambda_grid(searched(), measure="q_auroc").data
    with pytest.raises(SettingsError, match="Did you mean 'top1'"):
        lambda_grid(searched(), measure="top")
