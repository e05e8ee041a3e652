"""The experiment with eq. 3: its plan, its intervals, and a tiny one that is killed and goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from benchmarks.evidence.regularization import __main__ as experiment
from benchmarks.evidence.regularization import folder as folders
from benchmarks.evidence.regularization.plan import KINDS, Cell, plan
from benchmarks.evidence.regularization.report import difference, interval, paired, report
from core.errors import SettingsError
from tests.sampling import sample

ROOT = Path(__file__).resolve().parents[3]


def test_plan__has_every_kind_at_both_rates_and_the_first_seed_first():
    cells = plan()
    assert len(set(cells)) == len(cells) == 1 + 3 * (2 * len(KINDS) + 1)
    assert cells[0] == Cell("start") and {cell.seed for cell in cells[:12]} == {0}
    assert [cell.name for cell in plan([1], kinds=["none", "frozen"], rates=["paper"])] == [
        *("start", "none-paper-1", "frozen-paper-1")
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kinds": ["q-sums"]}, "Unknown kind 'q-sums'. Known: none, .* Did you mean 'q-sum'"),
        ({"rates": ["fast"]}, "Unknown rate 'fast'. Known: practical, paper"),
        ({"kinds": []}, "nothing to run"),
        ({"seeds": [-1]}, "seed -1 must be 0 or more"),
    ],
    ids=str,
)
def test_plan__refuses(options, message):
    with pytest.raises(SettingsError, match=message) as caught:
        plan(**{"seeds": [0], **options})
    assert "\n" not in str(caught.value)


def table(top1: dict[str, list[float]]) -> pd.DataFrame:
    rows = [{"kind": "start", "rate": "", "seed": 0, "top1": 0.5}]
    for kind, values in top1.items():
        for seed, value in enumerate(values):
            rows.append({"kind": kind, "rate": "practical", "seed": seed, "top1": value})
    common = {"q_auroc": 0.5, "q_auroc_low": 0.4, "q_auroc_high": 0.6, "mean_firing": 4.0, "epsilon": 3.5}
    common |= {"seconds": 60.0, "device": "a laptop", "lr": 0.05, "optimizer": "sgd", "epochs": 2}
    return pd.DataFrame(rows).assign(**common)


def test_interval__by_hand():
    mean, half = interval([0.2, 0.4, 0.9])
    deviation = np.sqrt(((0.2 - 0.5) ** 2 + (0.4 - 0.5) ** 2 + (0.9 - 0.5) ** 2) / 2)
    assert mean == pytest.approx(0.5) and half == pytest.approx(4.302653 * deviation / np.sqrt(3))
    assert np.isnan(interval([0.2])[1]) and np.isnan(interval([])[0])


def test_paired__by_seed_and_only_where_both_ran():
    rows = table({"none": [0.5, 0.6, 0.7], "q-sum": [0.52, 0.61]})
    assert paired(rows, "q-sum", "practical", "top1") == pytest.approx([0.02, 0.01])
    assert difference([2.0, 2.2], 1) == "+2.1 ± 1.3 *" and difference([0.5], 1) == "+0.5"
    assert "*" not in difference([2.0, -2.1], 1) and difference([], 1) == ""


def test_report__has_a_line_for_what_ran_and_no_other():
    lines = list(report(table({"none": [0.5, 0.6], "q-sum": [0.52, 0.64]}).assign(rewarded=[np.nan] * 5)))
    assert lines[0] == "### Practical rate: sgd, 0.05 per 256 images, 2 epochs"
    text = "\n".join(lines)
    assert "| start | 50.00 |" in text and "| no regulariser | 55.00 ± 63.53 |  |" in text
    assert "| Q, reading `sum` | 58.00 ± 76.24 | +3.00 ± 12.71 |" in text
    assert "Lasso" not in text and "Paper rate" not in text
    assert lines[-1] == "Epsilon 3.5; 5 rows, 5 minutes; a laptop."


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--images", "photos"], "--images needs the encoder to begin from"),
        (["--epochs", "0"], "--epochs 0 must be at least 1"),
        (["--train", "5"], "--train is for --images"),
        (["--lambda1", "-1"], "lambda1 = -1.0 must be 0 or more"),
        (["--seeds", "a"], "--seeds a: expected whole numbers"),
        (["--kinds", "q"], "Unknown kind 'q'"),
        (["--images", "nowhere", "--start", "a.safetensors"], "nowhere"),
    ],
    ids=str,
)
def test_main__one_line_about_what_cannot_work(tmp_path, capsys, words, message):
    assert experiment.main(["-o", str(tmp_path / "out"), *words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and message in said and said.count("\n") == 1


def test_check_settings__refuses_another_experiment(tmp_path):
    folders.check_settings(tmp_path, {"epochs": 2, "images": "glyphworlt"})
    (tmp_path / folders.IMAGES).write_text("path")
    folders.check_settings(tmp_path, {"epochs": 2, "images": "glyphworld"})  # nothing was begun with a typo
    assert not (tmp_path / folders.IMAGES).exists()
    (tmp_path / folders.STUDY).mkdir()
    folders.check_settings(tmp_path, {"epochs": 2, "images": "glyphworld"})
    with pytest.raises(SettingsError, match=r"holds runs with another epochs \(2, not 3\). Choose another"):
        folders.check_settings(tmp_path, {"epochs": 3, "images": "glyphworld"})
    (tmp_path / folders.SETTINGS).write_text("{")
    with pytest.raises(SettingsError, match="cannot be read. Choose another -o, or delete it"):
        folders.check_settings(tmp_path, {"epochs": 3})


def make_images(root: Path, n: int = 12) -> Path:
    rng = np.random.default_rng(0)
    for split, count in (("train", n), ("test", n // 2)):
        for label in ("cat", "dog"):
            place = root / split / label
            place.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / f"{number}.png")
    return root


def test_sampled_images__a_seeded_sample_even_over_classes(tmp_path):
    images, out = make_images(tmp_path / "images"), tmp_path / "out"
    out.mkdir()
    assert folders.sampled_images(str(images), out, n_train=24, n_val=None) == str(images)
    path = folders.sampled_images(str(images), out, n_train=7, n_val=4)
    listed = pd.read_csv(path)
    assert path == str(out / "images.csv") and list(listed["split"]) == ["train"] * 7 + ["val"] * 4
    counts = listed.groupby(["split", "label"]).size()
    assert sorted(counts["train"]) == [3, 4] and list(counts["val"]) == [2, 2]
    assert all(Path(text).is_file() for text in listed["path"])
    before = Path(path).read_bytes()
    assert folders.sampled_images("gone", out, n_train=7, n_val=4) == path  # stands as it was drawn
    Path(path).unlink()
    folders.sampled_images(str(images), out, n_train=7, n_val=4)
    assert Path(path).read_bytes() == before


def test_sampled_images__without_labels(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "b.png")
    with pytest.raises(SettingsError, match="without a label, and the probe needs them. Give a folder"):
        folders.sampled_images(str(tmp_path), tmp_path, n_train=1, n_val=1)


def tiny(begun: Path, out: Path) -> list[str]:
    start = str(begun.parent / "start.safetensors")
    images = "glyphworld?train=64&val=40&size=32"
    words = ["--images", images, "--start", start, "--epsilon", "1.5", "--device", "cpu", "--seeds", "0"]
    return [*words, "--kinds", "none,q-sum", "--rates", "practical", "--epochs", "4", "-o", str(out)]


MEASURED = ("top1", "mean_firing", "q_auroc", "weight_change", "statistics_change", "near_zero", "epochs")


@pytest.mark.slow
@pytest.mark.exhaustive("tests/research/grids/test_runner.py kills a grid, which goes on")
def test_experiment__killed_at_any_point_goes_on_to_the_same_numbers(begun, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert experiment.main(tiny(begun, whole)) == 0
    expected = pd.read_csv(whole / "runs.csv")
    assert expected["cell"].to_list() == ["start", "none-practical-0", "q-sum-practical-0"]
    assert np.isfinite(expected[["top1", "mean_firing", "q_auroc"]].to_numpy()).all()
    q: Any = expected.iloc[2]
    assert 0 < q["rewarded"] < q["scored"] <= q["rows"] and q["weight_change"] > 0
    assert not list((whole / "runs").glob("*.safetensors*"))

    for n_rows, look in sorted(sample(killing_points(out), 1), key=lambda point: point[0]):
        process = start(begun, out)
        wait_for(look, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert len(folders.read_rows(out)) == n_rows
    assert experiment.main(tiny(begun, out)) == 0
    found = pd.read_csv(out / "runs.csv")
    assert found["cell"].to_list() == expected["cell"].to_list()
    for name in MEASURED:
        assert found[name].to_numpy() == pytest.approx(expected[name].to_numpy(), nan_ok=True), name
    assert found["rewarded"].iloc[2] == q["rewarded"]
    assert not list((out / "runs").glob("*.safetensors*"))
    stamp = (out / "runs.csv").stat().st_mtime_ns
    assert experiment.main(tiny(begun, out)) == 0  # nothing is left to do
    assert (out / "runs.csv").stat().st_mtime_ns == stamp


def killing_points(out: Path):
    """In the first fine-tuning, while the start study is made, and in the second, with the rows done then."""
    states = [
        (out / "runs" / f"{cell}-practical-0.safetensors.resume.pt").exists for cell in ("none", "q-sum")
    ]
    return [(1, states[0]), (0, (out / "study").exists), (2, states[1])]


def start(begun: Path, out: Path) -> subprocess.Popen[bytes]:
    # a state after each step, so that each killing point is met, and as many threads as in the run before
    code = (
        "import sys; from benchmarks.evidence.regularization import __main__ as e, cells; "
        "real = cells.cell_config; import dataclasses; "
        "cells.cell_config = lambda *a, **k: dataclasses.replace(real(*a, **k), checkpoint_minutes=0.0); "
        "sys.exit(e.main(sys.argv[1:]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(torch.get_num_threads())}
    return subprocess.Popen([sys.executable, "-c", code, *tiny(begun, out)], cwd=ROOT, env=environment)


def wait_for(look, process: subprocess.Popen[bytes], limit: float = 120.0) -> None:
    end = time.monotonic() + limit
    while not look():
        assert process.poll() is None, "the command ended before it could be killed"
        assert time.monotonic() < end, "the point at which to kill was not reached"
        time.sleep(0.01)
