"""The step `domains`: what it writes for given representations and for Glyphworld, and what it refuses."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from core.analysis import map_step
from core.cli import main
from core.common.dataframes import unit_rows
from core.config import MapConfig
from core.errors import SettingsError
from core.pipeline import run as pipeline
from core.research.domains_parts import part_slices
from core.research.domains_step import cautions_of, domain_column, maps_of_parts, rows_to_test
from core.research.domains_topic import DomainTestsConfig
from core.store import Study, open_study
from core.study.chunked_array import ChunkedArray, write_chunk
from core.study.progress import Progress
from core.study.steps import STEPS, in_analysis
from tests import small
from tests.research.planted import K, planted


@pytest.fixture(scope="module")
def probed(tmp_path_factory) -> Study:
    folder = tmp_path_factory.mktemp("probed") / "study"
    small.write_small_study(folder)
    options = {"column": "background_agrees", "prefix": 1}
    pipeline.run_step("domains", folder, options, Progress.silent())
    return open_study(folder)


@pytest.mark.slow
def test_step__writes_every_table(probed):
    held = {name for name in STEPS["domains"].outputs if probed.has(name)}
    assert held == set(STEPS["domains"].outputs)
    assert probed.table("domains")["domain"].tolist() == ["True", "False"] * 4
    summary = probed.summary("domains")
    assert summary["domains"] == ["False", "True"] and summary["prefix"] == 1 and summary["unseen"] == []
    assert "only Glyphworld" in summary["no_twins"] and probed.table("domain_twins").empty
    assert summary["base_rate"] == 0.6  # three of five evaluation images
    features = probed.table("domain_features")
    assert features["part"].tolist() == ["prefix", "rest", "rest", "rest"]
    firing = [[row for row, fired in enumerate(small.FIRING) if j in fired] for j in range(4)]
    shares = [max(sum(row % 2 == side for row in rows) for side in (0, 1)) / len(rows) for rows in firing[:3]]
    assert features["domain_purity"].tolist()[:3] == shares and np.isnan(features["domain_purity"][3])
    places = probed.table("domain_map")
    assert list(places) == [f"{axis}_{part}" for part in ("all", "rest", "prefix") for axis in "xy"]
    assert len(places) == 8 and np.isfinite(places.to_numpy()).all()


def test_step__is_only_run_on_request(probed, tmp_path):
    assert "domains" not in in_analysis() and "domains" in STEPS
    other = small.write_small_study(tmp_path / "other")
    assert "domains" not in other.missing()
    reason = other.why_missing("domain_probes")
    assert reason is not None and "domains" in str(reason)
    with pytest.raises(SettingsError, match="domain"):
        pipeline.run_step("domains", tmp_path / "other", {}, Progress.silent())
    again = pipeline.run_step("domains", probed.path, {}, Progress.silent())  # the column is remembered
    assert again["column"] == "background_agrees"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"column": "backgroud"}, "have no column 'backgroud'. Did you mean 'background'"),
        (
            {"column": "split", "unseen": ("vall",)},
            "--unseen vall: no image has that split. Did you mean 'val'",
        ),
        ({"column": "split", "unseen": ("val", "train")}, "--unseen names every split"),
        ({"column": "label"}, "holds no two domains: all are 'shadowed'"),
        ({"column": "split", "prefix": 4}, "--prefix 4 leaves nothing of the 4 features"),
        ({"column": "split", "prefix": 0}, "--prefix must be at least 1"),
    ],
)
def test_step__refuses_what_cannot_be_tested(tmp_path, options, message):
    small.write_small_study(tmp_path / "study")
    with pytest.raises(SettingsError) as caught:
        pipeline.run_step("domains", tmp_path / "study", options, Progress.silent())
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_cautions_of__names_a_domain_that_is_the_class_and_domains_without_a_probe():
    images = planted(60)
    assert cautions_of(images, "style") == []
    itself = dataclasses.replace(images, domains=images.classes, domain_names=images.class_names)
    (said,) = cautions_of(itself, "label")
    assert said.startswith("'label' is the class of every image") and "\n" not in said
    grouped = dataclasses.replace(images, domains=images.classes // 2, domain_names=("animal", "thing"))
    (said,) = cautions_of(grouped, "kind")
    assert said.startswith("the images of a class all have the same 'kind'") and "\n" not in said
    one_class = dataclasses.replace(images, classes=np.zeros_like(images.classes))
    said = cautions_of(one_class, "style")
    assert not any("of a class" in line or "of every image" in line for line in said)
    few = (images.domains != 2) | images.is_val | (images.classes == 1)
    without = dataclasses.replace(images, domains=np.where(few, images.domains, -1))
    assert cautions_of(without, "style")[0].startswith("no accuracy in 'sketch': a probe needs")


def test_step__with_the_class_as_domain_warns_in_one_line_and_goes_on(tmp_path, monkeypatch, capsys):
    attributes = small._attributes().drop(columns="label")  # so that the column is the class
    monkeypatch.setattr(small, "_attributes", lambda: attributes)
    small.write_small_study(tmp_path / "study")
    summary = pipeline.run_step(
        "domains", tmp_path / "study", {"column": "label"}, Progress(None, terminal=True)
    )
    warned = [line for line in capsys.readouterr().err.splitlines() if "is the class of every image" in line]
    assert len(warned) == 1 and warned[0].endswith(summary["cautions"][0])


def test_domain_column__is_that_of_the_images_without_attributes(tmp_path):
    study = small.write_small_study(tmp_path / "study")
    assert domain_column(study, "split").tolist() == small.SPLITS


def stored(folder: Path, raw: np.ndarray) -> ChunkedArray:
    """The rows in chunks of 32."""
    parts = [raw[start : start + 32] for start in range(0, len(raw), 32)]
    for number, part in enumerate(parts):
        write_chunk(folder, number, part)
    return ChunkedArray(folder, [len(part) for part in parts], raw.dtype.str, raw.shape[1:])


def test_maps_of_parts__each_by_the_columns_of_its_part(tmp_path, monkeypatch):
    monkeypatch.setattr(map_step, "umap_map", lambda reduced, fitted, config, bar: 2 * reduced[:, :2])
    raw = planted(60).raw
    places = maps_of_parts(stored(tmp_path, raw), K, MapConfig("umap"), Progress.silent())
    assert list(places) == [
        f"{axis}_{name}" for name in ("all", "rest", "rest_umap", "prefix", "prefix_umap") for axis in "xy"
    ]
    for part, columns in part_slices(K, raw.shape[1]).items():
        h = unit_rows(raw[:, columns]).astype(np.float64)
        centred = h - h.mean(0)
        axes = np.linalg.svd(centred)[2][:2]
        own = centred @ (axes * np.sign(axes[[0, 1], np.abs(axes).argmax(1)])[:, None]).T
        np.testing.assert_allclose(places[[f"x_{part}", f"y_{part}"]], own, atol=1e-5)
        if part != "all":
            np.testing.assert_allclose(places[[f"x_{part}_umap", f"y_{part}_umap"]], 2 * own, atol=1e-5)


def test_rows_to_test__a_seeded_sample_of_each_split_with_a_domain():
    is_val, codes = np.arange(100) % 4 == 0, np.where(np.arange(100) < 90, 0, -1)
    rows = rows_to_test(is_val, codes, DomainTestsConfig(sample=20))
    assert is_val[rows].sum() == 20 and (~is_val[rows]).sum() == 20 and rows.max() < 90
    assert np.array_equal(rows, rows_to_test(is_val, codes, DomainTestsConfig(sample=20)))
    everything = rows_to_test(is_val, codes, DomainTestsConfig())
    assert np.array_equal(everything, np.arange(90))


@pytest.mark.slow
def test_step__finds_twins_again_in_every_style(tmp_path, capsys):
    world = "glyphworld?train=40&val=20&size=32&styles=plain,mono"
    folder = str(tmp_path / "study")
    encoder = ["--encoder", "timm:test_resnet", "--input-size", "32", "--resize", "32"]
    assert main(["embed", folder, "--images", world, *encoder, "--workers", "0", "--device", "cpu"]) == 0
    assert main(["features", folder, "--epsilon", "1"]) == 0
    words = ["domains", folder, "--column", "style", "--unseen", "mono", "--prefix", "6", "--device", "cpu"]
    assert main(words) == 0
    assert "base_rate" in capsys.readouterr().out
    study = open_study(folder)
    twins = study.table("domain_twins")
    assert len(twins) == 3 * 2 and twins["n"].eq(20).all() and twins["chance"].eq(0.05).all()
    own = study.array("representations").rows(np.arange(40, 60))
    assert own.shape[1] == 96
    assert twins["r1"].between(0, 1).all() and twins[twins["part"] == "all"]["r1"].mean() > 0.05
    classes = study.table("domain_classes")
    assert set(classes[classes["unseen"]]["domain"]) == {"mono"}
