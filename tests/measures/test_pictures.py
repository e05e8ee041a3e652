"""Filters, counts and traits of pictures by what they are themselves, and leaks into evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.errors import SliceError
from core.measures.facets import facet_counts, further_facets
from core.measures.finder import worst_slices
from core.measures.image_columns import first_of_family, leaked_pairs, leaks
from core.measures.plain_names import plain_name
from core.measures.slice import Slice
from core.measures.slice_comparison import compare_traits
from core.measures.traits import picture_cuts
from core.measures.unusual_picture import unusual_picture
from core.store import Study
from core.study.writer import write_study

N = 200
PAIRS = {190: 3, 195: 190, 180: 181, 7: 3}  # an image, and one that it repeats; val from 150 on


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Pictures of which the darkest 20 are misclassified, and those that are duplicates."""
    rng = np.random.default_rng(0)
    ids = [f"i{row:03}" for row in range(N)]
    brightness = rng.permutation(np.linspace(0.05, 0.95, N))
    wrong = (brightness < 0.14) | (rng.random(N) < 0.05)
    first = [ids[PAIRS[row]] if row in PAIRS else None for row in range(N)]
    split = np.where(np.arange(N) < 150, "train", "val")
    with write_study(tmp_path / "study") as writer, writer.step("embed", {}) as step:
        images = pd.DataFrame({"image_id": ids, "path": ids, "split": split, "label": "a"})
        step.table("images", images)
        step.table(
            "pictures",
            pd.DataFrame({"image_id": ids, "brightness": brightness.astype(np.float32), "width": 64})
            .assign(turned=pd.array(rng.random(N) < 0.2, "boolean"), duplicate_of=None)
            .assign(near_duplicate_of=pd.array(first, "str")),
        )
        step.summary = {"pictures": {}}
    with write_study(tmp_path / "study") as writer, writer.step("probe", {}) as step:
        step.table(
            "probe",
            pd.DataFrame({"image_id": ids, "predicted": np.where(wrong, "b", "a"), "confidence": 0.9}).assign(
                correct=pd.array(~wrong, "boolean")
            ),
        )
    return Study(tmp_path / "study")


def test_filters__by_number_truth_and_repetition(study):
    values = study.table("pictures")["brightness"].to_numpy()
    assert Slice.parse("brightness=..0.2").mask(study).sum() == (values <= 0.2).sum()
    repeating = Slice.parse("near_duplicate=true").mask(study)
    assert np.flatnonzero(repeating).tolist() == sorted(PAIRS)
    assert not Slice.parse("duplicate=true").mask(study).any()


def test_leak__is_an_evaluation_image_whose_set_has_a_train_image(study):
    assert np.flatnonzero(Slice.parse("leak=true").mask(study)).tolist() == [190, 195]
    assert leaked_pairs(study).tolist() == [[190, 3], [195, 3]]
    family = first_of_family(study)
    assert family[[3, 7, 190, 195]].tolist() == [3] * 4 and family[[180, 181]].tolist() == [181, 181]
    assert not leaks(family, np.ones(N, bool)).any() and study.where("leak=false").n_chosen == 48


def test_facets__count_the_columns_of_pictures(study):
    further = further_facets(study)
    assert {"brightness", "turned", "near_duplicate", "leak"} <= set(further) and "width" not in further
    assert "duplicate" not in further
    assert facet_counts(study, "near_duplicate", np.ones(N, bool)) == {"false": N - 4, "true": 4}
    assert sum(facet_counts(study, "brightness", np.ones(N, bool)).values()) == N


def test_cuts__are_the_outer_tenths(study):
    cuts = {(cut.column, np.isinf(cut.low)): cut for cut in picture_cuts(study)}
    assert set(cuts) == {("brightness", True), ("brightness", False)}  # all are of one width
    for cut in cuts.values():
        assert abs(Slice.parse(f"{cut.column}={cut.text}").mask(study).mean() - 0.1) < 0.02


def test_worst_slices__name_the_kind_of_pictures_that_is_worse(study):
    found = worst_slices(study, among=np.ones(N, bool), significant=True)
    assert found["kind"].tolist()[0] == "picture" and found["where"].tolist()[0].startswith("brightness=..")
    first = found.to_dict("records")[0]
    assert first["errors"] == first["n"] and first["q"] < 1e-6
    assert plain_name(Slice.parse(first["where"])).startswith("images that are dark (brightness at most 0.1")
    inside = Slice.parse(first["where"]).mask(study)
    wrong = Slice(correct=False).mask(study)
    assert (inside.sum(), (inside & wrong).sum()) == (first["n"], first["errors"])


def test_compare__names_what_pictures_of_a_slice_are(study):
    wrong = Slice(correct=False).mask(study)
    table = compare_traits(study, (wrong, ~wrong), {})
    first = table.iloc[0]
    assert first["kind"] == "picture" and first["title"].startswith("images that are dark")


def test_old_study__says_what_to_run(tmp_path):
    with write_study(tmp_path / "old") as writer, writer.step("embed", {}) as step:
        step.table("images", pd.DataFrame({"image_id": ["a"], "path": "a", "split": "val", "label": "x"}))
    old = Study(tmp_path / "old")
    missing = old.why_missing("pictures")
    assert missing is not None and (missing.state, missing.redo) == ("earlier", True)
    assert "embed" in missing.command and "--redo" in missing.command
    for text in ("brightness=..0.2", "leak=true"):
        with pytest.raises(SliceError, match=r"pictures.*--redo"):
            Slice.parse(text).mask(old)


def test_an_unusual_picture__is_one_of_the_darkest_tenth_and_no_other(study):
    values = study.table("pictures")["brightness"].to_numpy(np.float64)
    darkest_first = np.argsort(values)
    sentences: list[Any] = [unusual_picture(study, row) for row in darkest_first.tolist()]
    assert all(sentences[: N // 10])
    assert not any(sentences[N // 10 :])
    shares = [sentence.parts[0].value for sentence in sentences[: N // 10]]
    assert shares == [(100 * (N - 1 - rank) // N) / 100 for rank in range(N // 10)]  # rounded down
