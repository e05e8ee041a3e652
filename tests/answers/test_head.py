"""The encoder's own classifier: against a plain forward pass of the untouched network, image by image."""

from __future__ import annotations

import dataclasses
import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import timm
import torch
import torchvision
from PIL import Image
from torch import nn

from core.analysis.normalisation import likely_normalisation, remaining_candidates
from core.analysis.predictor import predictor_of_images, without_features
from core.answers import requests
from core.answers.answer import HEAD
from core.answers.class_logits import ACTIVATIONS, Classifier, class_logits
from core.answers.classes import BY_INDEX
from core.answers.head import least_loss, matched, usual_order_note, why_other_numbers
from core.answers.kinds import KINDS
from core.answers.outcome import VALUES, AnswerValues, Request
from core.answers.predictable import predictable
from core.bases.requests import add_basis
from core.common.label_match import Match
from core.common.records import Record
from core.common.step_facts import EmbedFacts, HeadFacts
from core.config import HEAD_ACTIVATIONS, AnswersConfig, BasisConfig
from core.encoders.encoder import Encoder
from core.encoders.head import Head, HeadPart, complete_head, untrained
from core.encoders.head_file import names_in
from core.encoders.registry import load_encoder
from core.encoders.transform import CIFAR_MEAN, CIFAR_STD, Transform
from core.errors import EncoderError, SettingsError
from core.measures.choice import choose
from core.pictures.of_image import look_at
from core.pipeline.run import run_step
from core.store import Study, open_study
from core.study.progress import Progress
from core.study.writer import Collected
from tests.answers.sorted_images import Labelled
from tests.encoders.planted import narrow_resnet, stir

SYNSETS = ("n01440764", "n01443537", "n02099601")


def trained(model: nn.Module) -> nn.Module:
    """Weights that are not as they were drawn, and BatchNorm statistics that matter."""
    torch.manual_seed(1)
    stir(model)
    for parameter in model.parameters():
        parameter.data.mul_(1.5).add_(0.02 * torch.randn_like(parameter))
    return model.eval()


def same_logits(ours: torch.Tensor, plain: torch.Tensor) -> None:
    """Equal up to rounding, which the largest of the logits sets."""
    assert float((ours - plain).abs().max()) <= 1e-4 * float(plain.abs().max())


def head_of(
    spec: str, model: nn.Module, folder: Path, **options: object
) -> tuple[Head, torch.Tensor, torch.Tensor]:
    """The head that is found for a saved network, its logits of an input, and those of the plain network."""
    torch.save(model.state_dict(), folder / "net.pth")
    encoder = load_encoder(f"{spec}@{folder / 'net.pth'}", **options)  # pyright: ignore[reportArgumentType]
    head = encoder.find_head()
    assert isinstance(head, Head), head
    x = torch.randn(2, 3, *encoder.transform.sides, generator=torch.Generator().manual_seed(2))
    with torch.no_grad(), head.reading(encoder.base) as logits:
        raw, plain = encoder.model(x), model(x)
        if head.linear is not None:
            same_logits(raw @ head.linear[0].T + head.linear[1], plain)
        return head, logits(), plain


@pytest.mark.parametrize(
    ("family", "name", "options", "linear"),
    [
        ("torchvision", "resnet18", {"num_classes": 7}, True),
        ("torchvision", "mobilenet_v3_small", {"num_classes": 7}, False),  # a hidden layer
        ("torchvision", "squeezenet1_1", {}, False),  # a convolution and a mean
        ("torchvision", "alexnet", {"num_classes": 7}, True),  # reads a map of 6 x 6, through hidden layers
        ("timm", "convnext_atto", {"num_classes": 7}, True),  # after a LayerNorm
        ("timm", "vit_tiny_patch16_224", {"num_classes": 7, "depth": 1}, True),  # on CLS
        ("timm", "deit_tiny_distilled_patch16_224", {"num_classes": 7, "depth": 1}, True),  # of two tokens
        ("timm", "resnet10t", {}, True),
        ("torchvision", "mnasnet0_5", {"num_classes": 7}, True),
        pytest.param("timm", "shvit_s1", {"num_classes": 7}, True, marks=pytest.mark.slow),  # a BatchNorm
        # two classifiers, each behind a BatchNorm, in a module of their own
        pytest.param("timm", "repvit_m0_9", {"num_classes": 7}, True, marks=pytest.mark.slow),
        pytest.param(
            "torchvision", "googlenet", {"num_classes": 7, "aux_logits": False, "init_weights": False}, True,
            marks=pytest.mark.slow,
        ),
    ],
)  # fmt: skip
def test_the_head_of_a_library_gives_what_the_network_gives(family, name, options, linear, tmp_path):
    make = timm.create_model if family == "timm" else torchvision.models.get_model
    torch.manual_seed(0)
    model = trained(make(name, **options))
    depth = f"?depth={options['depth']}" if "depth" in options else ""
    size = {} if depth else {"input_size": 64}
    head, found, plain = head_of(f"{family}:{name}{depth}", model, tmp_path, **size)
    same_logits(found, plain)
    assert head.n_outputs == plain.shape[1] and (head.linear is not None) == linear


@pytest.mark.parametrize(
    ("wrap", "key", "bias"),
    [
        ("model.backbone.", "model.fc", True),  # Lightning
        ("model.backbone.", "model.fc", False),
        ("model.backbone.", "model.classifier", True),
        ("module.", "module.fc", True),  # DistributedDataParallel
        ("module.encoder.", "module.head", True),
        ("_orig_mod.module.", "_orig_mod.module.fc", True),  # and compiled
    ],
)
def test_the_head_of_a_bare_or_wrapped_checkpoint(wrap, key, bias, tmp_path):
    network, linear = narrow_resnet(), nn.Linear(64, 5, bias=bias)
    torch.nn.init.normal_(linear.weight, std=0.3)
    state = {f"{wrap}{name}": one for name, one in network.state_dict().items()}
    state |= {f"{key}.{name}": one for name, one in linear.state_dict().items()}
    torch.save(
        {"state_dict": state, "class_to_idx": {c: n for n, c in enumerate("abcde")}}, tmp_path / "l.ckpt"
    )
    encoder = load_encoder(str(tmp_path / "l.ckpt"), input_size=32)
    head = encoder.find_head()
    assert isinstance(head, Head) and head.linear is not None and head.names == [[one] for one in "abcde"]
    x = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        same_logits(encoder.model(x) @ head.linear[0].T + head.linear[1], linear(network(x)))


class SumOfBoth(nn.Module):
    """A classifier with a second one, which reads the input, beside the Linear that its library names."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.fc, self.beside = narrow_resnet(), nn.Linear(64, 5), nn.Linear(3, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.body(x)) + self.beside(x.mean((2, 3)))


def test_logits_are_those_of_the_network_where_its_classifier_is_more_than_a_part():
    torch.manual_seed(0)
    encoder, network = Encoder(narrow_resnet(), Transform(None, 64), arch="narrow"), SumOfBoth().eval()
    nn.init.normal_(network.fc.weight)
    network.body.load_state_dict(encoder.base.state_dict())
    x = torch.randn(3, 3, 64, 64)
    part = complete_head(encoder, [HeadPart(network.fc)], [])
    head = complete_head(encoder, [HeadPart(network.fc)], [], network)
    assert isinstance(part, Head) and part.linear is not None  # alone it fits
    assert isinstance(head, Head) and head.linear is None
    with torch.no_grad(), head.reading(encoder.base) as logits:
        encoder.model(x)
        torch.testing.assert_close(logits(), network(x))


@pytest.mark.parametrize("inside", ["fc", "model.classifier"])
def test_a_linear_behind_dropout_is_a_classifier(inside, tmp_path):
    network, linear = narrow_resnet(), nn.Linear(64, 5)
    nn.init.normal_(linear.weight)
    prefix = inside.rpartition(".")[0] and "model."
    state = {f"{prefix}{name}": one for name, one in network.state_dict().items()}
    state |= {f"{inside}.1.{name}": one for name, one in linear.state_dict().items()}
    torch.save(state, tmp_path / "net.pth")
    head = load_encoder(str(tmp_path / "net.pth"), input_size=64).find_head()
    assert isinstance(head, Head) and head.linear is not None
    assert torch.equal(head.linear[0], linear.weight)


HIDDEN_FORMS = {  # of a classifier: the places of its layers in a Sequential, or their names
    "fc": (nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, 5)),
    "classifier": (nn.Dropout(), nn.Linear(64, 20), nn.GELU(), nn.Dropout(), nn.Linear(20, 5)),
    "head.mlp": (nn.Linear(64, 20), nn.BatchNorm1d(20), nn.Tanh(), nn.Linear(20, 5, bias=False)),
    "1": (nn.BatchNorm1d(64), nn.Linear(64, 20), nn.SiLU(), nn.BatchNorm1d(20), nn.Linear(20, 5)),
    "head": OrderedDict(fc1=nn.Linear(64, 20), act=nn.ReLU(), fc2=nn.Linear(20, 1)),
}


@pytest.mark.parametrize("name", HIDDEN_FORMS)
def test_the_layers_of_a_classifier_in_a_bare_checkpoint_are_found(name, tmp_path):
    torch.manual_seed(0)
    form = HIDDEN_FORMS[name]
    layers = nn.Sequential(form) if isinstance(form, OrderedDict) else nn.Sequential(*form)
    for module in layers.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean, module.running_var = (
                torch.randn(module.num_features),
                torch.rand(module.num_features),
            )
            nn.init.normal_(module.weight)
    network, wrap = narrow_resnet(), "0." if name == "1" else "model."
    outer = "" if name == "1" else wrap
    state = {f"{wrap}{key}": one for key, one in network.state_dict().items()}
    state |= {f"{outer}{name}.{key}": one for key, one in layers.state_dict().items()}
    torch.save(state, tmp_path / "net.pth")
    head = load_encoder(str(tmp_path / "net.pth"), input_size=32).find_head()
    assert isinstance(head, Head) and head.linear is None and head.hidden is not None and head.hidden[2] == ""
    activation = next(one for one in layers if type(one).__name__ in ACTIVATIONS)
    raw = torch.randn(6, 64)
    (first, shift), (last, bias), _ = head.hidden
    numbers = Classifier(last.numpy(), bias.numpy(), first.numpy(), shift.numpy(), type(activation).__name__)
    with torch.no_grad():
        plain = layers.eval()(raw).numpy()
    plain = np.concatenate([0 * plain, plain], 1) if plain.shape[1] == 1 else plain
    np.testing.assert_allclose(numbers.logits(raw.numpy()), plain, rtol=1e-4, atol=1e-4)
    with pytest.raises(EncoderError, match="activation"):
        load_encoder(str(tmp_path / "net.pth"), input_size=32, layer="head-input").model(
            torch.zeros(1, 3, 32, 32)
        )


def test_a_batchnorm_before_a_linear_and_a_single_output_are_linear(tmp_path):
    torch.manual_seed(0)
    network, norm, linear = narrow_resnet(), nn.BatchNorm1d(64, affine=False), nn.Linear(64, 1)
    norm.running_mean, norm.running_var = torch.randn(64), torch.rand(64)
    state = {f"head.0.{key}": one for key, one in norm.state_dict().items()}
    state |= {f"head.1.{key}": one for key, one in linear.state_dict().items()}
    torch.save({**network.state_dict(), **state}, tmp_path / "net.pth")
    head = load_encoder(str(tmp_path / "net.pth"), input_size=32).find_head()
    assert isinstance(head, Head) and head.linear is not None and head.n_outputs == 2 and head.single
    raw = torch.randn(6, 64)
    with torch.no_grad():
        plain = linear(norm.eval()(raw))
        logits = raw @ head.linear[0].T + head.linear[1]
    torch.testing.assert_close(logits.softmax(1)[:, 1:], plain.sigmoid(), rtol=1e-4, atol=1e-4)


def test_of_activations_that_labelled_images_cannot_tell_apart_the_most_common_is_taken(tmp_path):
    """Where all that the first layer gives is far above 0, they are nearly the same."""
    torch.manual_seed(0)
    network, first, last = narrow_resnet(), nn.Linear(64, 30), nn.Linear(30, 3)
    torch.save(network.state_dict(), tmp_path / "net.pth")
    encoder, rng = load_encoder(str(tmp_path / "net.pth"), input_size=32, resize=32), np.random.default_rng(0)
    squares = rng.integers(0, 256, (60, 3, 3, 3), dtype=np.uint8)
    pictures = [Image.fromarray(one).resize((32, 32)) for one in squares]
    pixels = torch.from_numpy(np.stack([encoder.transform.pixels(one) for one in pictures]))
    with torch.no_grad():
        raw = encoder.represent(pixels)
        first.weight.div_(2 * (raw @ first.weight.T).std())
        first.bias.copy_(9.0 - first.weight @ raw.mean(0))
        last.bias.copy_(-first(raw).mean(0) @ last.weight.T)
        answers = last(nn.functional.gelu(first(raw))).argmax(1).tolist()
    layers = nn.Sequential(first, nn.GELU(), last).state_dict()
    state = network.state_dict() | {f"fc.{key}": one for key, one in layers.items()}
    torch.save({"state_dict": state, "classes": list("abc")}, tmp_path / "net.pth")
    for number, picture in enumerate(pictures):  # an error in ten, as classifiers have them
        folder = tmp_path / "pictures" / "abc"[(answers[number] + (number % 10 == 0)) % 3]
        folder.mkdir(parents=True, exist_ok=True)
        picture.save(folder / f"{number}.png")
    study = studied(tmp_path / "study", tmp_path / "pictures", str(tmp_path / "net.pth"))
    facts = study.answers["head"].facts
    assert facts["activation"] == "ReLU" and facts["top1"] > 0.8
    (note,) = [one for one in facts["notes"] if "the most common of those that fit" in one]
    assert "GELU, SiLU" in note and "confidences depend on it" in note


def test_an_activation_that_the_file_does_not_name_is_told_by_labelled_images(tmp_path, run):
    assert tuple(ACTIVATIONS) == HEAD_ACTIVATIONS
    torch.manual_seed(0)
    network, first, last = narrow_resnet(), nn.Linear(64, 30), nn.Linear(30, 3)
    layers = nn.Sequential(first, nn.Tanh(), last)
    for one in (first, last):
        nn.init.normal_(one.weight, std=1.5)
    state = network.state_dict()
    torch.save(state, tmp_path / "net.pth")
    encoder, rng = load_encoder(str(tmp_path / "net.pth"), input_size=32, resize=32), np.random.default_rng(0)
    squares = rng.integers(0, 256, (90, 3, 3, 3), dtype=np.uint8)
    pictures = [Image.fromarray(one).resize((32, 32)) for one in squares]
    with torch.no_grad():
        raw = encoder.represent(
            torch.from_numpy(np.stack([encoder.transform.pixels(one) for one in pictures]))
        )
        first.bias.copy_(-first.weight @ raw.mean(0))
        last.bias.copy_(-first(raw).tanh().mean(0) @ last.weight.T)
        answers = layers(raw).argmax(1).tolist()
    state |= {f"fc.{key}": one for key, one in layers.state_dict().items()}
    torch.save({"state_dict": state, "classes": list("abc")}, tmp_path / "net.pth")
    for number, picture in enumerate(pictures):
        for place, label in (("right", answers[number]), ("random", number % 3)):
            folder = tmp_path / place / "abc"[label]
            folder.mkdir(parents=True, exist_ok=True)
            picture.save(folder / f"{number}.png")
    study = studied(tmp_path / "study", tmp_path / "right", str(tmp_path / "net.pth"))
    facts = study.answers["head"].facts
    assert facts["top1"] == 1.0 and facts["activation"] == "Tanh"
    assert any("Tanh (top-1 100.0 %) fits best" in note for note in facts["notes"])
    assert least_loss(9 * np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), np.array([0, 1, 1])).mean() < 0.64
    read = study.answering("head")
    assert read.has("head_hidden_weights") and not read.has("head_logits")
    raw = torch.from_numpy(study.array("representations").rows(np.arange(90))).float()
    with torch.no_grad():
        np.testing.assert_allclose(
            class_logits(read, np.arange(90)), layers(raw).numpy(), rtol=1e-3, atol=1e-3
        )
    said = run("answers", study.path, "--head-activation", "ReLU")
    assert said.code == 0 and "ReLU between its layers, as stated" in said.out
    assert "head-input" not in said.out
    guessed = open_study(study.path).answering("head").table("probe")["predicted"]
    with torch.no_grad():
        relu = last(first(raw).relu()).argmax(1)
    assert guessed.tolist() == ["abc"[one] for one in relu.tolist()]
    chance = studied(tmp_path / "chance", tmp_path / "random", str(tmp_path / "net.pth"))
    assert "head" not in chance.answers
    assert "with each of them its answers are at chance" in chance.summary("answers")["skipped"]


@pytest.mark.parametrize("names", [{}, {"fc": "1"}], ids=["a chain", "a pair"])
def test_a_linear_behind_a_network_in_a_sequential_is_its_classifier(names, tmp_path):
    torch.manual_seed(0)
    network, linear = narrow_resnet(), nn.Linear(64, 5)
    nn.init.normal_(linear.weight)
    layers = [network, linear] if names else [*list(network.children())[:-1], nn.Flatten(), linear]
    whole = nn.Sequential(*layers).eval()
    torch.save(whole.state_dict(), tmp_path / "net.pth")
    encoder = load_encoder(str(tmp_path / "net.pth"), input_size=32)
    head = encoder.find_head()
    assert isinstance(head, Head) and head.linear is not None
    x = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        same_logits(encoder.model(x) @ head.linear[0].T + head.linear[1], whole(x))


def test_half_of_the_classifier_of_a_network_is_none(tmp_path):
    model = trained(torchvision.models.get_model("mobilenet_v3_small", num_classes=7))
    state = {key: one for key, one in model.state_dict().items() if not key.startswith("classifier.0")}
    torch.save(state, tmp_path / "net.pth")
    head = load_encoder(f"torchvision:mobilenet_v3_small@{tmp_path / 'net.pth'}", input_size=64).find_head()
    assert "not that of torchvision:mobilenet_v3_small: it lacks classifier.0.weight" in str(head)


def test_the_input_of_the_last_layer_is_a_representation_that_the_head_is_linear_on(tmp_path):
    model = trained(torchvision.models.get_model("mobilenet_v3_small", num_classes=7))
    torch.save(model.state_dict(), tmp_path / "net.pth")
    spec = f"torchvision:mobilenet_v3_small@{tmp_path / 'net.pth'}"
    plain, deeper = (load_encoder(spec, input_size=64, layer=layer) for layer in (None, "head-input"))
    head = deeper.find_head()
    assert isinstance(head, Head) and head.linear is not None
    assert (plain.n_features, deeper.n_features) == (576, 1024) and plain.fingerprint != deeper.fingerprint
    x = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        same_logits(deeper.model(x) @ head.linear[0].T + head.linear[1], model(x))
    pixels = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    raw, maps = deeper.represent_with_map(pixels)
    assert raw.shape == (1, 1024) and maps.shape[1] == 576
    torch.save(trained(torchvision.models.get_model("squeezenet1_1")).state_dict(), tmp_path / "squeeze.pth")
    spec = f"torchvision:squeezenet1_1@{tmp_path / 'squeeze.pth'}"
    with pytest.raises(EncoderError, match="no chain of layers"):
        load_encoder(spec, input_size=64, layer="head-input")
    with pytest.raises(EncoderError, match="--layer head-input: the network has not been trained"):
        load_encoder("timm:resnet10t", input_size=64, layer="head-input")


def test_what_is_no_answer_says_so(tmp_path):
    network = narrow_resnet()
    torch.save(network.state_dict(), tmp_path / "bare.pth")
    assert load_encoder(str(tmp_path / "bare.pth")).find_head() == "the checkpoint holds no classifier"
    drawn = {f"fc.{name}": one for name, one in nn.Linear(64, 100).state_dict().items()}
    torch.save({**network.state_dict(), **drawn}, tmp_path / "drawn.pth")
    assert "never trained" in str(load_encoder(str(tmp_path / "drawn.pth")).find_head())
    linears = {f"fc.{2 * place}.weight": torch.randn(64, 64) for place in range(3)}
    norm = {"fc.0.weight": torch.ones(64), "fc.0.bias": torch.ones(64), "fc.1.weight": torch.randn(5, 64)}
    both = {"1.2.weight": torch.randn(5, 128)}
    for tensors, why in (
        (linears, "layers 'fc.0' to 'fc.4', has 2 places for an activation"),
        (norm, "layer 'fc.0' of its classifier is neither Linear nor BatchNorm"),
        (both, "layer '1.2' of its classifier reads 128, perhaps the maximum and the mean of a map, as with"),
    ):
        encoder = {f"0.{name}": one for name, one in network.state_dict().items()}
        torch.save(
            {**(encoder if tensors.keys() & both.keys() else network.state_dict()), **tensors},
            tmp_path / "mlp.pth",
        )
        assert why in str(load_encoder(str(tmp_path / "mlp.pth")).find_head())
    assert "not been trained" in str(load_encoder("timm:resnet10t", input_size=32).find_head())


def test_a_file_is_doubted_where_the_outputs_are_right_without_it():
    labels = [
        str(one) for one in SYNSETS
    ] * 6  # few images a class: no other image says what is usual for a label
    study: Any = OfHead(labels, list(SYNSETS))
    outputs = np.array([SYNSETS.index(one) for one in labels])  # the network is right
    names: list[str] = list(SYNSETS)

    def answer(code: np.ndarray) -> AnswerValues:
        return AnswerValues(names, code[outputs][:, None], {}, names)

    for order in ([1, 2, 0], [0, 1, 2]):
        match = Match(np.array(order), [names[one] for one in order], "by shuffled.txt", ())
        notes = usual_order_note(study, answer(np.array(order)), match)
        assert len(notes) == (order != [0, 1, 2])
        said = "top-1 is 0.0 % by shuffled.txt, but 100.0 % without --head-classes, by WordNet id"
        assert not notes or said in notes[0]
    study.groups = np.zeros(len(labels), int)  # of one patient, they say as much as one image
    assert (
        usual_order_note(study, answer(np.array([1, 2, 0])), Match(np.array([1, 2, 0]), names, "by x", ()))
        == []
    )


@pytest.mark.parametrize("n", [10, 1000])
def test_drawn_weights_are_told_from_trained_ones(n):
    torch.manual_seed(0)
    linear = nn.Linear(512, n)
    assert untrained(linear)
    linear.weight.data += 0.05 * torch.randn_like(linear.weight)
    assert not untrained(linear)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve images of three classes, named by WordNet ids."""
    folder, rng = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for number in range(12):
        place = folder / SYNSETS[number % 3]
        place.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(place / f"{number}.png")
    return folder


def studied(folder: Path, photographs: Path, spec: str, **options: object) -> Study:
    given = {"images": str(photographs), "encoder": spec, "input_size": 32, "resize": 32, "device": "cpu"}
    steps = {"embed": {**given, "workers": 0}, "features": {"epsilon": 0.5}, "probe": {}, "answers": {}}
    for option, value in options.items():
        of_head = option in {field.name for field in dataclasses.fields(AnswersConfig)}
        steps["answers" if of_head else "embed"][option] = value
    for step, asked in steps.items():
        run_step(step, folder, asked, Progress.silent())
    return open_study(folder)


def plain_logits(study: Study, model: nn.Module) -> np.ndarray:
    transform = study.transform
    rows = []
    for row in range(study.n_images):
        pixels = torch.from_numpy(transform.pixels(study.image(row))).permute(2, 0, 1).float() / 255
        mean, std = torch.tensor(transform.mean).view(3, 1, 1), torch.tensor(transform.std).view(3, 1, 1)
        with torch.no_grad():
            rows.append(model(((pixels - mean) / std)[None])[0].numpy())
    return np.stack(rows)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "mobilenet_v3_small",
        pytest.param(
            "resnet18",
            marks=pytest.mark.exhaustive("test_an_image_taken_for_what_no_image_is… has a linear head"),
        ),
    ],
)
def test_a_study_of_a_classifier_reads_by_its_own_answers(name, photographs, tmp_path, run):
    model = trained(torchvision.models.get_model(name))
    torch.save(model.state_dict(), tmp_path / "net.pth")
    study = studied(tmp_path / "study", photographs, f"torchvision:{name}@{tmp_path / 'net.pth'}")
    assert list(study.answers)[0] == "head", study.summary("answers")
    study, head = Study(study.path), study
    from timm.data.imagenet_info import ImageNetInfo

    ids = np.array(ImageNetInfo().label_names())
    logits = plain_logits(study, model)
    told = ids[logits.argmax(1)]
    named = head.table("probe")["predicted"].to_numpy(object)
    inside = np.isin(told, SYNSETS)
    assert (named[inside] == told[inside]).all() and not np.isin(named[~inside], SYNSETS).any()
    assert head.table("probe")["correct"].tolist() == (told == study.images["label"]).tolist()
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    np.testing.assert_allclose(head.table("probe")["confidence"], shares.max(1), rtol=2e-3)
    assert head.is_val.all() and not study.is_val.all()  # nothing is fitted: every image is judged
    assert head.has("probe_weights") == (name == "resnet18")
    notes = " ".join(study.answers["head"].facts["notes"])
    assert ("--layer head-input" in notes) == (name != "resnet18")
    if name == "resnet18":
        places = [int(np.flatnonzero(ids == one)[0]) for one in SYNSETS]
        np.testing.assert_array_equal(
            head.vector("probe_weights"), model.get_parameter("fc.weight")[places].detach()
        )
    assert "1,000 classes" in run("info", study.path).out
    assert not (told[inside] != study.images["label"][inside]).any()
    n_wrong = int((told != study.images["label"]).sum())
    for options in ((), ("--answer", "head")):
        said = json.loads(run("failures", study.path, *options, "--json").out)
        assert said["answer"] == "head" and said["n_failures"] == n_wrong
    assert "failures:" not in run("info", study.path).out
    assert run("answers", study.path, "--restrict").code == 0
    restricted = open_study(study.path).answering("head").table("probe")["predicted"]
    place = [int(np.flatnonzero(ids == one)[0]) for one in SYNSETS]
    assert restricted.tolist() == [SYNSETS[best] for best in logits[:, place].argmax(1)]
    read = open_study(study.path).answering("head")
    wrong = read.table("probe").query("correct == False")["image_id"]
    assert len(wrong) and set(read.table("failures")["image_id"]) == set(wrong)
    (tmp_path / "turned.txt").write_text("\n".join(np.roll(ids, 1)))
    assert run("answers", study.path, "--head-classes", tmp_path / "turned.txt").code == 0
    assert open_study(study.path).settings("answers") == {
        "head_activation": None,
        "head_classes": str(tmp_path / "turned.txt"),
        "restrict": True,
    }
    assert run("answers", study.path, "--add", "head").code == 0  # as at first
    pd.testing.assert_frame_equal(
        open_study(study.path).answering("head").table("probe"), head.table("probe")
    )


def test_an_image_taken_for_what_no_image_is__is_explained_by_the_weights_of_that_output(
    photographs, tmp_path
):
    """Outputs that mean no label have weights, too: of a head whose labels are one output each."""
    network, last = narrow_resnet(), nn.Linear(64, 5)
    nn.init.normal_(last.weight, std=0.4)
    nn.init.constant_(last.bias[3:], 100.0)
    names = [*SYNSETS, "lute", "drum"]
    state = {**network.state_dict(), **{f"fc.{key}": one for key, one in last.state_dict().items()}}
    torch.save(state, tmp_path / "net.pth")
    (tmp_path / "names.txt").write_text("\n".join(names))  # of which the study keeps no copy
    stated = {"head_classes": str(tmp_path / "names.txt")}
    study = studied(tmp_path / "study", photographs, str(tmp_path / "net.pth"), **stated).answering("head")
    assert study.has("probe_weights") and not study.has("probe_outputs")
    table, failures = study.table("probe"), study.table("failures")
    others = np.flatnonzero(table["predicted"].isin(["lute", "drum"]))
    assert len(others)
    for row in others.tolist():
        told = str(table["predicted"][row])
        mine = failures[(failures["image_id"] == study.images["image_id"][row])]
        for side, name in (("predicted", told), ("true", str(study.images["label"][row]))):
            part = mine[mine["side"] == side]
            added = study.array("representations")[row] * last.weight[names.index(name)].detach().numpy()
            np.testing.assert_allclose(part["contribution"], np.sort(added)[::-1][: len(part)], rtol=1e-4)
            assert len(part) and (mine["predicted"] == told).all()
    asked = predictor_of_images(study)
    for row in range(study.n_images):  # the page of an image says what the table does
        first = look_at(study, asked, row).classes.nlargest(1, "before")
        assert first["name"].item() == table["predicted"][row]
        assert first["before"].item() == pytest.approx(table["confidence"][row], rel=1e-5)
    kept = without_features(study, np.arange(study.n_images), [0])[1]
    assert (kept.before == kept.true).tolist() == table["correct"].tolist()
    config = BasisConfig(kind="pca", size=3, k=1, seeds=1)  # in which outputs are far from what they are
    add_basis(study.path, "coarse", config, Progress.silent())
    latents = open_study(study.path).in_basis("coarse").answering("head")
    (ours, places), (theirs, expected) = predictable(latents), predictable(study)
    assert ours == theirs and np.array_equal(places, expected)  # pyright: ignore[reportArgumentType]


@pytest.mark.slow
def test_interrupted_and_resumed_logits_are_the_same_bytes(photographs, tmp_path, monkeypatch):
    from core.analysis import representations

    monkeypatch.setattr(representations, "CHUNK_ROWS", 4)
    model = trained(torchvision.models.get_model("mobilenet_v3_small", num_classes=3))
    torch.save(model.state_dict(), tmp_path / "net.pth")
    spec = f"torchvision:mobilenet_v3_small@{tmp_path / 'net.pth'}"
    whole = studied(tmp_path / "whole", photographs, spec, batch_size=2)
    put, done = representations.ChunkBuffer.write, []

    def stop(self, step, chunk, consumers):
        if chunk == 1:
            raise KeyboardInterrupt
        done.append(chunk)
        put(self, step, chunk, consumers)

    monkeypatch.setattr(representations.ChunkBuffer, "write", stop)
    with pytest.raises(KeyboardInterrupt):
        studied(tmp_path / "again", photographs, spec, batch_size=2)
    monkeypatch.setattr(representations.ChunkBuffer, "write", put)
    again = studied(tmp_path / "again", photographs, spec, batch_size=2)
    assert done == [0]
    for item in ("head_logits", "representations"):
        assert again.manifest["items"][item] == whole.manifest["items"][item]


class Waves(nn.Module):
    """Tells four levels of grey apart by waves of the brightness: another scale of pixels moves it."""

    def __init__(self) -> None:
        super().__init__()
        self.grey, self.head = nn.Conv2d(3, 4, 1), nn.Linear(4, 4)
        self.grey.weight.data.fill_(1 / 3)
        self.grey.bias.data = -torch.tensor([-0.6, -0.2, 0.2, 0.6])  # pyright: ignore[reportOptionalMemberAccess]
        self.head.weight.data, self.head.bias.data = 9 * torch.eye(4), torch.zeros(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.cos(9 * self.grey(x)).relu().mean((2, 3)))


def test_few_images_tell_that_no_other_normalisation_is_better(rng):
    """Passes of 32 images through the network are bounded, mostly few, and what all would show is found."""

    def outcomes(share: float) -> np.ndarray:
        luck, noise = rng.random(256), rng.random((6, 256)) < 0.02  # the same images are hard with all
        return (luck < np.array([0.78, 0.77, 0.78, share, 0.7, 0.2])[:, None]) ^ noise

    def tried(right: np.ndarray) -> tuple[int, list[int]]:
        left, n_passes = list(range(6)), 0
        for seen in range(32, 257, 32):
            n_passes += len(left)
            left = remaining_candidates(right[:, :seen], left)
            if left == [0]:
                break
        return n_passes, left

    n_passes = [tried(outcomes(0.78))[0] for _ in range(200)]
    assert max(n_passes) <= 4 * 6 + 4 * 2 and np.mean(n_passes) < 16  # of 48 without stopping
    sure = []
    for _ in range(400):
        right = outcomes(0.88)
        if choose(right[[0, 3]], of=6).taken:
            sure.append(tried(right)[1] == [0, 3])
    assert len(sure) > 100 and np.mean(sure) > 0.95


def test_a_wrong_padding_of_the_first_convolution_is_named(tmp_path, rng):
    """Weights do not say it; 1 is taken, and these were trained with 2."""
    network = narrow_resnet(cifar_padding=2)
    pictures = [Image.fromarray(one) for one in rng.integers(0, 256, (48, 32, 32, 3), dtype=np.uint8)]
    pixels = (
        torch.from_numpy(np.stack([np.asarray(one) for one in pictures])).permute(0, 3, 1, 2).float() / 255
    )
    mean, std = torch.tensor(CIFAR_MEAN).view(3, 1, 1), torch.tensor(CIFAR_STD).view(3, 1, 1)
    with torch.no_grad():
        raw = network((pixels - mean) / std)
        linear = nn.Linear(raw.shape[1], 3)
        linear.bias.copy_(-linear.weight @ raw.mean(0))
        labels = linear(raw).argmax(1).tolist()
    for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        folder = tmp_path / "pictures" / "abc"[label]
        folder.mkdir(parents=True, exist_ok=True)
        picture.save(folder / f"{number}.png")
    state = network.state_dict() | {f"fc.{key}": one for key, one in linear.state_dict().items()}
    torch.save({"state_dict": state, "classes": list("abc")}, tmp_path / "net.pth")
    study = studied(tmp_path / "study", tmp_path / "pictures", str(tmp_path / "net.pth"))
    said = likely_normalisation(study, Request(), Progress.silent(), at_chance=False)
    assert isinstance(said, Record)
    assert (said.kind, said.what, said.n, said.value) == ("stem_likely_wrong", "2", 32, 1.0)
    assert said.chance is not None and said.chance < 0.7
    (tmp_path / "net.pth.json").write_text(json.dumps({"stem_padding": 2}))
    right = studied(tmp_path / "right", tmp_path / "pictures", str(tmp_path / "net.pth"))
    assert right.answers["head"].facts["top1"] == 1.0
    assert likely_normalisation(right, Request(), Progress.silent(), at_chance=False) is None


@pytest.mark.usefixtures("trusted")
def test_transparent_parts_on_another_ground_are_named(tmp_path):
    """Cut-outs whose ground is black below: ImageFolder drops the opacity, so the network never saw white."""
    for number in range(48):
        folder = tmp_path / "cut" / "abcd"[number % 4]
        folder.mkdir(parents=True, exist_ok=True)
        level = round(255 * (0.2, 0.4, 0.6, 0.8)[number % 4])
        picture = Image.new("RGBA", (32, 32), (level, level, level, 255))
        picture.paste((level, level, level, 0), (0, 0, 32, 20))
        picture.save(folder / f"{number}.png")
    spec, pixels = "python:tests.answers.test_head:Waves", {"mean": (0.5,) * 3, "std": (0.5,) * 3}
    study = studied(tmp_path / "study", tmp_path / "cut", spec, **pixels)
    assert study.facts(EmbedFacts).encoder.parameters == 4 * 3 + 4  # without the classifier that it ends in
    said = likely_normalisation(study, Request(), Progress.silent(), at_chance=False)
    assert isinstance(said, Record)
    assert (said.kind, said.what, said.value) == ("transparency_likely_wrong", "--transparency drop", 1.0)
    right = studied(tmp_path / "right", tmp_path / "cut", spec, transparency="drop", **pixels)
    assert right.answers["head"].facts["top1"] == 1.0
    assert likely_normalisation(right, Request(), Progress.silent(), at_chance=False) is None


@pytest.mark.slow
@pytest.mark.usefixtures("trusted")
def test_a_wrong_normalisation_and_a_shuffled_order_are_named(tmp_path, run):
    for number in range(48):
        folder = tmp_path / "grey" / "abcd"[number % 4]
        folder.mkdir(parents=True, exist_ok=True)
        level = (0.2, 0.4, 0.6, 0.8)[number % 4] + 0.001 * (number // 4)
        Image.new("RGB", (32, 32), (round(255 * level),) * 3).save(folder / f"{number}.png")
    spec = "python:tests.answers.test_head:Waves"
    wrong = studied(tmp_path / "wrong", tmp_path / "grey", spec)  # ImageNet's pixels are assumed
    notes = wrong.answers["head"].facts["notes"]
    assert wrong.answers["head"].facts["at_chance"], wrong.answers["head"]
    named = "THE NORMALISATION IS LIKELY WRONG: on 32 of the images top-1 is 100.0 % with --mean 0.5,0.5,0.5"
    assert named in notes[-1] and "25.0 % with that of the study" in notes[-1]
    request, silent = Request(), Progress.silent()
    assert named in str(likely_normalisation(wrong, request, silent, at_chance=False))
    half = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
    right = studied(tmp_path / "right", tmp_path / "grey", spec, **half)
    assert right.answers["head"].facts["top1"] == 1.0 and not right.answers["head"].facts["at_chance"]
    assert likely_normalisation(right, request, silent, at_chance=False) is None
    (tmp_path / "shuffled.txt").write_text("b\nc\nd\na\n")
    assert run("answers", right.path, "--head-classes", tmp_path / "shuffled.txt").code == 0
    notes = open_study(right.path).answers["head"].facts["notes"]
    assert any(
        "ORDER OF THE CLASSES IS LIKELY WRONG: top-1 is 0.0 % by shuffled.txt, but 100.0 %" in note
        for note in notes
    )
    assert not any("NORMALISATION" in note for note in notes)


def test_a_permuted_class_order_and_chance_level_are_named():
    from core.answers.classes import match_classes
    from core.answers.head import order_note

    rng = np.random.default_rng(0)
    names = [f"class {letter}" for letter in "abcdefgh"]
    true = np.repeat(np.arange(8), 25)
    told = np.where(rng.random(200) < 0.8, true, rng.integers(0, 8, 200))
    match = match_classes([[name] for name in names], names)
    assert match is not None
    study: Any = Labelled([names[one] for one in true], names)
    right = AnswerValues(names, told[:, None], {}, names)
    assert order_note(study, right, match) == []
    permuted = AnswerValues(names, np.roll(np.arange(8), 3)[told][:, None], {}, names)
    assert "ORDER OF THE CLASSES" in order_note(study, permuted, match)[0]
    guesses = AnswerValues(names, rng.integers(0, 8, 200)[:, None], {}, names)
    assert order_note(study, guesses, match) == []
    constant = AnswerValues(names, np.full((200, 1), 2), {}, names)
    assert order_note(study, constant, match) == []


class OfHead(Labelled):
    path = "study"
    groups: np.ndarray | None = None

    def table(self, name: str) -> pd.DataFrame:
        return pd.DataFrame({"wordnet": SYNSETS, "name": ["tench", "goldfish", "golden retriever"]})

    def facts(self, kind: type[EmbedFacts]) -> EmbedFacts:
        return kind(head=HeadFacts(assumed=True))


def test_labels_that_are_no_classes_of_the_head_are_one_clear_line():
    study: Any = OfHead(["cat", "dog"], ["cat", "dog"])
    with pytest.raises(
        SettingsError, match="no output of the head is a label.*tench, goldfish.*cat, dog"
    ) as said:
        matched(study, Request())
    assert "\n" not in str(said.value) and "--head-classes FILE" in str(said.value)


def test_labels_that_are_numbers_of_something_else_give_no_head():
    """As 0 and 1 of a table that is read by a classifier of ImageNet: outputs 0 and 1 are fishes."""
    study: Any = OfHead(["0", "1"], ["0", "1"])
    facts = {"matched": matched(study, Request())[0].how, "at_chance": True, "top1": 0.0, "n": 200}
    facts["n_outputs"] = 3
    assert "taken so, 0.0 % of 200 images would be right" in str(why_other_numbers(study, facts))
    unnamed: Any = OfHead(["0", "1", "2"], ["0", "1", "2"])
    unnamed.table = lambda _: pd.DataFrame({"wordnet": [""] * 10, "name": [""] * 10})
    assert "numbers, but not those of its 10 outputs" in str(
        why_other_numbers(unnamed, facts | {"n_outputs": 10})
    )
    assert why_other_numbers(unnamed, facts) is None  # as many outputs as labels: a mistake of another kind
    for may_be in ({"at_chance": False}, {"top1": 0.6}, {"matched": "by name"}):
        assert why_other_numbers(study, facts | may_be) is None


def test_a_head_that_other_numbers_do_not_fit_is_refused(monkeypatch):
    study: Any = OfHead(["0", "1"] * 100, ["0", "1"])
    study.is_val, study.column = np.ones(200, bool), lambda _, name: study.images[name]
    values: dict[str, np.ndarray] = {name: np.full(200, 0.5) for name in VALUES}
    told = AnswerValues(
        ["0", "1", "dog"], np.full((200, 1), 2), values, facts={"matched": BY_INDEX, "n_outputs": 3}
    )
    makers = {KINDS[HEAD].make: lambda *_: told}
    monkeypatch.setattr(requests, "function_named", lambda name: makers.get(name, lambda *_: None))
    step: Any = Collected()
    with pytest.raises(SettingsError, match="the labels are numbers, but not those"):
        requests.write_answer(study, step, HEAD, HEAD, Request(), Progress.silent())
    assert not step.items and not step.summary


@pytest.mark.parametrize(
    ("stated", "names"),
    [
        ({"classes": ["cat", "dog"]}, [["cat"], ["dog"]]),
        ({"class_to_idx": {"dog": 1, "cat": 0}}, [["cat"], ["dog"]]),
        ({"idx_to_class": {"1": "dog", "0": "cat"}}, [["cat"], ["dog"]]),
        ({"idx_to_class": {"first": "cat", "-1": "dog"}}, []),
        ({"classes": {"a": 0.5}}, []),
        ({"classes": [1, 2]}, []),
        (["classes"], []),
    ],
)
def test_names_that_a_file_states_are_read_and_nonsense_is_none(stated, names):
    assert names_in(stated) == names
