"""Answers of a study: files and neighbours against loops, what follows from them, and bad files."""

from __future__ import annotations

import json
import pickle
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from core.analysis.trust_check import headline
from core.answers import knn
from core.answers.outcome import Request
from core.answers.requests import add_answer, remake_stale, remove_answer
from core.bases.requests import add_basis
from core.charts.chart import alike
from core.config import BasisConfig
from core.errors import SettingsError, SliceError, did_you_mean
from core.measures import saved_slices
from core.measures.facets import facet_counts
from core.measures.slice import Slice
from core.publish.summary import info
from core.store import Study, open_study
from core.study import trace_changes
from core.study.chunked_array import ChunkedArray
from core.study.missing import OF_ANSWER
from core.study.progress import Progress
from core.study.stored_heatmaps import requested_path
from core.study.traces import read_traces
from tests.manifests import edited_manifest, rename_to_head


@pytest.fixture
def study(shared_study: Path, tmp_path: Path) -> Study:
    return open_study(shutil.copytree(shared_study, tmp_path / "study"))


def add(study: Study, what: object, name: str | None = None, **request: object) -> Study:
    add_answer(study.path, str(what), name, {"device": "cpu", **request}, Progress.silent())
    return open_study(study.path)


def written(study: Study, path: Path, **columns: object) -> Path:
    frame = pd.DataFrame({"image_id": study.images["image_id"], **columns})
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
    return path


def test_the_probe_is_an_answer_and_the_default(study):
    assert list(study.answers) == ["probe", "crossfit"] and study.answering() is study
    assert study.answering("probe") is study


def test_an_answer_out_of_fold_is_never_the_default(study, run):
    with edited_manifest(study.path) as manifest:
        for item in manifest["steps"].pop("probe")["outputs"]:
            manifest["items"].pop(item)
    alone = open_study(study.path)
    assert list(alone.answers) == ["crossfit"] and alone.answering() is alone and not alone.has("probe")
    assert alone.answering("crossfit").has("probe")
    said = run("answers", study.path).out
    assert "crossfit" in said and "(default)" not in said
    answer = add(alone, "knn").answering().answer
    assert answer is not None and answer.name == "knn"
    assert "(default)" in run("answers", study.path).out.splitlines()[0]


def test_the_probes_own_predictions_as_a_file_give_the_probes_numbers(study, tmp_path):
    probe = study.table("probe")
    columns = {name: probe[name] for name in ("predicted", "confidence")}
    mine = add(study, written(study, tmp_path / "mine.parquet", **columns)).answering("mine")
    pd.testing.assert_frame_equal(
        mine.table("probe").filter(["image_id", "predicted", "confidence", "correct"]),
        probe.filter(["image_id", "predicted", "confidence", "correct"]),
        check_dtype=False,
    )
    stored = study.table("quality_metrics").set_index("score")
    found = mine.table("quality_metrics").set_index("score")
    assert {"gen", "vim_residual", "margin"}.isdisjoint(
        found.dropna(subset="auroc").index
    )  # of the probe alone
    for name in ("q_score", "distinctiveness", "confidence"):
        assert found.loc[name, "auroc"] == stored.loc[name, "auroc"]
    for name in ("class_means_correct", "group_counts", "sparsity_curves"):
        np.testing.assert_array_equal(mine.vector(name), study.vector(name))
    assert mine.summary("probe")["top1"] == study.summary("probe")["top1"]
    assert mine.where("correct=false").n_chosen == study.where("correct=false").n_chosen


def test_everything_that_says_correct_follows_the_answer(study, tmp_path):
    told = study.images["label"].to_numpy(object).copy()
    val = np.flatnonzero(study.is_val)
    told[val[:6]] = "bee"
    mine = add(study, written(study, tmp_path / "mine.csv", predicted=told)).answering("mine")
    wrong = (told != study.images["label"].to_numpy(object)) & study.is_val
    assert mine.where("correct=false").n_chosen == wrong.sum() > 0
    assert mine.where("predicted=bee").n_chosen == ((told == "bee") & study.is_val).sum()
    assert mine.table("quality")["correct"].tolist() == (~wrong).tolist()
    scores = study.table("quality")["q_score"].to_numpy()
    expected = roc_auc_score(~wrong[val], scores[val])
    metrics = mine.table("quality_metrics").set_index("score")
    assert metrics.loc["q_score", "auroc"] == pytest.approx(expected)
    assert not mine.has("probe_weights") and "not linear" in str(mine.why_missing("probe_weights"))
    assert not mine.has("failures") and "confidence" not in metrics.dropna(subset="auroc").index
    assert (
        study.answering("probe").where("correct=false").n_chosen != wrong.sum()
    )  # the study itself is as before
    narrowed = mine.where("label=ant")
    assert narrowed.answering("probe").summary("probe") == study.where("label=ant").summary("probe")


def test_another_study_on_a_figure_is_read_by_the_same_answer_or_by_its_default(study, tmp_path):
    told = study.table("probe")["predicted"]
    mine = add(study, written(study, tmp_path / "mine.csv", predicted=told)).answering("mine")
    second = shutil.copytree(study.path, study.path.with_name("second"))
    other = alike(mine, open_study(second))
    assert other.answer is not None and other.answer.name == "mine"
    assert alike(open_study(study.path), open_study(second)).answer is None
    remove_answer(second, "mine")
    assert alike(mine, open_study(second)).answer is None


def test_requested_heatmaps_of_a_basis_are_of_its_present_latents(study):
    make_basis(study.path)
    before = requested_path(open_study(study.path).in_basis("few"), 0)
    make_basis(study.path)
    assert requested_path(open_study(study.path).in_basis("few"), 0) == before
    make_basis(study.path, kind="random")
    assert requested_path(open_study(study.path).in_basis("few"), 0) != before


def test_what_people_leave_on_images_and_slices_of_images_is_there_in_every_basis(study):
    make_basis(study.path)
    latents = open_study(study.path).in_basis("few")
    first, second = study.images["image_id"][:2]
    trace_changes.set_tags(study, first, ["dark"])
    trace_changes.set_tags(latents, second, ["small"])
    trace_changes.change_images(latents, [first], wrong_label=study.class_names[0])
    trace_changes.name_feature(study, 3, "stripes")
    trace_changes.name_feature(latents, 3, "dots")
    trace_changes.save_view(latents, "mine", "map?study=demo")
    for read, name in ((study, "stripes"), (latents, "dots")):
        traces = read_traces(read.path)
        assert traces.images[first].tags == ("dark",) and traces.images[second].tags == ("small",)
        assert traces.images[first].wrong_label == study.class_names[0]
        assert traces.feature_names == {3: name} and list(traces.views) == ["mine"]
    saved_slices.save(study.path, "of a unit", Slice(fires=(3,)))
    saved_slices.save(latents.path, "of a latent", Slice(fires=(3,)))
    saved_slices.save(latents.path, "wrong", Slice(correct=False))
    with pytest.raises(SliceError, match="a slice 'of a latent' already exists"):
        saved_slices.save(latents.path, "of a latent", Slice(correct=True))
    saved_slices.save(study.path, "of a latent", Slice(correct=True))  # a name of its own in each
    assert saved_slices.texts(latents.path)["of a latent"] == "fires=3"
    saved_slices.delete(study.path, "of a latent")
    before = saved_slices.stamp(latents.path)
    saved_slices.save(study.path, "right", Slice(correct=True))
    assert saved_slices.stamp(latents.path) != before
    assert list(saved_slices.texts(study.path)) == ["of a unit", "right", "wrong"]
    assert list(saved_slices.texts(latents.path)) == ["of a latent", "right", "wrong"]
    saved_slices.save(latents.path, "by name", Slice.parse('@"of a latent" @right'))  # names a latent, too
    saved_slices.save(study.path, "of both", Slice.parse('@"of a unit" split=val'))  # and this one a unit
    assert not {"by name", "of a latent"} & saved_slices.texts(study.path).keys()
    assert not {"of both", "of a unit"} & saved_slices.texts(latents.path).keys()
    saved_slices.rename(latents.path, "right", "good")
    assert saved_slices.texts(latents.path)["by name"] == '@good @"of a latent"'
    for folder, name in ((study, "of both"), (latents, "by name"), (latents, "of a latent")):
        saved_slices.delete(folder.path, name)
    saved_slices.delete(latents.path, "wrong")
    assert list(saved_slices.texts(latents.path)) == ["good"]
    assert list(saved_slices.texts(study.path)) == ["good", "of a unit"]


def make_basis(folder: Path, kind: str = "pca") -> None:
    add_basis(folder, "few", BasisConfig(kind=kind, size=8, k=2, seeds=1), Progress.silent(), device="cpu")


def test_what_no_answer_changes_is_that_of_the_study(study, tmp_path):
    told = study.images["label"].to_numpy(object)
    mine = add(study, written(study, tmp_path / "mine.csv", predicted=told)).answering("mine")
    stored, read = study.summary("quality"), headline(mine)
    of_features = ["near_zero_share", "negative_share", "dead_share", "rankme", "alpha_req"]
    for name in (*of_features, "mean_firing", "share_nonempty"):
        assert getattr(read, name) == pytest.approx(stored[name])
    assert mine.summary("quality") == {name: stored[name] for name in of_features} | {"skipped": OF_ANSWER}


def test_neighbours_vote_as_scikit_learn_says(study):
    from sklearn.neighbors import NearestNeighbors

    found = add(study, "knn").answering("knn")
    raw = study.vector("representations").astype(np.float64)
    h = raw / np.maximum(np.linalg.norm(raw, axis=1, keepdims=True), 1e-30)
    train, label = np.flatnonzero(~study.is_val), study.images["label"].to_numpy(object)
    near = NearestNeighbors(n_neighbors=21, metric="cosine", algorithm="brute").fit(h[train])
    distance, place = near.kneighbors(h)
    for row in range(study.n_images):
        kept = train[place[row]] != row
        votes: dict[str, float] = {}
        for other, cosine in list(zip(train[place[row]][kept], 1 - distance[row][kept], strict=True))[:20]:
            votes[label[other]] = votes.get(label[other], 0.0) + np.exp(cosine / 0.07)
        best = max(votes, key=lambda name: votes[name])
        assert found.table("probe")["predicted"][row] == best
        confidence = votes[best] / sum(votes.values())
        assert found.table("probe")["confidence"][row] == pytest.approx(confidence, abs=1e-5)


def test_a_zero_vector_has_cosine_0_and_no_row_is_its_own_neighbour():
    raw = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]])
    keys = knn.unit(raw)
    cosines, places = knn.nearest(keys, torch.arange(4), [keys[:2], keys[2:]], torch.arange(4))
    assert cosines[0].tolist() == [0.0, 0.0, 0.0] and 0 not in places[0].tolist()
    assert places[1].tolist()[-1] == 3 and cosines[1].tolist() == [0.0, 0.0, -1.0]
    votes = knn.vote(cosines, torch.tensor([0, 1, 1, 0])[places], 2)
    torch.testing.assert_close(votes.sum(1), torch.ones(4, dtype=torch.float64))


def test_a_class_without_a_vote_is_not_among_the_best(tmp_path):
    np.save(tmp_path / "00000.npy", np.array([[1, 0], [0.9, 0.1], [0, 1]], np.float32))
    array, train, codes = ChunkedArray(tmp_path, [3], "f4", [2]), np.arange(3), np.array([2, 2, 0])
    best, _ = knn.Votes(array, train, codes, 6, "cpu")(0, 3)
    assert [sorted(row) for row in best.tolist()] == [[-1, -1, -1, 0, 2]] * 2 + [[-1, -1, -1, -1, 2]]


def test_logits_in_the_order_of_the_images(study, tmp_path, rng):
    logits = rng.integers(0, 3, (study.n_images, len(study.class_names))).astype(np.float32)  # with many ties
    np.save(tmp_path / "deployed.npy", logits)
    table = add(study, tmp_path / "deployed.npy").answering("deployed").table("probe")
    assert table["predicted"].tolist() == [study.class_names[place] for place in logits.argmax(1)]
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(table["confidence"], shares.max(1), rtol=1e-5)


def test_probabilities_by_class_and_images_without_a_row(study, tmp_path, rng):
    shares = rng.dirichlet(np.ones(4), study.n_images)
    columns = dict(zip(study.class_names, shares.T, strict=True))
    path = written(study, tmp_path / "shares.csv", **columns)
    pd.read_csv(path).iloc[3:].to_csv(path, index=False)
    held = add(study, path)
    table = held.answering("shares").table("probe")
    assert table["predicted"].isna().tolist() == [True] * 3 + [False] * (study.n_images - 3)
    assert table["correct"].isna().sum() == 3 and table["confidence"].isna().sum() == 3
    np.testing.assert_allclose(table["confidence"][3:], shares[3:].max(1), rtol=1e-5)
    notes = held.answers["shares"].facts["notes"]
    assert any(note.startswith("3 images without a prediction: '") for note in notes)
    assert held.answers["shares"].facts["n_missing"] == 3


def test_export_holds_every_answer_and_the_commands_take_one(study, tmp_path, run):
    told = ["ant"] * study.n_images
    path = written(study, tmp_path / "all ants.csv", predicted=told)
    assert run("answers", study.path, "--add", path, "--name", "ants").code == 0
    out = tmp_path / "answers.csv"
    assert run("export", study.path, "answers", "-o", out).code == 0
    table, columns = pd.read_csv(out), ("predicted", "confidence", "correct")
    assert list(table) == [
        *("image_id", "split", "true"),
        *(f"{name}_{column}" for name in ("probe", "ants", "crossfit") for column in columns),
    ]
    assert (table["ants_correct"] == (table["true"] == "ant")).all()
    said = run("inspect", study.path, "--answer", "ants", "--json")
    assert said.code == 0 and '"accuracy": 0.25' in said.out
    assert "chance" in run("answers", study.path).out.lower()
    assert "no answer 'ant'" in run("inspect", study.path, "--answer", "ant").error
    assert run("answers", study.path, "--remove", "ants").code == 0
    assert (
        list(open_study(study.path).answers) == ["probe", "crossfit"]
        and not (study.path / "answer_ants.parquet").exists()
    )
    assert run("verify", study.path).code == 0


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda t: t.rename(columns={"image_id": "file"}), "no column image_id or path; it has 'file'"),
        (lambda t: t.drop(columns="predicted"), "neither a column predicted nor columns named like classes"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "twice"),
        (lambda t: t.assign(image_id="x" + t["image_id"]), "predictions of other images"),
        (lambda t: t.assign(predicted="dinosaur"), "no class that .* predicts is a label"),
        (lambda t: t.assign(confidence="sure"), "no finite number in column confidence, row 1"),
        (lambda t: t.assign(confidence=[*[0.5] * (len(t) - 1), 42.0]), "has confidence 42 in row"),
        (lambda t: t.assign(confidence=-0.3), "confidence -0.3 in row 1; expected 0 to 1"),
        (lambda t: t.assign(predicted="7"), "Name the outputs: --head-classes FILE"),
        (lambda t: t.drop(columns="predicted").assign(ant=np.nan, bee=1.0), "NaN or infinity in row 1"),
    ],
)
def test_a_bad_table_is_one_clear_line_and_changes_nothing(study, tmp_path, change, problem):
    table = pd.DataFrame({"image_id": study.images["image_id"], "predicted": study.images["label"]})
    change(table).to_csv(tmp_path / "bad.csv", index=False)
    before = (study.path / "manifest.json").read_bytes()
    with pytest.raises(SettingsError, match=problem):
        add(study, tmp_path / "bad.csv")
    assert list(open_study(study.path).answers) == ["probe", "crossfit"]
    assert (study.path / "manifest.json").read_bytes() == before


@pytest.mark.parametrize("settings", [{"kind": "words.csv"}, {"kind": "file"}, {"kind": ["knn"]}, {}])
def test_remake_stale__a_kind_that_is_none_names_no_file(study, tmp_path, monkeypatch, settings):
    monkeypatch.chdir(tmp_path)
    for name in ("words.csv", "file"):
        written(study, tmp_path / name, predicted=study.images["label"])
    with edited_manifest(study.path) as manifest:
        manifest["unfinished"] = {"answer-told": settings}
    remake_stale(study.path, {}, Progress.silent())
    assert list(open_study(study.path).answers) == ["probe", "crossfit"]


def test_an_answer_whose_images_changed_is_made_again_by_resume(study, tmp_path, run):
    told = written(study, tmp_path / "told.csv", predicted=study.images["label"])
    before = add(add(study, "knn"), told).answering("knn").table("probe")
    with edited_manifest(study.path) as manifest:
        for step in ("answer-knn", "answer-told"):
            manifest["steps"][step]["inputs"]["images"] = "of another day"
    told.unlink()
    assert list(open_study(study.path).answers) == ["probe", "crossfit"]
    said = run("resume", study.path)
    assert said.code == 0 and "the answer told stays stale: --add" in said.err
    after = open_study(study.path)
    assert list(after.answers) == ["probe", "knn", "crossfit"]
    pd.testing.assert_frame_equal(after.answering("knn").table("probe"), before)


def test_an_answer_whose_file_changed_is_made_again_by_resume(study, tmp_path, run, monkeypatch):
    names, classes = study.class_names, tmp_path / "classes.txt"
    monkeypatch.chdir(tmp_path)
    written(study, tmp_path / "told.csv", predicted=names[0])
    written(study, tmp_path / "number.csv", predicted=0)
    classes.write_text("\n".join(names))
    for file, options in (("told.csv", []), ("number.csv", ["--head-classes", "classes.txt"])):
        assert run("answers", study.path, "--add", file, *options).code == 0
    written(study, tmp_path / "told.csv", predicted=names[1])
    classes.write_text("\n".join(names[::-1]))
    monkeypatch.chdir("/")
    for expected in ({"told": names[1], "number": names[-1]},) * 2:
        assert run("resume", study.path).code == 0
        for name, label in expected.items():
            predicted = open_study(study.path).answering(name).table("probe")["predicted"]
            assert predicted.unique().tolist() == [label]
        for file in tmp_path.glob("*.csv"):
            file.unlink()  # what is gone has not changed


def test_a_class_that_is_no_label_can_be_asked_for(study, tmp_path):
    told = study.images["label"].to_numpy(object).copy()
    told[np.flatnonzero(study.is_val)[:3]] = "goldfish"
    held = add(study, written(study, tmp_path / "told.csv", predicted=told)).answering("told")
    assert held.where("predicted=goldfish").n_chosen == 3
    counts = facet_counts(held, "predicted", np.ones(study.n_images, bool))
    assert counts["goldfish"] == 3 and sum(counts.values()) == study.n_images
    with pytest.raises(SliceError, match="no predicted 'goldfisch' in this study. Did you mean 'goldfish'"):
        held.where("predicted=goldfisch")
    with pytest.raises(SliceError, match="no predicted 'goldfish'"):  # of the probe there is none
        study.where("predicted=goldfish")


def test_kinds_are_checked_before_anything_runs(tmp_path, run):
    said = run(
        "analyze", tmp_path / "new", "--images", tmp_path, "--encoder", "x", "--answers", "knn,zeroshot"
    )
    assert "--answers zeroshot" in said.error and did_you_mean("zeroshot", ["zero-shot"]) in said.error
    assert not (tmp_path / "new").exists()


def test_analyze__adds_the_other_answers_and_prints_the_study_where_one_cannot_be_made(tmp_path, given, run):
    said = run("analyze", tmp_path / "new", *given, "--answers", "zero-shot,knn")
    assert said.code == 2 and "zero-shot needs an encoder with a text tower" in said.error
    assert "knn" in open_study(tmp_path / "new").answers and "images    40 images" in said.out


def test_an_image_may_have_22_000_classes(study, tmp_path, rng):
    n, n_outputs = study.n_images, 22_000
    logits = rng.normal(size=(n, n_outputs)).astype(np.float32)
    np.save(tmp_path / "wide.npy", logits)
    names = [f"class {place}" for place in range(n_outputs)]
    names[7], names[21_999] = "bee", "Ant"
    (tmp_path / "names.txt").write_text("\n".join(names))
    held = add(study, tmp_path / "wide.npy", head_classes=str(tmp_path / "names.txt")).answering("wide")
    expected = [{7: "bee", 21_999: "ant"}.get(place, names[place]) for place in logits.argmax(1).tolist()]
    assert held.table("probe")["predicted"].tolist() == expected
    assert (
        held.table("probe")["correct"].isna().tolist()
        == (~study.images["label"].isin(["ant", "bee"])).tolist()
    )


def test_bad_logits_are_one_clear_line(study, tmp_path):
    n = study.n_images
    for name, array, problem in (
        ("rows", np.zeros((n - 1, 4), np.float32), f"has {n - 1} rows, the study {n} images"),
        ("width", np.zeros((n, 7), np.float32), "has 7 columns, the study 4 classes"),
        ("nan", np.full((n, 4), np.nan, np.float32), "NaN or infinity in row 0"),
        ("text", np.full((n, 4), "a"), "expected numbers"),
        ("objects", np.full((n, 4), None), "cannot read the logits"),
    ):
        np.save(tmp_path / f"{name}.npy", array, allow_pickle=True)
        with pytest.raises(SettingsError, match=problem):
            add(study, tmp_path / f"{name}.npy")
    with pytest.raises(SettingsError, match="no such file, and no kind"):
        add(study, "kmm")
    with pytest.raises(SettingsError, match="not 'probe'"):
        add(study, "knn", "probe")
    with pytest.raises(SettingsError, match="probe is a step"):
        remove_answer(study.path, "probe")


def test_classes_that_no_image_has_are_named_and_counted(study, tmp_path):
    told = study.images["label"].to_numpy(object).copy()
    told[:3], told[3] = "lute", "cello"
    expected = "4 images predicted as classes that no image has as label: 'lute', 'cello'"
    one = add(study, written(study, tmp_path / "classes.csv", predicted=told))
    scores = {name: (told == name).astype(float) for name in (*study.class_names, "lute", "cello")}
    other = add(study, written(study, tmp_path / "scores.csv", **scores))
    assert one.answers["classes"].facts["notes"][-1] == expected
    assert other.answers["scores"].facts["notes"][-1] == expected


def test_an_answer_of_one_class_is_refused(study, tmp_path):
    one = written(study, tmp_path / "one.csv", **{study.class_names[0]: np.zeros(study.n_images)})
    with pytest.raises(SettingsError, match=f"only {study.class_names[0]} can be predicted"):
        add(study, one)


def test_an_answer_that_the_study_cannot_have_is_not_to_be_added(study):
    why = study.summary("answers")["skipped"]
    with pytest.raises(SettingsError, match=re.escape(f"It has: probe, crossfit. No head: {why}")):
        study.answering("head")


@pytest.mark.parametrize(("second", "why"), [("bee", "wrong about every image"), ("ant", "'ant', so knn")])
def test_knn__needs_a_second_image_of_a_class_and_a_second_class(second, why):
    labels = pd.DataFrame({"label": ["ant", second, "cat"]})
    few: Any = SimpleNamespace(path="few", n_images=3, images=labels, is_val=np.array([False, False, True]))
    few.class_names = ["ant", "bee", "cat"]
    with pytest.raises(SettingsError, match=why):
        knn.knn_answer(few, Request(device="cpu"), Progress.silent())


@pytest.fixture
def headed(study: Study, tmp_path: Path) -> Path:
    """A study whose head calls every image the first class."""
    first = np.repeat(study.class_names[0], study.n_images)
    add(study, written(study, tmp_path / "one.csv", predicted=first), "one")
    rename_to_head(study.path, "one")
    return study.path


def test_a_notebook_reads_by_the_answer_that_commands_read_by(headed, run, tmp_path):
    study, first = open_study(headed), Study(headed).class_names[0]
    assert study.answer is not None and study.answer.name == "head" and "'head'" in repr(study)
    assert study.summary("probe")["top1"] == (study.images["label"][study.is_val] == first).mean()
    exported = tmp_path / "probe.parquet"
    run("export", headed, "probe", "-o", exported)
    pd.testing.assert_frame_equal(pd.read_parquet(exported), study.table("probe"), check_dtype=False)
    assert info(study) == info(Study(headed)) == json.loads(run("info", headed, "--json").out)
    assert info(study)["accuracy"] == study.summary("probe")["top1"]
    probe = open_study(headed, "probe")
    assert probe.answer is None and probe.summary("probe") == Study(headed).summary("probe")
    assert probe.where("correct=false").n_chosen != study.where("correct=false").n_chosen


def test_what_is_changed_in_a_table_of_a_study_selects_no_other_images(headed):
    study = open_study(headed)
    wrong = study.where("correct=false").table("images")["image_id"].tolist()
    for read in (study, Study(headed)):
        for frame in (read.images, read.table("probe"), read.evaluation.table("probe")):
            frame.iloc[:] = frame.iloc[::-1].to_numpy()
        labels = read.column("images", "label")
        labels.iloc[:] = "other"
        with pytest.raises(ValueError):
            read.is_val[:] = True
    assert study.where("correct=false").table("images")["image_id"].tolist() == wrong
    assert study.images["image_id"].tolist() == Study(headed).images["image_id"].tolist()


def test_an_answer_stays_the_answer_in_another_basis(headed):
    study = open_study(headed)
    assert study.in_basis("units").key == study.key != Study(headed).key


def test_a_study_read_by_an_answer_and_a_slice_reach_another_process(headed):
    study = open_study(headed)
    for read in (study, study.where("correct=false"), Study(headed).where("split=train")):
        again = pickle.loads(pickle.dumps(read))
        assert again.key == read.key
        pd.testing.assert_frame_equal(again.table("probe"), read.table("probe"))
