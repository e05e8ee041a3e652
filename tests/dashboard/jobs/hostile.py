"""What somebody who means harm writes into the manifest of a study, or beside its weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from core.common.assets import asset, assets_folder
from tests.manifests import edited_manifest

MARK = "MARK"  # stands for a file that must not appear
SETTINGS: dict[str, tuple[str, str, Any]] = {  # step, setting, value
    "a shell command as encoder": ("embed", "encoder", f"python:os:system?command=touch {MARK}"),
    "spaces before it": ("embed", "encoder", f"   python:os:system?command=touch {MARK}"),
    "a factory of an installed module": ("embed", "encoder", "python:tests.evil:make"),
    "an architecture that unpickles": ("embed", "encoder", "timm:resnet18?checkpoint_path=/tmp/evil.pth"),
    "an architecture with a file's settings": (
        "embed",
        "encoder",
        "timm:resnet18?pretrained_cfg={'file':'x'}",
    ),
    "an architecture of a hub": ("embed", "encoder", "timm:hf-hub:evil/x?pretrained=true"),
    "weights outside": ("embed", "encoder", "resnet18@/etc/passwd"),
    "weights above": ("embed", "encoder", "resnet18@../../../../etc/passwd"),
    "weights in the home folder": ("embed", "encoder", "resnet18@~/w.pth"),
    "a captioner": ("concepts", "captioner", "os:system"),
    "a captioner deep in a setting": ("concepts", "more", {"a": [{"captioner": "x:y"}]}),
    "a segmenter of a later version": ("tokens", "segmenter", "python:x:make"),
    "a start encoder of a later version": ("grid", "cells", [{"start": "python:x:make"}]),
    "images elsewhere": ("embed", "images", "/etc"),
    "masks elsewhere, by a value that leads back": (
        "overlap",
        "masks",
        f"/etc?value=1/../../{assets_folder()}",
    ),
    "images above": ("embed", "images", "../../../../../../etc"),
    "shards elsewhere": ("embed", "images", "/etc/{000..099}.tar"),
    "images by address": ("embed", "images", "http://169.254.169.254/latest"),
    "shards by address": ("embed", "images", "s3://secret/{000..099}.tar"),
    "images by a chain of file systems": ("embed", "images", "simplecache::https://example.org"),
    "a table with its images by address": ("embed", "images", f"{assets_folder()}/t.csv?root=s3://secret"),
    "weights by address": ("embed", "encoder", "resnet18@https://example.org/w.pt"),
    "an address in a field of a later version": ("embed", "new", [{"paths": ["s3://secret/x.tar"]}]),
    "a torchvision set elsewhere": ("embed", "images", "torchvision:CIFAR10?root=/etc&download=true"),
    "a folder of images elsewhere": ("embed", "images", f"{assets_folder()}/t.csv?root=/etc"),
    "a folder of validation images elsewhere": ("embed", "val", f"{assets_folder()}/t.json?root=/etc"),
    "validation images elsewhere": ("embed", "val", "/etc"),
    "representations elsewhere": ("embed", "representations", "/etc/x.npy"),
    "masks in the home folder": ("overlap", "masks", "~/secret"),
    "annotations elsewhere": ("overlap", "annotations", "/etc/passwd"),
    "captions elsewhere": ("concepts", "captions", "../../../../../../../etc/passwd"),
    "a CLIP of a hub": ("concepts", "clip", "hf-hub:evil/x"),
    "a CLIP in a folder": ("concepts", "clip", "local-dir:/tmp/x"),
    "a CLIP elsewhere": ("concepts", "clip", "ViT-B-32@/etc/passwd"),
    "a CLIP's description elsewhere": ("concepts", "clip", "/etc/x.json"),
    "a path in a field of a later version": ("embed", "new", ["/etc/passwd"]),
    "predictions above": ("answer-zed", "file", "../private/words.csv"),
    "a dictionary beside": ("basis-zed", "file", "private/words.pt"),
    "class names beside": ("answers", "head_classes", "private/words.txt"),
    "a path above in a field of a later version": ("embed", "new", ["photos/../../private"]),
    "settings without end": ("embed", "new", [0] * 200_000),
}
SIDECARS: dict[str, Any] = {  # PATH.json beside weights that lie in the study
    "a shell command": {"arch": "python:os:system", "arguments": {"command": f"touch {MARK}"}},
    "a shell command among the arguments": {
        "arch": "timm:resnet18",
        "arguments": {"act_layer": "python:a:b"},
    },
    "a file to unpickle": {"arch": "timm:resnet18", "arguments": {"checkpoint_path": "/tmp/evil.pth"}},
    "an address": {"arch": "timm:hf-hub:evil/x", "arguments": {"pretrained": True}},
    "no architecture": {"arch": ["timm:resnet18"]},
    "no object": [1, 2],
}


def apply_setting(study: Path, name: str, mark: Path) -> None:
    """Write one of SETTINGS into a study's manifest, whose checksum is right again."""
    step, setting, value = SETTINGS[name]
    if isinstance(value, str):
        value = value.replace(MARK, str(mark))
    empty = {"settings": {}, "inputs": {}, "outside": {}, "outputs": [], "summary": {}}
    with edited_manifest(study) as manifest:
        manifest["steps"].setdefault(step, empty)["settings"][setting] = value


def apply_sidecar(study: Path, name: str, mark: Path) -> None:
    """Make weights inside the study its encoder, with one of SIDECARS beside them."""
    weights = study / "w.safetensors"
    shutil.copyfile(next(asset("encoders").glob("*.safetensors")), weights)
    Path(f"{weights}.json").write_text(json.dumps(SIDECARS[name]).replace(MARK, str(mark)))
    with edited_manifest(study) as manifest:
        manifest["steps"]["embed"]["settings"]["encoder"] = str(weights)
