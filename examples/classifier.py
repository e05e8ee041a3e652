"""A classifier as users bring one, for the README: a bare state dict of torchvision's ResNet-18, no sidecar.

python -m examples.classifier --images data/cifar10/train -o fc.pth

Three epochs of the first 1,200 images a class of 32 pixels, SGD with one cycle of the rate, flips; one
thread, seed 0. Prints a line per epoch.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from torchvision.datasets import ImageFolder
from torchvision.models import resnet18

EPOCHS, PER_CLASS, BATCH, RATE = 3, 1200, 64, 0.1
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


def first_of_each_class(images: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (n, 3, 32, 32) normalised pixels and (n,) classes of the first PER_CLASS images a class."""
    folder = ImageFolder(images)
    classes = np.array(folder.targets)
    rows = np.concatenate([np.flatnonzero(classes == one)[:PER_CLASS] for one in np.unique(classes)])
    pixels = torch.from_numpy(np.stack([np.asarray(folder[int(row)][0]) for row in rows]))
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return (pixels.permute(0, 3, 1, 2) / 255 - mean) / std, torch.from_numpy(classes[rows])


def main(argv: Sequence[str] | None = None) -> None:
    """Train the classifier and write its weights."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", required=True, help="folder of classes")
    parser.add_argument("-o", "--output", type=Path, required=True, help="checkpoint to write")
    given = parser.parse_args(argv)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    pixels, classes = first_of_each_class(given.images)
    model = resnet18(num_classes=int(classes.max()) + 1)
    optimiser = torch.optim.SGD(model.parameters(), RATE, momentum=0.9, weight_decay=5e-4, nesterov=True)
    steps = EPOCHS * (len(pixels) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    for epoch in range(EPOCHS):
        losses = []
        for rows in torch.randperm(len(pixels)).split(BATCH)[: len(pixels) // BATCH]:
            batch, flipped = pixels[rows], torch.rand(BATCH) < 0.5
            batch[flipped] = batch[flipped].flip(3)
            loss = cross_entropy(model(batch), classes[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
        print(f"epoch {epoch + 1} of {EPOCHS}: loss {np.mean(losses):.3f}", flush=True)
    torch.save(model.state_dict(), given.output)


if __name__ == "__main__":
    main()
