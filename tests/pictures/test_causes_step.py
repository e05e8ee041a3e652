"""The step `causes` on a study of pictures: what it stores is what a loop over the pictures gives."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from core.cli import main
from core.common.dataframes import numbers
from core.errors import SettingsError
from core.measures.causes import COLUMNS
from core.measures.image_columns import CAUSES, NO_CAUSE, tells_causes
from core.measures.slice import Slice
from core.pictures.picture_changes import AS_IT_IS, NEUTRAL, TURNS, VIEWS, Improvement, changed_views
from core.pipeline.run import run_step
from core.publish.export_files import read_table
from core.store import Study, open_study
from core.study.commands import ExplainError, command_of
from core.study.progress import Progress
from tests.planted_encoder import hues
from tests.shared import made_once
from tests.synthetic import make_seen_study, make_study

HERE = {"device": "cpu", "workers": 0}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def causes_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of 260 evaluation images whose probe is often wrong, with the measures of their pictures."""

    def make(at: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PEREGRINE_TRUST_STUDIES", "1")
            folder = make_seen_study(at / "study", n_train=40, n_val=260)
            run_step("causes", folder, HERE, Progress.silent())

    return made_once(tmp_path_factory, "with_causes", make)


@pytest.fixture
def study(causes_folder: Path, tmp_path: Path, trusted: None) -> Study:
    shutil.copytree(causes_folder, tmp_path, dirs_exist_ok=True)
    return open_study(tmp_path / "study")


def logits_by_loop(study: Study, view: np.ndarray) -> list[float]:
    weights, bias = study.vector("probe_weights"), study.vector("probe_bias")
    with torch.no_grad():
        raw = hues().model(torch.from_numpy(view.copy()).permute(2, 0, 1)[None].float() / 255)[0].numpy()
    return [sum(float(w) * float(x) for w, x in zip(row, raw, strict=True)) + float(b)
            for row, b in zip(weights, bias, strict=True)]  # fmt: skip


def test_gaps__are_those_of_each_changed_picture(study: Study):
    table = study.table("causes")
    names, rows = study.class_names, study.vector("cause_rows").tolist()
    gaps = study.vector("cause_gaps")
    assert gaps.shape == (len(rows), len(VIEWS), 2) and rows == sorted(rows)
    for image_id in table["image_id"].unique()[:3].tolist():
        row = study.row_of(image_id)
        label, predicted = (names.index(table.loc[table["image_id"] == image_id, one].iat[0])
                            for one in ("label", "predicted"))  # fmt: skip
        views = changed_views(study.image(row), study.transform, Improvement())
        for name in (AS_IT_IS, *NEUTRAL, *TURNS.values()):
            z = logits_by_loop(study, views[name])
            assert_allclose(gaps[rows.index(row), VIEWS.index(name), 0], z[label] - z[predicted], atol=1e-4)
            assert gaps[rows.index(row), VIEWS.index(name), 1] == (int(np.argmax(z)) == label)


def test_tables__follow_from_the_gaps_and_the_rule(study: Study):
    table, controls = study.table("causes"), study.table("cause_controls")
    assert tuple(table.columns) == COLUMNS
    n_errors = int((numbers(study.table("probe"), "correct")[study.is_val] == 0).sum())
    assert table["image_id"].nunique() == n_errors and len(table) == n_errors * len(CAUSES)
    assert controls["reference"].sum() == len(CAUSES) * (controls["image_id"].nunique() // 2)
    gaps, rows = study.vector("cause_gaps")[..., 0], study.vector("cause_rows").tolist()
    for one in table.loc[table["cause"] == "turn"].head(20).to_dict("records"):
        gain = gaps[rows.index(study.row_of(one["image_id"]))]
        turns = [gain[VIEWS.index(name)] - gain[0] for name in TURNS.values()]
        assert one["gain"] == pytest.approx(max(turns))
        assert one["neutral"] == pytest.approx(max(gain[VIEWS.index(name)] - gain[0] for name in NEUTRAL))
        if one["holds"]:
            assert one["gain"] > max(one["neutral"], one["threshold"])
    held = table.loc[table["holds"]]
    assert len(held) and (held["gain"] > held["threshold"].fillna(-np.inf)).all()
    first = table.drop_duplicates("image_id")
    assert set(first["why"]) <= {*CAUSES, *NO_CAUSE}
    assert (first.loc[first["rank"] == 1, "cause"] == first.loc[first["rank"] == 1, "why"]).all()
    assert (first.loc[first["rank"] == 0, "why"].isin(NO_CAUSE)).all()
    rates = study.table("cause_rates").set_index("cause")
    assert rates.loc[list(CAUSES), "n"].to_dict() == {
        cause: int(table.loc[table["cause"] == cause, "holds"].sum()) for cause in CAUSES
    }
    assert rates["n_first"].sum() == n_errors


def test_features_and_neighbours__by_loop(study: Study):
    table, raw = study.table("causes"), study.array("representations")[:].astype(float)
    weights, bias = study.vector("probe_weights").astype(float), study.vector("probe_bias").astype(float)
    labels, names = study.images["label"].to_numpy(), study.class_names
    means = [raw[~study.is_val][:, one].mean() for one in range(raw.shape[1])]
    for one in table.loc[table["cause"] == "feature"].head(10).to_dict("records"):
        x = raw[study.row_of(one["image_id"])]
        y, p = names.index(one["label"]), names.index(one["predicted"])
        adds = [x[j] * (weights[p, j] - weights[y, j]) for j in range(len(x))]
        best = int(np.argmax(adds))
        changed = x.copy()
        changed[best] = means[best]
        before, after = weights @ x + bias, weights @ changed + bias
        assert one["feature"] == best
        assert one["gain"] == pytest.approx((after[y] - after[p]) - (before[y] - before[p]), abs=1e-5)
    unit = raw / np.maximum(np.linalg.norm(raw, axis=1, keepdims=True), 1e-12)
    for one in table.loc[table["cause"] == "neighbours"].head(10).to_dict("records"):
        row = study.row_of(one["image_id"])
        cosine = unit @ unit[row]
        order = sorted(
            (at for at in range(len(raw)) if at != row), key=lambda at: (-np.float32(cosine[at]), at)
        )
        near = [labels[at] for at in order[:10]]
        shares = near.count(one["predicted"]) / 10, near.count(one["label"]) / 10
        assert one["gain"] == pytest.approx(shares[0] - shares[1], abs=0.11)  # ties of cosines


def test_why__is_a_column_that_filters_know(study: Study):
    assert tells_causes(study)
    first = study.table("causes").drop_duplicates("image_id").set_index("image_id")["why"]
    cause = str(first.iloc[0])
    mask = Slice(extras={"why": (cause,)}).mask(study)
    assert set(study.images.loc[mask, "image_id"]) == set(first.index[(first == cause).to_numpy()])
    narrowed = study.where(Slice(extras={"why": (cause,)}))
    assert narrowed.table("cause_rates")["n_errors"].max() == (first == cause).sum()
    assert set(read_table(study, "causes", slice=Slice.parse(f'why="{cause}"'))["why"]) == {cause}


def test_single_image__has_the_same_causes_and_takes_over_what_was_tried(study: Study, tmp_path: Path):
    whole = study.table("causes")
    image_id = whole["image_id"].iat[0]
    summary = run_step("causes", study.path, {"image": [image_id], **HERE}, Progress.silent())
    again = open_study(study.path)
    assert summary["complete"] is False and not again.has("cause_rates")
    assert set(again.table("causes")["image_id"]) == set(whole["image_id"])  # earlier errors stay
    alone = causes_alone(tmp_path / "again", image_id)
    mine = whole.loc[whole["image_id"] == image_id].set_index("cause")
    for column in ("gain", "threshold"):
        tried = [cause for cause in ("turn", "neighbours", "feature") if cause in mine.index]
        assert_allclose(alone.loc[tried, column], mine.loc[tried, column], atol=1e-6)


def causes_alone(folder: Path, image_id: str) -> pd.DataFrame:
    """The causes of an image of a study of which nothing was tried before."""
    make_seen_study(folder, n_train=40, n_val=260)
    run_step("causes", folder, {"image": [image_id], **HERE}, Progress.silent())
    return open_study(folder).table("causes").set_index("cause")


def test_single_image__that_is_no_error_is_refused(study: Study):
    right = study.images.loc[(study.table("probe")["correct"] == 1).to_numpy(), "image_id"].iat[0]
    with pytest.raises(SettingsError, match="answered correctly"):
        run_step("causes", study.path, {"image": [right], **HERE}, Progress.silent())
    assert open_study(study.path).has("causes")  # nothing is lost


def test_answers__that_give_no_logits_are_refused(study: Study):
    assert main(["answers", str(study.path), "--add", "knn"]) == 0
    with pytest.raises(SettingsError, match="'knn'"):
        run_step("causes", study.path, {"answer": "knn", **HERE}, Progress.silent())
    other = open_study(study.path, "knn")
    assert not tells_causes(other) and tells_causes(open_study(study.path))


def test_study_of_representations__tries_what_needs_no_picture(tmp_path: Path):
    folder = make_study(tmp_path / "study", n_val=120)
    summary = run_step("causes", folder, HERE, Progress.silent())
    tried = open_study(folder).table("cause_rates").set_index("cause")["n_tried"]
    assert set(tried.index[(tried > 0).to_numpy()]) == {"label", "neighbours", "feature"}
    assert summary["n_passes"] == 0 and len(summary["notes"]) >= 1


def test_draws__are_bounded_and_seeded(study: Study):
    options = {"errors": 5, "right": 70, "seed": 3, **HERE}
    run_step("causes", study.path, options, Progress.silent())
    first = open_study(study.path).table("causes")
    assert first["image_id"].nunique() == 5
    assert open_study(study.path).table("cause_controls")["image_id"].nunique() == 70
    run_step("causes", study.path, {**options, "redo": True}, Progress.silent())
    pd.testing.assert_frame_equal(open_study(study.path).table("causes"), first)
    run_step("causes", study.path, {**options, "seed": 4}, Progress.silent())
    assert set(open_study(study.path).table("causes")["image_id"]) != set(first["image_id"])


def test_dry_run__counts_and_writes_nothing(study: Study, capsys: pytest.CaptureFixture[str]):
    before = {path: path.stat().st_mtime_ns for path in study.path.rglob("*")}
    words = ["causes", str(study.path), "--dry-run", "--json", "--errors", "4", "--seed", "8"]
    assert main([*words, "--device", "cpu", "--workers", "0"]) == 0
    out = capsys.readouterr().out
    plan = json.loads(out)
    assert plan["n_errors"] == 4 and plan["n_passes"] == (4 + plan["n_right"]) * len(VIEWS)
    assert {path: path.stat().st_mtime_ns for path in study.path.rglob("*")} == before


def test_command__of_a_click_names_the_image():
    command = ExplainError(Path("studies/mine"), "a, b.jpg")
    assert command.words == ["causes", "studies/mine", "--images=a, b.jpg"]
    assert command_of(command.record()) == command


def test_gaps__of_a_kind_that_was_not_made_are_nan(study: Study):
    gaps = study.vector("cause_gaps")
    assert np.isnan(gaps[:, VIEWS.index("sharpened")]).all() or study.has("pictures")
    assert_array_equal(np.isnan(gaps[..., 0]), np.isnan(gaps[..., 1]))
