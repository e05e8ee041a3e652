"""A study with a file that cannot be read: the views that do without it go on, the others say what to run."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable

import numpy as np
import pytest
import streamlit as st

from core.study.reader import StudyReader
from dashboard.cache import image_filter
from dashboard.state import served_studies
from tests.dashboard.conftest import all_text
from tests.dashboard.views.test_pages import VIEWS
from tests.sampling import EVERYTHING, pairs_of, sample
from tests.study.flips import files_of, flips, one_bit_flipped

pytestmark = pytest.mark.slow

LEFT_OUT = {  # by damaged table: views that show an error instead, besides empty states
    "features": set(),
    "probe": set(),
    "quality": set(),
    "quality_metrics": set(),
    "overlap": {"masks"},
    "concepts": set(),
    "highly_activating": set(),
    "failures": set(),
    "failure_pairs": set(),
    "images": set(VIEWS) - {"map", "new_study"},
}


def no_table(table: bytes) -> bytes:
    return b"nothing"


def flipped(table: bytes) -> bytes:
    """A Parquet file with one bit after another changed in its data; size and end stay as they were."""
    end = len(table) - 8 - int.from_bytes(table[-8:-4], "little")
    data = bytearray(table)
    for place in range(20, end, 7):
        data[place] ^= 1
    return bytes(data)


@pytest.fixture
def damaged(unread, studies, worded_study):
    """Serve a complete study as `worded`, one of whose files is not what it was."""

    def serve(file: str, damage: Callable[[bytes], bytes] = no_table) -> None:
        path = shutil.copytree(worded_study, studies / "worded") / file
        path.write_bytes(damage(path.read_bytes()))

    return serve


def tables_asked_for(view: str, study: str, open_page, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The tables of studies that a page reads, or looks whether they are there."""
    asked: set[str] = set()
    has = StudyReader.has

    def note(reader: StudyReader, item: str) -> bool:
        asked.add(item)
        return has(reader, item)

    st.cache_resource.clear()
    served_studies.forget()
    for entry in served_studies.entries(served_studies.studies_folder()):
        served_studies.open_current(entry.path)  # looks for damage of every file
    with monkeypatch.context() as patch:
        patch.setattr(StudyReader, "has", note)
        assert not open_page(view, study=study).exception
    return asked


@pytest.mark.exhaustive("views/test_pages.py opens each view of a study with damaged tables")
def test_damaged_table__the_other_views_go_on(unread, studies, worded_study, open_page, monkeypatch):
    """A view that does not ask for a table is as it was."""
    shutil.copytree(worded_study, studies / "whole")
    asked = {view: tables_asked_for(view, "whole", open_page, monkeypatch) for view in VIEWS}
    shutil.rmtree(studies / "whole")
    for table, damage in pairs_of(tuple(LEFT_OUT), (no_table, flipped)):
        views = [view for view in VIEWS if EVERYTHING or table in asked[view]]
        assert table in ("failures", "failure_pairs") or views, table
        name = f"{table} {damage.__name__}"
        path = shutil.copytree(worded_study, studies / name) / f"{table}.parquet"
        path.write_bytes(damage(path.read_bytes()))
        failed = set()
        for view in views:
            app = open_page(view, study=name)
            assert not app.exception, (name, view)
            for error in app.error:
                failed.add(view)
                assert "is damaged" in error.value and "redo" in error.value
        assert failed <= LEFT_OUT[table], name
        shutil.rmtree(studies / name)


@pytest.mark.parametrize("damage", sample([no_table, flipped], 1))
def test_damaged_table__its_view_names_the_file_and_the_command(damage, damaged, open_page):
    damaged("quality.parquet", damage)
    app = open_page("predicting_errors", study="worded")
    assert "quality.parquet" in all_text(app)
    assert any(code.value.endswith("worded --redo") for code in app.code)


@pytest.mark.parametrize("array", sample(["activation_histogram", "top_images"], 1))
def test_damaged_array__its_panel_names_the_file_and_the_command(array, damaged, open_page):
    damaged(f"{array}/00000.npy")
    app = open_page("feature", study="worded", feature=3)
    assert not app.exception
    said = all_text(app).replace("\\", "")
    assert f"{array}/00000.npy" in said
    assert any(code.value.endswith("worded --redo") for code in app.code)


@pytest.mark.exhaustive("views/test_pages.py opens each view of a study with damaged tables")
def test_damaged_table__a_filter_that_needs_it_says_so(damaged, open_page):
    damaged("quality.parquet", flipped)
    app = open_page("images", study="worded", where="q_score=0.1.. label=bee")
    assert not app.exception
    said = all_text(app)
    assert "'q_score' is in the table 'quality'" in said
    assert app.query_params["where"] in ("label=bee", ["label=bee"])


def test_mended_table__is_shown_again(damaged, studies, worded_study, open_page):
    damaged("concepts.parquet")
    app = open_page("features", study="worded", features_as="Words")
    assert "concepts.parquet" in all_text(app)
    shutil.copy(worded_study / "concepts.parquet", studies / "worded")
    (studies / "worded" / "manifest.json").touch()  # a step that runs again writes it
    app.run()
    assert "cannot be read" not in all_text(app) and not app.exception


def test_array_without_its_end__is_set_aside(damaged):
    damaged("map_pca/00000.npy")
    study = served_studies.open_current(served_studies.resolve(served_studies.studies_folder(), "worded"))
    assert study.damage == {"map_pca": "map_pca/00000.npy is truncated"}
    assert not study.has("map_pca")


def test_disk_that_fails_under_a_page__is_one_line_and_no_exception(studies, unread, open_page, monkeypatch):
    def fails(study: object) -> None:
        raise OSError(5, "Input/output error", "a.npy")

    monkeypatch.setattr(image_filter, "enter", fails)
    app = open_page()
    assert len(app.error) == 1 and not app.exception and app.button


INDICES = {  # array -> pages that look something up with its numbers
    "firing_by_feature_rows": [
        ("features", {}),
        ("feature", {"feature": 3}),
        ("errors", {}),
        ("images", {"where": "fires=3"}),
    ],
    "firing_by_feature_ptr": [("features", {}), ("errors", {}), ("images", {"where": "fires=3"})],
    "firing_count": [("images", {"image": "val/ant/0088.png"}), ("features", {})],
    "firing_features": [("images", {"image": "val/ant/0088.png"}), ("feature", {"feature": 3})],
    "top_images": [("feature", {"feature": 3}), ("images", {"image": "val/ant/0088.png"})],
    "neighbours": [("images", {"image": "val/ant/0088.png"})],
    "heatmap_rows": [("heatmaps", {}), ("images", {"image": "val/ant/0088.png", "detail_part": "Heatmap"})],
    "heatmap_count": [("heatmaps", {}), ("overview", {})],
    "heatmap_features": [("heatmaps", {}), ("features", {}), ("masks", {"masks_part": "By feature"})],
}


def wild(array: bytes) -> bytes:
    """A .npy file with the high bits of all its numbers changed."""
    values = np.load(io.BytesIO(array))
    file = io.BytesIO()
    np.save(file, values ^ values.dtype.type(1 << 20))
    return file.getvalue()


@pytest.mark.parametrize("array", sample(list(INDICES), 2))
def test_numbers_that_are_no_indices__are_damage_and_no_exception(array, damaged, open_page):
    damaged(f"{array}/00000.npy", wild)
    said = ""
    for view, query in INDICES[array]:
        app = open_page(view, study="worded", **query)
        assert not app.exception, view
        said += all_text(app) + " ".join(error.value for error in app.error)
        said += " ".join(code.value for code in app.code)
    assert "damaged" in said.replace("\\", "") and "redo" in said


@pytest.mark.exhaustive("tests/study/test_flips.py flips bits")
def test_single_flipped_bits__no_exception_on_any_page(studies, worded_study, open_page, rng):
    folder = shutil.copytree(worded_study, studies / "worded")
    some = list(flips(rng, files_of(folder), 400))
    for number in rng.choice(len(some), 12, replace=False):
        st.cache_resource.clear()
        served_studies.forget()
        view = str(rng.choice([view for view in VIEWS if view != "new_study"]))
        with one_bit_flipped(*some[number]):
            app = open_page(view, study="worded", image="val/ant/0088.png")
        assert not app.exception, (some[number], view)
