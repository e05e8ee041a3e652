"""Image augmentations added in turn, each left out, and Fourier augmentations (FDA) as the seventh.

Kalibhat's dissertation, Fig. 5.2, with SimCLR on scenes of Glyphworld instead of ImageNet. The stored
table: 63 trainings (seeds 0 to 2), 2 hours 26 minutes of one core of an AMD EPYC that did other work, too.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from core.analysis.probe_step import train_probe
from core.data.images import ImageSource, open_images
from core.encoders.registry import load_encoder
from core.errors import SettingsError
from core.research.fourier_figures import precision_at_k
from core.research.transfer_learning_evaluate import represent_pixels
from core.research.transfer_learning_few_shot import few_shot_accuracy
from core.training.pixels import load_pixels
from reproductions import common

NAME = "fda_augmentations"
SIX = ("crop", "flip", "jitter", "gray", "blur", "solarize")  # in the order of Kalibhat's dissertation, p. 68
FOUR = ("amplitude", "phase", "mask", "mixture")
GLYPHWORLD = "glyphworld?train=4000&val=1000&size=48"
SETTINGS: dict[str, Any] = {
    "images": GLYPHWORLD,
    "image_size": 48,
    "crop_size": 48,
    "arch": common.HALF_WIDTH,
    "epochs": 16,
    "batch_size": 128,
    "precision": "bf16",
}
SMOKE = {
    **SETTINGS,
    "images": "glyphworld?train=200&val=40&size=32",
    "image_size": 16,
    "crop_size": 16,
    "arch": common.TINY,
    "epochs": 1,
    "batch_size": 100,
    "precision": "fp32",
}
AUGMENT: dict[str, Any] = {  # Table C.2; its blur of at most 2.0 at 224 pixels is scaled to 48
    "crop_scale": [0.2, 1.0],  # smaller crops of small images rarely show the object
    "brightness": 0.4,
    "contrast": 0.4,
    "saturation": 0.2,
    "hue": 0.1,
    "jitter": 0.8,
    "grayscale": 0.2,
    "flip": 0.5,
    "blur": 1.0,
    "blur_sigma": [0.0215, 0.43],
    "right": {"blur": 0.1},
}
OFF: dict[str, dict[str, Any]] = {
    "crop": {"crop_scale": [1.0, 1.0], "crop_ratio": [1.0, 1.0]},
    "flip": {"flip": 0.0},
    "jitter": {"jitter": 0.0},
    "gray": {"grayscale": 0.0},
    "blur": {"blur": 0.0},
    "solarize": {"solarize": 0.0},
}
ARMS = (
    *(("add", name) for name in SIX),
    *(("remove", name) for name in SIX),
    ("fda", ""),
    *((kind, name) for kind in ("fda-only", "fda-without") for name in FOUR),
)


def views(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    """Return `[augment]` of a training: Table C.2's augmentations with changes of each view."""
    return {**AUGMENT, **left, "right": {**AUGMENT["right"], **right}}


def augmentations(kind: str, name: str) -> dict[str, Any]:
    """Return `[augment]` of an arm. Solarizing is on the right view, as in BYOL; FDA on the left."""
    on = SIX[: SIX.index(name) + 1] if kind == "add" else SIX
    off: dict[str, Any] = {}
    for one in SIX:
        if one not in on or (kind, one) == ("remove", name):
            off |= OFF[one]
    left = dict(off)
    if kind.startswith("fda"):
        others = tuple(one for one in FOUR if one != name)
        without = {"fda": (), "fda-only": others, "fda-without": (name,)}[kind]
        left["fourier"] = dict.fromkeys(without, 0.0)
    return views(left, {"solarize": 0.2, **off})


def train_and_measure(
    output: Path,
    seed: int,
    settings: Mapping[str, Any],
    *,
    method: str = "simclr",
    groups: Sequence[str] = ("background",),
    transfer: str = "",
) -> dict[str, float]:
    """Train an encoder and measure it, frozen, on the images it was trained on, and on those of `transfer`.

    Args:
        groups: what the images tell beside the class, of which the nearest images are looked at, too.
    """
    temperature = {"temperature": 0.2} if method in ("simclr", "moco") else {}
    trained = common.train_encoder(output, seed, {**temperature, **settings, "method": method})
    row = measures(output, open_images(settings["images"], seed=seed), groups)
    if transfer:
        elsewhere = measures(output, open_images(transfer, seed=0))
        row |= {f"transfer_{name}": value for name, value in elsewhere.items()}
    return row | trained


def measures(encoder_path: Path, source: ImageSource, groups: Sequence[str] = ()) -> dict[str, float]:
    """Measure a frozen encoder on a labelled source.

    Returns:
        top1 of a linear probe; few_shot_5 and few_shot_10, means over ten draws (NaN where no two classes
        have as many images); precision_1, precision_4 and map of the evaluation images by class, and
        precision_4 by each group.
    """
    encoder = load_encoder(str(encoder_path))
    parts = load_pixels(source, min(encoder.transform.sides))
    train, val = parts["train"], parts["val"]
    if train.labels is None or val.labels is None:
        raise SettingsError("the encoders are probed: all images need labels")
    raw, raw_val = (represent_pixels(encoder, part.images) for part in (train, val))
    probe = train_probe(raw, train.labels, int(train.labels.max()) + 1)
    answers = probe.logits(raw_val).argmax(1).cpu().numpy()
    row = {"top1": float((answers == val.labels).mean()), "probe_lr": probe.lr}
    for shots in (5, 10):
        try:
            few = few_shot_accuracy(raw, train.labels, raw_val, val.labels, shots=shots, n_draws=10)
            row[f"few_shot_{shots}"] = float(few.accuracy.mean())
        except SettingsError:
            row[f"few_shot_{shots}"] = float("nan")
    row |= precision_at_k(raw_val, val.labels).row()
    for group in groups:
        codes = pd.factorize(source.extras[group].iloc[val.rows])[0]  # pyright: ignore[reportOptionalSubscript]
        row[f"precision_4_{group}"] = precision_at_k(raw_val, codes, ks=(4,)).row()["precision_4"]
    return row


def rows(folder: Path, smoke: bool) -> Iterator[dict[str, Any]]:
    """Yield a row a training; all arms of a seed before the next seed."""
    settings = SMOKE if smoke else SETTINGS
    for seed in range(1 if smoke else 3):
        for kind, name in ARMS[12:13] if smoke else ARMS:
            arm = "-".join(filter(None, ("simclr", kind, name)))
            own = {**settings, "augment": augmentations(kind, name)}
            run = partial(train_and_measure, folder / f"{arm}-s{seed}.safetensors", seed, own)
            columns = {"method": "simclr", "kind": kind, "name": name}
            yield common.cell(arm, seed, columns, run, "smoke" if smoke else "short")


def draw(table: pd.DataFrame) -> go.Figure:
    """Draw top-1 accuracy by arm (Fig. 5.2)."""
    return common.arm_bars(table, {"top1": "top-1"}, axis="top-1 accuracy (%)")


def main(argv: Sequence[str] | None = None) -> None:
    """Train, measure and draw, as the options ask."""
    common.run_trainings(NAME, __doc__, argv, rows, draw)


if __name__ == "__main__":
    main()
