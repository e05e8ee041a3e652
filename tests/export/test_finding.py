"""What a study found, in one sentence: twelve kinds of study, each written through the real writer."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.export.finding import study_finding
from core.export.summary import info
from core.slices.highlights import WorstSlice
from core.slices.slice import Slice
from core.storage.writer import write_study
from core.store import Study, open_study
from tests.sentences import numbers, without_numbers
from tests.slices.inspection.worlds import VARIANTS, verdicts, write_array, write_firing

WORDS = ("grass", "sky", "green grass", "brick", "yellow")  # of features that fire on ever fewer images
N_FEATURES = len(WORDS)


def write(
    folder: Path,
    *,
    n: int = 80,
    classes: tuple[str, ...] = ("ant", "bee"),
    wrong_small: float = 0.9,
    wrong: float = 0.05,
    labels: str = "all",
    words: bool = True,
    under_heat: float = 1.0,
    heat: float | None = None,
    until: str = "",
    head: bool = False,
    probe: bool = True,
    outputs: bool = False,
) -> Study:
    """Make a study of n evaluation images, an eighth of them of small objects, and as many train images.

    Args:
        wrong_small, wrong: share of the small and of the other evaluation images that are misclassified.
        labels: all, none, or only of the images of the split train. until: the step after which it ended.
        heat: share of the heat on the objects, which take half of each image.
        outputs: the encoder comes with a linear classifier of two classes.
    """
    rows = np.arange(2 * n)
    split, place = np.where(rows < n, "train", "val"), rows % n
    small, of = place % 8 == 0, np.array(classes, object)[place // 8 % len(classes)]
    order = np.where(small, place // 8 / (n / 8), (place - place // 8 - 1) / (n - n / 8))
    right = order >= np.where(small, wrong_small, wrong)
    others = np.array([classes[(classes.index(name) + 1) % len(classes)] for name in of], object)
    answers, ids = np.where(right, of, others), [f"{row:04d}" for row in rows]
    seen = np.full(2 * n, labels == "all") | ((labels == "train") & (split == "train"))
    correct = [bool(one) if known else None for one, known in zip(right, seen, strict=True)]
    firing = rows[:, None] % (np.arange(N_FEATURES) + 2) == 0
    with write_study(folder) as writer:
        with writer.step("embed", {}) as step:
            label = pd.Series(of, dtype="str").where(seen)
            step.table("images", pd.DataFrame({"image_id": ids, "path": ids, "split": split, "label": label}))
            size = np.where(small, "small", "large")
            step.table("attributes", pd.DataFrame({"image_id": ids, "size": size}))
            write_array(step, "representations", np.ones((2 * n, N_FEATURES), np.float32), 32)
            if outputs:
                step.table("head_classes", pd.DataFrame({"name": ["fox", "owl"], "wordnet": ""}))
                step.vector("head_weights", np.eye(2, N_FEATURES, dtype=np.float32))
            step.summary = {"n_images": 2 * n}
        if until == "embed":
            return open_study(folder)
        with writer.step("features", {"epsilon": 4.0}, ("representations", "images")) as step:
            write_firing(step, firing, by_row=True)
            told = {"activation_rate": 40.0, "discriminative": True}
            step.table("features", pd.DataFrame({"feature": range(N_FEATURES)} | told))
        if words:
            with writer.step("concepts", {}, ("representations",)) as step:
                told_by = {"group": [*map(str, range(N_FEATURES))], "rank": 1, "word": WORDS, "kept": True}
                step.table("concepts", pd.DataFrame(told_by | {"under_heat": under_heat}))
        if until == "concepts":
            return open_study(folder)
        table = verdicts(ids, list(map(str, answers)), correct, pd.DataFrame({"confidence": right}))
        table = table.assign(margin=0.1, energy=1.0, top5_correct=True)
        if probe and (head or labels != "none"):
            name = "answer_head" if head else "probe"
            with writer.step("answers" if head else "probe", {}, ("representations",)) as step:
                step.table(name, table)
                fact = {"kind": "head", "n_matched": 2 * n, "n_outputs": len(classes)}
                step.summary = {"answers": {"head": fact}} if head else {"top1": 0.5}
        if heat is not None:
            about = {"image_id": ids, "row": rows.astype("int32"), "mask": "core", "mask_area": 0.5}
            with writer.step("overlap", {}, ("images",)) as step:
                step.table("overlap", pd.DataFrame(about | dict.fromkeys(VARIANTS, heat)))
    return open_study(folder)


SEES = "Sees grass, sky and brick"  # not "green grass", which names no other thing
KINDS = {
    "good": ({}, f"{SEES}; fails on small objects"),
    "useless": (
        {"wrong_small": 0.5, "wrong": 0.5},
        "Does no better than always answering “ant” (50 % correct against 50 %): "
        "try another encoder or layer",
    ),
    "useless own head": (
        {"wrong_small": 0.5, "wrong": 0.5, "head": True},
        "Does no better than always answering “ant” (50 % correct against 50 %): "
        "check the order of its classes, and the pixels",
    ),
    "no labels": ({"labels": "none"}, "Groups these images by grass, sky and brick"),
    "one class": ({"classes": ("ant",), "probe": False}, "Groups these images by grass, sky and brick"),
    "tiny": (
        {"n": 16, "wrong": 0.4},
        "Too few images: 16 evaluation images cannot tell whether it beats always answering “ant” "
        "(50 % correct against 50 %)",
    ),
    "unlabelled evaluation": ({"labels": "train"}, f"{SEES}; no evaluation image tells where it goes wrong"),
    "own head": ({"head": True}, f"{SEES}; its own classifier fails on small objects"),
    "masks, heat on the background": (
        {"heat": 0.2},
        f"{SEES}, more at the background than at the object; fails on small objects",
    ),
    "no masks, words of scenes": (
        {"under_heat": 0.1, "wrong_small": 0.35, "n": 160},
        "Reacts to scenes with grass, sky and brick; is weaker on small objects (35 % wrong, elsewhere 5 %)",
    ),
    "no CLIP": ({"words": False}, "A linear probe fails on small objects"),
    "finished halfway": ({"until": "concepts"}, f"{SEES}; where it goes wrong is still to come"),
    "all correct": ({"wrong_small": 0.0, "wrong": 0.0}, f"{SEES}; is right on all 80 images"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_finding__of_twelve_kinds_of_study(tmp_path, kind):
    options, sentence = KINDS[kind]
    study = write(tmp_path / "study", **options).answering()
    assert study_finding(study) == sentence == info(study)["finding"]


def test_finding__without_labels_and_words_says_the_answers_or_that_nothing_is_known(tmp_path):
    head = write(tmp_path / "head", labels="none", words=False, head=True).answering()
    said = study_finding(head)
    assert re.findall("“(.*?)”", said) == ["bee", "ant"] and numbers(said) == ["56", "44"]
    assert "classifier" in said
    bare = study_finding(write(tmp_path / "bare", labels="none", words=False))
    assert bare == "5 of 5 features fire on these 80 images, 1.4 on each, the most common one on 50 %"
    study = open_study(tmp_path / "bare")
    only = np.arange(study.n_images) == np.flatnonzero(study.is_val)[0]
    assert study_finding(study, only).endswith(" of 5 features fire on the only image")
    unnamed = write(tmp_path / "no_bias", labels="none", words=False, outputs=True)
    assert study_finding(unnamed) == bare  # half a classifier gives no answers
    assert study_finding(write(tmp_path / "begun", until="embed")).startswith("Not finished")


@pytest.mark.parametrize(
    ("logits", "said"),
    [
        ([3.0, 0.0], "is confident (above 50 %) on 100 % of 80 images, and most often sees “fox” (75 %)"),
        ([0.0, 0.0], "is confident (above 50 %) on 0 % of 80 images"),
        (None, "is confident (above 50 %) on 50 % of 80 images, and sees 20 classes there"),
    ],
)
def test_finding__without_labels_says_what_the_encoders_own_classifier_is_confident_of(
    tmp_path, logits, said
):
    study = write(tmp_path / "study", labels="none", words=False)
    if logits is None:  # 20 classes, each the answer on 2 of the 80 evaluation images; no answer on 40
        names = [f"class {number}, a name" for number in range(20)]
        values = np.zeros((160, 20))
        values[np.arange(80, 120), np.arange(40) % 20] = 9.0
    else:  # a quarter of the images are the other way round
        names, values = ["fox, red fox", "owl"], np.tile(logits, (160, 1))
        values[::4] = values[::4, ::-1]
    with write_study(study.path) as writer, writer.step("embed", {}) as step:
        step.table("images", study.images)
        write_array(step, "representations", np.ones((160, N_FEATURES), np.float32), 32)
        step.table("head_classes", pd.DataFrame({"name": names, "wordnet": ""}))
        write_array(step, "head_logits", values.astype(np.float32), 32)
    written = open_study(study.path)
    assert study_finding(written) == f"Its own classifier {said}"
    if logits == [3.0, 0.0]:
        one = written.where(Slice(image_ids=(str(study.images["image_id"].iloc[81]),)))
        of_one = "Its own classifier is confident (above 50 %) on 1 of 1 image, and sees “fox”"
        assert study_finding(one) == of_one


@pytest.mark.parametrize(
    ("cosine", "said"), [(0.98, ""), (0.995, "; 40 of them are nearly equal to a train image")]
)
def test_finding__without_labels_says_how_many_images_the_encoder_does_not_tell_apart(tmp_path, cosine, said):
    study = write(tmp_path / "study", labels="none", words=False)
    nearest = np.full((80, 3), 0.1, np.float32)
    nearest[:40, 1] = cosine
    with write_study(study.path) as writer, writer.step("neighbours", {}, ("representations",)) as step:
        step.vector("neighbour_similarity", nearest)
    assert study_finding(open_study(study.path)).endswith(f"the most common one on 50 %{said}")


def test_finding__of_a_slice_is_of_its_images(tmp_path):
    study = write(tmp_path / "study")
    large = study.where("size=large split=val")
    assert (
        study_finding(large)
        == f"{SEES}; is right on 94 % of 70 images, and no group of images is clearly harder"
    )
    assert study_finding(study.where("correct=false")).endswith("; is wrong on all 13 images")
    one = np.arange(study.n_images) == np.flatnonzero(large.chosen is not None and large.chosen)[0]
    assert study_finding(study, one).endswith(" on the only image")
    assert study_finding(study, large.chosen) == study_finding(large)


def test_finding__worse_than_guessing_is_said(tmp_path):
    study = write(tmp_path / "study", wrong=0.8)
    said = study_finding(study)
    assert re.findall("“(.*?)”", said) == ["ant"] and numbers(said)[0] == "19"
    level = study_finding(write(tmp_path / "level", wrong_small=0.5, wrong=0.5))
    assert without_numbers(said) != without_numbers(level)


@pytest.mark.parametrize(
    ("options", "quoted"),
    [({"wrong": 0.8}, "ant"), ({"labels": "none", "words": False, "head": True}, "bee")],
)
def test_finding__shortens_long_names_of_classes(tmp_path, options, quoted):
    names = {name: f"{name} with a very long name of sixty letters, {'x' * 17}" for name in ("ant", "bee")}
    study = write(tmp_path / "study", classes=tuple(names.values()), **options).answering()
    assert f"“{quoted} with a very long name o…”" in study_finding(study)
    assert names[quoted] not in study_finding(study)


def test_finding__shortens_the_class_of_the_worst_slice(tmp_path):
    long = "bee with a very long name of sixty letters"
    worst = WorstSlice("", long, str(Slice(labels=(long,))), n=9, errors=8, rest=0.1, rows=np.arange(9))
    said = study_finding(write(tmp_path / "study"), find_worst=lambda: worst)
    assert long not in said and "fails on bee with a very long name o…" in said
