"""Every layout that is recognised: saved as its library saves it, loaded, and the same numbers come out."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
import torchvision
from torch.testing import assert_close

from core.encoders.registry import load_encoder
from core.encoders.transform import IMAGENET_MEAN, IMAGENET_STD
from core.errors import CheckpointError, EncoderError
from tests.encoders.planted import (
    LAYOUTS,
    head,
    lightning,
    linear,
    narrow_resnet,
    numbered,
    reference,
    some_pixels,
    under,
)
from tests.sentences import as_record

SIZE = 64
# channels_last and NCHW convolutions add up in different orders
TOLERANCE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-4}


def save(tmp_path, file, name="last.ckpt"):
    torch.save(file, tmp_path / name)
    return str(tmp_path / name)


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_representation_of_the_original(name, tmp_path):
    make, layout = LAYOUTS[name]
    model, other = narrow_resnet(0), narrow_resnet(1)
    filename = "resnet50-1x.pth" if layout == "SimCLR (tonylins)" else "last.ckpt"
    path = save(tmp_path, make(dict(model.state_dict()), dict(other.state_dict())), filename)

    encoder = load_encoder(path, input_size=SIZE)

    assert encoder.report.layout == layout
    assert encoder.report.matched == len(model.state_dict())
    assert encoder.report.missing == encoder.report.unexpected == ()
    pixels, transform = some_pixels(SIZE), encoder.transform
    expected = reference(model, pixels, transform.mean, transform.std)
    assert_close(encoder.represent(pixels), expected, **TOLERANCE)
    assert encoder.pools_globally and encoder.nonnegative and encoder.target_layer == "layer4.0"


TWO_COPIES = (
    "moco", "moco v3", "solo-learn", "solo-learn old", "dino full", "lightly momentum", "yaox12 byol model",
    "lucidrains byol", "openselfsup byol", "pycontrast", "timm ema", "lightning ema",
)  # fmt: skip


@pytest.mark.parametrize("name", TWO_COPIES)
def test_the_other_copy_is_loaded_when_asked_for(name, tmp_path):
    make, _ = LAYOUTS[name]
    other = narrow_resnet(1)
    path = save(tmp_path, make(dict(narrow_resnet(0).state_dict()), dict(other.state_dict())))
    branch = "student" if name in ("dino full", "timm ema", "lightning ema") else "teacher"

    encoder = load_encoder(f"{path}?branch={branch}", input_size=SIZE)

    pixels = some_pixels(SIZE)
    assert_close(
        encoder.represent(pixels), reference(other, pixels, IMAGENET_MEAN, IMAGENET_STD), **TOLERANCE
    )


def test_the_report_counts_what_was_left_out(tmp_path):
    state = dict(narrow_resnet(0).state_dict())
    encoder = load_encoder(save(tmp_path, LAYOUTS["moco"][0](state, state)), input_size=SIZE)
    report = encoder.report
    assert report.prefix == "module.encoder_q."
    n_copy = len(state) + 4
    assert report.dropped == {
        "module.encoder_k": n_copy,
        "module.queue": 1,
        "module.queue_ptr": 1,
        "module.encoder_q.fc": 4,
    }


def test_pixel_statistics_follow_the_layout(tmp_path):
    state = dict(narrow_resnet(0).state_dict())
    swav = load_encoder(save(tmp_path, LAYOUTS["swav"][0](state, state)), input_size=SIZE)
    assert swav.transform.mean == (0.485, 0.456, 0.406) and swav.transform.std == (0.228, 0.224, 0.225)
    simclr = load_encoder(
        save(tmp_path, {"state_dict": state | linear("fc.")}, "resnet50-1x.pth"), input_size=SIZE
    )
    assert simclr.transform.mean == (0.0, 0.0, 0.0) and simclr.transform.std == (1.0, 1.0, 1.0)
    assert any("without mean and std" in line for line in simclr.assumptions)
    plain = load_encoder(save(tmp_path, state), input_size=SIZE)
    assert plain.transform.std == (0.229, 0.224, 0.225)


@pytest.mark.parametrize(
    ("make", "padding"),
    [
        (lambda s: lightning(under("backbone.", s) | linear("classifier.", 10) | head("projector.")), 2),
        (lambda s: lightning(under("backbone.", s) | linear("classifier.", 10)), 1),
        (lambda s: under("backbone.", s) | linear("classifier.", 10), 1),
        (lambda s: {"state_dict": under("module.encoder_q.", s | head("fc."))}, 1),
        (lambda s: s, 1),
    ],
    ids=["solo-learn", "own Lightning", "own", "moco", "plain"],
)
def test_a_3x3_first_convolution_means_a_cifar_stem(make, padding, tmp_path):
    model = narrow_resnet(0, cifar_padding=padding)
    encoder = load_encoder(save(tmp_path, make(dict(model.state_dict()))))
    transform = encoder.transform
    assert (transform.input_size, transform.resize) == (32, None)
    assert transform.mean == (0.4914, 0.4822, 0.4465) and transform.std == (0.2470, 0.2435, 0.2616)
    pixels = some_pixels(32)
    assert_close(
        encoder.represent(pixels), reference(model, pixels, transform.mean, transform.std), **TOLERANCE
    )
    assert any(f"CIFAR stem (stride 1, padding {padding}" in line for line in encoder.assumptions)


def test_a_cifar_stem_can_be_told_another_size_and_statistics(tmp_path):
    path = save(tmp_path, dict(narrow_resnet(0, cifar_padding=1).state_dict()))
    transform = load_encoder(path, input_size=64, mean=(0.5,) * 3, std=(0.25,) * 3).transform
    assert (transform.input_size, transform.resize, transform.mean, transform.std) == (
        64,
        None,
        (0.5,) * 3,
        (0.25,) * 3,
    )


def test_lightlys_own_resnet_has_no_relu_in_its_sequential_stem(tmp_path):
    model = narrow_resnet(0, cifar_padding=1)
    # The children of lightly's ResNetGenerator are conv1, bn1, layer1 …
    model.set_submodule("relu", torch.nn.Identity())
    state = {key.replace("downsample", "shortcut"): value for key, value in model.state_dict().items()}
    encoder = load_encoder(save(tmp_path, lightning(under("backbone.", numbered(state, layer1=2)))))
    pixels, transform = some_pixels(32), encoder.transform
    assert_close(
        encoder.represent(pixels), reference(model, pixels, transform.mean, transform.std), **TOLERANCE
    )
    assert any("no ReLU" in line for line in encoder.assumptions)


def test_several_encoders_of_equal_rank_need_a_choice(tmp_path):
    model, other = narrow_resnet(0), narrow_resnet(1)
    path = save(
        tmp_path, under("left.", dict(model.state_dict())) | under("right.", dict(other.state_dict()))
    )
    with pytest.raises(CheckpointError, match=r"\?prefix="):
        load_encoder(path)
    pixels = some_pixels(SIZE)
    right = load_encoder(f"{path}?prefix=right.", input_size=SIZE)
    assert_close(right.represent(pixels), reference(other, pixels, IMAGENET_MEAN, IMAGENET_STD), **TOLERANCE)
    with pytest.raises(CheckpointError, match="'middle'"):
        load_encoder(f"{path}?prefix=middle")


def test_no_known_layout_says_what_the_keys_are(tmp_path):
    with pytest.raises(CheckpointError, match="encoder"):
        load_encoder(save(tmp_path, {"alpha": torch.ones(3), "beta": torch.ones(2)}))
    with pytest.raises(CheckpointError, match="weights"):
        load_encoder(save(tmp_path, {"epoch": 3}))


def kinds_of(encoder):
    return {as_record(line).kind: as_record(line) for line in encoder.assumptions}


def assert_reads(encoder, model, pixels=None, statistics=(IMAGENET_MEAN, IMAGENET_STD)):
    pixels = some_pixels(SIZE) if pixels is None else pixels
    assert_close(encoder.represent(pixels), reference(model, pixels, *statistics), **TOLERANCE)


@pytest.mark.parametrize("inner", ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"])
def test_parts_of_a_network_that_were_wrapped_alone(inner, tmp_path):
    model = narrow_resnet(0)
    state = {
        key.replace("layer1.", f"layer1.{inner}.").replace("layer3.0.", f"layer3.0.{inner}."): tensor
        for key, tensor in model.state_dict().items()
    }
    assert_reads(load_encoder(save(tmp_path, state), input_size=SIZE), model)


AVERAGES = {
    "torchvision": lambda s, a: {
        "model": s,
        "model_ema": under("module.", a) | {"n_averaged": torch.ones(())},
    },
    "ignite": lambda s, a: {"model": s, "ema_model": a},
    "swa": lambda s, a: {"state_dict": s, "swa_state_dict": a},
    "lightning": lambda s, a: (
        lightning(a) | {"current_model_state": s, "averaging_state": {"n_averaged": torch.ones(())}}
    ),
    "torch-ema": lambda s, a: {
        "model": s,
        "ema": {
            "decay": 0.9,
            "shadow_params": [a[key] for key in a if "running" not in key and "num_" not in key],
        },
    },
}


@pytest.mark.parametrize("name", AVERAGES)
def test_the_average_of_a_model_is_taken_and_the_last_step_is_named(name, tmp_path):
    last, average = narrow_resnet(0), narrow_resnet(1)
    buffers = {key: one for key, one in average.state_dict().items() if "running" in key}
    last.load_state_dict(buffers, strict=False)
    file = AVERAGES[name](dict(last.state_dict()), dict(average.state_dict()))
    encoder = load_encoder(save(tmp_path, file), input_size=SIZE)
    assert_reads(encoder, average)
    assert len(kinds_of(encoder)["copies"].names) == 1


def test_an_average_whose_order_does_not_fit_is_named_as_left_out(tmp_path):
    model = narrow_resnet(0)
    file = {"model": dict(model.state_dict()), "ema": {"shadow_params": [torch.ones(2), torch.ones(3)]}}
    encoder = load_encoder(save(tmp_path, file), input_size=SIZE)
    assert_reads(encoder, model)
    assert kinds_of(encoder)["average_left"].n == 2


def schedule_free(model, evaluated, groups):
    """What the optimiser saves in training: y of the model, of which x = lerp(y, z, 1 - 1 / beta)."""
    beta = 0.9
    names = [name for group in groups for name in group]
    x, y = dict(evaluated.named_parameters()), dict(model.named_parameters())
    z = {name: y[name] + (x[name] - y[name]) / (1 - 1 / beta) for name in names}
    numbers = iter(range(len(names)))
    settings = {"betas": (beta, 0.999), "train_mode": True}
    return {
        "state": {number: {"z": z[name].detach()} for number, name in enumerate(names)},
        "param_groups": [settings | {"params": [next(numbers) for _ in group]} for group in groups],
    }


@pytest.mark.parametrize("n_groups", [1, 2])
def test_weights_of_a_schedule_free_optimiser_are_those_that_it_evaluates(n_groups, tmp_path):
    model, evaluated = narrow_resnet(0), narrow_resnet(1)
    model.load_state_dict(
        {key: one for key, one in evaluated.state_dict().items() if "running" in key}, strict=False
    )
    all_names = [name for name, _ in model.named_parameters()]
    thin = [name for name, one in model.named_parameters() if one.ndim < 2]
    groups = [all_names] if n_groups == 1 else [thin, [name for name in all_names if name not in thin]]
    file = {"model": dict(model.state_dict()), "optimizer": schedule_free(model, evaluated, groups)}
    encoder = load_encoder(save(tmp_path, file), input_size=SIZE)
    assert "schedule_free" in kinds_of(encoder)
    assert_reads(encoder, evaluated)


def test_weights_of_a_schedule_free_optimiser_of_other_parameters_are_named(tmp_path):
    model = narrow_resnet(0)
    optimizer = schedule_free(model, narrow_resnet(1), [["conv1.weight"]])
    file = {"model": dict(model.state_dict()), "optimizer": optimizer}
    assert "schedule_free_left" in kinds_of(load_encoder(save(tmp_path, file), input_size=SIZE))


@pytest.mark.parametrize(
    ("names", "scale"),
    [(("normalize.mean", "normalize.std"), 1), (("0.mean", "0.std"), 1), (("n.new_mean", "n.new_std"), 1),
     (("pixel_mean", "pixel_std"), 255), (("mu", "sigma"), 1)],
)  # fmt: skip
def test_mean_and_std_that_the_network_holds_are_taken(names, scale, tmp_path):
    model, values = narrow_resnet(0), ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    held = {name: torch.tensor(one).view(3, 1, 1) * scale for name, one in zip(names, values, strict=True)}
    encoder = load_encoder(save(tmp_path, under("net.", dict(model.state_dict())) | held), input_size=SIZE)
    assert encoder.normalisation_stated and "statistics_in_file" in kinds_of(encoder)
    assert encoder.transform.mean == pytest.approx(values[0]) and encoder.transform.std == pytest.approx(
        values[1]
    )
    assert_reads(encoder, model, statistics=values)


def test_one_network_at_two_places_of_a_file_needs_no_choice(tmp_path):
    model = narrow_resnet(0)
    state = dict(model.state_dict())
    file = under("module.model.", state) | under("module.attacker.model.", state)
    encoder = load_encoder(save(tmp_path, {"model": file}), input_size=SIZE)
    assert_reads(encoder, model)
    assert "copies" not in kinds_of(encoder)


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        (("mobilevit.conv_stem.convolution.weight", "mobilevit.conv_stem.normalization.weight"), "MobileViT"),
        (("mobilenet_v2.conv_stem.first_conv.convolution.weight",), "MobileNet"),
        (("segformer.encoder.patch_embeddings.0.proj.weight",), "of Hugging Face transformers"),
        (
            ("module.visual.proj", "module.visual.transformer.resblocks.0.attn.in_proj_weight"),
            "open_clip:NAME@",
        ),
        (("net.conv.weight",), "no known encoder layout"),
    ],
)
def test_a_network_that_is_not_known_is_refused_with_its_own_way_out(keys, named, tmp_path):
    torch.save({"state_dict": {key: torch.zeros(4, 4) for key in keys}}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=named):
        load_encoder(str(tmp_path / "w.pt"))


def test_a_resnet_without_running_statistics_is_read_as_its_refusal_says(tmp_path):
    """GroupNorm has none, and no file has its groups: 32 are what timm's ResNet takes."""
    torch.manual_seed(0)
    groups = partial(torch.nn.GroupNorm, 32)
    model: Any = torchvision.models.resnet18(norm_layer=groups, num_classes=5).eval()
    torch.save(model.state_dict(), tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=r"timm:resnet18\?norm_layer=groupnorm@") as refused:
        load_encoder(str(tmp_path / "w.pt"))
    spec = str(refused.value).partition("groups ")[2].partition(",")[0]
    encoder = load_encoder(spec, input_size=SIZE)
    x = torch.randn(2, 3, SIZE, SIZE)
    model.fc = torch.nn.Identity()
    with torch.no_grad():
        assert_close(encoder.model(x), model(x), **TOLERANCE)


@pytest.mark.parametrize(("factor", "seen"), [(-1.0, "'bn1.running_var' is negative"), (1.0, "are finite")])
def test_weights_that_give_nan_are_refused_with_what_is_seen(factor, seen, tmp_path):
    """A difference of weights has negative variances."""
    state = narrow_resnet().state_dict()
    state["bn1.running_var"] *= factor
    if factor > 0:
        state["layer1.0.bn1.weight"] += 1e38
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(EncoderError, match=seen):
        load_encoder(str(tmp_path / "w.pt"))
