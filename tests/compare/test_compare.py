"""Studies over the same images: paired statistics against slow twins, changed sides, what is refused."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import binomtest

from core.answers.requests import add_answer
from core.common.dataframes import numbers
from core.compare.compare import compare, differences_in_setup, report
from core.compare.images import GAINED, LOST, RIGHT, WRONG, judged_images, partly_shared, shared_images
from core.compare.measures import AUROCS, StudyScores, change_interval, class_accuracy_changes, measure_table
from core.compare.notes import answer_notes, few_error_notes, precision_notes
from core.compare.text import amount, change, comparison_text, head, premise_lines
from core.compare.verdict import judged_changes
from core.errors import SettingsError, SliceError, StudyError
from core.measures import saved_slices
from core.measures.slice import Slice
from core.store import open_study
from core.study.progress import Progress
from core.study.writer import StepWriter
from tests.compare import reference_compare as reference
from tests.compare.comparable import add_concepts, change_summary, second_study
from tests.manifests import edited_manifest, write_tables
from tests.reference_scores import logit_interval, newcombe_area
from tests.sentences import as_record
from tests.synthetic import make_study
from tests.tables import rows_where

NAMES = ["before", "after"]


def judged(rng, n: int, *, share: float, holes: bool = True) -> StudyScores:
    correct = (rng.random(n) < share).astype(float)
    q = np.round(rng.random(n), 1)  # ties
    if holes:
        q[0], correct[1] = np.nan, np.nan
    columns = {
        "accuracy": correct,
        "q_correct": np.where(correct == 1, q, np.nan),
        "q_misclassified": np.where(correct == 0, q, np.nan),
        "confidence": np.round(correct + rng.normal(size=n), 1),
    }
    return StudyScores(columns, q, correct)


@pytest.mark.parametrize("holes", [False, True])
def test_measure_table__matches_loops_over_drawn_images(rng, holes):
    n, resamples = 60, 30
    studies = [judged(rng, n, share=share, holes=holes) for share in (0.6, 0.7, 0.4)]
    names = ["a", "b", "c"]
    table = measure_table(studies, names, resamples=resamples, seed=3).set_index(["measure", "study"])

    def slow(rows):
        return [
            reference.numbers_of(
                {name: values.tolist() for name, values in one.columns.items()},
                one.score.tolist(), one.correct.tolist(), rows,
            )
            for one in studies
        ]  # fmt: skip

    value = slow(list(range(n)))
    draws = [slow(reference.drawn_images(n, 3, b)) for b in range(resamples)]
    for measure in value[0]:
        for at, name in enumerate(names):
            row = table.loc[(measure, name)]
            assert_allclose(row["value"], value[at][measure], rtol=1e-12)
            ends = reference.percentiles([one[at][measure] for one in draws])
            if measure == "accuracy":
                n_right = int(np.nansum(studies[at].correct))
                ends = binomtest(n_right, n - holes).proportion_ci(method="wilson")
            if measure == "q_auprc":
                error = float(np.nanstd([one[at][measure] for one in draws], ddof=1))
                ends = logit_interval(row["value"], error, row["n"])
            if measure in AUROCS:
                scored = np.isfinite(studies[at].correct)
                scored &= np.isfinite(studies[at].score) | (measure != "q_auroc")
                n_right = int(studies[at].correct[scored].sum())
                ends = newcombe_area(row["value"], n_right, int(scored.sum()) - n_right)
                assert row["n"] == scored.sum()
            assert_allclose([row["low"], row["high"]], ends, rtol=1e-8)
            if at:
                apart = [one[at][measure] - one[0][measure] for one in draws]
                assert_allclose(row["difference"], value[at][measure] - value[0][measure], atol=1e-12)
                ends_of_change = [row["difference_low"], row["difference_high"]]
                assert_allclose(ends_of_change, reference.percentiles(apart), atol=1e-12)
            else:
                assert np.isnan(row["difference"]) and np.isnan(row["difference_low"])


def test_measure_table__by_hand():
    correct = [np.array([1.0, 1, 0, 0]), np.array([1.0, 1, 1, 0])]
    q = np.array([0.9, 0.2, 0.5, 0.1])
    studies = [StudyScores({"accuracy": c, "q_correct": np.where(c == 1, q, np.nan),
                       "q_misclassified": np.where(c == 0, q, np.nan)}, q, c) for c in correct]  # fmt: skip
    table = measure_table(studies, NAMES, resamples=10).set_index(["measure", "study"])["value"]
    accuracy: Any = table["accuracy"]
    assert accuracy.to_dict() == {"before": 0.5, "after": 0.75}
    assert table["q_auroc", "before"] == 0.75 and table["q_auroc", "after"] == 1.0  # 3 of 4 pairs in order
    assert_allclose(table["q_gap", "before"], 0.55 - 0.3)
    assert_allclose(table["q_auprc", "before"], 0.5 * 1 + 0.5 * 2 / 3)
    assert_allclose(table["q_auprc_gain", "after"], 1 - 0.75)


def test_measure_table__same_study_twice_differs_by_exactly_0(rng):
    one = judged(rng, 40, share=0.6)
    table = measure_table([one, one], NAMES, resamples=50)
    after = rows_where(table, table["study"] == "after")
    assert (after[["difference", "difference_low", "difference_high"]].to_numpy() == 0).all()


@pytest.mark.parametrize(("n_wrong", "judged_there"), [(1, False), (7, False), (8, True)])
def test_measure_table__no_verdict_on_aurocs_from_fewer_than_eight_errors(rng, n_wrong, judged_there):
    one, other = (judged(rng, 60, share=0.5, holes=False) for _ in range(2))
    few = np.where(np.arange(60) < n_wrong, 0.0, 1.0)
    other = StudyScores(other.columns | {"accuracy": few}, other.score, few)
    for studies in ([one, other], [other, one]):
        table = measure_table(studies, NAMES, resamples=30).set_index(["measure", "study"])
        for measure in ("q_auroc", "confidence_auroc"):
            row = table.loc[(measure, "after")]
            assert np.isfinite(row["difference_low"]) == judged_there and row["low"] < row["high"]
    note = few_error_notes({"before": one.correct, "after": few})
    assert note == [] if judged_there else " after " in note[0] and f" {n_wrong} error" in note[0]


@pytest.mark.parametrize(("n", "judged_there"), [(5, False), (6, True)])
def test_measure_table__a_change_of_five_images_can_be_chance(n, judged_there):
    right = np.ones(n)
    studies = [StudyScores({"confidence": right * sure}, right, right) for sure in (0.5, 0.9)]
    table = measure_table(studies, NAMES, resamples=20).set_index(["measure", "study"])
    row = table.loc[("confidence", "after")]
    assert row["difference"] == pytest.approx(0.4) and np.isfinite(row["difference_low"]) == judged_there


def test_measure_table__pairing_makes_the_difference_narrower(rng):
    """Both studies err on the same hard images; the difference is known better than from two samples."""
    hard = rng.random(400) < 0.4
    before = np.where(hard, 0.0, 1.0)
    after = before.copy()
    after[np.flatnonzero(hard)[:10]] = 1.0
    studies = [
        StudyScores({"accuracy": c, "q_correct": c, "q_misclassified": c}, c, c) for c in (before, after)
    ]
    row = (
        measure_table(studies, NAMES, resamples=500)
        .query("measure == 'accuracy' and study == 'after'")
        .iloc[0]
    )
    assert row["difference_high"] - row["difference_low"] < 0.4 * (row["high"] - row["low"])
    assert row["difference_low"] > 0  # ten images all in one direction are not chance


def test_measure_table__one_verdict_only_has_no_ranking_metrics():
    q, correct = np.array([0.1, 0.2, 0.3]), np.ones(3)
    one = StudyScores(
        {"accuracy": correct, "q_correct": q, "q_misclassified": np.full(3, np.nan)}, q, correct
    )
    table = measure_table([one, one], NAMES, resamples=5)
    assert set(table["measure"]) == {"accuracy", "q_correct", "base_rate"}


def test_change_interval__is_that_of_drawing_images(rng):
    before, after = (rng.random((2, 60)) < [[0.5], [0.7]]).astype(float)
    draws = [(after - before)[rng.integers(0, 60, 60)].mean() for _ in range(20_000)]
    interval = change_interval(before, after, resamples=20_000, seed=0)
    assert_allclose(interval, np.percentile(draws, [2.5, 97.5]), atol=0.018)  # a step is 1/60


def test_class_table__by_hand():
    correct = np.array([[1, 0, 0, 1, np.nan], [1, 1, 0, 0, 1]], float)
    labels = np.array(["ant", "ant", "bee", "bee", "cat"], object)
    table = class_accuracy_changes(correct, labels, NAMES, resamples=100).set_index(["label", "study"])
    assert table["accuracy"].to_dict() == {
        ("ant", "before"): 0.5, ("ant", "after"): 1.0, ("bee", "before"): 0.5, ("bee", "after"): 0.0,
    }  # fmt: skip
    assert table.loc[("ant", "after"), "difference"] == 0.5
    assert table.loc[("bee", "after"), "difference"] == -0.5
    assert np.isnan(table[["difference_low", "difference_high"]].to_numpy(float)).all()  # of two images


def test_change_interval__five_images_that_all_become_right_can_be_chance():
    assert np.isnan(change_interval(np.zeros(5), np.ones(5), resamples=50, seed=0)).all()
    assert change_interval(np.zeros(6), np.ones(6), resamples=50, seed=0) == (1.0, 1.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("comparable")


@pytest.fixture(scope="module")
def pair(folder):
    """Two studies over the same pictures."""
    first = make_study(folder / "first")
    return [open_study(first), open_study(second_study(first, folder / "second"))]


@pytest.mark.slow
def test_compare__agrees_with_what_each_study_says_of_itself(pair):
    comparison = compare(pair, resamples=50)
    assert comparison.shared.n_images == 120 and comparison.shared.judged.sum() == 40
    for study in pair:
        assert_allclose(comparison.value("accuracy", study.name)["value"], study.summary("probe")["top1"])
        assert_allclose(comparison.value("q_auroc", study.name)["value"], study.summary("quality")["q_auroc"])
        q = study.table("quality").query("split == 'val'")
        assert_allclose(comparison.value("mean_firing", study.name)["value"], q["n_firing"].mean())


def test_side_table__counts_and_rows_are_those_of_the_probes(pair):
    comparison = compare(pair, resamples=5)
    first, second = (study.table("probe").query("split == 'val'").set_index("image_id") for study in pair)
    was, now = first["correct"], second["correct"].reindex(first.index)
    expected = {GAINED: ~was & now, LOST: was & ~now, RIGHT: was & now, WRONG: ~was & ~now}
    assert comparison.side_counts("second") == {
        side: int(on_side.sum()) for side, on_side in expected.items()
    }
    assert comparison.side_counts("second")[GAINED] and comparison.side_counts("second")[LOST]
    gained = comparison.changed("second", GAINED)
    assert set(gained["image_id"]) == set(was.index[expected[GAINED]])
    assert_array_equal(gained["confidence_after"], second.loc[gained["image_id"], "confidence"])
    assert_array_equal(gained["predicted_before"], first.loc[gained["image_id"], "predicted"])
    assert_array_equal(pair[0].images["image_id"].to_numpy()[gained["row"]], gained["image_id"])
    assert np.all(np.diff(gained["confidence_after"]) <= 0)


@pytest.mark.slow
def test_order_of_images_in_a_study_does_not_matter(pair, folder):
    """The same images listed backwards in the second study are matched by their names."""
    turned = open_study(second_study(pair[0].path, folder / "turned", keep=slice(None, None, -1)))
    shared = shared_images([pair[0], turned])
    assert shared.n_images == 120 and shared.notes == []
    ids = [
        study.images["image_id"].to_numpy()[rows]
        for study, rows in zip(shared.studies, shared.rows, strict=True)
    ]
    assert_array_equal(ids[0], ids[1])
    assert not np.array_equal(shared.rows[0], shared.rows[1])


@pytest.mark.slow
def test_partial_overlap__compares_what_is_shared_and_says_so(pair, folder):
    fewer = open_study(second_study(pair[0].path, folder / "fewer", keep=slice(20, 110)))
    comparison = compare([pair[0], fewer], resamples=5)
    assert comparison.shared.n_images == 90 and comparison.shared.judged.sum() == 30
    assert sum("first has 120, fewer has 90" in str(note) for note in comparison.notes) == 1


def test_one_shared_image_is_one():
    studies: Any = [SimpleNamespace(name=name, path=name, n_images=n) for name, n in (("a", 2), ("b", 40))]
    said = "1 image is in all studies (a has 2, b has 40); only it is compared"
    assert partly_shared(studies, np.zeros((2, 1), int)) == [said]


def test_a_study_without_a_trust_check_says_nothing_of_it():
    facts = pd.DataFrame({"study": NAMES, "premise": ["It holds.", None], "premise_facts": ["", None]})
    comparison: Any = SimpleNamespace(narrowed=False, facts=facts)
    assert premise_lines(comparison) == ["before: It holds."]


@pytest.mark.slow
def test_nothing_shared__one_line_names_both_image_sets(pair, folder):
    other = open_study(second_study(pair[0].path, folder / "renamed", rename="x"))
    with pytest.raises(StudyError, match="--images") as error:
        compare([pair[0], other])
    assert "renamed.csv" in str(error.value) and "images.csv" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_encoders_in_other_precisions_are_named(pair, folder):
    studies = [shutil.copytree(study.path, folder / f"{study.name}-typed") for study in pair]
    assert precision_notes(shared_images(list(map(open_study, studies)))) == []  # of before: they do not say
    for path, precision in zip(studies, ("float32", "bfloat16"), strict=True):
        with edited_manifest(path) as manifest:
            manifest["steps"]["embed"]["summary"]["encoder"]["precision"] = precision
    first, second = map(open_study, studies)
    (note,) = precision_notes(shared_images([first, second]))
    assert f"{first.name} float32" in note.text and f"{second.name} bfloat16" in note.text
    assert precision_notes(shared_images([first, pair[0]])) == []


@pytest.mark.slow
def test_other_pictures_under_the_same_names__refused(pair, folder):
    from PIL import Image

    other = make_study(folder / "dark", seed=3)
    source = folder / "dark.input"
    for path in source.glob("*.png"):
        Image.new("RGB", (48, 48), (10, 10, 10)).save(path)
    from core.pipeline.run import run_step
    from core.study.progress import Progress

    run_step("embed", other, {"redo": True, "workers": 0}, Progress.silent())
    with pytest.raises(StudyError, match="pictures"):
        compare([pair[0], open_study(other)])


def test_a_name_twice_in_a_study_that_is_sound_otherwise__one_line_names_it(pair, folder):
    doubled = shutil.copytree(pair[1].path, folder / "doubled")
    writer, images = StepWriter(doubled, ""), pd.read_parquet(doubled / "images.parquet")
    images.loc[1, "image_id"] = name = images.loc[0, "image_id"]
    writer.table("images", images)
    with edited_manifest(doubled) as manifest:
        manifest["items"]["images"] |= writer.items["images"]
    with pytest.raises(StudyError, match=f"doubled' .*'{name}'"):
        compare([pair[0], open_study(doubled)])


def test_one_study__says_to_name_two(pair):
    with pytest.raises(SettingsError, match="one study"):
        compare(pair[:1])
    with pytest.raises(SettingsError, match="named twice"):
        compare([pair[0], open_study(pair[0].path)])


@pytest.mark.slow
def test_answers_that_differ__are_named_with_the_remedy(pair, folder):
    paths = [shutil.copytree(study.path, folder / f"{study.name}-answered") for study in pair]
    for path in paths:
        add_answer(path, "knn", None, {"device": "cpu"}, Progress.silent())
    first, second = map(open_study, paths)
    (note,) = [str(note) for note in answer_notes(shared_images([first, second.answering("knn")]))]
    assert f"({first.name} probe, {second.name} knn)" in note and f"{second.name} --answer probe" in note
    assert note in map(str, compare([first, second.answering("knn")], resamples=5).notes)
    assert answer_notes(shared_images([first.answering("knn"), second.answering("knn")])) == []
    (note,) = answer_notes(shared_images([pair[0], second.answering("knn")]))
    assert note.command.endswith("--answer probe")
    assert answer_notes(shared_images(pair)) == []


@pytest.mark.exhaustive("test_answers_that_differ… is named in the same way")
@pytest.mark.slow
def test_settings_that_differ__are_named_with_the_remedy(pair, folder):
    odd = second_study(pair[0].path, folder / "odd", epsilon=2.0)
    change_summary(odd, "features", epsilon=1.5)
    comparison = compare([pair[0], open_study(odd)], resamples=5)
    (note,) = [str(note) for note in comparison.notes if "epsilon" in note.text]
    assert f"python -m core features {odd} --epsilon" in note
    close = pair[0].summary("features")["epsilon"] + 3e-10
    change_summary(odd, "features", epsilon=close)
    (note,) = [str(one) for one in differences_in_setup(shared_images([pair[0], open_study(odd)]))[0]]
    assert f"odd {close!r}" in note
    assert {
        "q_auroc",
        "mean_firing",
        "n_discriminative",
    } <= comparison.not_comparable and "accuracy" not in comparison.not_comparable
    said = comparison_text(comparison)
    assert "AUROC of Q †" in said and "Accuracy  " in said and "† not comparable" in said


def test_settings_that_differ__are_none_of_a_step_that_was_skipped():
    one: Any = SimpleNamespace(class_names=[], summary=lambda step: {"skipped": "no masks"} if step else {})
    one.settings = lambda step: {"threshold": 0.5}
    other = SimpleNamespace(**vars(one) | {"settings": lambda step: {"threshold": 0.9}})
    shared: Any = SimpleNamespace(studies=[one, other], names=["one", "other"])
    assert differences_in_setup(shared) == ([], frozenset())


@pytest.mark.slow
def test_words__gained_lost_and_shared(folder, pair):
    paths = []
    for name, words in (
        ("worded", {"3": ["dog", "red"], "4": ["dog"]}),
        ("reworded", {"1": ["dog", "<b>sky"], "2": ["sea"]}),
    ):
        paths.append(shutil.copytree(pair[1].path, folder / name))
        add_concepts(paths[-1], words)
    comparison = compare([open_study(path) for path in paths], resamples=5)
    assert comparison.words is not None
    assert comparison.words.changes == {"reworded": {"gained": ["<b>sky", "sea"], "lost": ["red"]}}
    assert comparison.words.matrix.to_numpy().tolist() == [[2, 1], [1, 3]]
    assert comparison.words.across.set_index("study")["n_unshared"].to_dict() == {"worded": 1, "reworded": 2}
    text = comparison_text(comparison, as_markdown=True)
    assert "words of worded and reworded: 1 shared" in text
    assert compare([pair[0], open_study(paths[0])], resamples=5).words is None


@pytest.mark.slow
def test_unlabelled__compares_what_needs_no_labels(folder, pair):
    first = make_study(folder / "bare", labels=False)
    source = folder / "bare.input"
    np.save(source / "other.npy", np.load(source / "raw.npy")[:, ::-1] ** 2)
    from core.pipeline.run import analyze
    from core.study.progress import Progress

    options = {
        "images": str(source / "images.csv"),
        "representations": str(source / "other.npy"),
        "workers": 0,
    }
    analyze(folder / "bare2", options | {"epsilon": "auto"}, Progress.silent())
    comparison = compare([open_study(first), open_study(folder / "bare2")], resamples=5)
    assert "mean_firing" in set(comparison.measures["measure"]) and "accuracy" not in set(
        comparison.measures["measure"]
    )
    assert "Accuracy" not in comparison_text(comparison)


@pytest.mark.parametrize("among", ["label=bee", "label=ant,bee split=val", "q_score=0.1.."])
def test_among__every_number_is_of_these_images(pair, among):
    comparison = compare(pair, among=Slice.parse(among), resamples=50)
    first = Slice.parse(among).mask(pair[0])
    ids = pair[0].images.loc[first & pair[0].is_val, "image_id"]
    assert comparison.shared.n_images == first.sum() and comparison.shared.judged.sum() == len(ids)
    for study in pair:
        probe = study.table("probe").set_index("image_id").loc[ids]
        quality = study.table("quality").set_index("image_id").loc[ids]
        accuracy = comparison.value("accuracy", study.name)
        assert_allclose(accuracy["value"], probe["correct"].astype(float).mean())
        assert accuracy["n"] == len(ids)
        right = probe["correct"].to_numpy(bool)
        assert_allclose(comparison.value("q_correct", study.name)["value"], quality["q_score"][right].mean())
        assert_allclose(comparison.value("mean_firing", study.name)["value"], quality["n_firing"].mean())
    assert sum(comparison.side_counts("second").values()) == len(ids)
    labels = set(pair[0].images.loc[first & pair[0].is_val, "label"])
    assert set(comparison.classes["label"]) == labels
    assert comparison.facts.equals(compare(pair, resamples=2).facts)
    assert report(comparison)["where"] == str(Slice.parse(among))


def test_among__the_verdict_is_the_first_studys(pair):
    comparison, whole = compare(pair, among=Slice(correct=False), resamples=20), compare(pair, resamples=2)
    assert comparison.value("accuracy", "first")["value"] == 0
    gained, wrong = (whole.side_counts("second")[side] for side in (GAINED, WRONG))
    assert_allclose(comparison.value("accuracy", "second")["value"], gained / (gained + wrong))
    assert comparison.side_counts("second")[LOST] == 0


@pytest.mark.slow
def test_damaged_table__is_noted_with_the_command(pair, folder):
    broken = shutil.copytree(pair[1].path, folder / "broken")
    (broken / "quality.parquet").write_bytes(b"nothing")
    study = open_study(broken)
    study.set_damage_aside()
    comparison = compare([pair[0], study], resamples=2)
    (note,) = [str(note) for note in comparison.notes if "damaged" in note.text]
    assert note.count("quality.parquet") == 1 and "'quality' of broken" in note
    assert note.endswith(f"python -m core quality {broken} --redo")
    assert np.isnan(comparison.value("q_auroc", "broken")["value"])


@pytest.mark.slow
def test_among__a_choice_by_results_is_noted(pair):
    saved_slices.save(pair[0].path, "wrong ones", Slice(correct=False))
    saved_slices.save(pair[0].path, "bees", Slice(labels=("bee",)))
    by_result = ["correct=false", "predicted=bee", "q_score=0.1..", "confidence=0.5..", "fires=1"]
    error = int(np.flatnonzero(~pair[0].column("probe", "correct").to_numpy(bool))[0])
    label, predicted = (
        pair[0].column(*which).iat[error] for which in (("images", "label"), ("probe", "predicted"))
    )
    by_result += ["n_firing=1", f"confusion={label}>{predicted}", '@"wrong ones"']
    by_image = ["", "label=bee", "split=val", "@bees", "label=bee split=val"]
    for text, noted in [(one, True) for one in by_result] + [(one, False) for one in by_image]:
        comparison = compare(pair, among=Slice.parse(text), resamples=2)
        assert comparison.is_chosen_by_result == noted, text
        assert np.isnan(numbers(comparison.measures, "difference_low")).all() == noted, text
        assert np.isfinite(numbers(comparison.measures, "difference")).any(), text
        assert bool(judged_changes(comparison, comparison.names[1])) != noted, text
        assert noted == np.isnan(numbers(comparison.classes, "difference_low")).all(), text


def test_among__without_evaluation_images_has_no_numbers(pair):
    comparison = compare(pair, among=Slice(split="train"), resamples=5)
    assert comparison.shared.n_images == 80 and not comparison.shared.judged.any()
    assert "accuracy" not in set(comparison.measures["measure"]) and not len(comparison.sides)
    text = comparison_text(comparison)
    assert "80 images" in text and " 0 evaluation" in text


def test_among__what_is_refused(pair):
    with pytest.raises(StudyError, match="120 .*'label=bee q_score=5..'"):
        compare(pair, among=Slice.parse("label=bee q_score=5.."))
    with pytest.raises(SliceError, match="hornet"):
        compare(pair, among=Slice(labels=("hornet",)))


@pytest.mark.slow
def test_command__where(run, pair):
    words = ("compare", *[study.path for study in pair], "--bootstrap", 5)
    outcome = run(*words, "--where", "label=bee correct=false")
    assert outcome.code == 0
    assert "of bee, misclassified, as in first" in outcome.out
    printed_report = json.loads(run(*words, "--where", "label=bee correct=false", "--json").out)
    bees = Slice.parse("label=bee correct=false").mask(pair[0])
    assert printed_report["n_images"] == bees.sum() and printed_report["where"] == "label=bee correct=false"
    assert printed_report["filter"] == printed_report["where"]
    assert "'hornet'" in run(*words, "--where", "label=hornet").error


def test_report__is_json_and_holds_every_number(pair):
    comparison = compare(pair, resamples=5)
    from core.common.formatting import json_text

    parsed = json.loads(json_text(report(comparison)))
    assert [one["name"] for one in parsed["studies"]] == ["first", "second"]
    assert len(parsed["measures"]) == len(comparison.measures)
    assert parsed["side_counts"]["second"] == comparison.side_counts("second")
    assert len(parsed["changed_sides"]) == sum(
        comparison.side_counts("second")[side] for side in (GAINED, LOST)
    )


@pytest.mark.parametrize("suffix", [".csv", ".json", ".md"])
def test_command__prints_and_writes(run, pair, tmp_path, suffix):
    out = tmp_path / "new" / f"comparison{suffix}"
    paths = [study.path for study in pair]
    outcome = run("compare", *paths, "-o", out, "--bootstrap", 20, "--seed", 1)
    assert outcome.code == 0 and str(out) in outcome.out
    text = out.read_text()
    accuracy = f"{100 * pair[1].summary('probe')['top1']:.1f} %"
    assert accuracy in outcome.out
    if suffix == ".json":
        assert json.loads(text)["n_judged"] == 40
    elif suffix == ".csv":
        table = pd.read_csv(out)
        assert len(table.query("measure == 'accuracy'")) == 2 and "Accuracy" in set(table["title"])
        about = json.loads(out.with_name(f"{out.name}-about").read_text())
        assert about == {"study": "first, second", "answer": "probe", "basis": "units", "filter": ""}
    else:
        assert text.startswith("# first / second") and accuracy in text


def test_command__json(run, pair):
    outcome = run("compare", *[study.path for study in pair], "--bootstrap", 5, "--json")
    told = json.loads(outcome.out)
    assert told["studies"][1]["name"] == "second"
    assert (told["study"], told["answer"], told["basis"]) == ("first, second", "probe", "units")


@pytest.mark.exhaustive("test_command__where compares with the library")
@pytest.mark.slow
def test_command__is_the_same_by_seed(run, pair):
    words = ("compare", *[study.path for study in pair], "--bootstrap", 20)
    assert run(*words).out == run(*words).out != run(*words, "--seed", 9).out


def test_command__errors_are_one_line(run, pair, tmp_path):
    assert "one study" in run("compare", pair[0].path).error
    assert "gone" in run("compare", pair[0].path, tmp_path / "gone").error
    paths = [study.path for study in pair]
    assert ".csv, .json, .md" in run("compare", *paths, "-o", tmp_path / "x.xlsx").error


def test_cells__say_what_is_not_known():
    assert amount({}, "plain", 3) == "not known" and change({}, "plain", 3) == ""
    row = {"difference": -0.1, "difference_low": -0.2, "difference_high": 0.1}
    assert change(row, "plain", 2) == "−0.10 (−0.20 to +0.10)"
    assert change(row, "percent", 0) == "−10 points (−20 to +10)"


@pytest.mark.parametrize("split", [[True, False, True], [False, False, False]], ids=str)
def test_judged_images__a_study_that_evaluates_all_agrees_with_any_split(split):
    """As one that is read by the encoder's own classifier, to which nothing was fitted."""
    every, fitted = (SimpleNamespace(is_val=np.array(one)) for one in ([True] * 3, split))
    judged, notes = judged_images([every, fitted], np.array([[0, 1, 2], [2, 1, 0]]))  # pyright: ignore
    assert judged.tolist() == (split[::-1] if any(split) else [True] * 3) and notes == []


def test_other_labels__a_class_in_one_study_only_is_no_other_class(folder, pair):
    bare = open_study(make_study(folder / "half", partly=True))
    kinds = {as_record(note).kind: as_record(note).n for note in shared_images([pair[0], bare]).notes[1:]}
    assert kinds == {"no_label": 40}
    none = open_study(make_study(folder / "none", labels=False))
    assert not any("different classes" in str(note) for note in compare([pair[0], none], resamples=2).notes)


def test_head__images_are_called_evaluation_images_only_where_some_are_held_out(folder, pair):
    names = tuple(f"class {number}" for number in range(30))  # one image of each stays in train
    one = make_study(
        folder / "all_train", n_train=30, n_val=0, n_classes=30, class_names=names, n_features=90
    )
    studies = [open_study(one), open_study(shutil.copytree(one, folder / "all_train2"))]
    assert "30 images, mIoU" in comparison_text(compare(studies, resamples=2))
    assert " 40 evaluation" in comparison_text(compare(pair, resamples=2))


@pytest.mark.parametrize("where", ["split=val", "split=val label=bird"])
def test_population__out_of_fold_is_of_train_and_evaluation_alike(pair, where):
    """No image is called an evaluation image where each is answered by a probe of other folds."""
    studies = [SimpleNamespace(is_out_of_fold=True)] * 2
    no_other, everyone = np.zeros(118, bool), np.ones(118, bool)
    shared = SimpleNamespace(judged=everyone, other_label=no_other, held_out=False, studies=studies)
    whole: Any = compare(pair, resamples=2)
    text = as_record(replace(whole, shared=shared, among=Slice.parse(where)).population)
    assert (text.kind, text.n, "bird" in text.what) == ("out_of_fold", 118, "bird" in where)
    assert "evaluation" not in text.what
    studies[1] = SimpleNamespace(is_out_of_fold=False)
    assert not hasattr(replace(whole, shared=shared, among=Slice.parse(where)).population, "kind")


def test_labels_that_differ__their_images_are_left_out_of_every_number(folder, pair):
    """A study is no better by labels that people corrected: the numbers are those of these images alone."""
    twin = shutil.copytree(pair[0].path, folder / "relabelled")
    images = pd.read_parquet(twin / "images.parquet")
    first, second = pair[0].class_names[:2]
    changed = np.flatnonzero(pair[0].is_val & images["label"].isin([first, second]).to_numpy())[::2]
    swapped = images["label"].replace({first: second, second: first})
    images.loc[changed, "label"] = swapped[changed]
    probe = pd.read_parquet(twin / "probe.parquet")
    probe.loc[changed, "correct"] = probe["predicted"][changed] == images["label"][changed]
    write_tables(twin, images=images, probe=probe)
    studies = [pair[0], open_study(twin)]
    comparison = compare(studies, resamples=2)
    judged = int(pair[0].is_val.sum()) - len(changed)
    assert comparison.shared.other_label.sum() == len(changed)
    for text in (comparison.population, head(comparison)):  # both numbers stand together
        assert re.search(rf"\b{judged} evaluation images \({len(changed)} left out", text)
    narrowed = comparison.shared.narrowed(Slice(labels=(first,)))
    of_first = (pair[0].images["label"] == first).to_numpy()
    assert narrowed.other_label.sum() == of_first[changed].sum() > 0
    counts = comparison.side_counts("relabelled")
    assert (counts[GAINED], counts[LOST], sum(counts.values())) == (0, 0, judged)
    assert comparison.value("accuracy", "relabelled")["difference"] == 0
    assert comparison.value("accuracy", "relabelled")["n"] == judged


def test_labels_that_all_differ__each_study_keeps_its_own(folder, pair):
    twin = shutil.copytree(pair[0].path, folder / "other_classes")
    images = pd.read_parquet(twin / "images.parquet")
    write_tables(twin, images=images.assign(label="other " + images["label"]))
    shared = shared_images([pair[0], open_study(twin)])
    assert [as_record(note).kind for note in shared.notes] == ["no_common_label"]
    assert shared.judged.sum() == pair[0].is_val.sum()
