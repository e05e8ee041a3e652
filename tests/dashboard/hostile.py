"""Studies, sidecars and progress files as somebody who means harm would write them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.manifests import edited_manifest

SHELL = "python:os:system?command=touch {mark}"


def named_encoder(study: Path, text: str) -> None:
    """The study's encoder, as `steps.embed.settings.encoder`."""

    with edited_manifest(study) as manifest:
        manifest["steps"]["embed"]["settings"]["encoder"] = text


def setting(study: Path, step: str, name: str, value: Any) -> None:
    """One setting of a step, which is made up where the study has not run it."""

    empty = {"settings": {}, "inputs": {}, "outside": {}, "outputs": [], "summary": {}}
    with edited_manifest(study) as manifest:
        manifest["steps"].setdefault(step, empty)["settings"][name] = value


def with_sidecar(study: Path, **values: object) -> None:
    """Weights inside the study with a sidecar beside them, as the study's encoder."""
    weights = study / "w.safetensors"
    shutil.copyfile(next(Path("assets/encoders").glob("*.safetensors")), weights)
    Path(f"{weights}.json").write_text(json.dumps(values))
    named_encoder(study, str(weights))


Attack = Callable[[Path, Path], None]  # (study, file that must not appear)
ATTACKS: dict[str, Attack] = {
    "a shell command as encoder": lambda study, mark: named_encoder(study, SHELL.format(mark=mark)),
    "a factory of an installed module": lambda study, mark: named_encoder(study, "python:tests.evil:make"),
    "spaces before it": lambda study, mark: named_encoder(study, f"  {SHELL.format(mark=mark)}"),
    "a sidecar that names a shell command": lambda study, mark: with_sidecar(
        study, arch="python:os:system", arguments={"command": f"touch {mark}"}
    ),
    "a sidecar whose arguments hold it": lambda study, mark: with_sidecar(
        study, arch="timm:resnet18", arguments={"norm_layer": "python:os:system"}
    ),
    "a sidecar with a file to unpickle": lambda study, mark: with_sidecar(
        study, arch="timm:resnet18", arguments={"checkpoint_path": "/tmp/evil.pth"}
    ),
    "a sidecar that is no object": lambda study, mark: (
        with_sidecar(study) or Path(f"{study}/w.safetensors.json").write_text("[1]") and None
    ),
    "an architecture that unpickles": lambda study, mark: named_encoder(
        study, "timm:resnet18?checkpoint_path=/tmp/evil.pth"
    ),
    "an architecture of a hub": lambda study, mark: named_encoder(
        study, "timm:hf-hub:evil/x?pretrained=true"
    ),
    "weights outside": lambda study, mark: named_encoder(study, "resnet18@/etc/passwd"),
    "weights in a folder above": lambda study, mark: named_encoder(study, "resnet18@../../../../etc/passwd"),
    "an encoder that is no text": lambda study, mark: setting(study, "embed", "encoder", {"python": 1}),
    "a captioner": lambda study, mark: setting(study, "concepts", "captioner", "os:system"),
    "a captioner deep in a summary": lambda study, mark: setting(
        study, "concepts", "more", {"a": [{"captioner": "x:y"}]}
    ),
    "a segmenter of later versions": lambda study, mark: setting(
        study, "tokens", "segmenter", "python:x:make"
    ),
    "images elsewhere": lambda study, mark: setting(study, "embed", "images", "/etc"),
    "images of a torchvision set elsewhere": lambda study, mark: setting(
        study, "embed", "images", "torchvision:CIFAR10?root=/etc"
    ),
    "masks elsewhere": lambda study, mark: setting(study, "overlap", "masks", "~/secret"),
    "captions elsewhere": lambda study, mark: setting(
        study, "concepts", "captions", "../../../../etc/passwd"
    ),
    "a CLIP of a hub": lambda study, mark: setting(study, "concepts", "clip", "hf-hub:evil/x"),
    "a CLIP in a folder": lambda study, mark: setting(study, "concepts", "clip", "local-dir:/tmp/x"),
    "a CLIP elsewhere": lambda study, mark: setting(study, "concepts", "clip", "ViT-B-32@/etc/passwd"),
    "a path in a field of later versions": lambda study, mark: setting(
        study, "embed", "new", ["/etc/passwd"]
    ),
    "nested without end": lambda study, mark: setting(study, "embed", "new", [0] * 200_000),
}
