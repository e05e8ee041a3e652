"""Small studies with pictures, an encoder and planted masks, made by the real commands' own functions."""

from __future__ import annotations

from pathlib import Path

from core.pipeline.run import analyze, run_step
from core.research.changed_inputs_perturbed import run_perturbed
from core.research.changed_inputs_robust_features import run_robust_features
from core.study.progress import Progress

ENCODER = "timm:resnet10t?output_stride=8"  # maps of 4 x 4 on 32 pixels


def make_pictured(folder: Path, *, seed: int = 0, research: bool = True) -> Path:
    """80 images of Glyphworld through a small random encoder: every step, and those of research, is there."""
    settings = {
        "images": f"glyphworld?train=50&val=30&seed={seed}",
        "encoder": ENCODER,
        "input_size": 32,
        "resize": 32,
        "epsilon": 1.0,
        "lr": 0.1,
        "epochs": 3,
        "curves": True,
        "bootstrap": 20,
        "workers": 0,
        "device": "cpu",
    }
    analyze(folder, settings, Progress.silent())
    if not research:
        return folder
    run_step("domains", folder, {"column": "background", "prefix": 32, "device": "cpu"}, Progress.silent())
    run_perturbed(folder, {"pairs": 6, "device": "cpu", "workers": 0}, Progress.silent())
    run_robust_features(folder, {"images": 20, "device": "cpu", "workers": 0}, Progress.silent())
    return folder
