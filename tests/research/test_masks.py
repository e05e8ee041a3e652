from __future__ import annotations

import pickle
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from core.data.images import open_images
from core.data.mask_source import MaskSource
from core.data.masks import open_masks, reopen_masks
from core.data.source import ImageSource
from core.errors import MaskError, UnreadableImage
from tests.data.mask_files import (
    GOLDFISH,
    TENCH,
    NamedImages,
    answers,
    answers_csv,
    imagenet,
    put_class,
    put_masks,
    salient_folder,
    soft,
)
from tests.data.pictures import make_folder

LEVEL = 2 / 255  # what a JPEG of one level may be off
ALL = (f"{TENCH}_1", f"{TENCH}_2", f"{TENCH}_3", f"{GOLDFISH}_7")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return salient_folder(tmp_path / "salient")


def opened(root: Path, source: ImageSource | None = None, annotations: Path | None = None) -> MaskSource:
    source = source or imagenet(*ALL)
    masks = open_masks(salient_imagenet=root, annotations=annotations, source=source)
    assert masks is not None
    return masks


def error(root: Path, source: ImageSource | None = None, annotations: Path | None = None) -> str:
    with pytest.raises(MaskError) as raised:
        opened(root, source, annotations)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def table(masks: MaskSource) -> list[tuple[str, str]]:
    names = (Path(image_id).stem for image_id in masks.table["image_id"])
    return list(zip(names, masks.table["mask"], strict=True))


def test_salient__core_and_spurious_masks_of_its_images(root):
    masks = opened(root)
    assert masks.kind == "salient_imagenet"
    assert table(masks) == [
        (f"{TENCH}_1", "core"),
        (f"{TENCH}_1", "spurious"),
        (f"{TENCH}_2", "core"),
        (f"{TENCH}_3", "spurious"),
        (f"{GOLDFISH}_7", "core"),
        (f"{GOLDFISH}_7", "spurious"),
    ]
    levels = [200, 40, 100, 250, 160, 80]
    for (image_id, kind), level in zip(masks.table.itertuples(index=False), levels, strict=True):
        mask = masks.read(image_id, kind)
        assert mask.shape == (4, 4) and mask.dtype == np.float32
        assert_allclose(mask, level / 255, atol=LEVEL)
        assert masks.frame(image_id, kind) == "crop"


def test_salient__several_features_of_a_kind_are_joined_by_their_maximum(tmp_path):
    left, right = soft(30, (8, 8)), soft(30, (8, 8))
    left[:, :4], right[:, 4:] = 220, 120
    names = {59: {f"{TENCH}_1": left}, 686: {f"{TENCH}_1": right}, 981: {f"{TENCH}_1": 255}}
    put_class(tmp_path, TENCH, names)
    (tmp_path / "wordnet_dict.py").write_text(f"{{0: '{TENCH}'}}")
    judged = {(0, TENCH, 59, 1): answers(2), (0, TENCH, 686, 2): answers(0), (0, TENCH, 981, 3): answers(4)}
    (tmp_path / "discover_spurious_features.csv").write_text(answers_csv(judged))
    masks = opened(tmp_path, imagenet(f"{TENCH}_1"))
    mask = masks.read(f"train/{TENCH}/{TENCH}_1.JPEG", "core")
    assert_allclose(mask[:, :4], 220 / 255, atol=5 / 255)
    assert_allclose(mask[:, 4:], 120 / 255, atol=5 / 255)


def test_salient__masks_of_other_sizes_are_brought_to_the_largest(tmp_path, root):
    put_masks(root, {f"{TENCH}/feature_59/{TENCH}_1.JPEG": soft(20, (8, 8))})
    put_class(root, TENCH, {59: {f"{TENCH}_1": soft(20, (8, 8))}, 60: {f"{TENCH}_1": soft(90, (3, 3))}})
    judged = {(0, TENCH, 59, 1): answers(0), (0, TENCH, 60, 2): answers(0)}
    other = tmp_path / "other.csv"
    other.write_text(answers_csv(judged))
    mask = opened(root, annotations=other).read(f"train/{TENCH}/{TENCH}_1.JPEG", "core")
    assert mask.shape == (8, 8)
    assert_allclose(mask, 90 / 255, atol=LEVEL)


def test_salient__a_mask_that_is_not_square_is_no_crop(root):
    put_masks(root, {f"{TENCH}/feature_59/{TENCH}_1.JPEG": soft(20, (6, 8))})
    masks = opened(root)
    with pytest.raises(UnreadableImage, match="8.*6.*square"):
        masks.read(f"train/{TENCH}/{TENCH}_1.JPEG", "core")


@pytest.mark.parametrize("channels", [1, 3])
def test_salient__gray_and_rgb_masks_and_black_ones(root, channels):
    black = np.zeros((8, 8, 3), np.uint8) if channels == 3 else soft(0, (8, 8))
    put_masks(root, {f"{TENCH}/feature_59/{TENCH}_1.JPEG": black})
    gray = np.full((8, 8, 3), 140, np.uint8)[..., :channels].squeeze()
    put_masks(root, {f"{TENCH}/feature_59/{TENCH}_2.JPEG": gray})
    masks = opened(root)
    assert not masks.read(f"train/{TENCH}/{TENCH}_1.JPEG", "core").any()
    assert_allclose(masks.read(f"train/{TENCH}/{TENCH}_2.JPEG", "core"), 140 / 255, atol=LEVEL)


def test_salient__features_and_what_workers_wrote(root):
    masks = opened(root)
    features = masks.features
    assert features is not None
    assert list(features) == ["image_id", "class", "wnid", "feature", "kind", "rank", "keywords"]
    rows = [(Path(row[0]).stem, *row[1:]) for row in features.itertuples(index=False, name=None)]
    reasons = {name: f"seen at {name}, as main_object" for name in (59, 981)}
    assert rows[0] == (f"{TENCH}_1", 0, TENCH, 59, "core", 1, reasons[59])
    both = "seen at 981, as background; seen at 981, as separate_object"
    assert rows[1] == (f"{TENCH}_1", 0, TENCH, 981, "spurious", 2, both)
    assert [row[:5] for row in rows[2:]] == [
        (f"{TENCH}_2", 0, TENCH, 59, "core"),
        (f"{TENCH}_3", 0, TENCH, 981, "spurious"),
        (f"{GOLDFISH}_7", 1, GOLDFISH, 59, "spurious"),
        (f"{GOLDFISH}_7", 1, GOLDFISH, 316, "core"),
    ]
    assert masks.keywords[TENCH, 981] == both.split("; ")
    assert set(masks.keywords) == {(TENCH, 59), (TENCH, 981), (GOLDFISH, 59), (GOLDFISH, 316)}


def test_salient__report(root):
    source = imagenet(*ALL[:2], f"{TENCH}_99", "n99999999_1")
    report = opened(root, source).report
    counts = {"n_images": 4, "n_matched": 2, "n_core": 2, "n_spurious": 1, "n_both": 1, "n_masks": 4}
    assert counts.items() <= report.items()
    assert report["n_unmatched_masks"] == 2
    assert report["unmatched_masks"] == [f"{TENCH}/{TENCH}_3", f"{GOLDFISH}/{GOLDFISH}_7"]
    assert report["n_missing_masks"] == report["n_missing_classes"] == report["n_unjudged_features"] == 0
    assert report["notes"] == [
        "2 of 4 images have a mask, be it empty (2 core, 1 spurious, 1 both)",
        "workers rated 4 class-feature pairs: 2 core, 2 spurious",
    ]


# What may be missing


def test_salient__missing_class_folder(root):
    shutil.rmtree(root / TENCH)
    masks = opened(root)
    assert {name for name, _ in table(masks)} == {f"{GOLDFISH}_7"}
    assert masks.report["n_missing_classes"] == 1 and masks.report["missing_classes"] == [TENCH]
    assert f"1 class folder missing: {TENCH}" in masks.report["notes"]
    assert "none of the 1 image with masks" in error(root, imagenet(*ALL[:3]))
    shutil.rmtree(root / GOLDFISH)
    message = error(root)
    assert all(part in message for part in ("2", "classes")) and f"{TENCH}/" in message


def test_salient__missing_masks(root):
    (root / TENCH / f"feature_59/{TENCH}_1.JPEG").unlink()
    shutil.rmtree(root / TENCH / "feature_981")
    masks = opened(root)
    assert table(masks)[:2] == [(f"{TENCH}_2", "core"), (f"{GOLDFISH}_7", "core")]
    assert masks.report["n_missing_masks"] == 3
    assert masks.report["missing_masks"][0] == f"{TENCH}/feature_59/{TENCH}_1.JPEG"
    with pytest.raises(UnreadableImage, match="mask"):
        masks.read(f"train/{TENCH}/{TENCH}_1.JPEG", "core")


def test_salient__all_masks_missing(root):
    for folder in root.glob("*/feature_*"):
        shutil.rmtree(folder)
    message = error(root)
    assert "4" in message and "6" in message and "missing" in message


def test_salient__features_that_nobody_judged(root):
    judged = {(0, TENCH, 59, 1): answers(0)}
    (root / "discover_spurious_features.csv").write_text(answers_csv(judged))
    masks = opened(root)
    assert table(masks) == [(f"{TENCH}_1", "core"), (f"{TENCH}_2", "core")]
    assert masks.report["n_unjudged_features"] == 3
    (root / "discover_spurious_features.csv").write_text(answers_csv({(0, TENCH, 1, 1): answers(0)}))
    assert "no answers for 4 features" in error(root)


@pytest.mark.parametrize(
    "content", [None, "", "59,981\n,\n", "a,b\nx,y\n", "9" * 5000 + ",²,99999999999\nx,y,z\n"]
)
def test_salient__names_file_missing_or_empty(root, content):
    path = root / TENCH / "image_names_map.csv"
    path.unlink() if content is None else path.write_text(content)
    masks = opened(root)
    assert {name for name, _ in table(masks)} == {f"{GOLDFISH}_7"}
    note = f"1 class without a readable image_names_map.csv: {TENCH}"
    assert (note in masks.report["notes"]) == (content is None)
    shutil.rmtree(root / GOLDFISH)
    assert "no image is listed" in error(root)


def test_salient__names_with_extension_blank_cells_and_an_index_column(root):
    names = f",59,981\n0,{TENCH}_1.JPEG, {TENCH}_3 \n1,,{TENCH}_3\n2,{TENCH}_1\n"
    (root / TENCH / "image_names_map.csv").write_text(names)
    features = opened(root).features
    assert features is not None
    tench = features[features["wnid"] == TENCH]
    assert list(zip(tench["feature"], [Path(one).stem for one in tench["image_id"]], strict=True)) == [
        (59, f"{TENCH}_1"),
        (981, f"{TENCH}_3"),
    ]


# Where the answers lie


def test_salient__answers_beside_the_data_or_given(tmp_path, root):
    usual = (root / "discover_spurious_features.csv").rename(tmp_path / "answers.csv")
    message = error(root)
    assert "no discover_spurious_features.csv" in message and "--annotations" in message
    assert len(opened(root, annotations=usual).table) == 6
    assert "no such file of annotations" in error(root, annotations=tmp_path / "gone.csv")
    beside = tmp_path / "mturk_results"
    beside.mkdir()
    usual.rename(beside / "discover_spurious_features.csv")
    assert len(opened(root).table) == 6


# Which image a mask belongs to


@pytest.mark.parametrize(
    ("image_id", "label"),
    [
        (f"{TENCH}/{TENCH}_1.JPEG", None),
        (f"train/{TENCH}/{TENCH}_1.JPEG", None),
        (f"train/{TENCH}/{TENCH}_1.png", None),
        (f"/data/ILSVRC/Data/CLS-LOC/train/{TENCH}/{TENCH}_1.JPEG", None),
        (f"imagenet-train-0003/{TENCH}_1", "tench"),
        (f"train/tench/{TENCH}_1.JPEG", "tench"),
        (f"train/{TENCH}/{TENCH}_1_{TENCH}.JPEG", None),
        (f"{TENCH}_1.JPEG", None),
    ],
)
def test_salient__ids_of_an_image(root, image_id, label):
    masks = opened(root, NamedImages([image_id, "else/1.jpg"], [label, None]))
    assert masks.table["image_id"].tolist() == [image_id] * 2
    assert_allclose(masks.read(image_id, "core"), 200 / 255, atol=LEVEL)


def test_salient__an_image_in_another_class_folder_has_no_masks(root):
    masks = opened(root, NamedImages([f"{GOLDFISH}/{TENCH}_1.JPEG", f"{TENCH}/{TENCH}_2.JPEG"]))
    assert masks.table["image_id"].tolist() == [f"{TENCH}/{TENCH}_2.JPEG"]
    assert "none of the 4 images" in error(root, NamedImages([f"{GOLDFISH}/{TENCH}_1.JPEG"]))
    again = reopen_masks(masks.describe(), masks.source)  # pyright: ignore
    with pytest.raises(UnreadableImage, match="mask"):
        again.read(f"{GOLDFISH}/{TENCH}_1.JPEG", "core")


def plain_names(root: Path) -> Path:
    """Image names that do not say their class: `a` and `b` of tench, `b` of goldfish."""
    for wnid in (TENCH, GOLDFISH):
        shutil.rmtree(root / wnid)
    put_class(root, TENCH, {59: {"a": 50, "b": 60}})
    put_class(root, GOLDFISH, {316: {"b": 70}})
    return root


def test_salient__a_name_alone_where_it_is_unique(root):
    plain_names(root)
    masks = opened(root, NamedImages(["fish/a.jpg", "fish/b.jpg"]))
    assert masks.table["image_id"].tolist() == ["fish/a.jpg"]
    assert "1 name not used, ambiguous between several images or classes: b" in masks.report["notes"]
    labelled = opened(root, NamedImages(["fish/a.jpg", "fish/b.jpg"], [TENCH, GOLDFISH]))
    assert_allclose(labelled.read("fish/b.jpg", "core"), 70 / 255, atol=LEVEL)
    twice = error(root, NamedImages(["fish/a.jpg", "other/a.jpg"]))
    assert "1 name would match several images" in twice


def test_salient__paths_where_ids_say_nothing(root):
    paths = [f"train/{TENCH}/{TENCH}_3.JPEG", f"train/{TENCH}/{TENCH}_2.JPEG"]
    masks = opened(root, NamedImages(["1", "2"], paths=paths))
    assert list(masks.table.itertuples(index=False, name=None)) == [("1", "spurious"), ("2", "core")]
    again = reopen_masks(masks.describe(), NamedImages(["1", "2"], paths=paths))
    assert_allclose(again.read("2", "core"), 100 / 255, atol=LEVEL)


def test_salient__of_a_real_folder_of_images(tmp_path, root):
    names = [f"train/{TENCH}/{name}.JPEG" for name in ALL[:3]] + [f"train/{GOLDFISH}/{ALL[3]}.JPEG"]
    make_folder(tmp_path / "imagenet", [*names, f"val/{TENCH}/ILSVRC2012_val_00000001.JPEG"])
    masks = opened(root, open_images(tmp_path / "imagenet"))
    assert masks.report["n_matched"] == 4 and masks.report["n_images"] == 5


# Reopened, changed


def test_salient__reopened_reads_one_class_without_listing(root):
    masks = opened(root)
    again = pickle.loads(pickle.dumps(reopen_masks(masks.describe(), imagenet(*ALL))))
    for image_id, kind in masks.table.itertuples(index=False):
        assert_array_equal(again.read(image_id, kind), masks.read(image_id, kind))
    for image_id, kind in ((f"train/{TENCH}/{TENCH}_2.JPEG", "spurious"), (f"val/{TENCH}/x.JPEG", "core")):
        with pytest.raises(UnreadableImage, match=f"no {kind} mask"):
            again.read(image_id, kind)
    assert "listing" not in again.__dict__
    assert again.report == masks.report and again.fingerprint() == masks.fingerprint()
    assert again.table.equals(masks.table) and again.features.equals(masks.features)


def test_salient__fingerprint_follows_masks_and_answers(root):
    before = opened(root).fingerprint()
    assert opened(root).fingerprint() == before
    put_masks(root, {f"{TENCH}/feature_59/{TENCH}_2.JPEG": soft(9, (32, 32))})
    changed = opened(root).fingerprint()
    judged = {(0, TENCH, 59, 1): answers(5), (0, TENCH, 981, 2): answers(5)}
    (root / "discover_spurious_features.csv").write_text(answers_csv(judged))
    judged_anew = opened(root).fingerprint()
    path = root / "discover_spurious_features.csv"
    path.write_text(path.read_text().replace("seen at", "looks like"))  # the words are shown, too
    assert len({before, changed, judged_anew, opened(root).fingerprint()}) == 4


# Bad input


def test_salient__matches_nothing(root):
    message = error(root, NamedImages(["dog/1.jpg", "cat/2.jpg"]))
    assert "4" in message and "2" in message and "images" in message
    assert f"'{TENCH}/{TENCH}_1.JPEG'" in message and "'dog/1.jpg'" in message


def test_salient__not_its_folder(tmp_path, root):
    (tmp_path / "salient/x").mkdir()
    assert "no wordnet_dict.py" in error(root / TENCH)
    assert f"It is in '{root}'" in error(tmp_path)
    assert "'salient'" in error(tmp_path / "salien")
    assert "is a file" in error(root / "wordnet_dict.py")


def test_salient__wordnet_dict_is_never_run(root):
    text = f"{{0: __import__('pathlib').Path({str(root / 'MARK')!r}).touch() or '{TENCH}'}}"
    (root / "wordnet_dict.py").write_text(text)
    assert "will not be executed" in error(root)
    assert not (root / "MARK").exists()


def test_salient__a_mask_that_cannot_be_read(root):
    (root / TENCH / f"feature_59/{TENCH}_1.JPEG").write_bytes(b"<html>")
    with pytest.raises(UnreadableImage, match="HTML"):
        opened(root).read(f"train/{TENCH}/{TENCH}_1.JPEG", "core")


# Size


def test_salient__opens_no_mask_and_scales(tmp_path, monkeypatch):
    wnids = [f"n{number:08d}" for number in range(12)]
    for number, wnid in enumerate(wnids):
        columns = "\n".join(",".join(f"{wnid}_{row * 5 + f}" for f in range(5)) for row in range(65))
        (tmp_path / wnid).mkdir()
        (tmp_path / wnid / "image_names_map.csv").write_text(f"0,1,2,3,{number + 4}\n{columns}\n")
        for feature in (0, 1, 2, 3, number + 4):
            folder = tmp_path / wnid / f"feature_{feature}"
            folder.mkdir()
            for row in range(65):
                (folder / f"{wnid}_{row * 5 + min(feature, 4)}.JPEG").touch()
    (tmp_path / "wordnet_dict.py").write_text(str(dict(enumerate(wnids))))
    judged = {
        (number, wnid, feature, 1): answers(number % 6)
        for number, wnid in enumerate(wnids)
        for feature in (0, 1, 2, 3, number + 4)
    }
    (tmp_path / "discover_spurious_features.csv").write_text(answers_csv(judged))
    ids = [f"train/{wnid}/{wnid}_{n}.JPEG" for wnid in wnids for n in range(2000)]
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("a mask was opened"))
    start = time.process_time()
    masks = opened(tmp_path, NamedImages(ids))
    assert masks.report["n_matched"] == 12 * 325 and len(masks.table) == 12 * 325
    assert time.process_time() - start < 15  # takes 0.3 s
