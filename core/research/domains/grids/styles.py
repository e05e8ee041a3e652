"""What domain-disentangled training gains on three styles of Glyphworld, and on a fourth it has not seen.

Each arm sees the same images, views and seeds (docs/method.md 14.4).
"""

from typing import Any

import numpy as np
import pandas as pd

from core.common.dataframes import known_mean, numbers, words
from core.data.sources.glyphworld import GlyphworldSource
from core.errors import SettingsError
from core.research.domains.analysis.domain_probe import class_probes, domain_probes
from core.research.domains.analysis.parts import PARTS, DomainImages
from core.research.domains.analysis.twins import feature_jaccard, twin_retrieval
from core.research.domains.grids.domain_verdict import clustering_verdict, domain_verdict
from core.research.domains.training.labels import prefix_length
from core.research.grids.definition import CellJob, Grid, Values
from core.research.grids.runner import GridCell, Row
from core.research.grids.seeds import by_values
from core.research.grids.trained import HALF_WIDTH, cell_config, raw_splits, train_cell
from core.training import files
from core.training.methods.registry import METHODS
from core.worlds.glyphworld.scenes import STYLES

BASELINE, DDM, CUT = "baseline", "ddm", "cut"
PSEUDO = ("kmeans", "robust")
NO_COLOUR = {"jitter": 0.0, "grayscale": 0.0}
TRUE = "column:style"
DOMAIN_CHOICES = {"critic_reads": ("unit", "normalised", "raw")}
CPU: dict[str, Any] = {
    "methods": ["simclr", "byol"],
    "colour": ["on", "off"],  # colour augmentation; grayscale alone removes part of the domain
    "domains": [BASELINE, DDM, *PSEUDO, "var", "invar", CUT],
    "train": 6000,
    "val": 1000,
    "unseen_train": 2000,  # images of a style for a probe of its own, also of the unseen one
    "styles": ["plain", "sketch", "mono"],
    "unseen": "pastel",
    "size": 48,
    "arch": "timm:resnet10t",
    "epochs": 40,
    "batch_size": 128,
    "crop_low": 0.3,  # below, many objects are cut out of one of the views
    "weight": 0.5,  # lambda, of the method's own loss
    "critic_reads": "unit",
    "threshold": "auto",  # outlier threshold of the robust arm
    "precision": "bf16",
}
SHORT = {
    **CPU,
    "train": 3000,
    "val": 1000,
    "unseen_train": 1000,
    "size": 32,
    "arch": HALF_WIDTH,
    "epochs": 30,
}
PAPER = {
    **CPU,
    "train": 60_000,
    "val": 5000,
    "unseen_train": 20_000,
    "size": 96,
    "arch": "timm:vit_small_patch16_224?img_size=96",
    "epochs": 200,
    "batch_size": 256,
    "threshold": "1",  # Kalibhat's epsilon
}


def domain_settings(domains: str, n_domains: int, values: Values, labels: str = TRUE) -> dict[str, Any]:
    """Return the table [domains] of an arm; empty for the plain method."""
    given = {name: values[name] for name in ("weight", "critic_reads")}
    with_labels = {"labels": labels, **given}
    clustered = {"labels": "cluster", "n_domains": n_domains, "truth": labels, **given}
    threshold = outlier_threshold(values["threshold"])
    return {
        BASELINE: {},
        DDM: with_labels,
        "var": {**with_labels, "invariant": 0.0},
        "invar": {**with_labels, "variant": 0.0},
        CUT: {**with_labels, "variant": 0.0, "invariant": 0.0, "weight": 1.0},
        "kmeans": {**clustered, "robust": False},
        "robust": {**clustered, "outlier_threshold": threshold},
    }[domains]


def outlier_threshold(text: str) -> float | str:
    """Read `threshold`. Raises SettingsError."""
    try:
        return text if text == "auto" else float(text)
    except ValueError:
        raise SettingsError(f"threshold = '{text}' should be auto or a number") from None


def domain_arms(values: Values) -> list[GridCell]:
    """List each method with and without colour augmentation, in each arm. Raises SettingsError."""
    outlier_threshold(values["threshold"])
    return [
        GridCell(f"{method}-{colour}-{arm}", {"method": method, "colour": colour, "domains": arm})
        for colour in values["colour"]
        for method in values["methods"]
        for arm in values["domains"]
    ]


def plain_method_arm(values: Values, arm: str) -> str | None:
    """Return the arm of the same method and augmentation without domains."""
    base_arm, _, kind = arm.rpartition("-")
    return None if kind == BASELINE or BASELINE not in values["domains"] else f"{base_arm}-{BASELINE}"


def world(values: Values) -> GlyphworldSource:
    """The images of the training, in the seen styles."""
    styles = ",".join(values["styles"])
    size = {name: values[name] for name in ("train", "val", "size")}
    query = "&".join(f"{name}={value}" for name, value in size.items())
    return GlyphworldSource.from_spec(f"glyphworld?{query}&styles={styles}")


def run_domains(job: CellJob) -> Row:
    """Train one cell and measure it on scenes that it has not seen, in each style."""
    values, columns = job.values, job.cell.columns
    source = world(values)
    settings = {name: values[name] for name in ("arch", "epochs", "batch_size", "precision")} | {
        "images": source.spec,
        "method": columns["method"],
        "image_size": values["size"],
        "crop_size": values["size"],
        "augment": {
            "crop_scale": [values["crop_low"], 1.0],
            **(NO_COLOUR if columns["colour"] == "off" else {}),
        },
        "domains": domain_settings(columns["domains"], len(values["styles"]), values),
    }
    row = train_cell(job, cell_config(job, settings))
    images, twins = represented_styles(job, source)
    k = prefix_length(None, images.raw.shape[1])
    measured = measured_domains(images, twins, k, values["unseen"])
    return {"unseen": values["unseen"], **measured, **last_of_log(job), **row}


def represented_styles(job: CellJob, source: GlyphworldSource) -> tuple[DomainImages, dict[str, np.ndarray]]:
    """Represent the train images, some of the unseen style, and every val scene in every style.

    Returns:
        the images with their classes and styles, and the val scenes by style: (n_val, r) each.
    """
    unseen, seen = job.values["unseen"], list(job.values["styles"])
    names = tuple(sorted([*seen, unseen]))
    train_rows = raw_splits(job, source)["train"]
    styles = [names.index(source.plan(row).style) for row in range(source.n_train)]
    others = {
        style: GlyphworldSource(
            train=min(job.values["unseen_train"], source.n_train) if style == unseen else 1,
            val=source.n_val,
            seed=source.seed,
            preset=source.preset,
            world=source.in_style(style).world,
        )
        for style in names
    }
    raw = {style: raw_splits(job, other) for style, other in others.items()}
    extra = raw[unseen]["train"]
    class_names = tuple(sorted(source.table["label"].unique()))
    label = np.array([class_names.index(name) for name in source.table["label"]], np.int64)
    train, val = label[: source.n_train], label[source.n_train :]
    n_val = len(names) * len(val)
    images = DomainImages(
        raw=np.concatenate([train_rows, extra, *(raw[name]["val"] for name in names)]),
        classes=np.concatenate([train, train[: len(extra)], *([val] * len(names))]),
        domains=np.concatenate(
            [styles, np.full(len(extra), names.index(unseen)), np.repeat(np.arange(len(names)), len(val))]
        ),
        is_val=np.arange(len(train_rows) + len(extra) + n_val) >= len(train_rows) + len(extra),
        class_names=class_names,
        domain_names=names,
    )
    return images, {name: raw[name]["val"] for name in names}


def measured_domains(
    images: DomainImages, twins: dict[str, np.ndarray] | None, k: int, unseen: str
) -> dict[str, float]:
    """Return all measures of an encoder as columns: NAME_PART, and top1_PROTOCOL_DOMAIN_PART."""
    away = (unseen,) if unseen in images.domain_names else ()
    numbers_of_run: dict[str, float] = {}
    for row in domain_probes(images, k, unseen=away).to_dict("records"):
        numbers_of_run[f"domain_{row['probe']}_{row['part']}"] = row["accuracy"]
        numbers_of_run["base_rate"] = row["base_rate"]
    counts = np.bincount(images.classes[images.is_val & (images.classes >= 0)])
    numbers_of_run["class_chance"] = float(counts.max() / counts.sum())
    classes = class_probes(images, k, unseen=away)
    for row in classes.to_dict("records"):
        numbers_of_run[f"top1_{row['protocol']}_{row['domain']}_{row['part']}"] = row["top1"]
    for (protocol, part), rows in by_values(classes, ["protocol", "part"]):
        top1, outside = numbers(rows, "top1"), rows["unseen"].to_numpy(bool)
        numbers_of_run[f"seen_{protocol}_{part}"] = known_mean(top1[~outside])
        if away:
            numbers_of_run[f"unseen_{protocol}_{part}"] = known_mean(top1[outside])
    retrieved = None if twins is None else twin_retrieval(twins, k)
    shared = feature_jaccard(images, k)
    for part in PARTS:
        if retrieved is not None:
            part_rows = retrieved.loc[retrieved["part"] == part].reset_index(drop=True)
            r1, outside = numbers(part_rows, "r1"), _names_any(part_rows, ["query", "gallery"], away)
            numbers_of_run[f"r1_{part}"] = known_mean(r1[~outside])
            numbers_of_run[f"r1_unseen_{part}"] = known_mean(r1[outside])
        part_rows = shared.loc[shared["part"] == part].reset_index(drop=True)
        numbers_of_run[f"jaccard_{part}"] = known_mean(
            numbers(part_rows, "jaccard")[~_names_any(part_rows, ["first", "second"], away)]
        )
    return numbers_of_run


def _names_any(pairs: pd.DataFrame, names: list[str], domains: tuple[str, ...]) -> np.ndarray:
    """(n,) bool: the pairs with one of these domains in one of two columns."""
    return np.logical_or.reduce([np.isin(words(pairs, name), domains) for name in names])


OF_CLUSTERS = ("epsilon", "kept", "kept_paper", "kept_nearest", "ari", "purity_kept", "purity_dropped")
OF_LOG = (
    *("wasserstein", "critic_penalty", "l_var", "own_loss", "prefix_norm", "rest_norm", "without_partner"),
    *OF_CLUSTERS,
)


def last_of_log(job: CellJob) -> dict[str, float]:
    """Return the domain terms of the last epoch and, where there were clusters, of the first clustering."""
    log = pd.read_csv(files.log_path(job.output))
    row = {name: float(log[name].iloc[-1]) for name in OF_LOG if name in log}
    if (clustered := np.flatnonzero(np.isfinite(numbers(log, "clustering")))).size:
        row |= {f"first_{name}": float(log[name].iloc[clustered[0]]) for name in OF_CLUSTERS if name in log}
    return row


def domain_verdicts(values: Values, table: pd.DataFrame) -> list[str]:
    """Say of each arm with a baseline whether it works, and of robust clusters whether they help."""
    arms, sentences = list(dict.fromkeys(table["arm"])), []
    for arm in arms:
        base = plain_method_arm(values, arm)
        if base is not None and base in arms:
            sentences.append(f"{arm}: {domain_verdict(table, arm, base).sentence}")
        base_arm, _, kind = arm.rpartition("-")
        if kind == "robust" and f"{base_arm}-kmeans" in arms:
            sentences.append(f"{arm}: {clustering_verdict(table, arm, f'{base_arm}-kmeans')}")
    return sentences


GRID = Grid(
    name="domains",
    presets={"cpu": CPU, "paper": PAPER, "short": SHORT},
    arms=domain_arms,
    run=run_domains,
    measures={
        "seen_own_all": ("seen styles %", 100.0),
        "unseen_own_all": ("unseen, own probe %", 100.0),
        "unseen_seen_all": ("unseen, probe of seen %", 100.0),
        "seen_own_rest": ("rest, seen styles %", 100.0),
        "unseen_own_rest": ("rest, unseen %", 100.0),
        "domain_mlp_rest": ("style from rest, MLP %", 100.0),
        "domain_mlp_prefix": ("style from prefix, MLP %", 100.0),
        "r1_rest": ("twins by rest, R@1 %", 100.0),
    },
    baseline=plain_method_arm,
    of_arms=("methods", "colour", "domains"),
    choices=DOMAIN_CHOICES
    | {
        "methods": tuple(METHODS),
        "colour": tuple(CPU["colour"]),
        "domains": tuple(CPU["domains"]),
        "styles": STYLES,
        "unseen": STYLES,
    },
    verdicts=domain_verdicts,
)
