"""The step `overlap` on a small study whose features are hues, so that it is known where each looks."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from core.analysis import overlap_step
from core.analysis.input_masks import masked_images
from core.analysis.overlap_measuring import map_pairs
from core.answers.requests import add_answer
from core.bases.requests import add_basis
from core.charts.bases_table import bases_table
from core.config import BasisConfig, OverlapConfig
from core.data.masks import CROP
from core.errors import SettingsError, StudyError, UnreadableImage
from core.measures.image_columns import VARIANTS
from core.pipeline import run as pipeline
from core.store import Study, open_study
from core.study.heatmaps import combine
from core.study.progress import Progress
from core.study.writer import write_study
from tests import reference
from tests.data.mask_files import GOLDFISH, TENCH, answers_csv, put_class
from tests.synthetic import draw_scene, make_seen_study, make_study
from tests.tables import column, rows_where

HALF = 4e-3  # maps stored in half precision, against computed ones
TABLES = ("overlap", *(f"overlap_{name}" for name in
          ("summary", "by_class", "sweep", "by_feature", "controls")))  # fmt: skip


def run(step: str, folder: Path, **options: object) -> dict:
    return pipeline.run_step(step, folder, options | {"device": "cpu", "workers": 0}, Progress.silent())


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return make_seen_study(tmp_path_factory.mktemp("seen") / "study")


@pytest.fixture(scope="module")
def seen(folder) -> Study:
    return open_study(folder)


@pytest.fixture
def own_copy(tmp_path) -> Path:
    """Such a study with pictures and masks that a test may spoil."""
    return make_seen_study(tmp_path / "study")


def by_key(table: pd.DataFrame) -> pd.DataFrame:
    return table.set_index(["image_id", "mask"])


@pytest.mark.slow
def test_overlap__of_another_answer_says_correct_by_it_alone(folder, tmp_path):
    copy = Path(shutil.copytree(folder, tmp_path / "study"))
    frame = open_study(copy).images.loc[:, ["image_id", "label"]].rename(columns={"label": "predicted"})
    frame.iloc[::3, 1] = frame["predicted"].iloc[0]
    frame.to_csv(tmp_path / "mine.csv", index=False)
    add_answer(copy, str(tmp_path / "mine.csv"), "mine", {"device": "cpu"}, Progress.silent())
    mine = open_study(copy).answering("mine")
    table = mine.table("overlap_summary")
    row = table[(table["group"] == "correct") & (table["mask"] == "core") & (table["variant"] == "paper")]
    expected = row.set_index(["images", "split"])["mean"]["both masks", "all"]
    assert mine.summary("overlap")["miou_core_correct"] == expected
    assert open_study(copy).summary("overlap")["miou_core_correct"] != expected
    assert set(mine.table("overlap_sweep")["group"]) == {"all"}
    assert set(open_study(copy).table("overlap_sweep")["group"]) > {"all"}


@pytest.mark.slow
def test_overlap__matches_pixel_loops_over_exported_heatmaps_and_masks(seen):
    table = seen.table("overlap")
    assert len(table) == len(seen.masks.table) == table[["image_id", "mask"]].drop_duplicates().shape[0]
    for line in table.itertuples():
        heat, mask = seen.heatmap(line.row), seen.mask(line.row, line.mask)
        expected = reference.overlap(heat, mask, 0.5)
        found = [getattr(line, variant) for variant in VARIANTS]
        assert_allclose(found, [expected[variant] for variant in VARIANTS], rtol=1e-9, atol=1e-12)
        assert_allclose(line.mask_area, mask.mean(), rtol=1e-5)


def test_overlap__says_whose_image_it_is(seen):
    table, images = seen.table("overlap"), seen.images
    assert_array_equal(table["image_id"], images["image_id"].to_numpy()[table["row"]])
    assert_array_equal(table["label"], images["label"].to_numpy()[table["row"]])
    verdicts = seen.table("probe")["correct"].to_numpy()[table["row"]]
    assert_array_equal(table["correct"], verdicts)
    fallback = [seen.heatmap_reader.discriminative(int(row))[1] for row in table["row"]]
    assert_array_equal(table["fallback"], fallback)
    assert 0 < table["fallback"].mean() < 1
    assert (table["note"] == "").all()


def test_overlap__says_which_masks_it_does_not_use(seen, monkeypatch):
    notes: list[str] = []
    masks = SimpleNamespace(report={"notes": ["1 mask without an image: core/odd.png"]})
    monkeypatch.setattr(overlap_step, "Measurer", lambda *_: SimpleNamespace(masks=masks, rows=[]))
    running: Any = SimpleNamespace(progress=SimpleNamespace(note=notes.append), options=None, device=None)
    out: Any = SimpleNamespace()
    overlap_step.compute_overlap(seen, out, OverlapConfig(), running)
    assert notes == ["masks: 1 mask without an image: core/odd.png"] and out.summary["skipped"]


@pytest.mark.slow
def test_overlap_by_feature__matches_loop(seen):
    discriminative = seen.table("features")["discriminative"].to_numpy()
    firing = np.split(seen.vector("firing_features"), np.cumsum(seen.vector("firing_count"))[:-1])
    found: dict[tuple[int, str], list[dict[str, float]]] = {}
    areas: dict[tuple[int, str], list[float]] = {}
    reader = seen.heatmap_reader
    for image_id, kind in seen.masks.table.itertuples(index=False):
        row = seen.row_of(image_id)
        mask = seen.mask(row, kind)
        for feature in set(reader.features_of(row)) & set(firing[row]):
            maps, peaks = reader.maps(row, [feature])
            heat = combine(maps, peaks, "mean", 48)
            found.setdefault((int(feature), kind), []).append(reference.overlap(heat, mask, 0.5))
            areas.setdefault((int(feature), kind), []).append(float(mask.mean()))
    table = seen.table("overlap_by_feature").set_index(["feature", "mask"])
    assert set(table.index) == set(found)
    assert any(not discriminative[feature] for feature, _ in found)  # stored as a top image
    for key, images in found.items():
        line = table.loc[key]
        assert line["n"] == len(images)
        for variant in VARIANTS:
            assert_allclose(line[variant], np.mean([image[variant] for image in images]), atol=1e-6)
        assert_allclose(line["lift"], np.mean([i["energy"] for i in images]) / np.mean(areas[key]), rtol=1e-5)


def test_overlap_by_feature__finds_what_was_planted(seen):
    """Hues in the middle between classes are those of the squares; a class's own hue is its disc's."""
    table = seen.table("overlap_by_feature").set_index(["feature", "mask"])
    assert (table.loc[(0, "core"), "verdict"], table.loc[(0, "spurious"), "verdict"]) == ("core", "core")
    assert set(table["verdict"]) <= {"core", "undecided"}  # no square's hue is discriminative here
    enough = rows_where(table, (table["n"] >= 10)).xs("core", level="mask")
    assert (enough["lift"] > 4).all()


def test_summary__is_the_mean_of_images_with_both_masks(seen):
    table, summary = seen.table("overlap"), seen.summary("overlap")
    both = table[table.groupby("row")["mask"].transform("nunique") == 2]
    assert summary["n_both"] == both["row"].nunique() < table["row"].nunique()
    for mask in ("core", "spurious"):
        chosen = rows_where(both, both["mask"] == mask)
        assert_allclose(summary[f"miou_{mask}"], chosen["paper"].mean())
        assert_allclose(summary[f"miou_{mask}_correct"], chosen.loc[chosen["correct"], "paper"].mean())
    assert summary["threshold"] == 0.5 and summary["masks"]["kind"] == "folder"
    assert "train images" in summary["notes"][0]


def test_overlap_sweep__passes_through_the_threshold(seen):
    sweep, summary = seen.table("overlap_sweep"), seen.summary("overlap")
    line = sweep.query("mask == 'core' and group == 'all' and variant == 'paper' and threshold == 0.5")
    assert_allclose(line["mean"], summary["miou_core"], rtol=1e-6)
    assert line["n"].item() == summary["n_both"]


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.5, float("nan")])
def test_overlap__refuses_a_threshold_that_all_pixels_or_none_reach(seen, threshold):
    with pytest.raises(SettingsError, match="--threshold.*0.*1"):
        run("overlap", seen.path, threshold=threshold)


def test_overlap_controls__rank_as_they_must(seen):
    table = seen.table("overlap_controls").set_index(["mask", "variant", "control"])["mean"]
    paper = table["core"]["paper"]
    assert paper["perfect core"] == 1 and paper["perfect spurious"] < 0.05
    assert paper["perfect core"] > paper["core at map resolution"] > paper["uniform"]
    chosen = seen.table("overlap").query("mask == 'core'")
    both = seen.table("overlap").query("mask == 'spurious'")["row"]
    assert_allclose(
        table["core"]["energy"]["uniform"], chosen.loc[chosen["row"].isin(both), "mask_area"].mean()
    )


def test_overlap__controls_of_single_images_add_up_to_those_of_all(seen):
    """The images with both masks are fewer than those that `overlap_controls` is limited to."""
    table = seen.table("overlap")
    means = seen.table("overlap_controls").set_index(["control", "mask", "variant"])["mean"]
    both = table.loc[table.groupby("row")["mask"].transform("nunique") == 2]
    for kind in ("core", "spurious"):
        mine = both.loc[both["mask"] == kind]
        stored = {"noise": "random", "uniform": "uniform", "centre": "centre"}
        for name, control in (stored | {"ceiling": f"{kind} at map resolution"}).items():
            assert_allclose(mine[f"control_{name}"].mean(), means[control, kind, "paper"], rtol=1e-5)
    assert table.filter(like="control_").notna().all(axis=None)  # also of images with one mask


@pytest.mark.slow
def test_overlap__does_not_depend_on_the_batches(own_copy, seen):
    run("overlap", own_copy, redo=True, batch_size=7)
    again = open_study(own_copy)
    for name in TABLES:
        pd.testing.assert_frame_equal(again.table(name), seen.table(name))


@pytest.mark.slow
@pytest.mark.usefixtures("trusted")
def test_overlap__computes_maps_that_are_not_stored(own_copy, seen):
    with write_study(own_copy) as writer:
        writer.forget("heatmaps")  # and with it that masked images are wanted
    run("heatmaps", own_copy, top=0)
    summary = run("overlap", own_copy)
    assert summary["n_computed"] == 64  # train
    table, expected = open_study(own_copy).table("overlap"), seen.table("overlap")
    assert_array_equal(table["image_id"], expected["image_id"])
    assert_array_equal(table["fallback"], expected["fallback"])
    for variant in ("soft", "energy"):
        assert_allclose(table[variant], expected[variant], atol=HALF)


@pytest.mark.slow
def test_overlap__says_why_images_and_masks_count_for_nothing(own_copy, seen):
    masks, images = (own_copy.with_name("study.input") / part for part in ("masks/core", "images"))
    spoilt, broken, black, faint, gone = seen.images["image_id"].iloc[:5]
    (masks / broken).write_bytes((masks / broken).read_bytes()[:60])
    Image.new("L", (64, 48)).save(masks / black)
    Image.new("L", (64, 48), 90).save(masks / faint)
    (images / spoilt).write_bytes(b"no picture")
    (images / gone).unlink()
    summary = run("overlap", own_copy, redo=True)
    table, expected = by_key(open_study(own_copy).table("overlap")), by_key(seen.table("overlap"))
    notes = column(table, "note").xs("core", level="mask").to_dict()
    assert notes[spoilt].startswith("image: ") and notes[broken].startswith("mask: ")
    assert notes[black] == "empty mask" and notes[faint] == "mask nowhere reaches 0.5"
    for image_id in (spoilt, broken, black):
        assert table.loc[(image_id, "core"), list(VARIANTS)].isna().all()
    assert table.loc[(faint, "core"), ["paper", "binary"]].isna().all()
    assert table.loc[(faint, "core"), "energy"] > 0.3
    kept, there = (
        rows_where(part, ~part.index.get_level_values("image_id").isin([spoilt, broken, black, faint, gone]))
        for part in (table, expected)
    )
    pd.testing.assert_frame_equal(kept, there)
    assert gone not in table.index  # its masks belong to no image any more
    assert summary["n_empty_masks"] == 1
    assert summary["n_unreadable"] == 1 + len(table.loc[spoilt])
    assert summary["n_undefined"] == summary["n_unreadable"] + 2
    first = "masks left out, as they or the image cannot be read, such as the core mask of"
    assert summary["notes"][0].startswith(f"{summary['n_unreadable']} {first} '{spoilt}' (image: ")
    with pytest.raises(UnreadableImage, match=f"^the core mask of '{broken}': "):
        open_study(own_copy).mask(str(broken), "core")


def test_overlap__counts_masks_of_other_proportions_than_their_pictures(own_copy, seen):
    masks = own_copy.with_name("study.input") / "masks/core"
    squashed, *_ = seen.images["image_id"]
    with Image.open(masks / squashed) as mask:
        mask.resize((mask.height * 3, mask.height)).save(masks / squashed)
    summary = run("overlap", own_copy, redo=True)
    (note,) = (note for note in summary["notes"] if getattr(note, "kind", "") == "stretched")
    assert (note.n, note.what, summary["n_stretched"]) == (1, squashed, 1)
    assert seen.summary("overlap")["n_stretched"] == 0


@pytest.mark.slow
def test_overlap__with_no_masks_says_how_to_give_them(own_copy):
    with write_study(own_copy) as writer:
        writer.forget("overlap")
    assert "--masks DIR" in run("overlap", own_copy)["skipped"]
    assert not open_study(own_copy).has("overlap")


@pytest.mark.slow
def test_overlap__of_representations_is_skipped_with_the_reason(tmp_path):
    folder = make_study(tmp_path / "given", n_train=24, n_val=12, pictures=False)
    study = open_study(folder)
    assert study.summary("overlap")["skipped"].startswith("no heatmaps to compare with masks: ")
    with pytest.raises(StudyError, match="representations"):
        study.mask(0, "core")


def test_masked_images__knows_only_images_of_the_study(seen):
    images = seen.images["image_id"]
    table = pd.DataFrame(
        {
            "image_id": [images[5], "elsewhere.png", images[2], images[5]],
            "mask": ["spurious", "core", "core", "core"],
        }  # fmt: skip
    )
    rows, exists = masked_images(seen, SimpleNamespace(table=table))  # pyright: ignore[reportArgumentType]
    assert_array_equal(rows, [2, 5])
    assert_array_equal(exists, [[True, False], [True, True]])


def test_map_pairs__are_the_heatmaps_features_and_others_that_fire(seen):
    rows = np.array([1, 4, 70])
    pairs = map_pairs(seen, rows)
    firing = np.split(seen.vector("firing_features"), np.cumsum(seen.vector("firing_count"))[:-1])
    for image, row in enumerate(rows):
        span = slice(pairs.starts[image], pairs.starts[image + 1])
        features = pairs.features[span]
        chosen, is_fallback = seen.heatmap_reader.discriminative(int(row))
        assert_array_equal(features[pairs.in_heatmap[span]], chosen)
        assert is_fallback == pairs.fallback[image]
        stored = set(seen.heatmap_reader.features_of(int(row))) & set(firing[row])
        assert set(features) == set(chosen) | stored
        assert_array_equal(pairs.fires[span], np.isin(features, firing[row]))
    assert (pairs.places >= 0).all() and not pairs.unstored.any()


def test_feature_keywords__come_from_the_masks_that_the_heat_lies_on(seen):
    ids = seen.images["image_id"]
    features = pd.DataFrame(
        {
            "image_id": [ids[0], ids[1], ids[1], "elsewhere"],
            "kind": pd.Categorical(["core", "core", "spurious", "core"]),
            "keywords": pd.Categorical(["fin; scales", "eye; fin", "water", "never"]),
        }
    )
    pairs = pd.DataFrame(
        {
            "feature": [3, 3, 3, 4, 5],
            "mask": ["core", "core", "spurious", "core", "core"],
            "row": [0, 1, 1, 1, 0],
            "energy": [0.2, 0.7, 0.1, 0.0, np.nan],
        }
    )
    masks = SimpleNamespace(features=features)
    found = overlap_step.feature_keywords(seen, pairs, masks)  # pyright: ignore[reportArgumentType]
    assert found == {(3, "core"): ["eye", "fin", "scales"], (3, "spurious"): ["water"]}
    nothing = SimpleNamespace(features=None)
    assert overlap_step.feature_keywords(seen, pairs, nothing) == {}  # pyright: ignore[reportArgumentType]


@pytest.mark.slow
def test_overlap__with_salient_imagenet(tmp_path, monkeypatch):
    """Its masks lie in their own crop; its keywords come to the features that look at them, and maps of the
    latents of a basis on positions are judged by them.
    """
    rng, masks = np.random.default_rng(0), {59: {}, 981: {}}
    for label, wnid in enumerate((TENCH, GOLDFISH)):
        for number in range(24):
            picture, core, spurious = draw_scene(rng, label, 2)
            name, split = f"{wnid}_{number}", "train" if number < 16 else "val"
            place = tmp_path / "images" / split / wnid / f"{name}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            picture.save(place)
            for feature, shape in ((59, core), (981, spurious)):
                if shape is not None and wnid == TENCH:
                    masks[feature][name] = CROP.pixels(shape.convert("RGB"))[:, :, 0]
    salient = tmp_path / "salient"
    put_class(salient, TENCH, masks)
    (salient / "wordnet_dict.py").write_text(f"{{0: '{TENCH}', 1: '{GOLDFISH}'}}")
    judged = {(0, TENCH, 59, 0): ["main_object"] * 5, (0, TENCH, 981, 1): ["background"] * 5}
    (salient / "discover_spurious_features.csv").write_text(answers_csv(judged))
    encoder = {"encoder": "python:tests.planted_encoder:hues", "device": "cpu", "workers": 0}
    place = {"images": str(tmp_path / "images"), "salient_imagenet": str(salient)}
    given = encoder | place | {"epsilon": "auto", "bootstrap": 50, "lr": 0.1}
    pipeline.analyze(tmp_path / "study", given, Progress.silent())
    study = open_study(tmp_path / "study")
    table = study.table("overlap")
    assert set(table["label"]) == {TENCH} and len(table) == sum(map(len, masks.values()))
    core = rows_where(table, (table["mask"] == "core") & ~table["fallback"])
    assert core["energy"].median() > 0.5 and study.summary("overlap")["miou_core"] > 0.3
    features = study.table("overlap_by_feature")
    words = features.loc[(features["mask"] == "core") & (features["energy"] > 0), "keywords"]
    assert len(words) and words.str.startswith("seen at 59").all()
    for module in ("core.concepts.concept_maps", "core.concepts.concept_features"):
        monkeypatch.setattr(f"{module}.FEWEST", 4)
    monkeypatch.setenv("PEREGRINE_TRUST_STUDIES", "1")
    config = BasisConfig(kind="nmf", size=6, k=2, on="positions", seeds=1)
    add_basis(tmp_path / "study", "sae", config, Progress.silent(), device="cpu")
    bases = bases_table(open_study(tmp_path / "study")).set_index("basis")
    maps = bases.loc["sae", [f"{name}_of_maps" for name in ("ap", "base_rate", "centre_ap")]].astype(float)
    assert (
        maps["ap_of_maps"] > 3 * maps["base_rate_of_maps"] and maps["ap_of_maps"] > maps["centre_ap_of_maps"]
    )
