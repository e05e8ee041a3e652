from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.encoders.spec import Spec
from core.errors import PeregrineError, SettingsError
from core.training.backbones import build_backbone, parse_arch
from core.training.config import TrainConfig, fixed, from_dict, read_config, to_dict
from core.training.files import setting_changes
from core.training.objective import DEFAULTS, METHODS_OF, OBJECTIVES

FOLDER = Path(__file__).parents[2] / "configs"
OTHERS = ("clip_", "tokens_")  # of other trainings
CONFIGS = sorted(path for path in FOLDER.glob("*.toml") if not path.name.startswith(OTHERS))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs__can_be_read(path):
    name = path.stem.split("_")[0]
    assert read_config(path).method == {"ddm": "simclr", "vit": "simclr"}.get(name, name)


def test_shipped_configs__there_is_one_for_every_method():
    assert set(DEFAULTS) <= {path.stem.split("_")[0] for path in CONFIGS}


def test_to_dict__round_trips_through_json():
    tables = {
        "augment": {"crop_scale": [0.3, 1]},
        "objective": {"queue": 7, "local_size": 9},
        "method": "swav",
    }
    config = from_dict({"images": "a", "output": "b", **tables, "lr": 1})
    assert from_dict(json.loads(json.dumps(to_dict(config)))) == config
    assert config.augment.crop_scale == (0.3, 1.0) and config.lr == 1.0
    assert vars(config.objective).items() >= {"queue": 7, "local_size": 9}.items()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": 3}, "unknown setting 'epoch'. Did you mean 'epochs'?"),
        ({"epochs": "many"}, "epochs = 'many' should be int"),
        ({"epochs": 0}, "epochs = 0 must be at least 1"),
        ({"seed": -1}, "seed = -1 must be at least 0"),
        ({"clip_norm": -1.0}, r"clip_norm = -1.0 must be 0 or more"),  # it would turn the gradient round
        ({"momentum": 1.5}, "momentum = 1.5 must lie between 0 and 1"),
        ({"warmup_epochs": -1}, "warmup_epochs = -1.0 must be 0 or more"),
        ({"monitor_train": 0}, "monitor_train = 0 must be at least 1"),
        ({"method": "vicreg", "objective": {"variance": -1}}, "objective.variance = -1.0 must be 0 or more"),
        ({"lr": -1.0}, "lr = -1.0 must be above 0"),
        ({"lr": float("inf")}, "lr = inf must be above 0"),
        ({"keep_every": -1}, "keep_every = -1 must be at least 0"),
        ({"precision": "fp16"}, "must be fp32 or bf16"),
        ({"batch_size": 1}, "batch_size = 1: every method compares the images of a batch. Use at least 2"),
        ({"optimizer": "adam"}, "must be sgd, lars, adamw or muon. Did you mean 'adamw'"),
        ({"method": "bioll"}, "Unknown method 'bioll'. Known: barlow, byol"),
        ({"objective": {"que": 1}}, r"\[objective\]: unknown setting 'que'. Did you mean 'queue'"),
        ({"method": "moco", "objective": {"queue": -1}}, "objective.queue = -1 must be at least 0"),
        ({"objective": {"local_pairs": -1}}, "objective.local_pairs = -1 must be at least 0"),
        ({"method": "swav", "objective": {"local_pairs": 2}}, "not of swav. Its small views are"),
        (
            {"method": "byol", "objective": {"local_pairs": 2}},
            "local_pairs is an option of simclr alone, not of byol",
        ),
        ({"objective": {"local_pairs": 2, "dual": True}}, "objective.local_pairs needs one encoder"),
        ({"objective": {"local_pairs": 2}, "augment": {"fourier": {}}}, "small views of the plain image"),
        ({"objective": {"local_pairs": 2}, "augment": {"right": {"blur": 0.1}}}, "small views of the plain"),
        (
            {"method": "byol", "objective": {"momentum": 1.5}},
            "objective.momentum = 1.5 must lie between 0 and 1",
        ),
        ({"objective": {"local_scale": [0.5, 2]}}, "two ascending shares up to 1"),
        ({"method": "dino", "objective": {"teacher_temperature": 0.0}}, "must be above 0"),
        ({"augment": {"hue_shift": 1}}, r"\[augment\]: unknown setting"),
        ({"augment": {"crop_scale": [0.5]}}, "crop_scale = .* should be two numbers"),
        ({"augment": {"crop_scale": [0.5, 2]}}, "two ascending shares up to 1"),
        ({"augment": {"crop_ratio": [0.5, 0.2]}}, "two ascending numbers"),
        ({"augment": {"brightness": float("nan")}}, "augment.brightness = nan must be 0 or more"),
        ({"augment": {"right": {"hue": -0.1}}}, "hue = -0.1 must be 0 or more"),
        ({"split_seed": -1}, "split_seed = -1 must be at least 0"),
        ({"seed": 2**64}, "seed = 18446744073709551616 is too large"),
    ],
    ids=str,
)
def test_from_dict__one_clear_error(changes, message):
    with pytest.raises(SettingsError, match=message) as caught:
        from_dict({"images": "a", "output": "b", **changes})
    assert "\n" not in str(caught.value)


def test_from_dict__says_what_is_missing():
    with pytest.raises(SettingsError, match="setting"):
        from_dict({"output": "b"})


def test_read_config__errors_name_the_file(tmp_path):
    with pytest.raises(SettingsError, match="config"):
        read_config(tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("epochs = = 3")
    with pytest.raises(SettingsError, match="config"):
        read_config(broken)


def test_read_config__options_win(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"images": "a", "output": "b", "epochs": 3}')
    assert read_config(path, epochs=5, lr=None).epochs == 5


def test_differences__ignores_what_may_change():
    old = to_dict(from_dict({"images": "a", "output": "b", "method": "moco"}))
    assert not {"epochs", "device", "output"} & set(fixed(from_dict({"images": "a", "output": "b"})))
    assert setting_changes(old, {**old, "lr": 0.1}) == ["lr 0.12 -> 0.1"]
    objective = {**old["objective"], "queue": 3}
    assert setting_changes(old, {**old, "objective": objective}) == ["objective.queue 4096 -> 3"]


def test_objective__each_method_has_its_own_settings():
    for method, kind in OBJECTIVES.items():
        config = from_dict({"images": "a", "output": "b", "method": method})
        assert type(config.objective) is kind and set(to_dict(config)["objective"]) == {
            name for name, methods in METHODS_OF.items() if method in methods
        }
    with pytest.raises(SettingsError, match="SimCLRSettings"):
        TrainConfig(images="a", output="b", method="moco")


def test_objective__a_table_of_all_methods_is_read_as_that_of_one():
    """Sidecars and states of earlier versions name the settings of every method."""
    every = {name: getattr(OBJECTIVES[methods[0]](), name) for name, methods in METHODS_OF.items()}
    for method in OBJECTIVES:
        plain = {"images": "a", "output": "b", "method": method}
        given = {**every, **DEFAULTS[method].get("objective", {})}
        assert from_dict({**plain, "objective": given}) == from_dict(plain)
    with pytest.raises(SettingsError, match="encoders"):
        from_dict({"images": "a", "output": "b", "method": "moco", "objective": {"cross_only": True}})


@pytest.mark.parametrize("name", ["moco", "MoCo v2", "moco_v2", "mocov2"])
def test_from_dict__a_method_brings_its_defaults(name):
    config = from_dict({"images": "a", "output": "b", "method": name, "objective": {"queue": 8}})
    assert config.method == "moco" and config.lr == DEFAULTS["moco"]["lr"]
    assert vars(config.objective).items() >= {"queue": 8, "momentum_end": 0.999}.items()
    assert from_dict({"images": "a", "output": "b", "method": name, "lr": 3.0}).lr == 3.0


def test_from_dict__an_optimiser_that_is_not_the_methods_own_brings_its_rate():
    given = {"images": "a", "output": "b"}
    muon = from_dict({**given, "optimizer": "muon"})
    assert (muon.lr, muon.weight_decay, muon.momentum) == (4e-3, 0.05, 0.95)
    assert from_dict({**given, "optimizer": "muon", "lr": 1e-3}).lr == 1e-3
    assert from_dict({**given, "optimizer": "adamw"}).lr == 1e-3
    assert from_dict({**given, "optimizer": "sgd"}) == from_dict(given)
    barlow = from_dict({**given, "method": "barlow", "optimizer": "sgd"})
    assert (barlow.lr, barlow.head_out) == (0.12, 2048)
    assert from_dict({**given, "method": "dino", "optimizer": "adamw"}).weight_decay == 0.04


@pytest.mark.parametrize(
    ("optimizer", "decay"),
    [("adamw", (0.04, 0.4)), ("sgd", (5e-4, None)), ("lars", (0.04, None)), ("muon", (0.05, None))],
)
def test_from_dict__only_dinos_own_optimiser_raises_its_decay(optimizer, decay):
    config = from_dict({"images": "a", "output": "b", "method": "dino", "optimizer": optimizer})
    assert (config.weight_decay, config.weight_decay_end) == decay


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("sgd", 0.5, 0.9, 1e-3)),
        ({"optimizer": "sgd"}, ("sgd", 0.5, 0.9, 1e-3)),
        ({"optimizer": "muon"}, ("muon", 4e-3, 0.95, 0.05)),
        ({"optimizer": "muon", "lr": 1e-3}, ("muon", 1e-3, 0.95, 0.05)),
        ({"optimizer": "adamw"}, ("adamw", 1e-3, 0.9, 5e-4)),
        ({"lr": 0.1}, ("sgd", 0.1, 0.9, 1e-3)),
    ],
)
def test_read_config__another_optimiser_does_not_take_the_files_rate(tmp_path, changes, expected):
    path = tmp_path / "own.toml"
    path.write_text('images = "a"\noutput = "b"\nlr = 0.5\nmomentum = 0.9\nweight_decay = 1e-3\n')
    config = read_config(path, **changes)
    assert (config.optimizer, config.lr, config.momentum, config.weight_decay) == expected


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults__make_a_config(name):
    assert from_dict({"images": "a", "output": "b", "method": name}).method == name


def test_parse_arch():
    arguments = {"output_stride": 16, "act_layer": "gelu"}
    assert parse_arch("timm:resnet18?output_stride=16&act_layer=gelu") == Spec("timm", "resnet18", arguments)
    assert parse_arch("resnet18") == Spec("torchvision", "resnet18")


@pytest.mark.parametrize(
    ("arch", "stem", "message"),
    [
        ("timm:resnet81", "standard", "timm has no model 'resnet81'"),
        ("resnet81", "standard", "torchvision has no model 'resnet81'.*Did you mean"),
        ("keras:resnet18", "standard", "unknown kind of encoder 'keras:'"),
        ("open_clip:RN50", "standard", "only timm:NAME and torchvision:NAME"),
        ("timm:resnet18?depth", "standard", "write NAME.key=value"),
        ("timm:resnet18?depth=3", "standard", "Cannot build 'resnet18'"),
        ("timm:vit_tiny_patch16_224?img_size=64", "cifar", "no conv1"),
        ("timm:vit_tiny_patch16_224?img_size=96", "standard", "not accept images of 64 pixels.*dynamic_img"),
        ("timm:test_resnet?global_pool=", "standard", "per image; training needs one vector"),
    ],
)
def test_build_backbone__one_clear_error(arch, stem, message):
    with pytest.raises(PeregrineError, match=message):
        build_backbone(arch, stem)


@pytest.mark.parametrize("arch", ["timm:resnet18", "resnet18"])
def test_build_backbone__cifar_stem_keeps_resolution(arch):
    model, n_features = build_backbone(arch, "cifar")
    assert n_features == 512
    assert tuple(model.conv1.weight.shape) == (64, 3, 3, 3)  # type: ignore[union-attr]
    assert model.conv1.stride == (1, 1)  # type: ignore[union-attr]
    assert not any(name.startswith(("fc.", "maxpool.")) for name in model.state_dict())
