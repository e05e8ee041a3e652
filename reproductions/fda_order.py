"""Where Fourier augmentations belong: before or after the other augmentations of SimCLR's left view, or
nowhere.

Kalibhat's dissertation, Table 5.4, on scenes of Glyphworld instead of ImageNet: 9 trainings (seeds 0 to 2),
25 minutes of one core. fda_order.md has the values; the rows of that run are not kept.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from reproductions import common
from reproductions.fda_augmentations import SETTINGS, SMOKE, draw, train_and_measure, views

NAME = "fda_order"


def rows(folder: Path, smoke: bool) -> Iterator[dict[str, Any]]:
    """Yield a row a training."""
    for seed in range(1 if smoke else 3):
        for when in ("after",) if smoke else ("none", "before", "after"):
            left = {} if when == "none" else {"fourier": {"when": when}}
            own = {**(SMOKE if smoke else SETTINGS), "augment": views(left, {})}
            run = partial(train_and_measure, folder / f"{when}-s{seed}.safetensors", seed, own)
            yield common.cell(when, seed, {"when": when}, run, "smoke" if smoke else "short")


def main(argv: Sequence[str] | None = None) -> None:
    """Train, measure and draw, as the options ask."""
    common.run_trainings(NAME, __doc__, argv, rows, draw)


if __name__ == "__main__":
    main()
