"""What two encoders know of a shared dictionary, beside controls (docs/method.md 18.8).

python -m benchmarks.evidence.shared_dictionary studies/demo studies/other

Prints Markdown: the two encoders; the first beside itself, where nothing may be lacking; and the second with
its images permuted, where nothing is shared, and each latent is of one of them.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.__main__ import machine
from core.bases.joint import Joint
from core.bases.vectors import FitRun
from core.common.statistics.intervals import percentile_interval
from core.comparison.shared_dictionary import BOTH, FIRST, OTHER, known_to
from core.jobs.progress import Progress
from core.reader import StudyReader
from core.training.dictionaries import fit_topk


def row(title: str, joint: Joint, args: argparse.Namespace) -> str:
    """Fit a dictionary, and count who knows its latents."""
    with tempfile.TemporaryDirectory() as folder, Progress.for_command(Path(folder)) as progress:
        device = torch.device("cpu")
        run = FitRun(progress, device, Path(folder) / "state", {}, args.steps)
        dictionary = fit_topk(joint.vectors, args.size, args.k, args.seed, run)
    columns, facts = joint.about(dictionary, device)
    sides = known_to(columns["told_by_first"], columns["told_by_other"])
    low, high = percentile_interval(columns["share"])
    counts = [int((sides == side).sum()) for side in (BOTH, FIRST, OTHER)]
    r2 = " and ".join("not defined" if one is None else f"{one:.2f}" for one in facts["with"]["r2"])
    cells = (title, r2, int((sides != "").sum()), *counts, f"{low:.2f} to {high:.2f}")
    return f"| {' | '.join(map(str, cells))} |"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("other", type=Path)
    for name, default in (("size", 512), ("k", 16), ("steps", 500), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args(argv)
    study, other = StudyReader(args.study), StudyReader(args.other)
    print(f"{args.size} latents, k {args.k}, {args.steps} steps, seed {args.seed}. {machine()}\n")
    print("| vectors | R2 | latents judged | both know | only the first | only the second | 95 % of shares |")
    print(f"|{'---|' * 7}", flush=True)
    print(row("both encoders", Joint(study, other), args), flush=True)
    same = Joint(study, other)
    same.rows, same.arrays = np.arange(study.n_images), (same.arrays[0], same.arrays[0])
    same.widths, same.scales = (same.widths[0],) * 2, [same.scales[0]] * 2
    print(row("the first beside itself", same, args), flush=True)
    permuted = Joint(study, other)
    permuted.rows = np.random.default_rng(args.seed).permutation(permuted.rows)
    print(row("the second with permuted images", permuted, args), flush=True)


if __name__ == "__main__":
    main()
