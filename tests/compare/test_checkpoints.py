"""Studies as checkpoints of one training: numbers of `compare`, and features against a loop over sets."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.compare import checkpoints, features
from core.compare.checkpoints import NOTHING, THERE, along, amounts, checkpoints_finding, checkpoints_text
from core.compare.compare import compare
from core.compare.images import LOST, shared_images
from core.errors import SettingsError
from core.measures.slice import Slice
from core.store import Study, open_study
from tests.command_line import Command, runner
from tests.compare.comparable import second_study
from tests.compare.test_lone_features import firing_sets
from tests.manifests import edited_manifest
from tests.synthetic import make_study

ALIKE = 0.5  # the planted features of the studies are much alike


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("training")
    first = make_study(folder / "epoch1", n_train=80, n_val=120, epsilon=1.5)
    made = [second_study(first, folder / f"epoch{n}", epsilon=1.5, seed=n) for n in (2, 10)]
    return [first, *made]


@pytest.fixture
def trained(folders: list[Path], monkeypatch: pytest.MonkeyPatch) -> list[Study]:
    for module in (features, checkpoints):
        monkeypatch.setattr(module, "UNLIKE", ALIKE)
    monkeypatch.setattr(features, "LEAST", 5)
    return [open_study(folder) for folder in folders]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Command:
    return runner(capsys)


def largest(mine: set[str], others: list[set[str]]) -> tuple[int, float]:
    likeness = [len(mine & other) / max(len(mine | other), 1) for other in others]
    return int(np.argmax(likeness)), max(likeness)


def test_features__match_a_loop_over_sets(trained: list[Study]) -> None:
    found = along(trained, resamples=20)
    shared = shared_images(trained)
    sets = [firing_sets(study, rows[shared.judged]) for study, rows in zip(trained, shared.rows, strict=True)]
    ids = shared.image_ids[shared.judged]
    moved = dict(zip(ids[np.random.default_rng(0).permutation(len(ids))], ids, strict=True))
    expected = []
    for feature, fires in enumerate(sets[-1]):
        if len(fires) < 5 or not trained[-1].discriminative[feature]:
            continue
        best = [largest(fires, others) for others in sets]
        there = [likeness >= ALIKE for _, likeness in best]
        appears = next(at for at in range(3) if all(there[at:]))
        for at, (closest, likeness) in enumerate(best):
            by_chance = largest(fires, [{moved[name] for name in other} for other in sets[at]])[1]
            expected.append(
                (feature, len(fires), shared.names[at], closest, likeness, by_chance, shared.names[appears])
            )
    rows = [tuple(row) for row in found.features.itertuples(index=False)]
    assert sorted(rows, key=lambda row: (row[0], row[2])) == sorted(
        expected, key=lambda row: (row[0], row[2])
    )
    assert rows
    assert len(set(found.features["appears"])) > 1  # some are new
    shares = found.frame.loc[found.frame["measure"] == THERE].set_index("study")
    likeness = pd.DataFrame(expected, columns=list(found.features)).set_index("study")
    for name in shared.names:
        assert shares.at[name, "value"] == (likeness.loc[name, "likeness"] >= ALIKE).mean()
        assert shares.at[name, "by_chance"] == (likeness.loc[name, "by_chance"] >= ALIKE).mean()


def test_numbers__are_those_of_compare(trained: list[Study]) -> None:
    found, plain = along(trained, resamples=20), compare(trained, resamples=20)
    measured = found.frame.set_index(["measure", "study"])
    for name in ("accuracy", "q_auroc"):
        for study in plain.names:
            told = plain.value(name, study)
            assert measured.loc[(name, study), ["value", "low", "high"]].tolist() == [
                told["value"], told["low"], told["high"]
            ]  # fmt: skip
    table = amounts(found)
    assert table[0] == ["", "epoch1", "epoch2", "epoch10"] and {len(row) for row in table} == {4}
    counts = [int(cell) for cell in table[-1][1:]]
    assert sum(counts) == found.features["feature"].nunique()
    assert f"{counts[0]} of " in checkpoints_finding(found)
    change = plain.value("accuracy", "epoch10")
    by_chance = change["difference_low"] <= 0 <= change["difference_high"]
    assert ("chance" in checkpoints_finding(found)) == by_chance
    twins = replace(found, frame=found.frame.assign(value=0.5))
    assert checkpoints_finding(twins).count("50.0 %") == 1


def test_one_image__could_be_chance(trained: list[Study]) -> None:
    sides = compare([trained[0], trained[-1]], resamples=20).sides
    image = sides.loc[sides["side"] == LOST, "image_id"].iloc[0]
    found = along(trained, among=Slice(image_ids=(image,)), resamples=20)
    sentence = checkpoints_finding(found)
    assert sentence.index("100.0 %") < sentence.index(" 0.0 %") and "chance" in sentence


def test_command__prints_writes_and_refuses(run: Command, folders: list[Path], tmp_path: Path) -> None:
    out = run("compare", *folders, "--checkpoints", "-o", tmp_path / "t.md", "--bootstrap", 20).out
    assert {"epoch1", "epoch2", "epoch10"} <= set(out.split())
    assert "| Accuracy |" in (tmp_path / "t.md").read_text()
    told = json.loads(run("compare", *folders, "--checkpoints", "--json", "--bootstrap", 20).out)
    assert told["studies"] == ["epoch1", "epoch2", "epoch10"] and told["numbers"] and told["features"]
    run("compare", *folders, "--checkpoints", "-o", tmp_path / "t.csv", "--bootstrap", 20)
    assert len(pd.read_csv(tmp_path / "t.csv")) == len(told["numbers"])
    for words, message in (
        ((folders[0],), "there is only one study"),
        ((folders[0], folders[0]), "is named twice"),
        ((*folders, "--answers", "head,probe"), "--checkpoints is of studies"),
    ):
        assert message in run("compare", *words, "--checkpoints").error


def test_studies_without_firing_sets__have_numbers_only(folders: list[Path], tmp_path: Path) -> None:
    bare = second_study(folders[0], tmp_path / "bare", epsilon=1.5)
    with edited_manifest(bare) as manifest:  # as studies of an older version
        for name in ("firing_by_feature_ptr", "firing_by_feature_rows"):
            del manifest["items"][name]
    found = along([open_study(folders[0]), open_study(bare)], resamples=20)
    assert found.features.empty and THERE not in set(found.frame["measure"])
    assert found.appearing("bare").empty and "appear" not in checkpoints_finding(found)


def test_no_evaluation_images__is_said(trained: list[Study]) -> None:
    data = along(trained, among=Slice(split="train"), resamples=20)
    assert checkpoints_finding(data) == NOTHING and NOTHING in checkpoints_text(data).splitlines()[-1]


def test_one_study__is_no_training(folders: list[Path]) -> None:
    with pytest.raises(SettingsError, match="one study"):
        along([open_study(folders[0])])
