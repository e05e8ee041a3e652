"""Which pairs of views teach SimCLR most: plain, with image augmentations, with Fourier augmentations, with
both.

Kalibhat's dissertation, Table 5.3, on scenes of Glyphworld instead of ImageNet: 30 trainings (seeds 0 to
2), 69 minutes of one core. fda_views.md has the means; the rows of that run are not kept.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from core.training.augmentation_config import IMAGE_VIEWS
from reproductions import common
from reproductions.fda_dual import draw, pair_row

NAME = "fda_views"
PAIRS = [(left, right) for row, right in enumerate(IMAGE_VIEWS) for left in IMAGE_VIEWS[row:]]


def rows(folder: Path, smoke: bool) -> Iterator[dict[str, Any]]:
    """Yield a row a training: the upper triangle of Table 5.3, row by row, of each seed."""
    for seed in range(1 if smoke else 3):
        for left, right in PAIRS[1:2] if smoke else PAIRS:
            yield pair_row(folder, left, right, seed, smoke)


def main(argv: Sequence[str] | None = None) -> None:
    """Train, measure and draw, as the options ask."""
    common.run_trainings(NAME, __doc__, argv, rows, draw)


if __name__ == "__main__":
    main()
