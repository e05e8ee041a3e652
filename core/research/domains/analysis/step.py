"""The step `domains`: what the representations of a study tell of the domain of an image, part by part."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from core.analysis.projection.step import places_of_columns
from core.analysis.quality.neighbours import sample_rows
from core.common.step_facts import GLYPHWORLD, EmbedFacts
from core.config import MapConfig
from core.data.sources.source import some
from core.encoders.registry import Encoder
from core.errors import PeregrineError, SettingsError, did_you_mean
from core.jobs.progress import Progress
from core.research.domains.analysis.domain_probe import LINEAR, MLP, class_probes, domain_probes
from core.research.domains.analysis.parts import ALL, PARTS, DomainImages, confounded, part_slices
from core.research.domains.analysis.twins import domain_purity, feature_jaccard, twin_retrieval
from core.research.domains.topic import DomainTestsConfig
from core.slices.evaluate import class_column
from core.storage.chunked_array import ChunkedArray
from core.storage.writer import StepRun, StepWriter
from core.store import Study

TWIN_SCENES = 1000  # evaluation scenes that are drawn in every style
MOST_DOMAINS = 1000


def compute_domains(study: Study, step: StepWriter, config: DomainTestsConfig, run: StepRun) -> None:
    """Write the tables of docs/method.md 14.3.

    `domains` (image_id, domain), `domain_probes`, `domain_classes`, `domain_twins` (of Glyphworld and an
    encoder; else empty, with the reason in the summary), `domain_jaccard`, `domain_features`, `domain_map`
    (the first two principal components of each part, and with the method "umap" its UMAP as well).

    Raises:
        SettingsError: unknown column, one domain only, an unknown unseen domain, a prefix as long as the
            representation.
    """
    values = domain_column(study, config.column)
    array = study.array("representations")
    k = prefix_of_study(study, config.prefix, array.shape[1])
    codes, names = pd.factorize(values, sort=True)
    rows = rows_to_test(study.is_val, codes, config)
    raw = array.rows(rows).astype(np.float32, copy=False)
    labels = class_column(study, "label")[rows]
    domain_codes = codes[rows].astype(np.int64)
    images = DomainImages(
        raw, labels, domain_codes, study.is_val[rows], tuple(study.class_names), tuple(map(str, names))
    )
    unseen = tuple(config.unseen or ())
    check_unseen(unseen, images.domain_names, config.column)
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
    """(n,) object: the domain of each image as text, None where the column is empty.

    Raises:
        SettingsError: no such column, one domain only, or more domains than can be compared.
    """
    names = [name for name in study.columns("attributes")] if study.has("attributes") else []
    frame = study.table("attributes", [column]) if column in names else None
    if frame is None and column not in study.images:
        column_names = [name for name in [*names, *study.images.columns] if name != "image_id"]
        raise SettingsError(
            f"the images of '{study.path}' have no column '{column}'.{did_you_mean(column, column_names)} "
            f"Columns: {some(column_names, 20)}"
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


def prefix_of_study(study: Study, n_prefix: int | None, n_features: int) -> int | None:
    """The length of the domain prefix: as given, or as the encoder's sidecar said. Raises SettingsError."""
    recorded = study.facts(EmbedFacts).encoder.prefix
    k = recorded if n_prefix is None else n_prefix
    if k is not None and k >= n_features:
        raise SettingsError(f"--prefix {k} leaves nothing of the {n_features} features of '{study.path}'")
    return k or None


def rows_to_test(is_val: np.ndarray, codes: np.ndarray, config: DomainTestsConfig) -> np.ndarray:
    """(m,) ascending: the images that the tests read, at most config.sample of each split; seeded.

    Args:
        codes: (n,) of the domains; images without one, -1, are not among them.
    """
    splits = [np.flatnonzero(split & (codes >= 0)) for split in (is_val, ~is_val)]
    return np.sort(np.concatenate([sample_rows(rows, config.sample, config.seed) for rows in splits]))


def cautions_of(images: DomainImages, column: str) -> list[str]:
    """Say in a line each what the tests cannot tell: domain and class apart, or a domain without a probe."""
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
            f"no accuracy in {some(lacking)}: a probe needs train images of two classes there, and "
            "evaluation images"
        )
    return notes


def _can_be_probed(images: DomainImages, in_domain: np.ndarray) -> bool:
    """Return whether a domain has train images of two classes, and evaluation images."""
    train_classes = np.unique(images.classes[in_domain & ~images.is_val])
    return len(train_classes) >= 2 and bool((in_domain & images.is_val).any())


def check_unseen(unseen: tuple[str, ...], domains: tuple[str, ...], column: str) -> None:
    """Raise SettingsError for a domain that no image has, or where too few are left."""
    for name in unseen:
        if name not in domains:
            raise SettingsError(
                f"--unseen {name}: no image has that {column}.{did_you_mean(name, domains)} "
                f"There are: {some(domains, 20)}"
            )
    if not set(domains) - set(unseen):
        raise SettingsError(f"--unseen names every {column} of the images")


def maps_of_parts(array: ChunkedArray, k: int | None, config: MapConfig, progress: Progress) -> pd.DataFrame:
    """Columns x_PART and y_PART: each part's map as the step `map` makes it, by PCA.

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
    from core.analysis.gradcam.on_demand import study_encoder
    from core.data.sources.glyphworld import GlyphworldSource
    from core.data.sources.images import reopen_images

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
    return twin_retrieval(twin_representations(encoder, source, domains, progress), k), ""


def twin_representations(
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
