"""The classifier of a network is left out: one of each family of timm and torchvision, and the user's own."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.testing import assert_close

from core.encoders.encoder import Encoder
from core.encoders.factories import build_architecture
from core.encoders.head import Head
from core.encoders.registry import load_encoder
from core.encoders.spec import parse_spec
from core.encoders.transform import Transform
from core.errors import CheckpointError
from tests.encoders.planted import narrow_resnet, some_pixels, stir
from tests.sampling import EVERYTHING, sample
from tests.sentences import as_record

TOLERANCE: dict[str, Any] = {"rtol": 1e-3, "atol": 1e-4}
FEW = ("test_convnext", "levit_128s", "starnet_s050")  # classifiers head.fc, head.linear with head.bn, head
# The smallest model of each module of timm that has a classifier and at most 31 million parameters. A usual
# run tries the first ones: classifiers of different names, in networks that are made quickly.
FAMILIES = """
    lcnet_035 test_vit test_mambaout regnetx_002 xcit_nano_12_p8_224
    lambda_resnet50ts mobileone_s1 cait_xxs24_224 coat_tiny convit_tiny convmixer_1024_20_ks9_p14
    cpubone_nano crossvit_9_240 csatv2 cs3darknet_focus_s cspnext_tiny davit_tiny deit_tiny_patch16_224
    densenet121 dla60x_c dpn68 edgenext_xx_small efficientformer_l1 efficientformerv2_s0 efficientnet_b0
    efficientvim_m1 efficientvit_b0 efficientvit_m0 fasternet_t0 fastvit_t8 focalnet_tiny_srf
    gcvit_xxtiny ghostnet_050 hardcorenas_b hgnetv2_b0 hiera_tiny_224 hrnet_w18_small iformer_s
    inception_next_atto inception_v3 lcnetv2_small lowformer_b0 maxvit_pico_rw_256 poolformerv2_s12
    mixer_s16_224 mobilevit_xxs mvitv2_tiny nest_tiny nextvit_small nf_regnet_b0 pit_xs_224 pvt_v2_b0
    rdnet_tiny repvit_m0_9 repghostnet_050 res2next50 resnest14d resnet10t resnetv2_18 rexnet_100
    selecsls42 legacy_seresnet18 sequencer2d_s shvit_s1 skresnet18 swiftformer_xs
    swin_tiny_patch4_window7_224 swinv2_tiny_window8_256 swinv2_cr_tiny_224 tiny_vit_5m_224
    tnt_s_legacy_patch16_224 tresnet_m twins_svt_small visformer_tiny test_vit_relpos vitamin_small_224
    volo_d1_224 ese_vovnet19b_slim_dw legacy_xception xception41p
"""
MARKED = [*FEW, *(pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES.split())]


def saved(name: str, path: Any) -> nn.Module:
    """A network of timm with random weights and its classifier, and its state dict as a file."""
    torch.manual_seed(0)
    model = timm.create_model(name).eval()
    torch.save(model.state_dict(), path)
    return model


@pytest.mark.parametrize("name", MARKED if EVERYTHING else sample(MARKED, len(FEW) + 4))
def test_the_state_dict_of_a_classifier_loads_without_it(name, tmp_path):
    model: Any = saved(name, tmp_path / "whole.pth")
    encoder = load_encoder(f"timm:{name}@{tmp_path / 'whole.pth'}")
    expected = timm.create_model(name, num_classes=0).eval()
    assert encoder.n_features == expected(torch.zeros(1, 3, *encoder.transform.sides)).shape[1] != 1000
    loaded = encoder.base.state_dict()
    assert all(torch.equal(tensor, model.state_dict()[key]) for key, tensor in loaded.items())
    classifier = {key.rpartition(".")[0] for key in model.state_dict().keys() - loaded.keys()}
    dropped = encoder.report.dropped
    assert sum(dropped.values()) == len(model.state_dict()) - len(loaded) > 0
    assert all(any(name.startswith(group) for group in dropped) for name in classifier)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arch", sample(["convnext_tiny", "squeezenet1_1", "mobilenet_v3_small", "swin_t", "maxvit_t"], 3)
)
def test_classifiers_of_torchvision(arch, tmp_path):
    torch.manual_seed(0)
    model = torchvision.models.get_model(arch, weights=None).eval()
    torch.save(model.state_dict(), tmp_path / "whole.pth")
    encoder = load_encoder(f"torchvision:{arch}@{tmp_path / 'whole.pth'}")
    n_features = {"convnext_tiny": 768, "squeezenet1_1": 512, "mobilenet_v3_small": 576, "swin_t": 768}
    assert encoder.n_features == n_features.get(arch, 512)
    assert encoder.pools_globally == (arch != "convnext_tiny")  # there a norm follows the average


def test_a_file_with_other_names_in_the_same_order_is_matched(tmp_path):
    model = saved("test_convnext", tmp_path / "whole.pth")
    other = {f"_net.{key.replace('stages', 'parts')}": tensor for key, tensor in model.state_dict().items()}
    torch.save(other, tmp_path / "other.pth")
    encoder = load_encoder(f"timm:test_convnext@{tmp_path / 'other.pth'}")
    plain = load_encoder(f"timm:test_convnext@{tmp_path / 'whole.pth'}")
    assert encoder.fingerprint == plain.fingerprint
    note = next(line for line in encoder.assumptions if "by their order and shapes" in line)
    assert all(part in note for part in ("_net.stem.0.weight", "stem.0.weight"))


@pytest.mark.parametrize("change", ["swapped", "shorter", "renamed part"])
def test_names_are_not_guessed_where_order_or_shapes_differ(change, tmp_path):
    model = saved("test_convnext", tmp_path / "whole.pth")
    items = [(f"_net.{key.replace('stages', 'parts')}", value) for key, value in model.state_dict().items()]
    if change == "swapped":
        items[0], items[4] = items[4], items[0]
    elif change == "shorter":
        items.pop(3)
    else:
        items[0] = ("_net.stem.0.bias2", items[0][1])
    torch.save(dict(items), tmp_path / "other.pth")
    with pytest.raises(CheckpointError) as refused:
        load_encoder(f"timm:test_convnext@{tmp_path / 'other.pth'}")
    message = str(refused.value)  # what is missing and unexpected, in place of "name the architecture"
    assert "(stem.0.weight" in message and "unexpected (_net." in message
    assert "name the architecture" not in message


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_bare_checkpoint_of_timms_convnext_is_recognised_with_its_classifier(prefix, tmp_path):
    model = timm.create_model("test_convnext", num_classes=7).eval()
    stir(model)
    torch.save({f"{prefix}{key}": one for key, one in model.state_dict().items()}, tmp_path / "net.pth")
    encoder = load_encoder(str(tmp_path / "net.pth"), input_size=64)
    head, pixels = encoder.find_head(), torch.randn(2, 3, 64, 64)
    assert isinstance(head, Head) and head.linear is not None and not head.unchecked
    with torch.no_grad():
        assert_close(encoder.model(pixels) @ head.linear[0].T + head.linear[1], model(pixels), **TOLERANCE)


class Classifier(nn.Module):
    """A classifier as people write them: features, average, a Linear to ten classes."""

    def __init__(self, last: nn.Module | None = None):
        super().__init__()
        torch.manual_seed(0)
        self.body, self.fc, self.last = narrow_resnet(), nn.Linear(64, 10), last

    def forward(self, x: Tensor) -> Tensor:
        logits = self.fc(self.body(x))
        return self.last(logits) if self.last is not None else logits


def with_softmax():
    return Classifier(nn.Softmax(dim=1))


def with_sigmoids():
    model = Classifier(nn.Sigmoid())
    nn.init.normal_(model.fc.weight, std=0.4)
    return model


def of_logits():
    return Classifier(nn.Identity())


HERE = "python:tests.encoders.test_classifiers"


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("factory", ["Classifier", "with_softmax"])
def test_a_factory_of_a_classifier_gives_what_its_classifier_reads(factory):
    encoder = load_encoder(f"{HERE}:{factory}", input_size=64)
    assert encoder.n_features == 64 and encoder.classifier == "fc"
    assert encoder.pools_globally and encoder.target_layer.startswith("body.layer4")
    pixels = some_pixels(64)
    assert_close(encoder.represent(pixels), narrow_resnet()(encoder.normalise(pixels)), **TOLERANCE)
    raw, maps = encoder.represent_with_map(pixels)
    assert_close(maps.mean(dim=(2, 3)), raw, **TOLERANCE)
    note = "ends in a classifier ('fc', 10 outputs): what it reads, 64 features, is the representation"
    assert any(note in line for line in encoder.assumptions)
    assert not any("what the network returns" in line for line in encoder.assumptions)


@pytest.mark.usefixtures("trusted")
def test_several_sigmoids_are_outputs_that_are_independent(tmp_path):
    head = load_encoder(f"{HERE}:with_sigmoids", input_size=64).find_head()
    assert isinstance(head, Head) and head.independent
    torch.save(with_sigmoids().state_dict(), tmp_path / "own.pth")
    for factory in ("with_softmax", "Classifier"):
        head = load_encoder(f"{HERE}:{factory}@{tmp_path / 'own.pth'}", input_size=64).find_head()
        assert isinstance(head, Head) and not head.independent


@pytest.mark.usefixtures("trusted")
def test_a_network_that_ends_in_identity_is_taken_at_its_word():
    encoder = load_encoder(f"{HERE}:of_logits", input_size=64)
    assert encoder.n_features == 10 and encoder.classifier is None


@pytest.mark.usefixtures("trusted")
def test_a_layer_that_is_named_is_used(tmp_path):
    default = load_encoder(f"{HERE}:of_logits", input_size=64)
    named = load_encoder(f"{HERE}:of_logits", input_size=64, layer=default.target_layer)
    assert named.early and named.n_features == 64 and named.fingerprint != default.fingerprint
    inner = load_encoder(f"{HERE}:Classifier", input_size=64, layer="body.layer2")
    assert inner.early and inner.n_features == 16
    assert not any("ends in a classifier" in line for line in inner.assumptions)


@pytest.mark.usefixtures("trusted")
def test_the_weights_of_the_users_classifier_are_loaded_before_its_input_is_taken(tmp_path):
    model = Classifier()
    stir(model)
    torch.save(model.state_dict(), tmp_path / "own.pth")
    encoder = load_encoder(f"{HERE}:Classifier@{tmp_path / 'own.pth'}", input_size=64)
    pixels = some_pixels(64)
    assert_close(encoder.represent(pixels), model.body.eval()(encoder.normalise(pixels)), **TOLERANCE)
    assert torch.equal(encoder.base.get_parameter("fc.weight"), model.fc.weight)  # kept in the network


@pytest.mark.usefixtures("trusted")
def test_an_assumed_normalisation_is_said():
    spec, half = f"{HERE}:Classifier", (0.5,) * 3

    def assumed(**given):
        notes = [as_record(line) for line in load_encoder(spec, **given).assumptions]
        return [note for note in notes if note.kind.startswith("pixels")]

    (unchecked,), (checked,) = assumed(), assumed(mean=half, std=half)
    assert unchecked.kind == "pixels_unchecked"
    assert [(part.kind, part.what) for part in unchecked.parts[-2:]] == [
        ("mean_of_imagenet", "0.485, 0.456, 0.406"),
        ("std_of_imagenet", "0.229, 0.224, 0.225"),
    ]
    assert checked.kind == "pixels" and checked.parts[-1].what == "224"
    assert not {"mean", "std", "mean_of_imagenet"} & {part.kind for part in checked.parts}
    assert assumed(mean=half, std=half, input_size=64) == []


def test_a_module_given_as_an_encoder_is_not_changed():
    encoder = Encoder(Classifier(), Transform(None, 64), arch="mine")
    assert encoder.n_features == 10


def test_build_architecture__knows_the_whole_network():
    built = build_architecture(parse_spec("timm:levit_128s"), with_weights=False)
    assert built.whole is not None
    heads = built.whole().keys() - built.model.state_dict().keys()
    assert {key.split(".")[0] for key in heads} == {"head", "head_dist"}
