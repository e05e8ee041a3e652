"""Every kind of images through `analyze`, `info` and `export`, and what these promise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from core.encoders.registry import load_encoder
from core.store import open_study
from tests.command_line import QUICK, SMALL, analyzed, contents, info_of, photos, sharp_representations
from tests.data.pictures import make_tar, picture
from tests.sampling import sample

STEPS = ["embed", "features", "neighbours", "probe", "quality", "heatmaps", "overlap"]
STEPS += ["concepts", "failures"]
PROMISED = (
    "epsilon k n_images n_skipped n_features n_discriminative accuracy q_auroc q_auprc base_rate miou_core "
    "miou_spurious"
)
COLUMNS = {
    "images": "image_id path split label",
    "features": "feature mean std activation_rate tail discriminative top_class purity",
    "quality": "image_id split q_score n_firing n_firing_discriminative norm max_activation q_all_features "
    "hoyer knn_similarity predicted confidence margin energy correct "
    "distinctiveness raw_distinctiveness soft_q whitened_norm pca_residual "
    "gen nnguide fdbd she vim_residual",
    "skipped": "path reason",
}


def image_table(folder: Path) -> pd.DataFrame:
    photos(folder, {"a": 10, "b": 10})
    names = [f"{label}/{number}.png" for label in "ab" for number in range(10)]
    splits = ["train" if number < 6 else "val" for _ in "ab" for number in range(10)]
    return pd.DataFrame({"path": names, "label": [name[0] for name in names], "split": splits, "depth": 1.5})


def source_of(kind: str, folder: Path) -> str:
    """What to give to --images: two classes, and eight evaluation images, the fewest that make a probe."""
    if kind == "csv":
        table = image_table(folder)
        table.to_csv(folder / "list.csv", index=False)
        return str(folder / "list.csv")
    if kind == "parquet":
        table = image_table(folder)
        table.to_parquet(folder / "list.parquet")
        return str(folder / "list.parquet")
    if kind == "shards":
        for shard, numbers in (
            ("train-000", range(8)),
            ("train-001", range(8, 12)),
            ("val-000", range(12, 20)),
        ):
            members = {
                f"{n:04d}.{end}": (picture(n) if end == "png" else n % 2)
                for n in numbers
                for end in ("png", "cls")
            }
            make_tar(folder / f"{shard}.tar", members)
        return str(folder)
    if kind == "split folders":
        photos(folder / "train", {"a": 6, "b": 6})
        photos(folder / "val", {"a": 4, "b": 4})
        return str(folder)
    if kind == "torchvision":
        return "torchvision:FakeData?size=40&image_size=(3,16,16)&num_classes=2"
    return "glyphworld?train=40&val=20"


KINDS = ["csv", "shards", "split folders", "torchvision", "parquet", "glyphworld"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", sample(KINDS, 2))
def test_source__dry_run_writes_nothing_then_analyze_keeps_every_promise(run, tmp_path, kind):
    images = source_of(kind, tmp_path / "images")
    before = contents(tmp_path)
    words = ("analyze", tmp_path / "study", "--images", images, *SMALL, *QUICK, "--dry-run")
    outcome, plan = run(*words), json.loads(run(*words, "--json").out)
    assert outcome.code == 0 and "written" in outcome.out
    assert plan["seconds"] > 0 and plan["bytes"] > 0 and contents(tmp_path) == before

    study = analyzed(run, tmp_path / "study", images)
    info = info_of(run, study.path)
    assert set(PROMISED.split()) <= set(info)
    assert info["n_images"] == plan["images"]["n_images"] == len(study.images)
    assert [step for step in STEPS if study.state(step) == "done"] == STEPS and not info["missing"]
    assert 0 <= info["accuracy"] <= 1 and info["n_features"] == 512 and info["epsilon"] == 1.5
    assert study.image(study.images["image_id"].iloc[-1]).mode == "RGB"
    for table, columns in COLUMNS.items():
        out = tmp_path / f"{table}.parquet"
        assert run("export", study.path, table, "-o", out).code == 0
        assert list(pd.read_parquet(out).columns) == columns.split()
    assert run("verify", study.path).code == 0


@pytest.mark.slow
def test_source__further_columns_come_along(run, tmp_path):
    study = analyzed(run, tmp_path / "study", source_of("csv", tmp_path / "images"))
    assert list(study.images["image_id"])[:2] == ["a/0.png", "a/1.png"]
    out = tmp_path / "more.csv"
    assert run("export", study.path, "attributes", "-o", out, "--slice", "depth=1..2 split=val").code == 0
    assert out.read_text().splitlines()[0] == "depth,image_id" and len(out.read_text().splitlines()) == 9


@pytest.mark.slow
def test_flat_folder__everything_without_labels_and_why_the_rest_is_not_there(run, tmp_path):
    study = analyzed(run, tmp_path / "study", photos(tmp_path / "photos", {"": 20}))
    info = info_of(run, study.path)
    assert info["n_classes"] == 0 and info["accuracy"] is None and info["q_auroc"] is None
    assert "label" in info["skipped_steps"]["probe"] and "no labels" in run("info", study.path).out
    for table in ("quality", "features", "images", "neighbours"):
        assert run("export", study.path, table, "-o", tmp_path / f"{table}.csv").code == 0
    quality = pd.read_csv(tmp_path / "quality.csv")
    assert quality["q_score"].notna().all()
    assert quality[["predicted", "correct", "energy"]].isna().to_numpy().all()
    assert "label" in run("export", study.path, "probe", "-o", tmp_path / "probe.csv").error


@pytest.mark.slow
@pytest.mark.parametrize("table", [True, False], ids=["with a table", "nothing but the .npy"])
def test_own_representations(run, tmp_path, table):
    raw = sharp_representations(40, 2)
    np.save(tmp_path / "raw.npy", raw)
    words = ["--representations", tmp_path / "raw.npy"]
    if table:
        rows = pd.DataFrame({"image_id": [f"x{i}" for i in range(40)], "label": ["a", "b"] * 20})
        rows.to_csv(tmp_path / "rows.csv", index=False)
        words += ["--images", tmp_path / "rows.csv"]
    dry = run("analyze", tmp_path / "study", *words, *QUICK, "--dry-run")
    assert dry.code == 0, dry.err
    assert not (tmp_path / "study").exists()
    outcome = run("analyze", tmp_path / "study", *words, *QUICK)
    assert outcome.code == 0, outcome.err
    info = info_of(run, tmp_path / "study")
    assert info["n_images"] == 40 and info["encoder_name"] == "raw.npy"
    assert (info["accuracy"] is not None) == table
    assert run("export", tmp_path / "study", "representations", "-o", tmp_path / "out.npy").code == 0
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), raw)
    first = "x0" if table else "0"
    assert open_study(tmp_path / "study").images["image_id"].iat[0] == first


@pytest.mark.slow
def test_export__features_in_percent_and_raw_representations_in_order(run, tmp_path):
    study = analyzed(run, tmp_path / "study", photos(tmp_path / "photos", {"a": 8, "b": 8}))
    assert run("export", study.path, "features", "-o", tmp_path / "f.csv").code == 0
    assert run("export", study.path, "representations", "-o", tmp_path / "r.npy").code == 0
    raw = np.load(tmp_path / "r.npy")
    assert raw.dtype == np.float32 and raw.shape == (16, 512)
    encoder = load_encoder("timm:resnet10t", input_size=32, resize=32)
    for row, image_id in enumerate(study.images["image_id"]):
        pixels = torch.from_numpy(encoder.transform.pixels(study.image(image_id)))[None]
        np.testing.assert_allclose(raw[row], encoder.represent(pixels)[0], rtol=1e-4, atol=1e-5)

    features = pd.read_csv(tmp_path / "f.csv")
    h = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    h = h[~study.is_val]
    fires = h > h.mean(1, keepdims=True) + 1.5 * h.std(1, keepdims=True)
    np.testing.assert_allclose(features["activation_rate"], 100 * fires.mean(0))
    np.testing.assert_allclose(features["mean"], h.mean(0), rtol=1e-4, atol=1e-7)
    assert set(features["tail"]) <= {"lower", "middle", "upper"}
    assert (features.loc[features["activation_rate"] == 0, "tail"] == "lower").all()


def changed(before: dict[str, bytes], after: dict[str, bytes]) -> set[str]:
    return {name.split("/")[0] for name in after if after[name] != before.get(name)}


@pytest.mark.slow
def test_steps__only_what_hangs_on_a_change_is_redone(run, tmp_path):
    images = photos(tmp_path / "photos", {"a": 20, "b": 20})
    study = analyzed(run, tmp_path / "study", images).path
    first = contents(study)
    analyzed(run, study, images)
    assert contents(study) == first
    analyzed(run, study, images, "--lr", "0.3")  # a later option wins
    second = contents(study)
    assert "probe_weights" in changed(first, second)
    assert not changed(first, second) & {
        "representations",
        "features.parquet",
        "neighbours",
        "images.parquet",
    }
    (images / "a" / "new.png").write_bytes(picture(99))
    analyzed(run, study, images, "--lr", "0.3")
    third = contents(study)
    assert {"representations", "images.parquet", "features.parquet", "quality.parquet"} <= changed(
        second, third
    )
    assert info_of(run, study)["n_images"] == 41


@pytest.mark.slow
def test_info__shows_assumptions_dropped_keys_and_a_short_name(run, tmp_path):
    state = load_encoder("timm:resnet10t").base.state_dict()
    pretext = {f"backbone.{key}": value for key, value in state.items()}
    pretext |= {"projector.0.weight": torch.zeros(4, 512), "projector.0.bias": torch.zeros(4)}
    path = tmp_path / "a long" / "way" / "down" / "model.ckpt"
    path.parent.mkdir(parents=True)
    torch.save({"state_dict": pretext}, path)
    encoder = ("--encoder", f"timm:resnet10t@{path}", "--input-size", "32")
    images = photos(tmp_path / "photos", {"a": 8, "b": 8})
    dry = run("analyze", tmp_path / "study", "--images", images, *encoder, *QUICK, "--dry-run")
    assert dry.code == 0 and "projector (2)" in dry.out
    assert run("analyze", tmp_path / "study", "--images", images, *encoder, *QUICK).code == 0
    info, text = info_of(run, tmp_path / "study"), run("info", tmp_path / "study").out
    assert info["encoder"].endswith(str(path)) and info["encoder_name"] == "model.ckpt"
    assert open_study(tmp_path / "study").encoder_name == "model.ckpt"
    assert "model.ckpt, layer" in text and str(path.parent) not in text
    assert info["checkpoint"]["dropped"] == {"projector": 2} and all(
        part in text for part in ("representation", "(2)")
    )
    assert info["assumptions"] and all(line in text for line in info["assumptions"])
