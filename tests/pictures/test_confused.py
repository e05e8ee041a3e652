"""The features behind a confusion, and the answer without one of them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from core.concepts.blame import ProbeWithMeans
from core.pictures.confused import ALIKE, behind_confusion, pushes, without_feature
from core.store import open_study
from tests.concepts.worded import make_worded
from tests.synthetic import make_seen_study


@pytest.fixture(scope="module")
def worded(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("confused")
    return open_study(make_worded(make_seen_study(folder / "seen")))


@pytest.fixture(scope="module")
def confusion(worded):
    """The images of the most common confusion, its true class and the answer."""
    pairs = worded.table("failure_pairs").sort_values("n_images", ascending=False)
    true, predicted = pairs["true"].iloc[0], pairs["predicted"].iloc[0]
    probe = worded.table("probe")
    rows = np.flatnonzero((probe["true"] == true) & (probe["predicted"] == predicted) & worded.is_val)
    return rows, str(true), str(predicted)


def logits_of(study, raw: np.ndarray) -> list[float]:
    weights, bias = study.vector("probe_weights"), study.vector("probe_bias")
    return [
        sum(float(w) * float(h) for w, h in zip(row, raw, strict=True)) + float(b)
        for row, b in zip(weights, bias, strict=True)
    ]


def test_pushes__of_two_features_by_hand():
    raw, means = np.array([[2.0, 1.0]]), np.array([0.5, 1.0])
    weights = np.array([[1.0, 5.0], [3.0, 0.0]])
    assert pushes(raw, means, weights[1] - weights[0]).tolist() == [
        [3.0, 0.0]
    ]  # one at its mean pushes nothing


def test_behind_and_without__by_a_loop(worded, confusion):
    """A push is what the lead loses when the feature is set to its mean over the train images."""
    rows, true, predicted = confusion
    truth, answer = (worded.class_names.index(name) for name in (true, predicted))
    raw = worded.array("representations")[:].astype(float)
    means = [raw[~worded.is_val, j].sum() / (~worded.is_val).sum() for j in range(raw.shape[1])]
    probe = ProbeWithMeans.of(worded)
    lost = np.zeros(raw.shape[1])
    answers: dict[int, list[int]] = {j: [] for j in range(raw.shape[1])}
    leads = []
    for row in rows:
        before = logits_of(worded, raw[row])
        leads.append(before[answer] - before[truth])
        for j in range(raw.shape[1]):
            changed = raw[row].copy()
            changed[j] = means[j]
            after = logits_of(worded, changed)
            lost[j] += (leads[-1] - (after[answer] - after[truth])) / len(rows)
            answers[j].append(int(np.argmax(after)))
    table = behind_confusion(worded, probe, rows, true, predicted)
    for side, sign in (("predicted", 1), ("true", -1)):
        part = table[table["side"] == side]
        best = sorted(range(len(lost)), key=lambda j: (-sign * lost[j], j))[: len(part)]
        assert len(part) and part["feature"].tolist() == best
        assert_allclose(part["push"], sign * lost[best], rtol=1e-5)
        assert_allclose(part["share"], sign * lost[best] / np.mean(leads), rtol=1e-5)
        weights = worded.vector("probe_weights")
        toward = [sign * (weights[answer, j] - weights[truth, j]) for j in best]
        assert part["too_little"].tolist() == [one < 0 for one in toward]  # only its lack can push
    feature = int(table["feature"].iloc[0])
    without = without_feature(worded, probe, rows, feature, true, predicted)
    assert without.answers == [worded.class_names[one] for one in answers[feature]]
    assert without.to_true == answers[feature].count(truth)
    assert without.too_little == table["too_little"].iloc[0]
    assert without.changed == sum(one != answer for one in answers[feature])
    assert_allclose([without.push, without.lead], [lost[feature], np.mean(leads)], rtol=1e-5)
    rates = worded.table("features").set_index("feature")["activation_rate"]
    apart = (rates - rates[feature]).abs().drop(feature).sort_values(kind="stable")
    alike = apart.index[:ALIKE].tolist()
    assert without.n_alike == len(alike)
    flips = [sum(one != answer for one in answers[j]) for j in alike]
    assert_allclose(without.changed_alike, np.mean(flips), rtol=1e-12)


def test_no_images__no_rows(worded):
    names = worded.class_names[:2]
    assert behind_confusion(worded, ProbeWithMeans.of(worded), np.empty(0, int), *names).empty
