"""The unit of the data: a drawn split, and what is said of a given one, go by patient, lesion or sequence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from core.common.records import Record, Templates
from core.common.step_facts import EmbedFacts
from core.data import groups
from core.data.groups import find_group, group_texts, split_by_group
from core.data.images import open_images, reopen_images
from core.data.source import VAL_SHARE, ImageSource, seeded_split
from core.errors import ImageSourceError
from core.measures.slice import Slice
from core.pipeline.run import run_step
from core.publish.summary import info
from core.store import open_study
from core.study.progress import Progress
from tests.data.pictures import picture

GROUPS = Templates.beside(groups.__file__)
CLASSES = np.array(["nv", "mel", "bkl", "bcc"])
SHARES = (0.6, 0.25, 0.1, 0.05)


def lesions(n: int = 2000, *, mixed: bool = False, seed: int = 0) -> tuple[list[str], list[str]]:
    """Groups and labels as HAM10000 has them: most lesions were taken once; `mixed`: of any class."""
    rng = np.random.default_rng(seed)
    sizes = rng.choice([1, 2, 3, 4, 6], n, p=[0.6, 0.25, 0.1, 0.03, 0.02])
    groups = np.repeat([f"HAM_{number:07d}" for number in range(n)], sizes)
    labels = np.repeat(rng.choice(CLASSES, n, p=SHARES), sizes)
    if mixed:
        labels = rng.choice(CLASSES, len(groups), p=SHARES)
    return list(groups), list(labels)


def separated(groups: Sequence[str], is_val: np.ndarray) -> int:
    names = np.asarray(groups)
    return len(set(names[is_val]) & set(names[~is_val]))


def class_shares(labels: Sequence[str], is_val: np.ndarray) -> np.ndarray:
    names = np.asarray(labels)
    return np.array([is_val[names == name].mean() for name in sorted(set(labels))])


@pytest.mark.parametrize("mixed", [False, True], ids=["pure", "mixed"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_split__no_group_is_separated_and_classes_are_as_near_as_scikit_learns(mixed, seed):
    groups, labels = lesions(mixed=mixed, seed=seed)
    is_val = split_by_group(groups, labels, seed=seed, val_share=VAL_SHARE)
    theirs = np.zeros(len(groups), bool)
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
    theirs[next(folds.split(groups, labels, groups))[1]] = True
    assert separated(groups, is_val) == separated(groups, theirs) == 0
    mine, other = (np.abs(class_shares(labels, one) - VAL_SHARE).max() for one in (is_val, theirs))
    assert mine <= max(other, 0.01)
    assert abs(is_val.mean() - VAL_SHARE) < 0.01


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=40), st.integers(0, 5))
def test_split__with_a_group_an_image_it_is_that_of_images(labels, seed):
    ids = [f"{number}.png" for number in range(len(labels))]
    drawn, _ = seeded_split(ids, labels, seed=seed)
    assert split_by_group(ids, labels, seed=seed, val_share=VAL_SHARE).tolist() == drawn.tolist()


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["x", "y", None])), min_size=1, max_size=40),
    st.integers(0, 3),
)
def test_split__of_images_is_that_of_a_loop_also_where_two_have_one_name(rows, seed):
    names, labels = [name for name, _ in rows], [label for _, label in rows]
    ids = [f"{-number}" for number in range(len(rows))]
    drawn, _ = seeded_split(ids, labels, seed=seed, names=names)
    assert drawn.tolist() == split_by_a_loop(ids, labels, names, seed)


def split_by_a_loop(ids: list, labels: list, names: list, seed: int) -> list[bool]:
    is_val = [False] * len(ids)
    for label in set(labels):
        rows = [row for row in range(len(ids)) if labels[row] == label]
        n_val = max(1, round(VAL_SHARE * len(rows))) if len(rows) > 1 else 0
        for row in sorted(rows, key=lambda row: (groups.hash_rank(seed, names[row]), ids[row]))[:n_val]:
            is_val[row] = True
    return is_val


@given(
    st.lists(st.tuples(st.integers(0, 6), st.sampled_from(["a", "b", None])), min_size=1, max_size=40),
    st.integers(0, 3),
)
def test_split__depends_on_names_and_labels_alone_and_leaves_every_class_in_train(rows, seed):
    groups, labels = [f"g{number}" for number, _ in rows], [label for _, label in rows]
    is_val = split_by_group(groups, labels, seed=seed, val_share=VAL_SHARE)
    assert not separated(groups, is_val)
    for label in set(labels):
        assert not all(val for val, one in zip(is_val, labels, strict=True) if one == label)
    order = np.random.default_rng(seed).permutation(len(rows))
    again = split_by_group(
        [groups[i] for i in order], [labels[i] for i in order], seed=seed, val_share=VAL_SHARE
    )
    assert (again == is_val[order]).all()


def test_split__seeds_differ_and_two_groups_of_a_class_are_one_each():
    groups, labels = lesions(200)
    first, second = (split_by_group(groups, labels, seed=s, val_share=VAL_SHARE) for s in (0, 1))
    assert (first != second).any()
    is_val = split_by_group(["p"] * 10 + ["q"] * 3, ["cat"] * 13, seed=0, val_share=VAL_SHARE)
    assert is_val.tolist() == [False] * 10 + [True] * 3


def columns(**values: Sequence[object]) -> pd.DataFrame:
    return pd.DataFrame(values)


MANY = [str(number // 2) for number in range(80)]


@pytest.mark.parametrize(
    ("frame", "group"),
    [
        (columns(patient_id=MANY), "patient_id"),
        (columns(LesionId=MANY, **{"Patient ID": MANY}), "Patient ID"),
        (columns(seq_id=MANY, location=MANY), "seq_id"),
        (columns(location=MANY), None),  # of a camera trap: a domain
        (columns(patient_id=[str(n) for n in range(80)]), None),  # none repeats
        (columns(scene=["street", "beach", "hall", "park"] * 20), None),  # a kind
        (columns(scene=MANY), "scene"),
        (columns(patient=["yes", "no"] * 40), None),
        (None, None),
    ],
)
def test_find_group__a_name_that_says_it_and_values_that_repeat(frame, group):
    assert find_group(frame, None) == (group, [])


def test_find_group__few_values_are_said_and_not_taken():
    group, (note,) = find_group(columns(patient_id=["a", "b", "c", "d"] * 20), None)
    assert group is None and (note.kind, note.n) == ("few_groups", 4)
    assert find_group(columns(patient_id=MANY), "None") == (None, [])


def test_group_texts__whole_numbers_stay_whole():
    assert group_texts(pd.Series([1.0, None, 2.0])).tolist()[::2] == ["1", "2"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """80 pictures of 20 patients, two classes."""
    (tmp_path / "p").mkdir()
    for number in range(80):
        (tmp_path / "p" / f"{number:02d}.png").write_bytes(picture(number))
    frame = columns(
        path=[f"p/{number:02d}.png" for number in range(80)],
        label=[("cat", "dog")[number // 4 % 2] for number in range(80)],
        patient_id=[f"{number // 4:03d}" for number in range(80)],
        site=[("a", "b")[number % 2] for number in range(80)],
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    return tmp_path / "t.csv"


def notes_of(source: ImageSource) -> dict[str, Record]:
    """What is said of the split and its groups."""
    records = [note for note in source.notes if isinstance(note, Record)]
    return {note.kind: note for note in records if note.kind in GROUPS.by_kind}


def test_table__is_split_by_patient_and_says_so(table):
    source = open_images(table)
    assert source.group == "patient_id" and source.extras is not None
    assert separated(list(source.extras["patient_id"]), (source.table["split"] == "val").to_numpy()) == 0
    (note,) = notes_of(source).values()
    assert (note.kind, note.n, note.of, note.what) == ("drawn_by_group", 80, 20, "patient_id")


def test_table__none_is_the_split_of_images(table):
    source = open_images(f"{table}?group=none")
    ids, labels = list(source.table["image_id"]), list(source.table["label"])
    assert source.group is None and list(notes_of(source)) == ["drawn"]
    assert (source.table["split"] == "val").tolist() == seeded_split(ids, labels, seed=0)[0].tolist()


def test_table__another_column_and_its_description_opens_the_same(table):
    source = open_images(f"{table}?group=site", seed=3)
    assert source.group == "site"
    again = reopen_images(source.describe())
    assert again.fingerprint() == source.fingerprint() != open_images(table, seed=3).fingerprint()


def test_table__an_unknown_column_is_refused(table):
    with pytest.raises(ImageSourceError, match="no column 'patient' to group by. Did you mean 'patient_id'"):
        open_images(f"{table}?group=patient")


def test_table__a_class_a_group_is_refused_or_split_by_image(table):
    frame = pd.read_csv(table, dtype=str)
    frame["patient_id"] = frame["label"]
    frame["lesion_id"] = np.where(frame["label"] == "cat", "1", "2")
    frame.to_csv(table, index=False)
    assert open_images(table).group is None
    with pytest.raises(ImageSourceError, match="each class lies in one group of 'lesion_id'"):
        open_images(f"{table}?group=lesion_id")


def test_given_split__stays_and_groups_on_both_sides_are_counted(table):
    frame = pd.read_csv(table, dtype=str)
    frame["split"] = ["val" if number % 8 == 0 else "train" for number in range(80)]
    frame.to_csv(table, index=False)
    source = open_images(table)
    assert list(source.table["split"]) == list(frame["split"])
    note = notes_of(source)["both_sides"]
    assert (source.group, note.n, note.of) == ("patient_id", 10, 20)
    assert not notes_of(open_images(f"{table}?group=none"))


def test_pair__groups_of_both_tables(table, tmp_path):
    frame = pd.read_csv(table, dtype=str)
    frame.iloc[:42].to_csv(tmp_path / "a.csv", index=False)
    frame.iloc[42:].to_csv(tmp_path / "b.csv", index=False)
    source = open_images(tmp_path / "a.csv", val=tmp_path / "b.csv")
    note = notes_of(source)["both_sides"]
    assert (source.group, note.n, note.of) == ("patient_id", 1, 20)
    assert open_images(f"{tmp_path / 'a.csv'}?group=none", val=tmp_path / "b.csv").group is None


def test_folder__an_option_that_it_has_not_is_named(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.png").write_bytes(picture(1))
    with pytest.raises(ImageSourceError, match="it takes group"):
        open_images(f"{tmp_path}?grup=none")
    assert open_images(f"{tmp_path}?group=none").group is None


def test_study__knows_its_groups_and_says_them(table, tmp_path):
    frame = pd.read_csv(table, dtype=str)
    np.save(tmp_path / "raw.npy", np.random.default_rng(0).gamma(1.0, size=(80, 6)).astype(np.float32))
    frame.loc[:1, "patient_id"] = None
    frame.to_csv(table, index=False)
    options = {"images": str(table), "representations": str(tmp_path / "raw.npy")}
    run_step("embed", tmp_path / "study", options, Progress.silent())
    study = open_study(tmp_path / "study")
    facts, groups = study.facts(EmbedFacts), study.groups
    assert (facts.group, facts.n_groups) == ("patient_id", 22) and groups is not None
    assert len(np.unique(groups)) == 22 and groups[0] != groups[1] and len(set(groups[4:8])) == 1
    assert separated(list(map(str, groups)), study.is_val) == 0
    report = info(study)
    assert (report["group"], report["n_groups"]) == ("patient_id", 22)
    assert study.where(Slice(split="val")).groups is groups
