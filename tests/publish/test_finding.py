"""What a study found, in one sentence: fourteen kinds of study, each written through the real writer."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.measures.highlights import WorstSlice
from core.measures.slice import Slice
from core.publish.finding import study_finding
from core.publish.summary import info
from core.store import Study, open_study
from core.study.writer import write_study
from tests.measures.worlds import VARIANTS, verdicts, write_array, write_firing
from tests.sentences import NUMBER, numbers, without_numbers

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


CARRIED = re.compile(
    "grass|sky|green|brick|yellow|small objects|background|object|classifier|probe|“.*?”|" + NUMBER.pattern
)
SEEN = ["grass", "sky", "brick"]  # not "green grass", which names no other thing
FIRING = ["5", "5", "80", "1.4", "50"]  # features that fire, of how many; images; features on each; %
USELESS = {"wrong_small": 0.5, "wrong": 0.5}
KINDS = {  # what the sentence carries, in its order
    "good": ({}, [*SEEN, "small objects"]),
    "useless": (USELESS, ["“ant”", "50", "50"]),
    "useless own head": ({**USELESS, "head": True}, ["“ant”", "50", "50"]),
    "worse than guessing": ({"wrong": 0.8}, ["“ant”", "19", "50"]),
    "no labels": ({"labels": "none"}, SEEN),
    "one class": ({"classes": ("ant",), "probe": False}, SEEN),
    "tiny": ({"n": 16, "wrong": 0.4}, ["16", "“ant”", "50", "50"]),
    "unlabelled evaluation": ({"labels": "train"}, SEEN),
    "own head": ({"head": True}, [*SEEN, "classifier", "small objects"]),
    "masks, heat on the background": ({"heat": 0.2}, [*SEEN, "background", "object", "small objects"]),
    "no masks, words of scenes": (
        {"under_heat": 0.1, "wrong_small": 0.35, "n": 160},
        [*SEEN, "small objects", "35", "5"],
    ),
    "no CLIP": ({"words": False}, ["probe", "small objects"]),
    "finished halfway": ({"until": "concepts"}, SEEN),
    "all correct": ({"wrong_small": 0.0, "wrong": 0.0}, [*SEEN, "80"]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_finding__of_fourteen_kinds_of_study(tmp_path, kind):
    options, carried = KINDS[kind]
    study = write(tmp_path / "study", **options).answering()
    said = study_finding(study)
    assert CARRIED.findall(said) == carried and said == info(study)["finding"]
    assert ("worse" in said) == (kind == "worse than guessing")


@pytest.mark.slow
def test_finding__kinds_that_carry_the_same_have_other_words(tmp_path):
    alike = ("useless", "useless own head", "no labels", "unlabelled evaluation", "finished halfway")
    said = [study_finding(write(tmp_path / kind, **KINDS[kind][0]).answering()) for kind in alike]
    assert len(set(said)) == len(alike)


def test_finding__without_labels_and_words_says_the_answers_or_that_nothing_is_known(tmp_path):
    head = write(tmp_path / "head", labels="none", words=False, head=True).answering()
    said = study_finding(head)
    assert re.findall("“(.*?)”", said) == ["bee", "ant"] and numbers(said) == ["56", "44"]
    assert "classifier" in said
    bare = study_finding(write(tmp_path / "bare", labels="none", words=False))
    assert numbers(bare) == FIRING
    study = open_study(tmp_path / "bare")
    only = np.arange(study.n_images) == np.flatnonzero(study.is_val)[0]
    assert numbers(study_finding(study, only))[1:] == ["5"]
    unnamed = write(tmp_path / "no_bias", labels="none", words=False, outputs=True)
    assert study_finding(unnamed) == bare  # half a classifier gives no answers
    assert study_finding(write(tmp_path / "begun", until="embed")).startswith("Not finished")


@pytest.mark.parametrize(
    ("logits", "carried"),
    [
        ([3.0, 0.0], ["50", "100", "80", "“fox”", "75"]),
        ([0.0, 0.0], ["50", "0", "80"]),
        (None, ["50", "50", "80", "20"]),
    ],
)
def test_finding__without_labels_says_what_the_encoders_own_classifier_is_confident_of(
    tmp_path, logits, carried
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
    assert CARRIED.findall(study_finding(written)) == ["classifier", *carried]
    if logits == [3.0, 0.0]:
        one = written.where(Slice(image_ids=(str(study.images["image_id"].iloc[81]),)))
        assert CARRIED.findall(study_finding(one)) == ["classifier", "50", "1", "1", "“fox”"]


@pytest.mark.parametrize(("cosine", "equal"), [(0.98, []), (0.995, ["40"])])
def test_finding__without_labels_counts_the_images_that_the_encoder_does_not_tell_apart(
    tmp_path, cosine, equal
):
    study = write(tmp_path / "study", labels="none", words=False)
    nearest = np.full((80, 3), 0.1, np.float32)
    nearest[:40, 1] = cosine
    with write_study(study.path) as writer, writer.step("neighbours", {}, ("representations",)) as step:
        step.vector("neighbour_similarity", nearest)
    assert numbers(study_finding(open_study(study.path))) == [*FIRING, *equal]


def test_finding__of_a_slice_is_of_its_images(tmp_path):
    study = write(tmp_path / "study")
    large = study.where("size=large split=val")
    assert CARRIED.findall(study_finding(large)) == [*SEEN, "94", "70", "4"]  # errors, too few to tell where
    right, wrong = (study_finding(study.where(f"correct={known}")) for known in ("true", "false"))
    assert CARRIED.findall(right) == [*SEEN, "67"] and numbers(wrong) == ["13"]
    assert without_numbers(right) != without_numbers(wrong) and "wrong" in wrong
    one = np.arange(study.n_images) == np.flatnonzero(large.chosen is not None and large.chosen)[0]
    assert numbers(study_finding(study, one)) == []
    assert study_finding(study, large.chosen) == study_finding(large)


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
    assert long not in said and "bee with a very long name o…" in said
