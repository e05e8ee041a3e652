"""One decorator for everything that pages read: nothing stale, nothing shared that can be changed."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from core.errors import StudyError
from core.measures import saved_slices
from core.measures.feature_names import feature_names
from core.measures.slice import Slice
from core.store import Study, open_study
from core.study import trace_changes
from dashboard.cache import comparison_reads, highlight_reads, reads, slice_reads
from dashboard.cache.reader import cached_read
from dashboard.server.map_points import Wanted, cloud
from tests.manifests import edited_manifest

pytestmark = pytest.mark.usefixtures("unread")

calls: list[tuple] = []


@pytest.fixture(autouse=True)
def no_calls():
    calls.clear()


@pytest.fixture
def study(studies) -> Study:
    return open_study(studies / "demo")


@cached_read(max_entries=4)
def counted(study: Study, what: object = "all", more: int = 0, *, only: str = "") -> int:
    calls.append((study.key, what, more, only))
    return len(calls)


@cached_read(max_entries=4)
def framed(study: Study) -> pd.DataFrame:
    return pd.DataFrame({"a": np.arange(3)})


@cached_read(max_entries=4)
def arrays(study: Study) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(3), np.zeros(2)


@cached_read(max_entries=4)
def held(study: Study, where: tuple[Slice, Slice | None]) -> int:
    calls.append((study.key, where))
    return int(np.count_nonzero(where[0].mask(study)))


@cached_read(max_entries=4)
def held_of_first(studies: tuple[Study, ...], where: Slice) -> int:
    calls.append(studies)
    return int(np.count_nonzero(where.mask(studies[0])))


@cached_read(max_entries=4)
def failing(study: Study) -> int:
    calls.append((study.key,))
    raise StudyError("not now")


def test_cached_read__once_for_a_study_and_the_same_arguments(study):
    assert counted(study) == counted(study, "all") == counted(study, what="all", more=0) == 1
    assert counted(study, "some") == 2 and counted(study, "some", 1) == 3
    assert counted(study, only="named") == 4 and calls[-1][-1] == "named"
    assert counted(open_study(study.path)) == 1  # another reader of the same files
    assert len(calls) == 4


def test_cached_read__another_study_and_a_rewritten_one_are_read_again(study):
    other = open_study(shutil.copytree(study.path, study.path.parent / "other"))
    assert counted(study) == 1 and counted(other) == 2
    with edited_manifest(study.path) as manifest:
        manifest["steps"]["features"]["settings"]["epsilon"] = 3.5
    again = open_study(study.path)
    assert again.key != study.key
    assert counted(again) == 3 and counted(study) == 1


def test_table__of_a_rewritten_study_is_not_the_old_one(study):
    before = reads.images(study)
    with edited_manifest(study.path) as manifest:
        for item in manifest["steps"].pop("quality")["outputs"]:
            manifest["items"].pop(item)
    after = reads.images(open_study(study.path))
    assert "q_score" in before and "q_score" not in after


def test_cached_read__the_oldest_entry_goes_first(study):
    for number in range(6):
        counted(study, number)
    counted(study, 5)
    assert len(calls) == 6
    counted(study, 0)
    assert len(calls) == 7


def test_cached_read__a_changed_frame_does_not_change_the_cached_one(study):
    first = framed(study)
    first.loc[0, "a"] = 99
    first["b"] = 1
    assert framed(study).equals(pd.DataFrame({"a": np.arange(3)}))


def test_cached_read__arrays_cannot_be_changed(study):
    for part in arrays(study):
        with pytest.raises(ValueError, match="read-only"):
            part[0] = 5


def test_cached_read__large_arrays_that_differ_in_one_place(study):
    rows = np.zeros(2_000_000, np.int8)
    counted(study, rows)
    assert counted(study, rows.copy()) == 1
    rows[1_234_567] = 1
    assert counted(study, rows) == 2


def test_cached_read__saved_slices_join_the_key_where_a_slice_names_one(study):
    saved_slices.save(study.path, "mine", Slice.parse("split=val"))
    named, plain = Slice.parse("@mine"), Slice.parse("split=train")
    before = held(study, (named, None))
    assert before == np.count_nonzero(study.is_val)
    assert held(study, (plain, None)) == study.n_images - before
    saved_slices.save(study.path, "mine", Slice.parse("split=train"), overwrite=True)
    assert held(study, (named, None)) == study.n_images - before
    assert len(calls) == 3
    held(study, (plain, None))
    assert len(calls) == 3


def test_cached_read__a_saved_slice_of_the_first_of_several_studies(study):
    saved_slices.save(study.path, "mine", Slice.parse("split=val"), overwrite=True)
    here, n_val = (study, study), np.count_nonzero(study.is_val)
    assert held_of_first(here, Slice.parse("@mine")) == n_val
    saved_slices.save(study.path, "mine", Slice.parse("split=train"), overwrite=True)
    assert held_of_first(here, Slice.parse("@mine")) == study.n_images - n_val and len(calls) == 2


def test_cached_read__an_error_is_not_kept(study):
    for _ in range(2):
        with pytest.raises(StudyError, match="not now"):
            failing(study)
    assert len(calls) == 2


def test_cached_read__reads_of_two_functions_stay_apart(study):
    @cached_read(max_entries=2)
    def one(study: Study) -> str:
        return "one"

    @cached_read(max_entries=2)
    def two(study: Study) -> str:
        return "two"

    assert (one(study), two(study), one(study)) == ("one", "two", "one")
    assert one.__name__ == "one"


def test_narrowed__is_measured_once_for_all_readers(study):
    where = Slice(labels=("ant",))
    first = reads.narrowed(study, where)
    assert reads.narrowed(study, where) is first
    table = reads.slice_table(study, where, "confusions")
    assert table.equals(study.where(where).table("confusions"))
    table["n"] = -1  # a copy: nobody changes what another one sees
    assert reads.slice_table(study, where, "confusions").equals(study.where(where).table("confusions"))


def test_distinct__of_slices_by_tag_follows_the_tags(study):
    wrong = study.images["image_id"][(study.table("probe")["correct"] == False).fillna(False)]  # noqa: E712
    first, second = wrong[:4].tolist(), wrong[4:8].tolist()
    trace_changes.change_images(study, first, add=["a"])
    trace_changes.change_images(study, second, add=["b"])
    slices = (Slice.parse("tag=a"), Slice.parse("tag=b"))
    assert slice_reads.distinct(study, slices).tolist() == [True, True]
    trace_changes.change_images(study, second, remove=["b"])
    trace_changes.change_images(study, first, add=["b"])
    assert slice_reads.distinct(study, slices).tolist() == [True, False]


def test_sentences_and_legends_follow_the_names_that_people_give(study, monkeypatch):
    monkeypatch.setattr(highlight_reads, "study_finding", lambda study, *_, **__: feature_names(study)[3])
    pictures = lambda *_: SimpleNamespace(named=feature_names(study)[3])  # noqa: E731
    monkeypatch.setattr(comparison_reads, "features_in_pictures", pictures)
    monkeypatch.setattr(comparison_reads, "checkpoints", lambda *_, **__: None)
    request, val = Wanted("pca", "activation", 3), Slice(split="val")
    addresses = []
    for name in ("night sky", "day"):
        trace_changes.name_feature(study, 3, name)
        assert highlight_reads.finding(study, val) == name
        assert comparison_reads.checkpoint_features((study,), val).named == name  # pyright: ignore
        assert name in cloud(study, request).colouring.title
        addresses.append(request.address(study))
    assert addresses[0] != addresses[1]
