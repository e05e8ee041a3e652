"""A probe whose rate is at an end of those compared: the note, where it is told, and studies of before."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from core.analysis.caveats import notes_on_accuracy, rate_note
from core.analysis.probe_step import train_probe
from core.compare.images import shared_images
from core.compare.notes import feature_notes
from core.pipeline.run import run_step
from core.publish.report_page import Source
from core.publish.report_sections import accuracy
from core.publish.summary import info
from core.store import open_study
from core.study.progress import Progress
from tests.sentences import numbers, without_numbers

FOUR = (0.3, 0.1, 0.03, 0.01)
SIX = (*FOUR, 0.003, 0.001)
N, N_CLASSES = 1000, 5


def isotropic() -> tuple[np.ndarray, np.ndarray]:
    """Rows of which no column is better than another: a penalty, or an early stop, helps."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, N_CLASSES, 2 * N)
    centres = rng.standard_normal((N_CLASSES, 256)) * 2.5 / 16
    return (centres[codes] + rng.standard_normal((2 * N, 256))).astype(np.float32), codes


def test_rates__reach_below_a_hundredth():
    raw, codes = isotropic()
    probe = train_probe(raw[:N], codes[:N], N_CLASSES)
    four = train_probe(raw[:N], codes[:N], N_CLASSES, candidates=FOUR)
    right = [(one.logits(raw[N:]).argmax(1).numpy() == codes[N:]).mean() for one in (probe, four)]
    assert tuple(probe.searched) == SIX and probe.lr in SIX[4:] and four.lr == 0.01
    assert right[0] > right[1] + 0.01


@pytest.mark.parametrize(
    ("lr", "searched", "told"),
    [
        (0.001, {0.1: 0.5, 0.01: 0.6, 0.001: 0.7}, ["3", "0.001", "0.0003"]),
        (0.3, {0.3: 0.7, 0.1: 0.5}, ["2", "0.3", "1"]),
        (0.03, {0.1: 0.5, 0.03: 0.6, 0.01: 0.5}, []),
        (0.3, {0.3: 0.7, 0.1: 0.5, 0.03: 0.7}, []),  # one inside is as good
        (0.3, {0.3: 0.7}, []),
        (0.3, {}, []),
    ],
)
def test_rate_note__of_an_end(lr, searched, told):
    note = rate_note(lr, searched)
    assert numbers(note) == told and bool(note) == bool(told)


def test_rate_note__names_the_end():
    smallest, largest = (rate_note(lr, {0.1: 0.5, lr: 0.6}) for lr in (0.01, 0.3))
    assert without_numbers(smallest) != without_numbers(largest)


@pytest.fixture
def of_before(tmp_path: Path) -> Path:
    """A study whose probe compared four rates, as in version 0.2, and whose best is the smallest."""
    raw, codes = isotropic()
    np.save(tmp_path / "raw.npy", raw)
    rows = [f"{row},class {code},{'train' if row < N else 'val'}" for row, code in enumerate(codes)]
    (tmp_path / "rows.csv").write_text("\n".join(["image_id,label,split", *rows]) + "\n")
    given = {"images": str(tmp_path / "rows.csv"), "representations": str(tmp_path / "raw.npy")}
    run_step("embed", tmp_path / "study", given, Progress.silent())
    run_step(
        "probe",
        tmp_path / "study",
        {"solver": "sgd", "lr_candidates": FOUR, "device": "cpu"},
        Progress.silent(),
    )
    return tmp_path / "study"


def test_note__is_told_with_the_accuracy_and_goes_with_the_next_probe(of_before, run):
    study = open_study(of_before)
    (note,) = notes_on_accuracy(study)
    assert numbers(note) == ["4", "0.01", "0.003"]
    assert info(study)["probe_notes"] == [note] and note in run("info", of_before).out
    assert note in str(accuracy(Source(study)))
    other = open_study(shutil.copytree(of_before, of_before.parent / "other"))
    assert feature_notes(shared_images([study, other]))[0] == f"in study, t{note[1:]}"
    outcome = run("probe", of_before, "--device", "cpu")
    assert outcome.code == 0 and "up to date" not in outcome.err
    after = open_study(of_before).summary("probe")
    assert len(after["lr_accuracy"]) == len(SIX) and after["top1"] > study.summary("probe")["top1"]
    assert notes_on_accuracy(open_study(of_before)) == [] and note not in outcome.err
    assert "date" in run("probe", of_before, "--device", "cpu").err


def test_note__is_printed_when_the_probe_is_trained(of_before, capsys):
    progress = Progress.for_command(None)
    run_step(
        "probe", of_before, {"solver": "sgd", "lr_candidates": (0.3, 0.1, 0.03, 0.01), "redo": True}, progress
    )
    assert f"note: {notes_on_accuracy(open_study(of_before))[0]}" in capsys.readouterr().err
