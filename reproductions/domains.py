"""What domain-disentangled training (DDM) gains on three styles of Glyphworld, and on a fourth it has not
seen.

Kalibhat's dissertation, Table 2.1 and Fig. 2.2 (docs/method.md 14.4). Each arm sees the same images, views
and seeds. The stored table: 63 trainings (BYOL, and both methods without colour augmentation; seeds 0 to
2), 2 hours 17 minutes of one core of an AMD EPYC that did other work, too. SimCLR with colour augmentation
was run before, over five seeds (35 trainings, 81 minutes of one core): domains.md has its means, the rows
are not kept.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.common.dataframes import by_values, known_mean
from core.data.glyphworld import GlyphworldSource
from core.data.images import ImageSource
from core.encoders.registry import load_encoder
from core.research.domains_labels import prefix_length
from core.research.domains_parts import PARTS, DomainImages, feature_jaccard, twin_retrieval
from core.research.domains_step import class_probes, domain_probes
from core.research.transfer_learning_evaluate import represent_pixels
from core.training import files
from core.training.pixels import load_pixels
from reproductions import common

NAME = "domains"
SEEN, UNSEEN = ("plain", "sketch", "mono"), "pastel"
RUNS = (("byol", "on"), ("simclr", "off"), ("byol", "off"))  # method, colour augmentation
NO_COLOUR = {"jitter": 0.0, "grayscale": 0.0}
SETTINGS: dict[str, Any] = {
    "image_size": 32,
    "crop_size": 32,
    "arch": common.HALF_WIDTH,
    "epochs": 30,
    "batch_size": 128,
    "precision": "bf16",
}
N_IMAGES = {"train": 3000, "val": 1000, "unseen": 1000}
SMOKE = {**SETTINGS, "arch": common.TINY, "epochs": 1, "batch_size": 30, "precision": "fp32"}
N_SMOKE = {"train": 60, "val": 20, "unseen": 40}
OF_CLUSTERS = ("epsilon", "kept", "kept_paper", "kept_nearest", "ari", "purity_kept", "purity_dropped")
OF_LOG = (
    *("wasserstein", "critic_penalty", "l_var", "own_loss", "prefix_norm", "rest_norm", "without_partner"),
    *OF_CLUSTERS,
)


def domain_arms(labels: str, n_domains: int) -> dict[str, dict[str, Any]]:
    """Return the table `[domains]` of each arm; empty for the plain method.

    Args:
        labels: where the domain of an image stands, `column:NAME`.
    """
    common_settings = {"weight": 0.5, "critic_reads": "unit"}
    with_labels = {"labels": labels, **common_settings}
    clustered = {"labels": "cluster", "n_domains": n_domains, "truth": labels, **common_settings}
    return {
        "baseline": {},
        "ddm": with_labels,
        "kmeans": {**clustered, "robust": False},
        "robust": {**clustered, "outlier_threshold": "auto"},
        "var": {**with_labels, "invariant": 0.0},
        "invar": {**with_labels, "variant": 0.0},
        "cut": {**with_labels, "variant": 0.0, "invariant": 0.0, "weight": 1.0},
    }


def represented(encoder_path: Path, source: ImageSource) -> dict[str, np.ndarray]:
    """Return the raw representations of the train and val images of a source."""
    encoder = load_encoder(str(encoder_path))
    parts = load_pixels(source, min(encoder.transform.sides))
    return {split: represent_pixels(encoder, part.images) for split, part in parts.items()}


def represented_styles(
    encoder_path: Path, source: GlyphworldSource, n_unseen: int
) -> tuple[DomainImages, dict[str, np.ndarray]]:
    """Represent the train images, some of the unseen style, and every val scene in every style.

    Returns:
        the images with their classes and styles, and the val scenes by style: (n_val, n_features) each.
    """
    names = tuple(sorted([*SEEN, UNSEEN]))
    own = represented(encoder_path, source)["train"]
    raw = {}
    for style in names:
        scenes = GlyphworldSource(
            train=n_unseen if style == UNSEEN else 1,
            val=source.n_val,
            seed=source.seed,
            preset=source.preset,
            world=source.in_style(style).world,
        )
        raw[style] = represented(encoder_path, scenes)
    extra = raw[UNSEEN]["train"]
    labels, class_names = pd.factorize(source.table["label"], sort=True)
    train, val = labels[: source.n_train], labels[source.n_train :]
    styles = [names.index(source.plan(row).style) for row in range(source.n_train)]
    styles += [names.index(UNSEEN)] * len(extra)
    n_val = len(names) * len(val)
    images = DomainImages(
        raw=np.concatenate([own, extra, *(raw[name]["val"] for name in names)]),
        classes=np.concatenate([train, train[: len(extra)], *([val] * len(names))]),
        domains=np.concatenate([styles, np.repeat(np.arange(len(names)), len(val))]),
        is_val=np.arange(len(styles) + n_val) >= len(styles),
        class_names=tuple(class_names),
        domain_names=names,
    )
    return images, {name: raw[name]["val"] for name in names}


def measured_domains(
    images: DomainImages, twins: dict[str, np.ndarray] | None, unseen: str = ""
) -> dict[str, float]:
    """Return the measures of an encoder as columns: NAME_PART, and top1_PROTOCOL_DOMAIN_PART.

    Args:
        twins: the same scenes in each domain. unseen: a domain that the training has not seen.
    """
    k = prefix_length(None, images.raw.shape[1])
    away = (unseen,) if unseen else ()
    row: dict[str, float] = {}
    for probe in domain_probes(images, k, unseen=away).to_dict("records"):
        row[f"domain_{probe['probe']}_{probe['part']}"] = probe["accuracy"]
        row["base_rate"] = probe["base_rate"]
    counts = np.bincount(images.classes[images.is_val])
    row["class_chance"] = float(counts.max() / counts.sum())
    classes = class_probes(images, k, unseen=away)
    for probe in classes.to_dict("records"):
        row[f"top1_{probe['protocol']}_{probe['domain']}_{probe['part']}"] = probe["top1"]
    for (protocol, part), probes in by_values(classes, ["protocol", "part"]):
        outside = probes["unseen"].to_numpy(bool)
        row[f"seen_{protocol}_{part}"] = known_mean(probes["top1"][~outside])
        if away:
            row[f"unseen_{protocol}_{part}"] = known_mean(probes["top1"][outside])
    retrieved = None if twins is None else twin_retrieval(twins, k)
    shared = feature_jaccard(images, k)
    pairs: Any
    for part in PARTS:
        if retrieved is not None:
            pairs = retrieved[retrieved["part"] == part]
            outside = pairs[["query", "gallery"]].isin(away).any(axis=1)
            row[f"r1_{part}"] = known_mean(pairs["r1"][~outside])
            row[f"r1_unseen_{part}"] = known_mean(pairs["r1"][outside])
        pairs = shared[shared["part"] == part]
        outside = pairs[["first", "second"]].isin(away).any(axis=1)
        row[f"jaccard_{part}"] = known_mean(pairs["jaccard"][~outside])
    return row


def last_of_log(output: Path) -> dict[str, float | None]:
    """Return the domain terms of the last epoch and of the first clustering; None where there are none."""
    log = pd.read_csv(files.log_path(output))
    row: dict[str, float | None] = {name: float(log[name].iloc[-1]) for name in OF_LOG if name in log}
    if "clustering" in log:
        first: Any = log[np.isfinite(log["clustering"].to_numpy(float))].head(1)
        row |= {f"first_{name}": float(first[name].iloc[0]) for name in OF_CLUSTERS if len(first)}
    return dict.fromkeys((*OF_LOG, *(f"first_{name}" for name in OF_CLUSTERS))) | row


def train_and_measure(
    output: Path, seed: int, settings: Mapping[str, Any], source: GlyphworldSource, n_unseen: int
) -> dict[str, float]:
    """Train one arm, and measure it on scenes that it has not seen, in each style."""
    trained = common.train_encoder(output, seed, settings)
    images, twins = represented_styles(output, source, n_unseen)
    return measured_domains(images, twins, UNSEEN) | trained


def rows(folder: Path, smoke: bool) -> Iterator[dict[str, Any]]:
    """Yield a row a training."""
    settings, n_images = (SMOKE, N_SMOKE) if smoke else (SETTINGS, N_IMAGES)
    size = f"train={n_images['train']}&val={n_images['val']}&size={settings['image_size']}"
    source = GlyphworldSource.from_spec(f"glyphworld?{size}&styles={','.join(SEEN)}")
    arms = domain_arms("column:style", len(SEEN))
    for method, colour in RUNS[:1] if smoke else RUNS:
        for seed in range(1 if smoke else 3):
            for kind in ("baseline", "robust") if smoke else arms:
                arm = f"{method}-{colour}-{kind}"
                own = {**settings, "images": source.spec, "method": method, "domains": arms[kind]}
                own["augment"] = {"crop_scale": [0.3, 1.0], **(NO_COLOUR if colour == "off" else {})}
                output = folder / f"{arm}-s{seed}.safetensors"
                run = partial(train_and_measure, output, seed, own, source, n_images["unseen"])
                columns = {"method": method, "colour": colour, "domains": kind, "unseen": UNSEEN}
                row = common.cell(arm, seed, columns, run, "smoke" if smoke else "short")
                yield row | last_of_log(output)


def draw(table: pd.DataFrame) -> go.Figure:
    """Draw accuracy in seen and unseen styles by arm (Fig. 2.2), and the style read from the rest."""
    measures = {
        "seen_own_all": "seen styles, top-1",
        "unseen_own_all": f"unseen style ({UNSEEN}), top-1",
        "domain_mlp_rest": "style read from the rest by an MLP",
    }
    return common.arm_bars(table, measures, axis="accuracy (%)")


def main(argv: Sequence[str] | None = None) -> None:
    """Train, measure and draw, as the options ask."""
    common.run_trainings(NAME, __doc__, argv, rows, draw)


if __name__ == "__main__":
    main()
