"""What features are called: apart where something tells them apart, and by classes where there is no word."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from core.bases.requests import add_basis
from core.config import BasisConfig
from core.measures import feature_names as naming
from core.measures.feature_names import (
    classes_apart,
    feature_names,
    majority_answer,
    majority_class,
    strongest_apart,
    strongest_classes,
)
from core.measures.intervals import wilson
from core.measures.slice_features import FiringClass
from core.store import open_study
from core.study.layers import layer
from core.study.progress import Progress
from core.study.trace_changes import name_feature
from core.study.writer import write_study
from tests.synthetic import make_study


def test_classes_apart__of_features_with_the_same_words_the_classes_that_each_is_strong_on(tmp_path):
    study = open_study(make_study(tmp_path / "study", n_train=200, n_val=40, epsilon=1.0))
    words, strongest = {feature: ["red"] for feature in range(48)} | {0: ["blue"]}, strongest_classes(study)
    apart = classes_apart(words, strongest)
    assert (
        apart == {one: some for one, some in strongest.items() if one} and len(apart) > 2
    )  # no other is blue
    named = {feature: [f"red {some[0]}"] for feature, some in apart.items()}  # which says it already
    assert not set(classes_apart(named, strongest)) & set(named)


def labels_of_strongest(study) -> dict[int, list[str]]:
    labels = study.images["label"].astype(str).to_numpy()
    return {j: labels[rows[rows >= 0]].tolist() for j, rows in enumerate(study.vector("top_images"))}


def shown_classes(study) -> dict[int, set[str]]:
    """Of each feature the classes of two or more of its first eight evaluation images; all, with fewer."""
    labels, held_out = (
        study.images["label"].astype(str).to_numpy(),
        set(np.flatnonzero(study.is_val).tolist()),
    )
    shown = {}
    for feature, rows in enumerate(study.vector("top_images").tolist()):
        first = [labels[row] for row in rows if row in held_out][:8]
        shown[feature] = {one for one in study.class_names if first.count(one) > 1 or len(first) < 8}
    return shown


def test_strongest_apart__of_features_of_one_name_a_class_of_its_strongest_images(tmp_path):
    study = open_study(make_study(tmp_path / "study", n_train=80, n_val=40, epsilon=1.5))
    shown = shown_classes(study)
    on, names = labels_of_strongest(study), {feature: ("red", "blue")[feature % 2] for feature in range(12)}
    expected = {}
    for feature, name in names.items():
        others = [label for j in names if names[j] == name and j != feature for label in on[j]]
        best = 0.0
        for label in shown[feature]:
            n, of = on[feature].count(label), len(on[feature])
            above = wilson(n, of)[0] - others.count(label) / len(others)
            if n / of >= 0.1 and above > best:
                expected[feature], best = label, above
    assert strongest_apart(study, names) == expected and expected
    assert strongest_apart(study, {0: "red", 1: "blue"}) == {}


def test_strongest_classes__are_those_far_more_common_there_than_among_all_images(tmp_path):
    study = open_study(make_study(tmp_path / "study", n_train=200, n_val=40, epsilon=1.5))
    shown = shown_classes(study)
    shares = study.images["label"].astype(str).value_counts(normalize=True)
    expected = {}
    for feature, labels in labels_of_strongest(study).items():
        clear = [
            (-labels.count(one), at, one)
            for at, one in enumerate(study.class_names)
            if wilson(labels.count(one), len(labels))[0] > min(2 * shares[one], (1 + shares[one]) / 2)
        ]
        seen = [one for one in clear if one[-1] in shown[feature]]
        if seen:
            expected[feature] = [one for _, _, one in sorted(seen)[:2]]
    assert strongest_classes(study) == expected and expected


def test_strongest_classes__are_shown_by_the_evaluation_images_where_there_are_enough(tmp_path, monkeypatch):
    study = open_study(make_study(tmp_path / "study", n_train=80, n_val=80, epsilon=1.5))
    strongest, read, top = strongest_classes(study), study.vector, study.vector("top_images").copy()
    monkeypatch.setattr(study, "vector", lambda name: top if name == "top_images" else read(name))
    feature = next(one for one in strongest if study.is_val[top[one]].sum() >= 8)
    (name,) = strongest[feature]
    others = np.flatnonzero(study.is_val & (study.images["label"] != name).to_numpy())
    top[feature][np.flatnonzero(study.is_val[top[feature]])[:8]] = others[:8]
    assert feature not in strongest_classes(study)  # though it is clear among all of them
    assert (study.images["label"].iloc[top[feature]] == name).mean() > 0.5
    top[feature][study.is_val[top[feature]]] = -1
    assert strongest_classes(study)[feature] == [name]  # of the train images alone, there are no others


def test_majority_class__is_that_of_more_than_half_of_the_strongest_and_of_the_first_that_pages_show(
    tmp_path,
):
    study = open_study(make_study(tmp_path / "study", n_train=120, n_val=80, epsilon=1.5))
    held_out, shares = (
        np.flatnonzero(study.is_val),
        study.images["label"].astype(str).value_counts(normalize=True),
    )
    labels, expected = study.images["label"].astype(str).to_numpy(), {}
    for feature, rows in enumerate(study.vector("top_images").tolist()):
        strongest = [labels[row] for row in rows[:16] if row >= 0]
        first = [labels[row] for row in rows if row in held_out][:8]
        for name, share in shares.items():
            n = strongest.count(name)
            most = n > len(strongest) / 2 and (len(first) < 8 or first.count(name) > 4)
            if most and wilson(n, len(strongest))[0] > min(2 * share, (1 + share) / 2):
                expected[feature] = name
    assert majority_class(study) == expected
    assert 0 < len(expected) < study.vector("top_images").shape[0]


def test_feature_names__without_words_and_without_a_class_of_most_images_there_is_none(tmp_path):
    names = tuple(f"class{at:02}" for at in range(30))  # four images of each
    made = make_study(tmp_path / "study", n_train=100, n_val=20, n_classes=30, class_names=names)
    assert feature_names(open_study(made)) == {}


def test_majority_class__of_two_classes_is_one_that_nearly_all_the_images_have(tmp_path, monkeypatch):
    study = open_study(make_study(tmp_path / "study", n_train=80, n_val=40, n_classes=2))
    code = (study.images["label"].astype(str) == study.class_names[0]).to_numpy()
    of, others = np.flatnonzero(code), np.flatnonzero(~code)
    top = np.full((3, 16), -1)
    top[0], top[1], top[2] = of[:16], others[:16], np.r_[of[:10], others[:6]]
    read = study.vector
    monkeypatch.setattr(study, "vector", lambda name: top if name == "top_images" else read(name))
    assert majority_class(study) == {
        0: study.class_names[0],
        1: study.class_names[1],
    }  # 10 of 16 may be chance


def test_feature_names__words_then_what_tells_apart_and_classes_where_there_is_no_word(tmp_path):
    folder = make_study(tmp_path / "study", n_train=200, n_val=40, epsilon=1.5)
    strongest = strongest_classes(open_study(folder))
    yellow = {some[0]: feature for feature, some in reversed(strongest.items())}  # one of each class
    most = majority_class(open_study(folder))
    wordless = next(j for j in reversed(most) if j not in yellow.values())
    blue, named = (j for j in [one for one in strongest if one != wordless][-2:])
    rows = [(str(j), 1, "yellow", True) for j in [*yellow.values(), named]]
    rows += [(str(blue), 1, "sea", True), (str(blue), 2, "blue", True)]
    with write_study(folder) as writer, writer.step("concepts", {}) as step:
        step.table("concepts", pd.DataFrame(rows, columns=["group", "rank", "word", "kept"]))
    study = open_study(folder)
    names = feature_names(study)
    assert names[blue] == "sea, blue" and feature_names(study, between=" · ")[blue] == "sea · blue"
    called = [names[feature] for feature in yellow.values()]
    assert len({*called}) == len(called) > 1 and all(name.startswith("yellow, on ") for name in called)
    assert names[wordless] == f"strong on {most[wordless]}"
    name_feature(study, named, "my own")
    assert feature_names(open_study(folder))[named] == "my own"
    assert feature_names(open_study(folder), named=False)[named].startswith("yellow")


def test_feature_names__name_no_class_where_it_fires_more_often_on_another(tmp_path, monkeypatch):
    folder = make_study(tmp_path / "study", n_train=200, n_val=40, epsilon=1.5)
    study = open_study(folder)
    names, most, on = feature_names(study), majority_class(study), strongest_classes(study)
    wordless = next(one for one in names if one in most)
    other = next(one for one in study.class_names if one != most[wordless])
    words = [one for one in on if one != wordless and len(on[one]) == 1][:2]
    with write_study(folder) as writer, writer.step("concepts", {}) as step:
        rows = [(str(one), 1, "yellow", True) for one in words]
        step.table("concepts", pd.DataFrame(rows, columns=["group", "rank", "word", "kept"]))
    study = open_study(folder)

    def called(**firing: Any) -> dict[int, str]:
        by_class = {wordless: FiringClass(other, **firing), words[0]: FiringClass("no class", **firing)}
        monkeypatch.setattr(naming, "feature_classes", lambda _: by_class)
        return feature_names(study)

    named = called(n=1, of=2)  # too few images to say anything
    assert named[wordless] == names[wordless] and named[words[0]] == f"yellow, on {on[words[0]][0]}"
    named = called(n=20, of=30)
    assert wordless not in named and named[words[0]] == "yellow"
    assert named[words[1]] == f"yellow, on {on[words[1]][0]}"


def test_feature_names__words_of_the_scene_stand_behind_the_object_that_the_heat_is_on(tmp_path):
    folder = make_study(tmp_path / "study", n_train=200, n_val=40, epsilon=1.5)
    strongest = strongest_classes(open_study(folder))
    beside, around, under = (str(j) for j in list(strongest)[:3])
    rows = [(beside, 1, "grass", True, 0.1), (around, 1, "snow", True, 0.1), (under, 1, "fur", True, 0.9)]
    verdicts = [
        (int(beside), "core", "undecided"),
        (int(around), "core", "core"),
        (int(under), "core", "core"),
    ]
    with write_study(folder) as writer:
        with writer.step("concepts", {}) as step:
            step.table(
                "concepts", pd.DataFrame(rows, columns=["group", "rank", "word", "kept", "under_heat"])
            )
        with writer.step("overlap", {}) as step:
            step.table("overlap_by_feature", pd.DataFrame(verdicts, columns=["feature", "mask", "verdict"]))
    names = feature_names(open_study(folder))
    assert names[int(beside)] == "grass" and names[int(under)] == "fur"
    assert names[int(around)] == f"{' and '.join(strongest[int(around)])} with snow"


def with_head(folder, weights):
    with write_study(folder) as writer, writer.step("answers", {}) as step:
        step.table(
            "head_classes", pd.DataFrame({"output": range(3), "name": ["tench, Tinca", "ray", "cock"]})
        )
        step.vector("head_weights", weights)
        step.vector("head_bias", np.zeros(3, np.float32))


def most_answered(study, weights, top) -> dict[int, str]:
    """By a loop: the answer on more than half of the images, if it is clear among all that are looked at."""
    raw = np.asarray(study.array("representations")[:], float)
    answers = [["tench", "ray", "cock"][int((weights @ one).argmax())] for one in raw]
    looked_at, expected = [answers[row] for row in np.unique(top)], {}
    for feature, rows in enumerate(top.tolist()):
        for name in {*looked_at}:
            n, share = sum(answers[row] == name for row in rows), looked_at.count(name) / len(looked_at)
            if n > len(rows) / 2 and wilson(n, len(rows))[0] > min(2 * share, (1 + share) / 2):
                expected[feature] = name
    return expected


def by_answer(study, weights, start: int, stop: int) -> np.ndarray:
    """Sixteen images of each of some features, from those of the first answer to those of the last."""
    answers = (np.asarray(study.array("representations")[:], float) @ weights.T).argmax(1)
    order = np.argsort(answers, kind="stable")
    return np.stack([order[at : at + 16] for at in range(start, stop, 5)])


def test_majority_answer__is_that_of_the_head_where_images_have_no_labels(tmp_path, monkeypatch):
    folder = make_study(tmp_path / "study", n_train=80, n_val=20, labels=False)
    n_features = open_study(folder).array("representations").shape[1]
    weights = np.random.default_rng(0).normal(size=(3, n_features)).astype(np.float32)
    with_head(folder, weights)
    study = open_study(folder)
    top, read = by_answer(study, weights, 0, 84), study.vector
    monkeypatch.setattr(study, "vector", lambda name: top if name == "top_images" else read(name))
    expected = most_answered(study, weights, top)
    assert majority_answer(study) == expected and 0 < len(expected) < len(top)
    names = feature_names(study)
    assert names == {feature: f"strong where it answers {name}" for feature, name in expected.items()}
    labelled = make_study(tmp_path / "labelled", n_train=40, n_val=8)
    with_head(labelled, weights)
    assert majority_answer(open_study(labelled)) == {}  # their own classes name features, or none does


def test_majority_answer__of_latents_is_that_on_the_images_not_on_what_latents_rebuild(tmp_path):
    folder = make_study(tmp_path / "study", n_train=80, n_val=20, labels=False)
    whole, rng = open_study(folder), np.random.default_rng(0)
    weights = rng.normal(size=(3, whole.array("representations").shape[1])).astype(np.float32)
    with_head(folder, weights)
    config = BasisConfig(kind="random", size=8, k=2, seeds=1)
    add_basis(folder, "few", config, Progress.silent(), device="cpu")
    top = by_answer(whole, weights, 0, 40)
    with write_study(layer(folder, "few")) as writer, writer.step("features", {}) as step:
        step.vector("top_images", top)
    study = open_study(folder).in_basis("few")
    rebuilt = study.array("representations")[:] @ study.vector("head_weights").T
    own = np.asarray(whole.array("representations")[:], float) @ weights.T
    assert (rebuilt.argmax(1) != own.argmax(1)).mean() > 0.1
    assert majority_answer(study) == most_answered(whole, weights, top) != {}
