"""The heatmap of an opened image: which features, what is not stored, and the job that computes it."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import JobError
from core.store import open_study
from core.study.commands import RequestHeatmaps
from dashboard.cache import reads
from dashboard.jobs import launcher
from tests.dashboard.conftest import all_text, forget, tiles, write_progress


@pytest.fixture
def study(seen):
    return open_study(seen)


@pytest.fixture
def opened(open_page, study):
    """Open the heatmap of the image in a row, with features chosen or not."""

    def run(row: int, **query):
        image = study.images["image_id"].iat[row]
        return open_page("images", study="seen", image=image, detail_part="Heatmap", **query)

    return run


def row_where(study, test) -> int:
    return next(row for row in range(study.n_images) if test(*study.heatmap_reader.discriminative(row)))


def test_discriminative_heatmap__names_its_features(study, opened):
    row = row_where(study, lambda features, fallback: not fallback)
    app = opened(row)
    assert not app.exception
    features, _ = study.heatmap_reader.discriminative(row)
    names = ", ".join(f"**{name}**" for name in reads.feature_names(study, features))
    assert f"discriminative features that fire here: {names}" in all_text(app)
    (tile,) = tiles(app, "detail_heatmap")
    assert "mask=core" in tile["src"] and "opacity=0" in tile["src"]
    assert tile["beside"][0].startswith(f"overlay/seen/{row}?")


def test_nothing_fires__the_strongest_is_named(study, opened):
    row = row_where(study, lambda features, fallback: fallback)
    (feature,) = study.heatmap_reader.discriminative(row)[0]
    name = reads.feature_name(study, feature)
    assert f"heatmap of the strongest of them, **{name}**" in all_text(opened(row))


def test_overlap_of_this_image__in_all_measures(study, opened):
    table = study.table("overlap").query("mask == 'spurious'").dropna(subset="energy")
    row = int(table["row"].iloc[0])
    app = opened(row)
    shown = next(frame.value for frame in app.dataframe if "Overlap" in frame.value)
    expected = table.iloc[0][["paper", "binary", "soft", "energy"]].to_numpy(float)
    np.testing.assert_allclose(shown["Spurious"], expected)


@pytest.mark.slow
def test_chosen_features__come_from_the_link_and_go_into_it(study, opened):
    row = row_where(study, lambda features, fallback: len(features) > 1 or not fallback)
    feature = int(study.heatmap_reader.discriminative(row)[0][0])
    app = opened(row, detail_features=str(feature))
    assert f"**{reads.feature_name(study, feature)}**" in all_text(app)
    assert f"features={feature}" in tiles(app, "detail_heatmap")[0]["beside"][0]
    pills = next(one for one in app.button_group if one.key == f"detail_features_{row}")
    pills.set_value([]).run()
    assert "detail_features" not in app.query_params


def test_feature_that_the_study_lacks__is_dropped_with_a_note(opened):
    app = opened(0, detail_features="4711")
    assert not app.exception
    assert "does not have" in all_text(app)
    assert "detail_features" not in app.query_params


@pytest.fixture
def absent(study) -> tuple[int, int]:
    """A row and a feature whose map is not stored."""
    held = study.heatmap_reader.features_of(0)
    return 0, next(number for number in range(32) if number not in held)


def test_map_that_is_not_stored__a_button_starts_the_job(study, opened, absent, started, trusted):
    row, feature = absent
    app = opened(row, detail_features=str(feature))
    assert not app.exception
    assert f"**Feature {feature}" in all_text(app)
    assert "on this image is not stored" in all_text(app)
    app.button(key="detail_compute").click().run()
    image = study.images["image_id"].iat[row]
    assert started == [(RequestHeatmaps(study.path, image, (feature,)), study.path)]


def test_map_that_is_not_stored__of_a_study_that_names_code_is_not_computed_by_a_click(opened, absent):
    app = opened(absent[0], detail_features=str(absent[1]))
    button = app.button(key="detail_compute")
    assert button.disabled and "names code of its own" in button.help
    assert any("names code of its own" in one.value for one in app.caption)  # also without a pointer


def test_job_that_cannot_start__says_why(opened, absent, monkeypatch, trusted):
    def busy(*_, **__):
        raise JobError("a job is running there already")

    monkeypatch.setattr(launcher, "start_job", busy)
    app = opened(absent[0], detail_features=str(absent[1]))
    app.button(key="detail_compute").click().run()
    assert "a job is running there already" in all_text(app)


def test_job_that_runs__shows_its_progress_instead_of_the_button(seen, opened, absent):
    row, feature = absent
    words = RequestHeatmaps(seen, open_study(seen).images["image_id"].iat[row], (feature,)).words
    write_progress(seen, stage="heatmaps", command=["python", "-m", "core", *words])
    app = opened(row, detail_features=str(feature))
    assert not app.exception
    assert "Computing the heatmap" in all_text(app)
    assert not [button for button in app.button if button.key == "detail_compute"]


def test_another_job_that_runs__is_not_said_to_compute_it(seen, opened, absent):
    write_progress(seen, stage="heatmaps")
    app = opened(absent[0], detail_features=str(absent[1]))
    assert "Computing the heatmap" not in all_text(app)
    assert "can be computed when the job that is running now has ended" in all_text(app)
    assert not [button for button in app.button if button.key == "detail_compute"]


def test_without_heatmaps__the_command(seen, opened):
    forget(seen, "heatmaps", "overlap")
    app = opened(0)
    assert not app.exception
    assert any(code.value.startswith("python -m core heatmaps") for code in app.code)
