"""Code that files name runs only where the owner of the machine has named it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from core.concepts.clip import load_clip
from core.concepts.clip_and_captions import load_captioner
from core.encoders.registry import load_encoder
from core.encoders.spec import parse_spec
from core.encoders.trusted_code import allowing, argument_problem, check_code, is_named_by_owner
from core.errors import CodeRefused, PeregrineError
from core.training.backbones import build_backbone
from tests.command_line import QUICK
from tests.data.pictures import picture

MODULE = """
from pathlib import Path
from torch import nn
Path({mark!r}).touch()

def make(width=4, note=None):
    if note:
        Path(note).touch()
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())

def say(image):
    return [("a", 1.0)] * 5
"""


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that exists once the module `strange` was imported."""
    (tmp_path / "strange.py").write_text(MODULE.format(mark=str(tmp_path / "mark")))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "strange", raising=False)
    return tmp_path / "mark"


def sidecar(folder: Path, **values: object) -> Path:
    """Weights with a sidecar beside them."""
    path = folder / "w.safetensors"
    save_file({"conv1.weight": torch.zeros(1)}, path)
    Path(f"{path}.json").write_text(json.dumps(values))
    return path


def test_load_encoder__refuses_code_that_nobody_has_named(mark):
    with pytest.raises(CodeRefused, match=r"--trust 'python:strange:make'"):
        load_encoder("python:strange:make")
    assert not mark.exists()


def test_allowing__exactly_this_code_and_only_while_it_lasts(mark):
    with allowing("python:strange:make?width=8"):
        assert load_encoder("python:strange:make?width=8", input_size=32).n_features == 8
        with pytest.raises(CodeRefused):
            load_encoder("python:strange:make?width=9")
    assert mark.exists() and not is_named_by_owner("python:strange:make?width=8")


def test_trusted_studies__run_code_but_hand_it_no_text(mark, trusted, tmp_path):
    assert load_encoder("python:strange:make?width=8", input_size=32).n_features == 8
    with pytest.raises(CodeRefused, match="passes"):
        load_encoder(f"python:strange:make?note={tmp_path / 'note'}")
    assert not (tmp_path / "note").exists()
    with allowing(f"python:strange:make?note={tmp_path / 'note'}"):
        load_encoder(f"python:strange:make?note={tmp_path / 'note'}", input_size=32)
    assert (tmp_path / "note").exists()


@pytest.mark.parametrize("name", ["python:os:system?command=ls", "python:subprocess:run", "os:getcwd"])
def test_check_code__never_of_pythons_own_library(name, trusted):
    with allowing(name), pytest.raises(CodeRefused, match="Python's library"):
        check_code(name)


def test_sidecar__runs_no_command(tmp_path):
    """Reproduction 2 of safety.md: {"arch": "python:os:system", "arguments": {"command": …}}."""
    path = sidecar(tmp_path, arch="python:os:system", arguments={"command": f"touch {tmp_path / 'mark'}"})
    with pytest.raises(PeregrineError, match="Python's library"):
        load_encoder(str(path))
    assert not (tmp_path / "mark").exists()


def test_sidecar__runs_no_factory_of_a_module_that_is_here(mark, tmp_path):
    with pytest.raises(CodeRefused, match="named"):
        load_encoder(str(sidecar(tmp_path, arch="python:strange:make")))
    assert not mark.exists()


class Bomb:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("way", ["sidecar", "spec"])
def test_checkpoint_path__is_not_unpickled_by_the_library(tmp_path, way):
    torch.save({"state_dict": Bomb(tmp_path / "burst")}, tmp_path / "evil.pth")
    if way == "sidecar":
        arguments = {"checkpoint_path": str(tmp_path / "evil.pth")}
        spec = str(sidecar(tmp_path, arch="timm:resnet18", arguments=arguments))
    else:
        spec = f"timm:resnet18?checkpoint_path={tmp_path / 'evil.pth'}"
    with allowing(spec), pytest.raises(CodeRefused, match="checkpoint_path"):
        load_encoder(spec)
    assert not (tmp_path / "burst").exists()


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("timm:resnet18?output_stride=16&global_pool=avg", None),
        ("timm:resnet18?channels=(32,64)", None),
        ("torchvision:resnet50?weights=IMAGENET1K_V2", None),
        ("timm:vit_small_patch16_224.dino", None),
        ("timm:hf-hub:somebody/model?pretrained=true", "not a plain architecture name"),
        ("timm:local-dir:x", "not a plain architecture name"),
        ("timm:resnet18?cache_dir=x", "may name a file"),
        ("timm:resnet18?pretrained_cfg={'file':'x'}", "may name a file"),
        ("timm:resnet18?act_layer=a/b", "may name a file"),
        ("timm:resnet18?act_layer=('a/b',)", "may name a file"),
    ],
)
def test_argument_problem(spec, problem):
    reported = argument_problem(parse_spec(spec))
    assert (reported is None) if problem is None else problem in str(reported)


def test_hub_names__are_fetched_only_for_their_owner():
    with pytest.raises(CodeRefused, match="architecture"):
        load_encoder("timm:hf-hub:somebody/model?pretrained=true")


def test_captioner__is_code(mark):
    with pytest.raises(CodeRefused, match="--trust 'strange:say'"):
        load_captioner("strange:say")
    assert not mark.exists()
    with allowing("strange:say"):
        say: Any = load_captioner("strange:say")
        assert say(None)[0] == ("a", 1.0)


@pytest.mark.slow
def test_training_config__starts_from_no_code_that_it_names(mark, tmp_path, run):
    """safety.md 5a: `train evil/c.json`, whose config names a `python:` encoder to start from."""
    (tmp_path / "images" / "train" / "a").mkdir(parents=True)
    for number in range(4):
        (tmp_path / "images" / "train" / "a" / f"{number}.png").write_bytes(picture(seed=number))
    config = {"images": str(tmp_path / "images"), "output": str(tmp_path / "out.safetensors")}
    for named in ({"start": "python:strange:make"}, {"arch": "python:strange:make"}):
        (tmp_path / "c.json").write_text(json.dumps(config | named | {"epochs": 1, "batch_size": 2}))
        assert run("train", tmp_path / "c.json", "--device", "cpu").code == 2
        assert not mark.exists()


@pytest.mark.slow
@pytest.mark.parametrize("key", ["arch", "export_arch"])
@pytest.mark.parametrize(
    ("argument", "what"),
    [
        ("checkpoint_path={evil}", "checkpoint_path"),
        ("checkpoint_path=/nowhere/at/all", "checkpoint_path"),
        ("pretrained_cfg={'file':'{evil}'}", "may name a file"),
        ("pretrained_cfg_overlay={'file':'{evil}'}", "may name a file"),
        ("cache_dir={evil}", "may name a file"),
        ("act_layer=a/b", "may name a file"),
        ("pretrained=true", "'pretrained' cannot be given"),
    ],
)
def test_training_config__names_no_file_to_the_library(tmp_path, run, argument, what, key):
    """The same arguments as those of an encoder, which are refused above."""
    torch.save({"state_dict": Bomb(tmp_path / "burst")}, tmp_path / "evil.pth")
    (tmp_path / "images" / "train" / "a").mkdir(parents=True)
    for number in range(4):
        (tmp_path / "images" / "train" / "a" / f"{number}.png").write_bytes(picture(seed=number))
    arch = f"timm:resnet18?{argument.replace('{evil}', str(tmp_path / 'evil.pth'))}"
    config = {"images": str(tmp_path / "images"), "output": str(tmp_path / "out.safetensors"), key: arch}
    (tmp_path / "c.json").write_text(json.dumps(config | {"epochs": 1, "batch_size": 2}))
    refused = run("train", tmp_path / "c.json", "--device", "cpu")
    assert refused.code == 2 and what in refused.error
    assert not (tmp_path / "burst").exists() and not (tmp_path / "out.safetensors").exists()


def test_training__the_owners_own_words_may_name_a_file(tmp_path):
    spec = f"timm:resnet18?cache_dir={tmp_path}"
    with pytest.raises(CodeRefused, match="cache_dir"):
        build_backbone(spec)
    with allowing(spec):
        assert build_backbone(spec)[1] == 512


def test_clip__a_description_names_no_model_of_a_library_or_hub(tmp_path):
    cfg = {"embed_dim": 8, "vision_cfg": {"timm_model_name": "hf-hub:a/b"}, "text_cfg": {"context_length": 8}}
    whole = {"format": 1, "model_cfg": cfg, "preprocess_cfg": {"size": 32}, "tokenizer": {"words": ["a"]}}
    (tmp_path / "x.json").write_text(json.dumps(whole))
    with pytest.raises(PeregrineError, match="timm_model_name"):
        load_clip(str(tmp_path / "x.json"))


@pytest.mark.slow
def test_cli__the_owners_own_words_run_and_those_of_a_study_do_not(mark, tmp_path, run):
    images = tmp_path / "images" / "a"
    images.mkdir(parents=True)
    for number in range(8):
        (images / f"{number}.png").write_bytes(picture(seed=number))
    words = ("--images", images.parent, "--encoder", "python:strange:make?width=64", "--input-size", "32")
    study, heatmaps = tmp_path / "study", ("--redo", "--device", "cpu", "--workers", "0")
    assert run("analyze", study, *words, *QUICK).code == 0 and mark.exists()
    mark.unlink()
    sys.modules.pop("strange")
    refused = run("heatmaps", study, *heatmaps)
    assert "--trust 'python:strange:make?width=64'" in refused.error and not mark.exists()
    assert (
        run("heatmaps", study, *heatmaps, "--trust", "python:strange:other").code == 2 and not mark.exists()
    )
    run("heatmaps", study, *heatmaps, "--trust", "python:strange:make?width=64")
    assert mark.exists()
