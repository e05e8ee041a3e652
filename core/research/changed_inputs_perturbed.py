"""The command `perturbed`: images nearest to perturbed embeddings, in the space that the loss compares."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from core.analysis.heatmaps_on_demand import encoder_of
from core.analysis.representations import input_views, picture_batches
from core.common.command_line import command_line
from core.common.dataframes import by_values, numbers
from core.common.device import check_device, resolve_device, run_options
from core.config import RunOptions, as_settings
from core.encoders.encoder import Encoder
from core.encoders.spec import parse_spec
from core.errors import ImageSourceError, StudyError
from core.measures.intervals import wilson
from core.research import changed_inputs_moved as moved
from core.research.changed_inputs_topic import PerturbedConfig
from core.research.shortcuts_readout import encode_views, load_head, recorded_config, unit_outputs
from core.store import Study
from core.study.progress import Progress
from core.study.writer import StepWriter, write_study
from core.training import files
from core.training.augment import augment
from core.training.config import AugmentConfig, TrainConfig
from core.training.setup import derived_seed

STEP = "perturbed"
HEAD, BACKBONE = "head", "backbone, not the trained space"
FACTORS = ("label", "shape", "colour", "texture", "digit", "glyph", "style", "background", "companion")


def run_perturbed(folder: str | Path, options: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Find the images near perturbed embeddings of a study, and return the summary (research).

    Writes the arrays `head_vectors` and `head_views` (n, d), unit outputs of the head for each image and for
    one random view of it; and the tables `perturbed` (kind, epsilon, factor, share, low, high, n) and
    `perturbed_neighbours` (pair, kind, epsilon, anchor, other, neighbour, cosine, own).

    Raises:
        StudyError: the study has no encoder. SettingsError: an epsilon below 0, or fewer than two images.
    """
    check_device(options)
    config = PerturbedConfig(**{n: options[n] for n in PerturbedConfig.__dataclass_fields__ if n in options})
    config = replace(config, epsilons=tuple(dict.fromkeys(config.epsilons)))
    for epsilon in config.epsilons:
        moved.check_epsilon(epsilon)
    study, run = Study(folder), run_options(options)
    check_has_encoder(study)
    settings, inputs = as_settings(config), ("representations", "images")
    head = _head_file(study)
    outside = {"head": "" if head is None else f"{head.stat().st_size}:{head.stat().st_mtime_ns}"}
    with write_study(folder) as writer:
        if options.get("redo") or not writer.is_current(STEP, settings, inputs, outside):
            with progress.step(STEP), writer.step(STEP, settings, inputs, outside) as out:
                _compute_perturbed(study, out, config, run, progress=progress)
        else:
            progress.note(f"{STEP}: up to date")
        return writer.manifest["steps"][STEP]["summary"]


def check_has_encoder(study: Study) -> None:
    """Raise StudyError for a study of ready representations, which research on changed inputs cannot use."""
    if study.settings("embed").get("representations"):
        raise StudyError(
            f"'{study.path}' was made from ready representations (--representations) and has no encoder. "
            f"Run: {command_line('analyze', 'STUDY', images='DIR', encoder='SPEC')}"
        )


def _checkpoint_of(study: Study) -> Path | None:
    """Return the checkpoint of a study's encoder, for research on changed inputs, if it is a file."""
    return parse_spec(study.settings("embed")["encoder"]).checkpoint


def _head_file(study: Study) -> Path | None:
    """Return the file of the projection head beside a study's encoder, for IFM (research), if it is there."""
    checkpoint = _checkpoint_of(study)
    path = None if checkpoint is None else files.head_path(checkpoint)
    return path if path is not None and path.exists() else None


def _compute_perturbed(
    study: Study, step: StepWriter, config: PerturbedConfig, run: RunOptions, *, progress: Progress
) -> None:
    """Compute and write the items of the research command `perturbed`: neighbours of moved embeddings."""
    rows = np.flatnonzero(~study.is_val)
    rows = rows if len(rows) > 1 else np.arange(study.n_images)
    anchors, others = moved.draw_pairs(rows, config.pairs, seed=config.seed)
    device = resolve_device(run.device)
    encoder, checkpoint = encoder_of(study, str(device)), _checkpoint_of(study)
    head = None if checkpoint is None else load_head(checkpoint, device=device)
    recorded = None if checkpoint is None else recorded_config(checkpoint)
    bank = unit_outputs(head, torch.from_numpy(np.asarray(study.array("representations")[:], np.float32)))
    views = _view_vectors(study, encoder, head, recorded, config.seed, run, progress=progress)
    step.vector(moved.VECTORS, bank.numpy())
    step.vector(moved.VIEWS, views)
    table = _neighbour_table(bank.numpy(), views, rows, anchors, others, config.epsilons)
    shares = _factor_table(study, table)
    ids = study.images["image_id"].to_numpy()
    named = {name: _ids(ids, table[name].to_numpy()) for name in ("anchor", "other", "neighbour")}
    step.table("perturbed_neighbours", table.assign(**named))
    step.table("perturbed", shares)
    unmoved = (table["kind"] == moved.POSITIVE) & (numbers(table, "epsilon") == 0)
    own_first = float(numbers(table, "own")[unmoved].mean()) if unmoved.any() else None
    n_without_direction = int((numbers(table, "neighbour") < 0).sum())
    space = BACKBONE if head is None else HEAD
    epsilons = list(config.epsilons)
    step.summary = {
        "space": space,
        "dimensions": bank.shape[1],
        "pairs": len(anchors),
        "own_first": own_first,
        "without_direction": n_without_direction,
        "epsilons": epsilons,
        "keep the anchor's value": _kept_by_factor(shares),
    }


def _ids(ids: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return np.array([ids[row] if row >= 0 else None for row in rows], object)


def _view_vectors(
    study: Study,
    encoder: Encoder,
    head: nn.Module | None,
    recorded: TrainConfig | None,
    seed: int,
    run: RunOptions,
    *,
    progress: Progress,
) -> np.ndarray:
    """(n, d) float32 unit outputs of one random view of each image, for IFM (research); 0 if unreadable.

    (n, d) float32 unit outputs of one seeded random view of each image; 0 where it cannot be read.

    Views are those of the encoder's training if its settings are known, else SimCLR's at the full size.
    """
    how = AugmentConfig() if recorded is None else recorded.augment
    size = min(encoder.transform.sides) if recorded is None else recorded.crop_size
    listed = {image_id: row for row, image_id in enumerate(study.source.table["image_id"])}
    places = {listed[image_id]: row for row, image_id in enumerate(study.images["image_id"])}
    rows, n = list(places), max(run.batch_size, 1)
    batches = [rows[start : start + n] for start in range(0, len(rows), n)]
    pictures = input_views(study.source, encoder.transform)
    generator = torch.Generator().manual_seed(derived_seed(seed, "perturbed", 0))
    activations: np.ndarray | None = None
    with progress.stage("views", total=len(rows), unit="images") as bar:
        for batch in picture_batches(pictures, batches, workers=run.workers or 0, pin=False):
            bar.update(len(batch.rows) + len(batch.unreadable))
            if batch.pixels is None:
                continue
            raw = encode_views(encoder, augment(batch.pixels, size, how, generator))
            unit = unit_outputs(head, raw.cpu()).numpy()
            activations = (
                np.zeros((study.n_images, unit.shape[1]), np.float32) if activations is None else activations
            )
            activations[[places[row] for row in batch.rows]] = unit
    if activations is None:
        raise ImageSourceError(f"none of the images of '{study.path}' can be read")
    return activations


def _neighbour_table(
    bank: np.ndarray,
    views: np.ndarray,
    rows: np.ndarray,
    anchors: np.ndarray,
    others: np.ndarray,
    epsilons: Sequence[float],
) -> pd.DataFrame:
    """Find the nearest of `rows` to each moved embedding (IFM, research).

    The anchor v is a random view of an image, the positive v+ the image itself, the negative v- another
    image: at epsilon 0 each point is a row of the bank, and its own image is the nearest.

    Returns:
        pair, kind, epsilon, anchor, other (rows), neighbour (row, -1 without one), cosine, own (True where
        the neighbour is the moved point's own image).
    """
    parts = []
    for kind, start in ((moved.POSITIVE, anchors), (moved.NEGATIVE, others)):
        for epsilon in epsilons:
            position, cosine = moved.perturbed_neighbours(
                bank[start], views[anchors], bank[rows], epsilon=epsilon, kind=kind
            )
            near = np.where(position[:, 0] >= 0, rows[position[:, 0]], -1)
            columns = {"pair": np.arange(len(anchors)), "kind": kind, "epsilon": float(epsilon)}
            columns |= {"anchor": anchors, "other": others, "neighbour": near, "cosine": cosine[:, 0]}
            parts.append(pd.DataFrame({**columns, "own": near == start}))
    return pd.concat(parts, ignore_index=True)


def _factor_table(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """Share of neighbours that have the anchor's value of each factor, with Wilson's interval.

    Returns:
        kind, epsilon, factor, share, low, high, n.
    """
    rows = []
    for factor, values in _factors_of(study).items():
        for (kind, epsilon), part in by_values(table, ["kind", "epsilon"]):
            share, n = moved.kept_share(values, part["anchor"].to_numpy(), part["neighbour"].to_numpy())
            low, high = (float(end) for end in wilson(share * n, n)) if n else (np.nan, np.nan)
            rows.append((kind, epsilon, factor, share, low, high, n))
    return pd.DataFrame(rows, columns=["kind", "epsilon", "factor", "share", "low", "high", "n"])


def _kept_by_factor(shares: pd.DataFrame) -> dict[str, list[float | None]]:
    """Return the shares of each kind and factor, one a size of the move; None where undefined."""
    by_factor = {}
    for (kind, factor), part in by_values(shares, ["kind", "factor"]):
        values = numbers(part, "share").tolist()
        by_factor[f"{kind}, {factor}"] = [
            round(share, 3) if math.isfinite(share) else None for share in values
        ]
    return by_factor


def _factors_of(study: Study) -> dict[str, list[object]]:
    """Return the class and the planted factors that vary in a study's images, in the order of its rows."""
    frame = study.images
    if study.has("attributes"):
        attributes = study.table("attributes")
        frame = frame.assign(
            **{name: attributes[name].to_numpy() for name in attributes if name not in frame}
        )
    factors = {name: frame[name].astype(object).tolist() for name in FACTORS if name in frame}
    levels = {name: {value for value in values if isinstance(value, str)} for name, values in factors.items()}
    return {name: values for name, values in factors.items() if len(levels[name]) > 1}
