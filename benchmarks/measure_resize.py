"""The input view by Pillow, as today, against torchvision's uint8 resize: bytes that differ, processor time.

`python -m benchmarks.measure_resize FOLDER` of pictures.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.transforms.v2 import functional

from core.encoders.transform import INTERPOLATIONS

SIDE, ROUNDS, MOST = 256, 3, 40


def by_pillow(picture: Image.Image, size: tuple[int, int], mode: str) -> np.ndarray:
    return np.asarray(picture.resize(size, INTERPOLATIONS[mode]))


def by_torchvision(picture: Image.Image, size: tuple[int, int], mode: str) -> np.ndarray:
    tensor = torch.from_numpy(np.array(picture)).permute(2, 0, 1)  # channels last in memory, as decoded
    interpolation = functional.InterpolationMode(mode)
    resized = functional.resize(tensor, [size[1], size[0]], interpolation, antialias=True)
    return resized.permute(1, 2, 0).numpy()


def main(folder: str) -> None:
    torch.set_num_threads(1)
    files = [path for path in sorted(Path(folder).rglob("*")) if path.suffix.lower() in (".jpg", ".jpeg")]
    pictures = [Image.open(path).convert("RGB") for path in files[:MOST]]
    print("| mode | bytes that differ | largest difference | ms by Pillow | by torchvision |")
    print("|---|---|---|---|---|")
    for mode in ("bilinear", "bicubic"):
        seconds, differences = {by_pillow: 0.0, by_torchvision: 0.0}, []
        for number in range(ROUNDS):
            for picture in pictures:
                scale = SIDE / min(picture.size)
                size = round(picture.width * scale), round(picture.height * scale)
                made = []
                for way in seconds:
                    began = time.process_time()
                    made.append(way(picture, size, mode))
                    seconds[way] += time.process_time() - began
                if number == 0:
                    differences.append(np.abs(made[0].astype(int) - made[1]).ravel())
        off = np.concatenate(differences)
        each = [f"{1000 * one / (ROUNDS * len(pictures)):.2f}" for one in seconds.values()]
        print(f"| {mode} | {100 * (off > 0).mean():.2f} % | {off.max()} | {each[0]} | {each[1]} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
