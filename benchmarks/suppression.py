"""Which of three easy features a contrastive encoder keeps, with and without IFM, at several temperatures.

`python -m benchmarks.suppression` trains on images of independent shape, colour and texture (trifeature.py),
without grayscale and colour jitter, and reads each factor out of the frozen encoder with a linear probe on
other images; chance is 10 % and every level is equally frequent. Finished trainings are kept in --output and
are not repeated, so that an interrupted study goes on. On a GPU: `--images 20000 --epochs 100 --arch
timm:resnet18 --seeds 3 --batch-size 512`.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.__main__ import machine
from benchmarks.trifeature import FACTORS, LEVELS, Trifeature
from core.analysis.probe.step import train_probe
from core.errors import SettingsError
from core.jobs.progress import Progress
from core.training.config import TrainConfig, from_dict
from core.training.trainer import TrainingRun

COMMON = ("images", "held_out", "epochs", "batch_size", "lr", "alpha", "arch", "size", "precision")
KEYS = ["method", "temperature", "epsilon", "seed"]
NO_COLOUR_CHANGES = {"jitter": 0.0, "grayscale": 0.0, "blur": 0.0, "crop_scale": [0.5, 1.0]}
UNTRAINED = "untrained"


def settings(options: argparse.Namespace, case: dict[str, Any], output: Path) -> TrainConfig:
    """The training of one case; everything but temperature, epsilon and seed is the same in all."""
    trained = case["method"] != UNTRAINED
    objective = {"ifm_epsilon": case["epsilon"], "ifm_alpha": options.alpha}
    return from_dict(
        {
            "images": "trifeature",
            "output": str(output),
            "method": case["method"] if trained else "simclr",
            "temperature": case["temperature"] or 0.2,
            "seed": case["seed"],
            "arch": options.arch,
            "epochs": options.epochs,
            "batch_size": options.batch_size,
            "lr": options.lr,
            "warmup_epochs": min(2.0, options.epochs / 10),
            "image_size": options.size,
            "crop_size": options.size,
            "device": options.device,
            "precision": options.precision,
            "cache": str(Path(options.output).parent / "pixels"),
            "monitor_every": options.epochs,
            "augment": NO_COLOUR_CHANGES,
            "objective": objective,
        }
    )


def measure(options: argparse.Namespace, case: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Train one case and read the three factors out of it: shares of held-out images read rightly."""
    source = Trifeature(options.images, options.held_out, options.size, seed=0)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        run = TrainingRun(settings(options, case, Path(folder) / "encoder.safetensors"), source, progress)
        if case["method"] != UNTRAINED:
            run.run()
        raw = {"train": run.represent(run.train_pixels.images), "val": run.represent(run.val_pixels.images)}
    loss = float(np.mean(run.rows[-1]["loss"])) if run.rows else float("nan")
    seconds = round(time.monotonic() - began, 1)
    return {**case, **readouts(source, raw), "loss": loss, "seconds": seconds, "settings": common(options)}


def common(options: argparse.Namespace) -> str:
    """What all rows of a table must share."""
    return " ".join(f"{name}={getattr(options, name)}" for name in COMMON)


def readouts(source: Trifeature, raw: dict[str, torch.Tensor]) -> dict[str, float]:
    """Accuracy of a linear probe of each factor, trained on "train" and tried on "val" representations."""
    factors, found = source.factors(), {}
    train, val = factors.iloc[: source.n_train], factors.iloc[source.n_train :]
    for factor in FACTORS:
        probe = train_probe(raw["train"], train[factor].to_numpy(), LEVELS, lr=0.1)
        read = probe.logits(raw["val"]).argmax(1).cpu().numpy()
        found[factor] = float((read == val[factor].to_numpy()).mean())
    return found


def cases(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Seeds come last: a table with one seed is complete early."""
    for seed in range(options.seeds):
        yield {"method": UNTRAINED, "temperature": 0.0, "epsilon": 0.0, "seed": seed}
        for temperature, epsilon in itertools.product(options.temperatures, options.epsilons):
            yield {"method": options.method, "temperature": temperature, "epsilon": epsilon, "seed": seed}


def summary(rows: pd.DataFrame) -> str:
    """Markdown: mean ± standard deviation over seeds, in percent."""
    lines = [f"| method | tau | epsilon | {' | '.join(FACTORS)} | mean | seeds |", "|---|" + "---|" * 7]
    for (method, temperature, epsilon), group in rows.groupby(KEYS[:3], sort=False):
        scores = 100 * group[list(FACTORS)].assign(mean=group[list(FACTORS)].mean(axis=1))
        spread = scores.std(ddof=1)
        cells = [
            f"{scores[name].mean():.1f}" + (f" ± {spread[name]:.1f}" if len(group) > 1 else "")
            for name in scores
        ]
        told = ("", "") if method == UNTRAINED else (f"{temperature:g}", f"{epsilon:g}")
        lines.append(f"| {method} | {told[0]} | {told[1]} | {' | '.join(cells)} | {len(group)} |")
    return "\n".join(lines)


def parse(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.suppression", description=__doc__)
    parser.add_argument("--method", default="simclr", choices=("simclr", "moco"))
    parser.add_argument("--temperatures", type=float, nargs="+", default=[0.05, 0.2, 0.5])
    parser.add_argument("--epsilons", type=float, nargs="+", default=[0.0, 0.1])
    parser.add_argument("--alpha", type=float, default=1.0, help="inf: the perturbed loss alone")
    parser.add_argument("--seeds", type=int, default=2, help="of weights, order and views")
    parser.add_argument(
        "--images", type=int, default=2000, help="to train on; a multiple of 1000 is balanced"
    )
    parser.add_argument("--held-out", type=int, default=1000, help="to read out from")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=0.5, help="per 256 images")
    parser.add_argument("--arch", default="timm:resnet10t")
    parser.add_argument("--size", type=int, default=48, help="pixels")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("-o", "--output", default="build/suppression.csv", help="finished trainings")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> None:
    options = parse(words)
    output = Path(options.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    rows = pd.read_csv(output).to_dict("records") if output.exists() else []
    others = {row["settings"] for row in rows} - {common(options)}
    if others:
        raise SettingsError(f"'{output}' holds trainings with {others.pop()}. Choose another -o.")
    done = {tuple(row[key] for key in KEYS) for row in rows}
    progress = Progress.for_command(None)
    for case in cases(options):
        if tuple(case[key] for key in KEYS) in done:
            continue
        rows.append(measure(options, case, progress))
        pd.DataFrame(rows).to_csv(output, index=False)
        progress.note("  ".join(f"{key} {value}" for key, value in rows[-1].items()))
    print(f"`python -m benchmarks.suppression {' '.join(sys.argv[1:])}` on {machine()}\n")
    print(summary(pd.DataFrame(rows)))


if __name__ == "__main__":
    main()
