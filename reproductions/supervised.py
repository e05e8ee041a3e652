"""A supervised ResNet for the scores without labels: encoder 5 of prereg_scores.md.

python -m reproductions.supervised --images data/cifar10

Cross-entropy, SGD with momentum, one cycle of the rate, random shifts by up to four pixels and flips, on
images of 32 pixels: what papers on CIFAR train, without refinements. The classification layer is thrown
away, since `analyze` trains a linear probe of its own. Writes supervised.safetensors beside the table,
which has a row an epoch. Ten epochs of CIFAR-10 took 55 minutes of a shared core; its probe is right on
86.1 %.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from core.data.images import open_images
from core.encoders.transform import Transform
from core.study.progress import Progress
from core.training.backbones import build_backbone, parse_arch
from core.training.files import export
from core.training.pixels import load_pixels
from core.training.setup import channel_statistics, derived_seed, describe_source, epoch_order
from reproductions import common

NAME = "supervised"
ARCH, STEM, SIZE = "timm:resnet18?channels=(32,64,128,256)", "cifar", 32
BATCH, RATE, MOMENTUM, DECAY, WARM_UP = 128, 0.2, 0.9, 5e-4, 0.2
SHIFT = 4  # pixels
SEED, EPOCHS = 0, 10


def shifted_and_flipped(images: Tensor, generator: torch.Generator) -> Tensor:
    """Shift each image by up to SHIFT pixels, mirrored at the edges, and flip half of them: (n, 3, S, S)."""
    n, _, size, _ = images.shape
    wide = pad(images, (SHIFT,) * 4, mode="reflect")
    top, left = torch.randint(0, 2 * SHIFT + 1, (2, n), generator=generator)
    pixels = torch.arange(size)
    columns = pixels.expand(n, size)
    flipped = torch.rand(n, generator=generator) < 0.5
    columns = torch.where(flipped[:, None], size - 1 - columns, columns) + left[:, None]
    rows = pixels + top[:, None]
    # Advanced indices around a slice come first: (n, S, S, 3).
    picked = wide[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2)


class Training:
    """A backbone and its classification layer, with their optimiser and the decoded images."""

    def __init__(self, images: str, epochs: int):
        self.source = open_images(images, seed=SEED)
        with Progress.for_command(None) as progress, progress.stage("decode") as bar:
            pixels = load_pixels(self.source, SIZE, workers=0, progress=bar)
        self.train, self.val = pixels["train"], pixels["val"]
        if self.train.labels is None or self.val.labels is None:
            raise SystemExit("the images need labels")
        torch.manual_seed(SEED)
        self.backbone, width = build_backbone(ARCH, STEM, SIZE)
        self.model = nn.Sequential(self.backbone, nn.Linear(width, int(self.train.labels.max()) + 1))
        self.steps = len(self.train.images) // BATCH
        parameters = self.model.parameters()
        self.optimiser = torch.optim.SGD(
            parameters, RATE, momentum=MOMENTUM, weight_decay=DECAY, nesterov=True
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, RATE, total_steps=epochs * self.steps, pct_start=WARM_UP, cycle_momentum=False
        )
        self.scale = channel_statistics(self.train.images, SEED)

    def logits(self, images: np.ndarray, generator: torch.Generator | None = None) -> Tensor:
        """Normalise images (n, S, S, 3) uint8, vary them if a generator is given, and classify them."""
        mean, std = (torch.tensor(values)[:, None, None] for values in self.scale)
        batch = (torch.from_numpy(np.array(images)).permute(0, 3, 1, 2) / 255 - mean) / std
        if generator is not None:
            batch = shifted_and_flipped(batch, generator)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.model(batch.contiguous(memory_format=torch.channels_last)).float()

    def one_epoch(self, epoch: int) -> float:
        """Train on every image once, and return the mean loss."""
        order = epoch_order(len(self.train.images), SEED, epoch)
        generator = torch.Generator().manual_seed(derived_seed(SEED, "views", epoch))
        labels, losses = torch.from_numpy(np.asarray(self.train.labels)), []
        self.model.train()
        for step in range(self.steps):
            rows = np.sort(order[step * BATCH : (step + 1) * BATCH])
            loss = cross_entropy(self.logits(self.train.images[rows], generator), labels[rows])
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            self.schedule.step()
            losses.append(float(loss.detach()))
        return float(np.mean(losses))

    @torch.no_grad()
    def accuracy(self) -> float:
        """Return the share of the evaluation images that the layer trained along classifies correctly."""
        self.model.eval()
        starts = range(0, len(self.val.images), 500)
        parts = [self.logits(self.val.images[start : start + 500]).argmax(1) for start in starts]
        return float((torch.cat(parts).numpy() == self.val.labels).mean())

    def write(self, output: Path, epochs: int, top1: float) -> None:
        """Write the backbone and its sidecar, by which `analyze` reads it."""
        mean, std = self.scale
        export(
            output,
            self.backbone,
            {
                "arch": ARCH,
                "arguments": parse_arch(ARCH).arguments,
                "stem": STEM,
                "transform": Transform(SIZE, SIZE, tuple(mean), tuple(std)).to_dict(),
                "method": NAME,
                "epochs": epochs,
                "seed": SEED,
                "monitors": {"top1": round(top1, 4)},
                "source": describe_source(self.source),
            },
            half=True,
        )


def rows(args: Any, smoke: bool) -> Iterator[dict[str, Any]]:
    """Yield a row an epoch, and write the encoder after the last one."""
    epochs = 1 if smoke else EPOCHS
    training = Training("glyphworld?train=128&val=32&size=32" if smoke else args.images, epochs)
    top1 = float("nan")
    for epoch in range(epochs):
        loss = training.one_epoch(epoch)
        top1 = training.accuracy()
        yield {"epoch": epoch + 1, "loss": round(loss, 4), "top1": round(top1, 4)}
    training.write(common.output_folder(args) / f"{NAME}.safetensors", epochs, top1)


def draw(table: pd.DataFrame) -> go.Figure:
    """Draw accuracy by epoch."""
    figure = go.Figure(go.Scatter(x=table["epoch"], y=100 * table["top1"]))
    return figure.update_layout(xaxis_title="epoch", yaxis_title="top-1 accuracy (%)")


def main(argv: Sequence[str] | None = None) -> None:
    """Train and draw, as the options ask."""
    parser = common.options(__doc__)
    parser.add_argument(
        "--images", default="data/cifar10", help="labelled folder with train/ and val/ or test/"
    )
    args = parser.parse_args(argv)
    common.run_script(NAME, args, partial(rows, args), draw)


if __name__ == "__main__":
    main()
