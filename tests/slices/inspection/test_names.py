"""What features are called: apart where something tells them apart, and by classes where there is no word."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.bases.requests import add_basis
from core.common.statistics.intervals import wilson
from core.config import BasisConfig
from core.jobs.progress import Progress
from core.slices.features import typical_of_strongest
from core.slices.inspection.names import (
    answers_on_strongest,
    classes_apart,
    feature_names,
    strongest_apart,
    strongest_classes,
)
from core.storage.layers import layer
from core.storage.writer import write_study
from core.store import open_study
from core.traces.changes import name_feature
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
            if wilson(labels.count(one), len(labels))[0] > 2 * shares[one]
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


def test_strongest_classes__of_few_images_a_class_are_those_of_two_typical_images(tmp_path):
    names = tuple(f"class{at:02}" for at in range(30))
    made = make_study(tmp_path / "study", n_train=100, n_val=20, n_classes=30, class_names=names)
    study = open_study(made)
    labels = study.images["label"].astype(str)
    strongest = strongest_classes(study)
    typical = [list(labels.iloc[rows]) for rows in typical_of_strongest(study, 4)]
    assert all(strongest[feature] in some for feature, some in enumerate(possible_names(typical)))
    assert 1 < n_apart(some[:2] for some in typical) < n_apart(strongest.values())  # more tell some apart


def possible_names(typical):
    """Of each feature the first two of the four typical ones; where several features share these, more."""
    pairs = [frozenset(some[:2]) for some in typical]
    for some, pair in zip(typical, pairs, strict=True):
        two, three, four = (list(dict.fromkeys(some[:n])) for n in (2, 3, 4))
        yield [two] if pairs.count(pair) == 1 else [three, four]


def n_apart(names):
    return len({frozenset(some) for some in names})


def test_feature_names__words_then_what_tells_apart_and_classes_where_there_is_no_word(tmp_path):
    folder = make_study(tmp_path / "study", n_train=200, n_val=40, epsilon=1.5)
    strongest = strongest_classes(open_study(folder))
    yellow = {some[0]: feature for feature, some in reversed(strongest.items())}  # one of each class
    blue, wordless, named = (j for j in list(strongest)[-3:])
    rows = [(str(j), 1, "yellow", True) for j in [*yellow.values(), named]]
    rows += [(str(blue), 1, "sea", True), (str(blue), 2, "blue", True)]
    with write_study(folder) as writer, writer.step("concepts", {}) as step:
        step.table("concepts", pd.DataFrame(rows, columns=["group", "rank", "word", "kept"]))
    study = open_study(folder)
    names = feature_names(study)
    assert names[blue] == "sea, blue" and feature_names(study, between=" · ")[blue] == "sea · blue"
    called = [names[feature] for feature in yellow.values()]
    assert len({*called}) == len(called) > 1 and all(name.startswith("yellow, on ") for name in called)
    assert names[wordless] == f"strong on {' and '.join(strongest[wordless])}"
    name_feature(study, named, "my own")
    assert feature_names(open_study(folder))[named] == "my own"
    assert feature_names(open_study(folder), named=False)[named].startswith("yellow")


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


def test_answers_on_strongest__are_those_of_the_head_whatever_the_labels(tmp_path):
    folder = make_study(tmp_path / "study", n_train=40, n_val=8, labels=False)
    rng, n_features = np.random.default_rng(0), open_study(folder).array("representations").shape[1]
    weights, bias = rng.normal(size=(3, n_features)).astype(np.float32), np.array([0, 1, 2], np.float32)
    with write_study(folder) as writer, writer.step("answers", {}) as step:
        step.table(
            "head_classes", pd.DataFrame({"output": range(3), "name": ["tench, Tinca", "ray", "cock"]})
        )
        step.vector("head_weights", weights)
        step.vector("head_bias", bias)
    study = open_study(folder)
    raw = np.asarray(study.array("representations")[:], float)
    answers = [["tench", "ray", "cock"][int((weights @ one + bias).argmax())] for one in raw]
    answered = answers_on_strongest(study)
    typical = [[answers[row] for row in rows] for rows in typical_of_strongest(study, 4).tolist()]
    assert all(answered[feature] in some for feature, some in enumerate(possible_names(typical)))
    assert 1 < n_apart(some[:2] for some in typical) < n_apart(answered.values())
    names = feature_names(study)
    assert names[5] == f"strong where it answers {' and '.join(answered[5])}"


def test_answers_on_strongest__of_latents_are_those_on_the_images_not_on_what_latents_rebuild(tmp_path):
    folder = make_study(tmp_path / "study", n_train=40, n_val=8, labels=False)
    rng, raw = np.random.default_rng(0), np.asarray(open_study(folder).array("representations")[:], float)
    weights = rng.normal(size=(3, raw.shape[1])).astype(np.float32)
    with write_study(folder) as writer, writer.step("answers", {}) as step:
        step.table("head_classes", pd.DataFrame({"output": range(3), "name": ["tench", "ray", "cock"]}))
        step.vector("head_weights", weights)
        step.vector("head_bias", np.zeros(3, np.float32))
    config = BasisConfig(kind="random", size=8, k=2, seeds=1)
    add_basis(folder, "few", config, Progress.silent(), device="cpu")
    with write_study(layer(folder, "few")) as writer, writer.step("features", {}) as step:
        step.vector("top_images", rng.permuted(np.tile(np.arange(48), (8, 1)), axis=1)[:, :8])
    study = open_study(folder).in_basis("few")
    rebuilt = study.array("representations")[:] @ study.vector("head_weights").T + study.vector("head_bias")
    assert (rebuilt.argmax(1) != (raw @ weights.T).argmax(1)).mean() > 0.1
    answers = [["tench", "ray", "cock"][one] for one in (raw @ weights.T).argmax(1)]
    typical = [[answers[row] for row in rows[:2]] for rows in typical_of_strongest(study, 4).tolist()]
    answered = answers_on_strongest(study)
    for latent, two in enumerate(typical):
        assert answered[latent][: len(set(two))] == list(dict.fromkeys(two))
