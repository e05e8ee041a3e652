"""What an encoder in bfloat16 changes in a study, against the same study in float32.

    python -m benchmarks.measure_precision build/bench/precision --only demo
    python -m benchmarks.measure_precision build/bench/precision --cifar data/cifar10 \\
        --photographs photographs.csv --encoder Lite1=timm:tf_efficientnet_lite1@lite1.pth
    python -m benchmarks.measure_precision build/bench/precision --speed timm:resnet50

For each pair of images and encoder two studies are made, unless they are there, and a line is printed: how
much of the answers, the AUROC of confidence and Q, the discriminative features, mIoU, the words and the first
50 images of each ranking stays. mIoU needs masks and words a CLIP that knows the images; "-" without.
"""

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path
from time import process_time
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from core.common.dataframes import numbers
from core.common.step_facts import EmbedFacts
from core.compare.compare import compare
from core.encoders.registry import load_encoder
from core.pipeline.run import run_step
from core.store import Study, open_study
from core.study.progress import Progress

FIRST = 50
BATCH, REPEATS = 8, 3
STEPS_READ = ("features", "neighbours", "probe", "answers", "quality", "heatmaps", "overlap", "concepts")
TYPES = ("float32", "bfloat16")
WORLD = {"demo": "asset:simclr_glyphworld", "demo, Q": "asset:simclr_q_glyphworld"}


class Case(NamedTuple):
    """Images and an encoder on them."""

    name: str
    images: str
    encoder: str


def overlap_of_first(first: pd.DataFrame, other: pd.DataFrame) -> dict[str, float]:
    """Return, for each score of `quality`, the share of the FIRST images with the lowest that stay.

    Ties are broken by the order of the images; scores that do not vary are left out.
    """
    shares = {}
    for name in first.select_dtypes("number").columns.intersection(other.columns):
        columns = [numbers(table, name) for table in (first, other)]
        if any(np.isnan(one).all() or np.nanmin(one) == np.nanmax(one) for one in columns):
            continue
        heads = [set(np.argsort(one, kind="stable")[:FIRST].tolist()) for one in columns]
        shares[str(name)] = len(heads[0] & heads[1]) / min(FIRST, len(first))
    return shares


def words_of(study: Study) -> dict[str, frozenset[str]]:
    """The kept words of each feature."""
    if not study.has("concepts"):
        return {}
    table = study.table("concepts").query("kept")
    return {str(name): frozenset(words) for name, words in table.groupby("group")["word"]}


def map_difference(first: Study, other: Study) -> tuple[float, float]:
    """The mean and the 99th percentile of how far stored maps differ, in units of their maxima, where both
    studies hold them; NaN where none."""
    readers = [one.heatmap_reader for one in (first, other)]
    parts = [np.empty(0, np.float32)]
    for row in range(first.n_images):
        features, others_features = (reader.features_of(row) for reader in readers)
        shared = np.intersect1d(features, others_features)
        if len(shared):
            maps, others = (reader.maps(row, shared)[0] for reader in readers)
            parts.append(np.abs(maps - others).ravel())
    difference = np.concatenate(parts)
    if not len(difference):
        return np.nan, np.nan
    return float(difference.mean()), float(np.quantile(difference, 0.99))


def differences(first: Study, other: Study) -> dict[str, str]:
    """What `other` changes of `first`, a short text for each column of the table."""
    both = (first, other)
    row: dict[str, str] = dict.fromkeys(
        ("answers changed", "top-1", "AUROC of confidence", "AUROC of Q", "mIoU"), "-"
    )
    if all(one.has("quality") for one in both):
        tables = [one.table("quality") for one in both]
        if "predicted" in tables[0]:
            changed = (tables[0]["predicted"] != tables[1]["predicted"]).to_numpy()
            row["answers changed"] = f"{np.count_nonzero(changed)} of {len(changed)}"
        shares = overlap_of_first(*tables)
        worst = min(shares, key=lambda name: shares[name])
        row[f"first {FIRST}"] = f"{np.mean(list(shares.values())):.2f}, {worst} {shares[worst]:.2f}"
    measured = compare(both, resamples=1000).measures.set_index(["measure", "study"])
    titles = {"accuracy": "top-1", "confidence_auroc": "AUROC of confidence", "q_auroc": "AUROC of Q"}
    for measure, title in (titles | {"miou_core": "mIoU"}).items():
        if measure in measured.index.get_level_values(0):
            of = measured.loc[measure]
            low, high = of["low"].iloc[0], of["high"].iloc[0]
            row[title] = f"{of['value'].iloc[0]:.4f} ({low:.4f} to {high:.4f}) → {of['value'].iloc[1]:.4f}"
    in_d = [one.table("features")["discriminative"].to_numpy(bool) for one in both]
    n_kept = np.count_nonzero(in_d[0] & in_d[1])
    row["discriminative"] = f"{in_d[0].sum()} → {in_d[1].sum()}, {n_kept} in both"
    words = [words_of(one) for one in both]
    same = sum(words[1].get(name) == one for name, one in words[0].items())
    row["words"] = f"{same} of {len(words[0])} features the same" if words[0] else "-"
    mean, most = map_difference(*both)
    made_in = other.facts(EmbedFacts).encoder.map_precision
    return row | {"maps": f"in {made_in}: {mean:.4f}, 99 % below {most:.4f}"}


def studies_of(case: Case, folder: Path) -> list[Study]:
    """The study in each of TYPES; a finished step is not run again."""
    for type_ in TYPES:
        options = {"images": case.images, "encoder": case.encoder, "precision": type_, "device": "cpu"}
        run_step("embed", folder / type_, options, Progress.silent())
        for step in STEPS_READ:
            run_step(step, folder / type_, {"device": "cpu"}, Progress.silent())
    return [open_study(folder / type_) for type_ in TYPES]


def speeds(spec: str) -> str:
    """Milliseconds of processor time a picture, in turn, and the relative difference of representations.

    Pictures are noise: the difference on photographs is smaller.
    """
    encoder = load_encoder(spec)
    encoder.fold()
    shape = (BATCH, *encoder.transform.sides, 3)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    raw: dict[str, torch.Tensor] = {}
    seconds: dict[str, list[float]] = {type_: [] for type_ in TYPES}
    for _, (type_, times) in itertools.product(range(REPEATS + 1), seconds.items()):
        encoder.precision = type_
        began = process_time()
        with torch.inference_mode():
            raw[type_] = encoder.represent(pixels)
        times.append(process_time() - began)
    full, reduced = (1000 * min(seconds[type_][1:]) / BATCH for type_ in TYPES)
    difference = float((raw[TYPES[1]] - raw[TYPES[0]]).norm() / raw[TYPES[0]].norm())
    return f"{full:.1f} → {reduced:.1f} ms, {full / reduced:.2f} times, relative difference {difference:.1e}"


def cases(args: argparse.Namespace) -> Iterator[Case]:
    """The pairs of images and encoder that the command names."""
    for name, encoder in WORLD.items():
        yield Case(name, args.world, encoder)
    for images, encoders in ((args.cifar, args.of_cifar), (args.photographs, args.encoder)):
        for named in encoders if images else ():
            name, _, encoder = named.partition("=")
            yield Case(name, images, encoder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the studies")
    parser.add_argument("--only", nargs="*", help="names of cases")
    parser.add_argument("--world", default="glyphworld", help="scenes of the demo")
    parser.add_argument("--cifar", help="folder of its classes")
    parser.add_argument("--of-cifar", nargs="*", default=["SimCLR=asset:simclr_cifar10"], help="NAME=SPEC")
    parser.add_argument("--photographs", help="folder of photographs")
    parser.add_argument("--encoder", nargs="*", default=["Lite0=asset:efficientnet_lite0"], help="NAME=SPEC")
    parser.add_argument("--speed", nargs="*", help="measure only how long a picture takes these encoders")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for spec in args.speed or ():
        print(f"{spec:40s} {speeds(spec)}", flush=True)
    if args.speed:
        return
    for case in cases(args):
        if not args.only or case.name in args.only:
            for column, text in differences(*studies_of(case, args.folder / case.name)).items():
                print(f"{case.name:16s} {column:20s} {text}", flush=True)


if __name__ == "__main__":
    main()
