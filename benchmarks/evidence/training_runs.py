"""What one row of the training table takes: a start encoder, its study, a fine-tuning, and the verdict."""

from __future__ import annotations

import json
import shutil
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from core.jobs.progress import Progress
from core.store import Study, open_study

if TYPE_CHECKING:
    from benchmarks.evidence.training_table import Planned, Preset
    from core.encoders.registry import Encoder
    from core.research.transfer_learning.evaluate import Represented

CONFIGS = Path("configs")
JUDGED = (
    *("top1", "top5", "mean_q_correct", "mean_q_misclassified", "q_auroc", "q_auroc_low", "q_auroc_high"),
    *("q_auprc", "base_rate", "q_auprc_error", "confidence_auroc", "mean_firing", "share_nonempty"),
    *("near_zero", "n_discriminative", "epsilon", "q_auroc_start_d"),
)
CHANGES = ("weight_change", "batchnorm_change", "statistics_change")
BATCH = 50
MASKED_IMAGES = 500  # evaluation images whose heatmaps are compared with their core masks


def pretrain(method: str, preset: Preset, folder: Path, given: Path | None, device: str) -> Path:
    """The start encoder of a method, FOLDER/start/METHOD.safetensors; as the preset analyses it."""
    from core.training.backbones import parse_arch
    from core.training.config import read_config
    from core.training.trainer import train

    begun = given / f"{method}.safetensors" if given else None
    if begun is None or not begun.exists():
        changes = {"images": preset.images, "device": device, **preset.pretraining}
        begun = folder / "pretrained" / f"{method}.safetensors"
        config = read_config(CONFIGS / f"{method}_glyphworld.toml", output=str(begun), **changes)
        with Progress(None, terminal=True, stages_total=2) as progress:
            train(config, progress=progress)
    if preset.dilated:
        return begun
    start = folder / "start" / begun.name
    sidecar = json.loads(Path(f"{begun}.json").read_text(encoding="utf-8"))
    plain = sidecar["settings"]["arch"]
    sidecar |= {"arch": plain, "arguments": parse_arch(plain).arguments}
    sidecar["settings"]["export_arch"] = None
    start.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(begun, start)
    Path(f"{start}.json").write_text(json.dumps(sidecar, indent=2), encoding="utf-8")
    return start


def start_study(start: Path, preset: Preset, folder: Path, device: str) -> Path:
    """A study of the start encoder with what fine-tuning needs: representations and D."""
    from core.pipeline import run as pipeline

    study = folder / "studies" / start.stem
    options = {"images": preset.judged, "encoder": str(start), "epsilon": "auto", "precision": "mixed"}
    options |= {"thumbnail_size": 0, "device": device}
    with Progress.for_command(study, stages_total=2) as progress:
        pipeline.run_step("embed", study, options, progress)
        pipeline.run_step("features", study, options, progress)
    return study


def verdict(encoder: Encoder, images: Represented, study: Study) -> dict[str, Any]:
    """The numbers of an encoder at the start's epsilon, with a D of its own and (`_start_d`) the start's."""
    from core.research.transfer_learning.evaluate import judge_on_study

    epsilon = float(study.summary("features")["epsilon"])
    row = judge_on_study(images, study)
    return {name: row.get(name) for name in JUDGED} | {
        "miou_core": core_overlap(encoder, images, study, epsilon)
    }


def core_overlap(encoder: Encoder, images: Represented, study: Study, epsilon: float) -> float | None:
    """Mean `paper` overlap of the discriminative heatmaps of evaluation images with their core masks."""
    from core.analysis.features.definitions import highly_activating
    from core.analysis.gradcam.gradcam import channel_maps
    from core.analysis.overlap.iou import overlap_scores
    from core.errors import NoDiscriminativeFeatures
    from core.heatmaps.combine import combine
    from core.research.transfer_learning.evaluate import discriminative_mask

    frames = masked_frames(study.path)
    if frames is None or not encoder.pools_globally:
        return None
    try:
        discriminative = discriminative_mask(images.raw[~images.is_val], epsilon=epsilon)
    except NoDiscriminativeFeatures:
        return None
    size, heats = encoder.transform.input_size, []
    for start in range(0, len(frames[0]), BATCH):
        raw, maps = channel_maps(encoder, torch.from_numpy(frames[0][start : start + BATCH]))
        looked = highly_activating(raw.cpu(), epsilon=epsilon).numpy() & discriminative
        for row, maps_of, fires in zip(raw.cpu().numpy(), maps.cpu().numpy(), looked, strict=True):
            best = (
                np.flatnonzero(fires)
                if fires.any()
                else np.flatnonzero(discriminative)[[row[discriminative].argmax()]]
            )
            heats.append(combine(maps_of[best], np.ones(len(best), np.float32), "mean", size))
    overlaps = overlap_scores(np.stack(heats), frames[1])["paper"]
    return float(np.nanmean(overlaps)) if np.isfinite(overlaps).any() else None


@lru_cache(maxsize=2)
def masked_frames(folder: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """Pixels (n, S, S, 3) and core masks (n, S, S) of a study's first evaluation images, if it has masks."""
    from core.data.masks.masks import in_encoder_frame, open_masks

    study = open_study(folder)
    masks, transform = open_masks(source=study.source), study.transform
    if masks is None:
        return None
    rows = np.flatnonzero(study.is_val)[:MASKED_IMAGES]
    pixels, framed = [], []
    for image_id in study.images["image_id"].iloc[rows]:
        picture = study.source.read_id(image_id)
        mask, frame = masks.read(image_id, "core"), masks.frame(image_id, "core")
        pixels.append(transform.pixels(picture))
        framed.append(in_encoder_frame(mask, frame, transform, picture.size))
    return np.stack(pixels), np.stack(framed)


def start_row(study: Study, device: str) -> dict[str, Any]:
    """The numbers of the start itself, from its study's representations."""
    from core.analysis.gradcam.on_demand import encoder_of
    from core.research.transfer_learning.evaluate import Represented
    from core.slices.evaluate import class_column

    raw = study.array("representations")[:]
    images = Represented(raw, class_column(study, "label"), study.is_val, study.class_names)
    return verdict(encoder_of(study, device), images, study)


def finetuned_row(
    run: Planned, study: Study, preset: Preset, folder: Path, device: str, *, keep: bool
) -> dict[str, Any]:
    """Fine-tune and judge; the checkpoint is kept only if asked for."""
    import pandas as pd

    from core.encoders.registry import load_encoder
    from core.research.transfer_learning.evaluate import study_images
    from core.training import files
    from core.training.finetuning.finetune import finetune, finetune_config

    output = folder / "runs" / f"{run.name}.safetensors"
    config = finetune_config(
        study,
        output,
        method=run.method,
        practical=run.rate == "practical",
        frozen=run.frozen,
        regularizer={"kind": run.regularizer},
        images=preset.tuned,
        epochs=preset.epochs,
        seed=run.seed,
        device=device,
        monitor_every=preset.epochs,
        monitor_train=100,
        monitor_val=100,
    )
    with Progress(None, terminal=True, stages_total=2) as progress:
        finetune(config, progress=progress)
    log = pd.read_csv(files.log_path(output)).iloc[-1]
    encoder = load_encoder(str(output), device=device)
    encoder.precision = "mixed"
    row = verdict(encoder, study_images(study, encoder), study)
    row |= {name: float(log[name]) for name in CHANGES if name in log}
    if not keep:
        for path in files.all_paths(output):
            path.unlink(missing_ok=True)
    return row | {"lr": config.lr, "optimizer": config.optimizer, "epochs": config.epochs}
