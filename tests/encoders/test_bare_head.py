"""A classifier in a bare checkpoint, whose network is known by its keys alone: compared with a library's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import pytest
import timm
import torch
import torchvision
from torch import nn

from core.encoders.head import Head
from core.encoders.registry import load_encoder
from tests.answers.test_head import same_logits, trained
from tests.encoders.planted import narrow_resnet


def saved(model: nn.Module, folder: Any, classifier: str) -> str:
    """The weights as Lightning saves a backbone with a classifier beside it."""
    state = {
        f"model.{key}" if key.startswith(classifier) else f"model.backbone.{key}": tensor
        for key, tensor in model.state_dict().items()
    }
    torch.save({"state_dict": state}, folder / "net.ckpt")
    return str(folder / "net.ckpt")


@pytest.mark.parametrize(
    ("name", "tokens"), [("resnet18", None), ("vit_tiny_patch16_224", None), ("vit_tiny_patch16_224", "mean")]
)
def test_logits_are_those_of_the_whole_network(name, tokens, tmp_path):
    if name == "resnet18":
        model = trained(torchvision.models.get_model(name, num_classes=5))
    else:
        model = trained(timm.create_model(name, num_classes=5, depth=1))
    path = saved(model, tmp_path, "fc." if name == "resnet18" else "head.")
    encoder = load_encoder(path, tokens=tokens)
    head = encoder.find_head()
    assert isinstance(head, Head) and head.unchecked  # the network is as its keys look: nothing names it
    assert (head.linear is not None) == (tokens is None)
    x = torch.randn(2, 3, *encoder.transform.sides, generator=torch.Generator().manual_seed(2))
    with torch.no_grad(), head.reading(encoder.base) as logits:
        encoder.model(x)
        same_logits(logits(), model(x))


def test_a_network_that_no_library_has_is_told(tmp_path):
    model = narrow_resnet()
    model.set_submodule("fc", classifier := nn.Linear(64, 5))
    nn.init.normal_(classifier.weight, std=0.4)
    head = load_encoder(saved(model, tmp_path, "fc.")).find_head()
    assert isinstance(head, Head) and head.unchecked and head.linear is not None


Part = TypeVar("Part", bound=nn.Module)


def drawn(module: Part) -> Part:
    """Weights that are not as they were drawn, and statistics of a BatchNorm that matter."""
    for one in module.modules():
        if isinstance(one, nn.BatchNorm1d):
            one.running_mean, one.running_var = (
                torch.randn(one.num_features),
                0.5 + torch.rand(one.num_features),
            )
        for parameter in one.parameters(recurse=False):
            nn.init.normal_(parameter)
    return module.eval()


def head_beside(
    folder: Any, network: nn.Module, parts: Mapping[str, nn.Module], prefix: str = "base."
) -> Any:
    """The classifier that is found in a file of an encoder with these modules beside it."""
    state = {f"{prefix}{key}": one for key, one in network.state_dict().items()}
    for name, part in parts.items():
        state |= {f"{name}.{key}": one for key, one in part.state_dict().items()}
    torch.save(state, folder / "net.pth")
    return load_encoder(str(folder / "net.pth"), input_size=32).find_head()


def test_a_batchnorm_between_encoder_and_classifier_is_folded_in(tmp_path):
    """As in person re-identification: base, bottleneck, classifier without bias."""
    torch.manual_seed(0)
    neck, linear = drawn(nn.BatchNorm1d(64)), drawn(nn.Linear(64, 5, bias=False))
    head = head_beside(tmp_path, narrow_resnet(), {"bottleneck": neck, "classifier": linear})
    assert isinstance(head, Head) and head.linear is not None
    raw = torch.randn(6, 64)
    with torch.no_grad():
        same_logits(raw @ head.linear[0].T + head.linear[1], linear(neck(raw)))
    (note,) = head.notes
    assert (note.kind, note.what, note.names) == ("neck", "classifier", ("bottleneck",))


def test_an_embedding_before_a_classifier_of_another_name_is_part_of_it(tmp_path):
    torch.manual_seed(0)
    embedding = drawn(nn.Sequential(nn.Linear(64, 20), nn.BatchNorm1d(20)))
    linear = drawn(nn.Linear(20, 5))
    head = head_beside(tmp_path, narrow_resnet(), {"fc": embedding, "classifier": linear})
    assert isinstance(head, Head) and head.linear is None and head.hidden is not None
    (first, shift), (last, bias), activation = head.hidden
    assert activation == "" and head.n_outputs == 5  # labels tell it; none may lie between
    raw = torch.randn(6, 64)
    with torch.no_grad():
        same_logits((raw @ first.T + shift) @ last.T + bias, linear(embedding(raw)))
    (note,) = head.notes
    assert (note.kind, note.what, note.names) == ("embedding", "classifier", ("fc.0",))


def test_a_pooler_before_a_classifier_has_its_activation(tmp_path):
    torch.manual_seed(0)
    dense, linear = drawn(nn.Linear(64, 64)), drawn(nn.Linear(64, 5))
    head = head_beside(tmp_path, narrow_resnet(), {"pooler.dense": dense, "classifier": linear})
    assert isinstance(head, Head) and head.hidden is not None and head.hidden[2] == "Tanh"


@pytest.mark.parametrize(
    "parts",
    [
        {"neck": nn.LayerNorm(64), "classifier": nn.Linear(64, 5)},
        {"neck": nn.Linear(64, 64), "classifier": nn.Linear(64, 5)},
        {"first": nn.BatchNorm1d(64), "second": nn.BatchNorm1d(64), "classifier": nn.Linear(64, 5)},
        {"first": nn.Linear(64, 20), "second": nn.Linear(20, 20), "classifier": nn.Linear(20, 5)},
        {
            "fc": nn.Sequential(nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, 20)),
            "classifier": nn.Linear(20, 5),
        },
    ],
    ids=lambda parts: " ".join(parts),
)
def test_what_lies_between_and_cannot_be_known_refuses_the_head(parts, tmp_path):
    torch.manual_seed(0)
    why = head_beside(tmp_path, narrow_resnet(), {name: drawn(one) for name, one in parts.items()})
    assert isinstance(why, str) and "tensors lie between" in why and "'classifier'" in why


@pytest.mark.parametrize(
    "parts",
    [
        {"projector": nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 64))},
        {"predictor": nn.Linear(64, 64), "bn": nn.BatchNorm1d(128)},
        {"regressor": nn.Linear(64, 4)},
        {"text_model": nn.Sequential(*(nn.LayerNorm(64) for _ in range(4)))},
    ],
    ids=lambda parts: " ".join(parts),
)
def test_pretext_heads_and_other_heads_do_not_lie_between(parts, tmp_path):
    torch.manual_seed(0)
    linear = drawn(nn.Linear(64, 5))
    head = head_beside(tmp_path, narrow_resnet(), {**parts, "classifier": linear})
    assert isinstance(head, Head) and head.linear is not None and not head.notes
    assert torch.equal(head.linear[0], linear.weight)


def test_a_factor_beside_the_weights_makes_a_cosine_classifier(tmp_path):
    torch.manual_seed(0)
    linear = drawn(nn.Linear(64, 5, bias=False))
    linear.register_buffer("scale", torch.tensor(16.0))
    network = narrow_resnet()
    head = head_beside(tmp_path, network, {"head": linear})
    assert isinstance(head, Head) and head.linear is None and [one.kind for one in head.notes] == ["cosine"]
    raw = torch.randn(6, 64)
    with torch.no_grad():
        cosine = nn.functional.cosine_similarity(raw[:, None], linear.weight[None], dim=2)
        same_logits(head.logits([raw]), 16 * cosine)


def test_several_classifiers_of_a_file_are_all_named_and_momentum_copies_are_none(tmp_path):
    torch.manual_seed(0)
    first, second, copy = (drawn(nn.Linear(64, 5)) for _ in range(3))
    parts = {"head": first, "classifier": second, "teacher.head": copy}
    head = head_beside(tmp_path, narrow_resnet(), parts, prefix="backbone.")
    assert isinstance(head, Head) and head.source == "head"
    assert [one.source for one in head.others] == ["classifier"]
    assert head.of_source("classifier") is head.others[0] and head.of_source("") is head
    only = head_beside(tmp_path, narrow_resnet(), {"classifier": second, "momentum.classifier": copy})
    assert isinstance(only, Head) and only.source == "classifier" and not only.others


@pytest.mark.parametrize("name", ["last_linear", "cls_head", "cls_head.fc", "linear_head", "fc_cls"])
def test_names_of_classifiers_are_known_inside_the_encoder_and_beside_it(name, tmp_path):
    torch.manual_seed(0)
    linear = drawn(nn.Linear(64, 5))
    for prefix in ("", "backbone."):
        head = head_beside(tmp_path, narrow_resnet(), {name: linear}, prefix=prefix)
        assert isinstance(head, Head) and head.linear is not None
        assert torch.equal(head.linear[0], linear.weight)


def test_the_input_of_a_classifier_keeps_that_its_pixels_were_stated(tmp_path):
    model = trained(torchvision.models.get_model("mobilenet_v3_small", num_classes=7))
    torch.save(model.state_dict(), tmp_path / "net.pth")
    (tmp_path / "net.pth.json").write_text('{"transform": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}')
    spec = f"torchvision:mobilenet_v3_small@{tmp_path / 'net.pth'}"
    for mean, stated in ((None, True), ((0.4, 0.4, 0.4), False)):
        for layer in (None, "head-input"):
            encoder = load_encoder(spec, input_size=64, layer=layer, mean=mean)
            assert encoder.normalisation_stated == stated


def test_numbers_beside_a_classifier_that_are_not_used_are_named(tmp_path):
    """A module of Lightning may add a prior to its outputs, and divide them by a temperature."""
    linear = nn.Linear(64, 5)
    beside = {"log_prior": torch.randn(5), "temperature": torch.tensor(2.0), "n_seen": torch.tensor(7)}
    state = {f"backbone.{key}": one for key, one in narrow_resnet().state_dict().items()}
    state |= {f"head.{key}": one for key, one in linear.state_dict().items()} | beside
    torch.save({"state_dict": state}, tmp_path / "last.ckpt")
    head = load_encoder(str(tmp_path / "last.ckpt")).find_head()
    assert isinstance(head, Head)
    [note] = head.notes
    assert note.kind == "unused" and note.names == ("log_prior", "temperature")


@pytest.mark.parametrize(
    ("beside", "named"),
    [
        ({"aux_head": 5}, ("aux_head",)),
        ({"head2": 3, "age_head": 1}, ("head2", "age_head")),
        ({"projection_head": 5, "head_ema": 5}, ()),
    ],
)
def test_a_further_head_that_is_no_classifier_by_its_name_is_named(beside, named, tmp_path):
    state = {f"backbone.{key}": one for key, one in narrow_resnet().state_dict().items()}
    for name, n_outputs in {"head": 5, **beside}.items():
        state |= {f"{name}.{key}": one for key, one in nn.Linear(64, n_outputs).state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "last.ckpt")
    head = load_encoder(str(tmp_path / "last.ckpt")).find_head()
    assert isinstance(head, Head) and head.n_outputs == 5
    assert tuple(name for note in head.notes for name in note.names) == named
    assert {note.kind for note in head.notes} <= {"unused"}
