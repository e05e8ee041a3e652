"""The training table: which runs are planned, what is resumed, and its Markdown."""

from __future__ import annotations

import pandas as pd

from benchmarks.evidence import training_runs
from benchmarks.evidence.training_report import report
from benchmarks.evidence.training_table import KEY, METHODS, PRESETS, Planned, fill, planned


def test_planned__the_cpu_preset_has_every_method_and_its_controls():
    runs = list(planned(PRESETS["cpu"], METHODS, None))
    assert len(set(runs)) == len(runs) == 8 * 4 + 2 * 2 * 3 + 2 * 4
    assert [run.method for run in runs[:4]] == ["simclr"] * 4
    assert {run.seed for run in runs if run.method == "simsiam"} == {0, 1, 2}
    assert {run.method for run in runs if run.rate == "paper"} == {"simclr", "simsiam"}
    assert sum(run.frozen for run in runs) == 2


def test_planned__the_gpu_preset_has_three_seeds_of_everything():
    runs = list(planned(PRESETS["gpu"], METHODS, None))
    assert len(set(runs)) == len(runs) == 8 * (1 + 3 * (3 + 3 + 1))


def test_fill__goes_on_where_it_was(tmp_path, monkeypatch):
    made: list[str] = []

    def row(run: Planned, *_: object, **__: object) -> dict[str, float]:
        made.append(run.name)
        return {"top1": 0.5 + run.seed / 10}

    monkeypatch.setattr(training_runs, "pretrain", lambda *_: tmp_path)
    monkeypatch.setattr(training_runs, "start_study", lambda *_: tmp_path)
    monkeypatch.setattr(training_runs, "start_row", lambda *_: {"top1": 0.4})
    monkeypatch.setattr(training_runs, "finetuned_row", row)
    monkeypatch.setattr("core.store.open_study", lambda path: path)
    fill(PRESETS["cpu"], tmp_path, methods=["byol"])
    assert made == ["byol-none-practical-0", "byol-lasso-practical-0", "byol-q-practical-0"]
    fill(PRESETS["cpu"], tmp_path, methods=["byol"], seeds=[0, 1])
    assert made[3:] == ["byol-none-practical-1", "byol-lasso-practical-1", "byol-q-practical-1"]
    table = pd.read_csv(tmp_path / "runs.csv")
    assert len(table) == 7 and not table.duplicated(KEY).any()
    text = (tmp_path / "table.md").read_text()
    assert "| byol | 40.00 (1) | 55.00 ± 7.07 (2) |" in text
    assert "92.59 / 90.27 / 92.82" in text and "70.54 / 71.26 / 72.71" in text


def test_report__leaves_out_what_nobody_measured():
    rows = pd.DataFrame(
        {
            **{"method": ["dino"], "regularizer": ["start"], "frozen": [False], "rate": [""], "seed": [0]},
            **{"top1": [0.25], "miou_core": [float("nan")], "seconds": [60.0], "device": ["a laptop"]},
        }
    )
    lines = list(report(rows))
    assert "| dino | start | 25.00 (1) |" in lines and not any("mIoU" in line for line in lines)
    assert lines[-1] == "1 runs, 1 minutes in all; a laptop."
