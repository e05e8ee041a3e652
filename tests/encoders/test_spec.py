"""Every form of a SPEC."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.encoders.spec import Spec, parse_spec
from core.errors import SettingsError


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("torchvision:resnet50", Spec("torchvision", "resnet50")),
        ("torchvision:resnet50?weights=none", Spec("torchvision", "resnet50", {"weights": None})),
        (
            "timm:resnet18?output_stride=16&pretrained=true",
            Spec("timm", "resnet18", {"output_stride": 16, "pretrained": True}),
        ),
        (
            "timm:vit?x=0.5&act=gelu@a/b@c.ckpt",
            Spec("timm", "vit", {"x": 0.5, "act": "gelu"}, Path("a/b@c.ckpt")),
        ),
        ("resnet18@runs/last.ckpt", Spec("resnet", "resnet18", {}, Path("runs/last.ckpt"))),
        ("resnet18?branch=student@l.ckpt", Spec("resnet", "resnet18", {}, Path("l.ckpt"), "online")),
        ("asset:glyphs", Spec("asset", "glyphs")),
        ("python:my.module:make", Spec("python", "my.module:make")),
        ("runs/last.ckpt", Spec("", "", {}, Path("runs/last.ckpt"))),
        ("l.ckpt?branch=ema&prefix=a.b.", Spec("", "", {}, Path("l.ckpt"), "momentum", "a.b.")),
    ],
)
def test_forms(text, spec):
    assert parse_spec(text) == spec


def test_a_file_that_is_there_wins_over_other_readings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("what?branch=3").touch()
    assert parse_spec("what?branch=3").checkpoint == Path("what?branch=3")


def test_arch_has_one_spelling_and_no_path():
    assert (
        parse_spec("timm:a?z=1&b=2@x.ckpt").arch
        == parse_spec("timm:a?b=2&z=1@y.ckpt").arch
        == "timm:a?b=2&z=1"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the encoder is empty; use torchvision:resnet50"),
        ("resnet18", "an architecture needs weights. Use resnet18@PATH"),
        ("tim:resnet18", "unknown kind of encoder 'tim:'.*Did you mean 'timm'"),
        ("timm:", "cannot read the encoder"),
        ("timm:resnet18@", "cannot read the encoder"),
        ("timm:resnet18?a", "cannot read 'a'"),
        ("a.ckpt?branch=left", "unknown branch 'left'; use student or teacher"),
        ("a.ckpt?output_stride=16", "name the architecture: timm:NAME\\?output_stride"),
    ],
)
def test_what_cannot_be_read(text, message):
    with pytest.raises(SettingsError, match=message):
        parse_spec(text)
