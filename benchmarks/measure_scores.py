"""Times features + quality of one study with and without the scores of 2.7; prints JSON. Own process."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from unittest import mock

import numpy as np

from benchmarks.measure_features import compute
from core.analysis import quality_step
from core.analysis.baseline_scores import NAMES
from core.store import Study


def nothing(study: Study) -> dict[str, np.ndarray]:
    return {name: np.full(study.n_images, np.nan) for name in NAMES}


def main() -> None:
    folder, repeats = Path(sys.argv[1]), int(sys.argv[2])
    compute(folder)  # compiles the loops and fills the page cache
    full, less = [], []
    for _ in range(repeats):
        full.append(compute(folder))
        with mock.patch.object(quality_step, "deviation_scores", nothing):
            less.append(compute(folder))
    print(json.dumps({"with_s": min(full), "without_s": min(less)}))


if __name__ == "__main__":
    main()
