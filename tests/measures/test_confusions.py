"""The worst confusion, against counting by hand over the tables of a study."""

from __future__ import annotations

from collections import Counter

import numpy as np

from core.measures.confusions import worst_confusion
from core.store import open_study
from core.study.writer import StudyWriter


def test_worst_confusion__is_the_pair_that_is_confused_most_often(shared_study):
    study = open_study(shared_study)
    probe, labels = study.table("probe"), study.images["label"]
    rows = {
        row: (labels.iat[row], probe["predicted"].iat[row], bool(probe["correct"].iat[row]))
        for row in np.flatnonzero(study.is_val)
    }
    found = worst_confusion(study)
    pairs = Counter((label, predicted) for label, predicted, correct in rows.values() if not correct)
    assert found is not None
    assert pairs[found.true, found.predicted] == found.n == max(pairs.values())
    assert found.of == sum(n for (true, _), n in pairs.items() if true == found.true)
    wanted = [row for row, (t, p, c) in rows.items() if (t, p, c) == (found.true, found.predicted, False)]
    assert found.rows.tolist() == wanted
    shares = {
        pair: n / sum(m for (true, _), m in pairs.items() if true == pair[0])
        for pair, n in pairs.items()
        if n == found.n
    }
    assert shares[found.true, found.predicted] == max(shares.values())


def test_worst_confusion__may_be_with_a_class_that_no_image_has(study_path):
    folder = study_path(n_train=40, n_val=60)
    study = open_study(folder)
    probe, labels = study.table("probe"), study.images["label"].to_numpy(object)
    probe["predicted"] = labels
    mine = np.flatnonzero(study.is_val & (labels == "ant"))
    probe.loc[mine, "predicted"] = "lute"
    probe.loc[mine[:2], "predicted"] = "bee"
    probe["correct"] = probe["predicted"].to_numpy(object) == labels
    with StudyWriter(folder).step("probe", study.settings("probe")) as step:
        step.table("probe", probe)
    found = worst_confusion(open_study(folder))
    assert found is not None and (found.true, found.predicted) == ("ant", "lute")
    assert (found.n, found.of) == (len(mine) - 2, len(mine)) and found.rows.tolist() == mine[2:].tolist()


def test_nothing_judged__no_confusion(study_path):
    assert worst_confusion(open_study(study_path(labels=False))) is None
