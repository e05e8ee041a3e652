"""Zero-shot answers against open_clip's own loop and a slow one, with a small model of random weights."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from core.analysis.predictor import predictor_of
from core.analysis.removal import train_means
from core.answers.outcome import Request
from core.answers.requests import add_answer
from core.common.dataframes import unit_rows
from core.common.step_facts import EmbedFacts, EncoderFacts
from core.concepts.zero_shot import class_texts, text_tower, zero_shot_answer
from core.encoders.clip_towers import silent_logs
from core.errors import SettingsError
from core.measures.slice_comparison import train_images
from core.pictures.decompose import decompose
from core.pictures.look import decide
from core.pictures.of_image import Stored
from core.pipeline.run import analyze
from core.publish.export_files import read_table
from core.store import Study, open_study
from core.study.progress import Progress
from dashboard.cache.reads import neighbours

LABELS = ("golden_retriever", "n01440764", "n03126707")  # tench; the crane of builders
TEXTS = ["golden retriever", "tench", "construction crane"]
CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, np.ndarray, Study]:
    """The logits of `expected_logits`, and a study of 18 images by the image tower."""
    folder, rng = tmp_path_factory.mktemp("clip"), np.random.default_rng(0)
    (folder / "tiny-of-tests.json").write_text(json.dumps(CONFIG))
    open_clip.add_model_config(folder / "tiny-of-tests.json")
    torch.manual_seed(3)
    with silent_logs():
        model: Any = open_clip.create_model("tiny-of-tests").eval()
    for tower in (model.visual.conv1, model.token_embedding):  # so that pictures and texts differ
        tower.weight.data *= 30
    for constant in (model.visual.class_embedding, model.visual.positional_embedding):
        constant.data.zero_()
    torch.save(model.state_dict(), folder / "tiny.pt")
    for number in range(18):
        place = folder / "images" / LABELS[number % 3]
        place.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8).repeat(10, 0).repeat(10, 1)
        Image.fromarray(pixels).save(place / f"{number:02}.png")
    given = {"images": str(folder / "images"), "encoder": f"open_clip:tiny-of-tests@{folder / 'tiny.pt'}"}
    analyze(folder / "study", {**given, "workers": 0, "device": "cpu", "epsilon": 1.0}, Progress.silent())
    add_answer(folder / "study", "zero-shot", None, {"device": "cpu"}, Progress.silent())
    study = open_study(folder / "study")
    return *expected_logits(model, study), study


def expected_logits(model: Any, study: Study) -> tuple[np.ndarray, np.ndarray]:
    """By open_clip's own classifier; and by the formula, one image and one prompt at a time."""
    tokenizer: Any = open_clip.get_tokenizer("tiny-of-tests")
    templates = open_clip.OPENAI_IMAGENET_TEMPLATES
    apply: Any = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
    with torch.no_grad():
        classifier = open_clip.build_zero_shot_classifier(model, tokenizer, TEXTS, templates)
        library, slow, means = [], [], []
        for text in TEXTS:
            total = torch.zeros(32, dtype=torch.float64)
            for one in model.encode_text(tokenizer([template(text) for template in templates])).double():
                total += one / one.norm()
            means.append(total / len(templates) / (total / len(templates)).norm())
        for row in range(study.n_images):
            z = model.encode_image(apply(study.image(row))[None])
            z = z / z.norm(dim=-1, keepdim=True)
            library.append((model.logit_scale.exp() * z @ classifier)[0].numpy())
            slow.append([float(model.logit_scale.exp()) * float(z[0].double() @ mean) for mean in means])
    return np.stack(library), np.array(slow)


@pytest.mark.slow
def test_every_image_is_answered_as_by_open_clip(made):
    library, slow, study = made
    labels = study.class_names
    assert labels == sorted(LABELS) and study.answers["zero-shot"].facts["linear"]
    found = study.answering("zero-shot")
    table = found.table("probe")
    np.testing.assert_allclose(library, slow, atol=2e-4)
    assert table["predicted"].tolist() == [labels[place] for place in library.argmax(1)]
    assert table["predicted"].nunique() > 1 and table["correct"].notna().all()
    shares = np.exp(slow - slow.max(1, keepdims=True))
    np.testing.assert_allclose(table["confidence"], (shares / shares.sum(1, keepdims=True)).max(1), atol=1e-3)
    assert "n03126707 is construction crane" in " ".join(study.answers["zero-shot"].facts["notes"])


@pytest.mark.slow
def test_its_weights_are_linear_on_the_unit_rows(made):
    _, slow, study = made
    found = study.answering("zero-shot")
    h = found.vector("representations")
    np.testing.assert_allclose(h, unit_rows(study.vector("representations")), atol=1e-6)
    logits = h @ found.vector("probe_weights").T + found.vector("probe_bias")
    np.testing.assert_allclose(logits, slow, atol=1e-3)
    narrowed = found.where("correct=false")
    np.testing.assert_array_equal(narrowed.array("probe_weights")[:], found.vector("probe_weights"))
    np.testing.assert_array_equal(narrowed.array("representations").rows([3, 1]), h[[3, 1]])
    wrong = found.table("probe").query("correct == False")["image_id"]
    assert len(wrong) and set(found.table("failures")["image_id"]) == set(wrong)


def test_names_of_a_file_and_numbers(tmp_path):
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    assert class_texts(["0", "1"], str(tmp_path / "names.txt")).texts == ["cat", "dog"]
    with pytest.raises(SettingsError, match="are numbers: answers STUDY --add zero-shot --head-classes"):
        class_texts(["0", "1"], None)
    with pytest.raises(SettingsError, match="names none for 2: "):
        class_texts(["0", "1", "2"], str(tmp_path / "names.txt"))
    with pytest.raises(SettingsError, match="names 2 classes, of which none is a label; the study has 3"):
        class_texts(["a", "b", "c"], str(tmp_path / "names.txt"))
    with pytest.raises(SettingsError, match="two classes or more to tell apart; all labels are 'cat'"):
        zero_shot_answer(cast(Any, SimpleNamespace(class_names=["cat"])), Request(), Progress.silent())


NUMBERS = sorted(map(str, range(12)))  # as folders 0 … 11 are sorted


@pytest.mark.parametrize(
    ("text", "labels", "texts", "kind"),
    [
        (json.dumps({str(n): f"name {n}" for n in range(12)}), NUMBERS, [f"name {n}" for n in NUMBERS], ""),
        ('["dog", "cat"]', ["cat", "dog"], ["cat", "dog"], ""),
        ('{"1": "one_two", "2": "two"}', ["01", "02"], ["one two", "two"], ""),
        (
            '{"n01440764": "a fish", "n01443537": ["gold", "goldfish"]}',
            ["n01443537", "n01440764"],
            ["gold", "a fish"],
            "",
        ),
        ('["tench, Tinca tinca", "x"]', ["n01440764", "y"], ["tench", "y"], "without_text"),
        ('["tench", "x"]', ["a", "b"], ["tench", "x"], "by_place"),
        ('["A_x", "a x"]', ["c", "d"], ["A x", "a x"], "same_text"),
        (
            '{"cat": ["fur", "claws", "tail"], "dog": ["fur", "a tail", "nose"]}',
            ["cat", "dog"],
            ["cat", "dog"],
            "described",
        ),
    ],
)
def test_a_file_names_labels_by_id_name_or_number_and_by_place_only_where_nothing_matches(
    tmp_path, text, labels, texts, kind
):
    (tmp_path / "names.json").write_text(text)
    named = class_texts(labels, str(tmp_path / "names.json"))
    kinds = {getattr(note, "kind", "") for note in named.notes}
    assert named.texts == texts
    assert kinds & {"without_text", "by_place", "same_text", "described"} >= {*filter(None, [kind])}
    assert "by_place" not in kinds or kind in ("by_place", "same_text")


def test_sentences_of_a_class_are_its_prompts(tmp_path):
    sentences = {
        "goldfish": ["A goldfish is a small and orange fish."] * 3,
        "tench": ["A tench is a fish that lives in a lake."] * 4,
    }
    (tmp_path / "cupl.json").write_text(json.dumps(sentences))
    named = class_texts(["n01440764", "n01443537"], str(tmp_path / "cupl.json"))
    assert named.prompts == [tuple(sentences["tench"]), tuple(sentences["goldfish"])]


def test_classes_of_one_text_are_said():
    """What the authors of CLIP call n03773504 and n04008634, two classes of ImageNet."""
    notes = class_texts(["n03773504", "n04008634"], None).notes
    assert [getattr(note, "n", None) for note in notes if getattr(note, "kind", "") == "same_text"] == [1]


class Embedded:
    def __init__(self, spec: str | None, **settings: object) -> None:
        self.spec, self.given = spec, settings

    def settings(self, step: str) -> dict[str, object]:
        return self.given

    def facts(self, kind: type[EmbedFacts]) -> EmbedFacts:
        return kind(encoder=EncoderFacts(spec=self.spec or ""))


@pytest.mark.parametrize(
    ("study", "problem"),
    [
        (
            Embedded("timm:resnet18@net.pth"),
            "needs an encoder with a text tower, open_clip:NAME; this one is timm",
        ),
        (Embedded(None), "this one is not named"),
        (Embedded("open_clip:ViT-B-32"), "random weights"),
        (
            Embedded("open_clip:ViT-B-32?pretrained=openai", layer="ln_post"),
            r"has others \(--layer ln_post\)",
        ),
    ],
)
def test_no_text_tower_is_one_clear_line(study, problem):
    with pytest.raises(SettingsError, match=problem) as caught:
        text_tower(study)
    assert "\n" not in str(caught.value)
    assert text_tower(Embedded("open_clip:ViT-B-32?pretrained=openai")) == "ViT-B-32@openai"  # pyright: ignore[reportArgumentType]


def test_settings_of_the_encoder_reach_the_text_tower():
    study: Any = Embedded("open_clip:ViT-B-32?force_quick_gelu=true&force_image_size=64@w.pt")
    assert text_tower(study) == "ViT-B-32?force_quick_gelu=True&force_image_size=64@w.pt"


def test_the_command_says_it(study_path, run) -> None:
    said = run("answers", study_path(), "--add", "zero-shot").error
    assert "zero-shot needs an encoder with a text tower" in said


@pytest.mark.slow
def test_what_features_do_and_pictures_are_read_off_unit_rows_too(made):
    """Neither stored sums of raw rows nor the raw row of a picture are what it reads."""
    _, slow, study = made
    assert study.has("raw_moments")
    read = study.answering("zero-shot")
    rows = unit_rows(study.vector("representations"))
    np.testing.assert_allclose(train_means(read), rows[train_images(study)].mean(0), atol=1e-6)
    asked = predictor_of(read)
    assert asked is not None and asked.name == "zero-shot"
    shares = np.exp(slow - slow.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    for row in range(3):
        raw = study.array("representations")[row]
        look = decide(asked, Stored(raw, np.zeros(len(raw), bool), np.empty(0)))
        assert look.classes["before"].max() == pytest.approx(shares[row].max(), abs=1e-3)
        told = decompose(read, study.image(row))["answer"]
        assert told["confidence"] == pytest.approx(shares[row].max(), abs=1e-3)


@pytest.mark.slow
def test_what_was_fitted_is_of_the_train_images_whatever_an_answer_is_judged_on(made):
    study = Study(made[-1].path)
    read = study.answering("zero-shot")
    assert not study.summary("embed")["split_given"] and read.is_val.all() and not study.is_val.all()
    assert (train_images(read) == ~study.is_val).all() and (
        train_images(read.evaluation) == ~study.is_val
    ).all()
    ours, theirs = (read_table(one, "neighbours") for one in (read, study))
    assert len(theirs) and set(theirs["image_id"]) == set(study.images["image_id"][study.is_val])
    pd.testing.assert_frame_equal(ours, theirs)
    evaluated, trained = (np.flatnonzero(part)[0] for part in (study.is_val, ~study.is_val))
    assert len(neighbours(read, int(evaluated))) and neighbours(read, int(trained)).empty
    pd.testing.assert_frame_equal(neighbours(read, int(evaluated)), neighbours(study, int(evaluated)))
