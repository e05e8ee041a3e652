"""Comparisons with peers: equal where they should be, and a row with the reason where a peer is absent."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import bench_peers
from benchmarks.peers import checkouts, environment, semantic_lens
from benchmarks.peers.tasks import TASKS
from benchmarks.results import Absent, Result
from tests.concepts.reference_concepts import soft_wpmi

CNN = "pytorch-grad-cam, heatmaps of a ResNet-18"  # see tests/analysis
HERE = [name for name, task in TASKS.items() if task.peer.ours and name != CNN]


@pytest.mark.parametrize("name", HERE)
def test_peers_that_are_installed_compute_the_same(name):
    task = TASKS[name]
    inputs = task.make(True)
    ours, theirs = task.ours(inputs)(), task.theirs(inputs)()
    gap, said = task.gap(inputs, ours, theirs)
    assert ours.shape == theirs.shape and gap <= (task.tolerance or 0.02), said
    assert task.gap(inputs, ours, np.roll(theirs, 1))[0] > gap or name.endswith("linear probe")


def test_gap__counts_what_differs():
    found = np.array([[1, 2, 3, 4, 5, 0.5, 0.2, 0.1, 0.1, 0.1]])
    moved = np.array([[5, 4, 3, 2, 1, 0.5, 0.2, 0.1, 0.1, 0.1]])
    other = np.array([[1, 2, 3, 4, 9, 0.5, 0.2, 0.1, 0.1, 0.4]])
    assert checkouts._confidences({}, found, moved)[0] == 0.0
    assert checkouts._confidences({}, found, other)[0] == pytest.approx(0.3)
    shards = {"n_shards": np.array(16)}
    assert [checkouts._other_captions(shards, found, side)[0] for side in (moved, other)] == [0.0, 1.0]


def test_concept_examples__are_the_strongest_images():
    inputs = TASKS["SemanticLens, concept examples"].make(True)
    ours = TASKS["SemanticLens, concept examples"].ours(inputs)()
    best = np.argsort(-inputs["h"], axis=0, kind="stable")[: semantic_lens.KEPT].T
    assert (ours == best).all()
    weaker = np.roll(best, 1, axis=1)
    weaker[:, 0] = np.argsort(-inputs["h"], axis=0, kind="stable")[semantic_lens.KEPT]
    assert semantic_lens._as_active(inputs, ours, best)[0] == 0.0
    assert semantic_lens._as_active(inputs, ours, weaker)[0] > 0.0


def test_soft_wpmi_task__is_that_of_the_paper():
    inputs = checkouts._similar(True)
    powers = np.exp(checkouts.SCALE * inputs["cosines"].astype(float))
    expected = soft_wpmi(
        powers / powers.sum(1, keepdims=True), inputs["activations"], checkouts.TOP, 1.0, 0.998, 0.97
    )
    assert np.allclose(checkouts._words_ours(inputs)(), expected, rtol=1e-9)


def test_a_peer_without_a_checkout_is_a_row_with_the_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "FOLDER", tmp_path)
    wanted = {name: task for name, task in TASKS.items() if task.peer.repository}
    monkeypatch.setattr(bench_peers, "TASKS", wanted)
    rows = list(bench_peers.run(small=True))
    assert [row.name for row in rows] == list(wanted) and all(isinstance(row, Absent) for row in rows)
    assert "absent" in rows[0].line() and f"{tmp_path}" in rows[0].line()
    assert json.loads(json.dumps(rows[0].as_dict()))["value"] is None


@pytest.mark.slow
@pytest.mark.exhaustive("the other tests here read such rows")
def test_rows__gap_time_memory_and_a_peer_that_fails(tmp_path, monkeypatch):
    """Each side in a process of its own."""
    broken = tmp_path / "falcon-explain" / "falcon_utils.py"
    broken.parent.mkdir()
    broken.write_text("raise ImportError('made for another CUDA')\n", encoding="utf-8")
    monkeypatch.setattr(environment, "FOLDER", tmp_path)
    monkeypatch.setenv("PEREGRINE_PEERS", str(tmp_path))
    monkeypatch.setattr(bench_peers, "REPEATS", 0)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    names = ("scikit-learn, nearest rows", "falcon-explain, captions, one shard")
    monkeypatch.setattr(bench_peers, "TASKS", {name: TASKS[name] for name in names})
    *rows, last = bench_peers.run(small=True)
    assert [row.name.rpartition(": ")[2] for row in rows] == ["gap", "time", "memory"]
    results = [row for row in rows if isinstance(row, Result)]
    assert len(results) == len(rows) and all(row.value > 0 for row in results) and results[0].holds
    assert isinstance(last, Absent) and "cannot be run here" in last.reason
