"""The step `domains`: what representations tell of the domain of an image (docs/method.md 14.3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from core.analysis.linear_probe import Recipe, Standard
from core.analysis.map_step import places_of_columns
from core.analysis.neighbours import sample_rows
from core.analysis.probe_step import train_probe
from core.common.formatting import first_of
from core.common.moments import Moments
from core.common.step_facts import GLYPHWORLD, EmbedFacts
from core.common.threads import one_torch_thread
from core.config import MapConfig
from core.encoders.registry import Encoder
from core.errors import PeregrineError, SettingsError, did_you_mean
from core.measures.evaluate import class_column
from core.measures.intervals import wilson
from core.research.domains_parts import (
    ALL,
    PARTS,
    DomainImages,
    confounded,
    domain_purity,
    feature_jaccard,
    part_slices,
    twin_retrieval,
)
from core.research.domains_topic import DomainTestsConfig
from core.store import Study
from core.study.chunked_array import ChunkedArray
from core.study.progress import Progress
from core.study.writer import StepRun, StepWriter

# How well a probe tells the domain of an image, or its class in each domain (docs/method.md 14.3).


LINEAR, MLP = "linear", "mlp"
HIDDEN = (256, 256)
EPOCHS, BATCH, RATE, DECAY = 30, 256, 1e-3, 1e-4  # of the MLP: Adam, ours
OWN, SEEN = "own", "seen"  # protocols: trained on the domain itself, or on the seen domains


def _predict_linear(
    train: np.ndarray, codes: np.ndarray, rows: np.ndarray, n_classes: int, *, lr: float | None, seed: int
) -> np.ndarray:
    """(n,) int64: domains or classes of `rows` (research) by the linear probe of docs/method.md 3."""
    probe = train_probe(torch.from_numpy(train), codes, n_classes, lr=lr, recipe=Recipe(epochs=50, seed=seed))
    return probe.logits(torch.from_numpy(rows)).argmax(1).cpu().numpy()


def predict_mlp(
    train: np.ndarray, codes: np.ndarray, rows: np.ndarray, n_classes: int, *, seed: int
) -> np.ndarray:
    """(n,) int64: classes of `rows` by an MLP with two hidden layers of 256 (research on domains).

    30 epochs of Adam at 1e-3 with weight decay 1e-4, in batches of 256; the same for every encoder and part,
    so nothing is tuned on what is measured.
    """
    standard = Standard.of(Moments.of_rows(train))
    x, y = standard(torch.from_numpy(train).float()), torch.from_numpy(codes)
    with torch.random.fork_rng(devices=[]), one_torch_thread():
        torch.manual_seed(seed)
        sizes = (x.shape[1], *HIDDEN)
        layers = []
        for n_in, n_out in pairwise(sizes):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        network = nn.Sequential(*layers, nn.Linear(HIDDEN[-1], n_classes))
        optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
        for _ in range(EPOCHS):
            for batch in torch.randperm(len(x)).split(BATCH):
                optimiser.zero_grad()
                nn.functional.cross_entropy(network(x[batch]), y[batch]).backward()
                optimiser.step()
        with torch.inference_mode():
            return network(standard(torch.from_numpy(rows).float())).argmax(1).numpy()


def domain_probe(images: DomainImages, columns: slice, kind: str, *, seed: int = 0) -> dict[str, Any]:
    """Accuracy with which a probe names an image's domain (research) from some columns.

    Args:
        columns: of a part. kind: linear or mlp.
    Returns:
        accuracy with low and high (95 % Wilson interval), base_rate (share of the most common domain among
        the evaluation images), n_train, n_val. NaN without two domains to train on, or evaluation images.
    """
    has_domain = images.domains >= 0
    train, val = has_domain & ~images.is_val, has_domain & images.is_val
    codes, n_domains = images.domains, len(images.domain_names)
    n_val = int(val.sum())
    row: dict[str, Any] = {"n_train": int(train.sum()), "n_val": n_val}
    row["base_rate"] = float(np.bincount(codes[val]).max() / n_val) if n_val else np.nan
    if len(np.unique(codes[train])) < 2 or not n_val:
        return {"accuracy": np.nan, "low": np.nan, "high": np.nan, **row}
    rows, tried = images.raw[train][:, columns], images.raw[val][:, columns]
    if kind == MLP:
        predicted = predict_mlp(rows, codes[train], tried, n_domains, seed=seed)
    else:
        predicted = _predict_linear(rows, codes[train], tried, n_domains, lr=0.1, seed=seed)
    return {**_share(predicted == codes[val]), **row}


def domain_probes(images: DomainImages, k: int | None, *, unseen: tuple[str, ...] = ()) -> pd.DataFrame:
    """One row for each part and kind of probe of domains (research), without those `unseen`."""
    seen = np.array([name not in unseen for name in images.domain_names])
    codes = np.where(np.append(seen, False)[images.domains], images.domains, -1)
    within = DomainImages(
        images.raw, images.classes, codes, images.is_val, images.class_names, images.domain_names
    )
    rows = []
    for part, columns in part_slices(k, images.raw.shape[1]).items():
        for kind in (LINEAR, MLP):
            rows.append({"part": part, "probe": kind, **domain_probe(within, columns, kind)})
    return pd.DataFrame(rows)


def class_probes(images: DomainImages, k: int | None, *, unseen: tuple[str, ...] = ()) -> pd.DataFrame:
    """Top-1 accuracy of the class in each domain (research), by two protocols.

    own: the probe is trained on the train images of the domain that it is tested on (Kalibhat's: "unseen"
    domains
    are unseen in pre-training). seen: one probe, trained on the train images of all domains not `unseen`.

    Returns:
        part, protocol, domain, unseen, top1 with low and high (95 % Wilson), n_train, n_val; NaN where no
        probe can be trained or there is nothing to test it on.
    """
    rows = []
    for part, columns in part_slices(k, images.raw.shape[1]).items():
        for protocol in (OWN, SEEN):
            for name, result in _by_domain(images, columns, protocol, unseen):
                rows.append({"part": part, "protocol": protocol, "domain": name, **result})
    return pd.DataFrame(rows)


def _by_domain(
    images: DomainImages, columns: slice, protocol: str, unseen: tuple[str, ...]
) -> Iterator[tuple[str, dict[str, Any]]]:
    has_class, rows = images.classes >= 0, images.raw[:, columns]
    taught = np.array([name not in unseen for name in images.domain_names])
    shared = has_class & ~images.is_val & np.append(taught, False)[images.domains]
    predicted = _tried(images, rows, shared, has_class & images.is_val) if protocol == SEEN else None
    for code, name in enumerate(images.domain_names):
        here = has_class & (images.domains == code)
        train, val = shared if protocol == SEEN else here & ~images.is_val, here & images.is_val
        answers = predicted if protocol == SEEN else _tried(images, rows, train, val)
        share = _share(None if answers is None else answers[val] == images.classes[val])
        result = {"top1": share["accuracy"], "low": share["low"], "high": share["high"]}
        yield name, {"unseen": name in unseen, **result, "n_train": int(train.sum()), "n_val": int(val.sum())}


def _tried(images: DomainImages, rows: np.ndarray, train: np.ndarray, val: np.ndarray) -> np.ndarray | None:
    """(n,) predicted classes at `val`, -1 elsewhere; None if no probe can be trained."""
    if len(np.unique(images.classes[train])) < 2 or not val.any():
        return None
    predicted = np.full(len(rows), -1)
    n_classes = len(images.class_names)
    predicted[val] = _predict_linear(rows[train], images.classes[train], rows[val], n_classes, lr=0.1, seed=0)
    return predicted


def _share(correct: np.ndarray | None) -> dict[str, float]:
    if correct is None or not len(correct):
        return {"accuracy": np.nan, "low": np.nan, "high": np.nan}
    low, high = wilson(correct.sum(), len(correct))
    return {"accuracy": float(correct.mean()), "low": float(low), "high": float(high)}


# The step `domains`: what the representations of a study tell of the domain of an image, part by part.


TWIN_SCENES = 1000  # evaluation scenes that are drawn in every style
MOST_DOMAINS = 1000


def compute_domains(study: Study, step: StepWriter, config: DomainTestsConfig, run: StepRun) -> None:
    """Write the tables of the research step `domains` (docs/method.md 14.3).

    `domains` (image_id, domain), `domain_probes`, `domain_classes`, `domain_twins` (of Glyphworld and an
    encoder; else empty, with the reason in the summary), `domain_jaccard`, `domain_features`, `domain_map`
    (the first two principal components of each part, and with the method "umap" its UMAP as well).

    Raises:
        SettingsError: unknown column, one domain only, an unknown unseen domain, a prefix as long as the
            representation.
    """
    values = domain_column(study, config.column)
    array = study.array("representations")
    k = _prefix_of_study(study, config.prefix, array.shape[1])
    codes, names = pd.factorize(values, sort=True)
    rows = rows_to_test(study.is_val, codes, config)
    raw = array.rows(rows).astype(np.float32, copy=False)
    labels = class_column(study, "label")[rows]
    domain_codes = codes[rows].astype(np.int64)
    images = DomainImages(
        raw, labels, domain_codes, study.is_val[rows], tuple(study.class_names), tuple(map(str, names))
    )
    unseen = tuple(config.unseen or ())
    _check_unseen(unseen, images.domain_names, config.column)
    cautions = cautions_of(images, config.column)
    for caution in cautions:
        run.progress.note(f"warning: {caution}")
    with run.progress.stage("probes", total=3) as bar:
        probes = domain_probes(images, k, unseen=unseen)
        bar.update(1)
        classes = class_probes(images, k, unseen=unseen)
        bar.update(1)
        jaccard = feature_jaccard(images, k)
        bar.update(1)
    maps = maps_of_parts(array, k, MapConfig(method=config.method, seed=config.seed), run.progress)
    twins, why_no_twins = _twins(study, config.column, images.domain_names, k, run.progress, run.device)
    pointers, fired = study.vector("firing_by_feature_ptr"), study.vector("firing_by_feature_rows")
    table = pd.DataFrame({"image_id": study.images["image_id"], "domain": pd.array(values, dtype="str")})
    step.table("domains", table)
    step.table("domain_probes", probes)
    step.table("domain_classes", classes)
    step.table("domain_jaccard", jaccard)
    step.table("domain_twins", twins)
    step.table("domain_features", domain_purity(pointers, fired, codes, images.domain_names, k))
    step.table("domain_map", maps)
    step.summary = _summary(config.column, unseen, images, k, probes, classes)
    step.summary |= {"n_without_domain": int((codes < 0).sum()), "n_tested": len(rows)}
    if cautions:
        step.summary["cautions"] = cautions
    if why_no_twins:
        step.summary["no_twins"] = why_no_twins
        run.progress.note(f"no twins: {why_no_twins}")


def domain_column(study: Study, column: str) -> np.ndarray:
    """(n,) object: the domain (research) of each image as text, None where the column is empty.

    Raises:
        SettingsError: no such column, one domain only, or more domains than can be compared.
    """
    names = [name for name in study.columns("attributes")] if study.has("attributes") else []
    frame = study.table("attributes", [column]) if column in names else None
    if frame is None and column not in study.images:
        column_names = [name for name in [*names, *study.images.columns] if name != "image_id"]
        raise SettingsError(
            f"the images of '{study.path}' have no column '{column}'.{did_you_mean(column, column_names)} "
            f"Columns: {first_of(column_names, 20)}"
        )
    column_values = (study.images if frame is None else frame)[column]
    if len(column_values) != study.n_images:  # of one split only
        table = study.table("attributes", ["image_id", column]).set_index("image_id")
        column_values = table[column].reindex(study.images["image_id"])
    values = np.array([None if pd.isna(value) else str(value) for value in column_values], dtype=object)
    domains = sorted({value for value in values if value is not None})
    if len(domains) < 2:
        only = f"all are '{domains[0]}'" if domains else "it is empty"
        raise SettingsError(f"column '{column}' of '{study.path}' holds no two domains: {only}")
    if len(domains) > MOST_DOMAINS:
        raise SettingsError(
            f"column '{column}' has {len(domains)} different values, more than {MOST_DOMAINS}"
        )
    return values


def _prefix_of_study(study: Study, n_prefix: int | None, n_features: int) -> int | None:
    """The length of the domain prefix: as given, or as the encoder's sidecar said. Raises SettingsError."""
    recorded = study.facts(EmbedFacts).encoder.prefix
    k = recorded if n_prefix is None else n_prefix
    if k is not None and k >= n_features:
        raise SettingsError(f"--prefix {k} leaves nothing of the {n_features} features of '{study.path}'")
    return k or None


def rows_to_test(is_val: np.ndarray, codes: np.ndarray, config: DomainTestsConfig) -> np.ndarray:
    """(m,) ascending: images that tests of domains (research) read, at most config.sample a split.

    Args:
        codes: (n,) of the domains; images without one, -1, are not among them.
    """
    splits = [np.flatnonzero(split & (codes >= 0)) for split in (is_val, ~is_val)]
    return np.sort(np.concatenate([sample_rows(rows, config.sample, config.seed) for rows in splits]))


def cautions_of(images: DomainImages, column: str) -> list[str]:
    """Say in a line each what tests of domains (research) cannot tell: class apart, or without a probe."""
    has_both = (images.classes >= 0) & (images.domains >= 0)
    warning = confounded(
        column,
        images.classes[has_both],
        images.domains[has_both],
        both="no test can tell the domain from the class",
        domain="what tells these classes apart also tells the domain",
    )
    notes = [warning] if warning else []
    lacking = []
    for code, name in enumerate(images.domain_names):
        if not _can_be_probed(images, has_both & (images.domains == code)):
            lacking.append(f"'{name}'")
    if (images.classes >= 0).any() and lacking and not notes:
        notes.append(
            f"no accuracy in {first_of(lacking)}: a probe needs train images of two classes there, and "
            "evaluation images"
        )
    return notes


def _can_be_probed(images: DomainImages, in_domain: np.ndarray) -> bool:
    """Return whether a domain has train images of two classes, and evaluation images."""
    train_classes = np.unique(images.classes[in_domain & ~images.is_val])
    return len(train_classes) >= 2 and bool((in_domain & images.is_val).any())


def _check_unseen(unseen: tuple[str, ...], domains: tuple[str, ...], column: str) -> None:
    """Raise SettingsError for a domain that no image has, or where too few are left."""
    for name in unseen:
        if name not in domains:
            raise SettingsError(
                f"--unseen {name}: no image has that {column}.{did_you_mean(name, domains)} "
                f"There are: {first_of(domains, 20)}"
            )
    if not set(domains) - set(unseen):
        raise SettingsError(f"--unseen names every {column} of the images")


def maps_of_parts(array: ChunkedArray, k: int | None, config: MapConfig, progress: Progress) -> pd.DataFrame:
    """Columns x_PART and y_PART: each part's map as the step `map` makes it, by PCA (research).

    With the method umap also x_PART_umap and y_PART_umap of the rest and the prefix; the UMAP of all is the
    step `map`'s.

    Raises:
        SettingsError: too few images for UMAP.
    """
    coordinates = {}
    for part, columns in part_slices(k, array.shape[1]).items():
        settings = replace(config, method="pca") if part == ALL else config
        places, _ = places_of_columns(array, columns, settings, progress)
        for method, xy in places.items():
            name = part if method == "pca" else f"{part}_{method}"
            coordinates |= {f"x_{name}": xy[:, 0], f"y_{name}": xy[:, 1]}
    return pd.DataFrame(coordinates)


TWIN_COLUMNS = ("part", "query", "gallery", "r1", "low", "high", "chance", "n")


def _twins(
    study: Study,
    column: str,
    domains: tuple[str, ...],
    k: int | None,
    progress: Progress,
    device: str | torch.device,
) -> tuple[pd.DataFrame, str]:
    """Return the table `domain_twins`, and why it is empty."""
    from core.analysis.heatmaps_on_demand import study_encoder
    from core.data.glyphworld import GlyphworldSource
    from core.data.images import reopen_images

    empty = pd.DataFrame({name: pd.Series(dtype=float) for name in TWIN_COLUMNS})
    if column != "style" or study.facts(EmbedFacts).source.kind != GLYPHWORLD:
        return empty, "only Glyphworld draws the same scene in several styles"
    if study.facts(EmbedFacts).encoder.is_given:
        return empty, "the study was made from representations, without an encoder"
    try:
        encoder = study_encoder(study, device)
        source = reopen_images(dict(study.facts(EmbedFacts).source.described))
    except PeregrineError as error:
        return empty, str(error)
    assert isinstance(source, GlyphworldSource)
    return twin_retrieval(_twin_representations(encoder, source, domains, progress), k), ""


def _twin_representations(
    encoder: Encoder, source: Any, styles: tuple[str, ...], progress: Progress
) -> dict[str, np.ndarray]:
    """(n, r) raw representations of the evaluation scenes (at most TWIN_SCENES) in each style."""
    rows = range(source.n_train, source.n_train + min(source.n_val, TWIN_SCENES))
    tables = {}
    with progress.stage("twins", total=len(rows) * len(styles), unit="images") as bar:
        for style in styles:
            twins, parts = source.in_style(style), []
            for start in range(0, len(rows), 64):
                pixels = [encoder.transform.pixels(twins.read(row)) for row in rows[start : start + 64]]
                with torch.inference_mode():
                    batch = torch.from_numpy(np.stack(pixels))
                    parts.append(encoder.represent(batch).float().cpu().numpy())
                bar.update(len(pixels))
            tables[style] = np.concatenate([np.empty((0, encoder.n_features), np.float32), *parts])
    return tables


def _summary(
    column: str,
    unseen: tuple[str, ...],
    images: DomainImages,
    k: int | None,
    probes: pd.DataFrame,
    classes: pd.DataFrame,
) -> dict[str, Any]:
    """Headline numbers: the domain from each part by an MLP, and top-1 in seen and unseen domains."""
    summary: dict[str, Any] = {"column": column, "domains": list(images.domain_names), "unseen": list(unseen)}
    summary["prefix"] = k
    by = probes.set_index(["part", "probe"])
    for part in PARTS if k else (ALL,):
        for kind in (LINEAR, MLP):
            summary[f"domain_{kind}_{part}"] = _number(by.loc[(part, kind), "accuracy"])
    summary["base_rate"] = _number(probes["base_rate"].iloc[0])
    headline = classes[(classes["part"] == ALL) & (classes["protocol"] == "own")]
    for name, rows in (("seen", headline[~headline["unseen"]]), ("unseen", headline[headline["unseen"]])):
        summary[f"top1_{name}"] = _number(rows["top1"].mean()) if len(rows) else None
    return summary


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)
