"""Compute heatmaps with the encoder on request: of any feature on any image of a study."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from core.analysis.gradcam import AnyEncoder, LatentEncoder, gradcam_maps, sum_map
from core.common.command_line import command_line
from core.common.step_facts import EmbedFacts
from core.config import ENCODER_SETTINGS
from core.encoders.registry import Encoder, load_encoder
from core.errors import CodeRefused, EncoderError, PeregrineError, StudyError, UnreadableImage
from core.store import Study
from core.study.heatmaps import check_combination
from core.study.heatmaps import combine as combine_maps
from core.study.progress import Progress
from core.study.stored_heatmaps import StoredMaps, add_requested, check_features, pack_maps, requested_path


def study_encoder(study: Study, device: str | torch.device = "cpu") -> Any:
    """Load the encoder of a study in single precision, for Grad-CAM; in a basis, its latents.

    Raises:
        EncoderError: it cannot be loaded, or its weights, transform or layer have changed.
        CodeRefused: the study names code that the owner of this machine has not named.
    """
    settings, stored = study.settings("embed"), study.facts(EmbedFacts).encoder
    try:
        encoder = load_encoder(
            settings["encoder"], **{name: settings.get(name) for name in ENCODER_SETTINGS}, device=device
        )
    except CodeRefused:
        raise
    except PeregrineError as error:
        raise EncoderError(f"the encoder of '{study.path}' can no longer be loaded: {error}") from error
    if encoder.fingerprint != stored.fingerprint:
        raise EncoderError(
            f"the encoder '{encoder.spec}' has changed since '{study.path}' was made with it. Restore it, or "
            f"run: {command_line('embed', study.path)}"
        )
    encoder.precision = "float32"  # bfloat16 is less accurate than the half precision of stored maps
    return LatentEncoder(encoder, study) if study.below is not None else encoder


def check_probed(study: Study) -> None:
    """Raise StudyError for a study whose encoder or discriminative features, for Grad-CAM, are unknown."""
    encoder = study.facts(EmbedFacts).encoder
    if not encoder.family:
        command = command_line("analyze", study.path)
        raise StudyError(f"'{study.path}' is not finished. Run: {command} …")
    if encoder.is_given:
        raise StudyError(
            f"'{study.path}' was made from precomputed representations: there is no encoder. "
            "Analyze the images with --encoder first"
        )
    if not study.has("features"):
        raise StudyError(
            f"'{study.path}' has no discriminative features (D): the step 'features' is "
            f"{study.missing()['features']}"
        )


def encoder_of(study: Study, device: str = "cpu") -> Encoder:
    """Load a study's encoder for Grad-CAM or further passes: `study_encoder` in the precision of `embed`."""
    encoder = study_encoder(study, device)
    encoder.precision = study.settings("embed").get("precision", "auto")
    encoder.end_precisely(study.facts(EmbedFacts).encoder.n_precise)
    return encoder


def packed_maps(encoder: Encoder, pixels: torch.Tensor, features: Sequence[np.ndarray]) -> list[StoredMaps]:
    """Compute the Grad-CAM maps of each image's own features, in stored form.

    Args:
        pixels: (B, S, S, 3) uint8. features: for each image its features (K_i,) int.
    """
    counts = [len(numbers) for numbers in features]
    table = np.full((len(features), max(counts)), -1, np.int64)
    for line, numbers in zip(table, features, strict=True):
        line[: len(numbers)] = numbers
    maps = gradcam_maps(encoder, pixels, table).cpu().numpy()
    return [pack_maps(j, image_maps[:n]) for j, image_maps, n in zip(features, maps, counts, strict=True)]


def on_demand(
    study: Study,
    row: int,
    features: Sequence[int] | None = None,
    combine: str = "mean",
    *,
    encoder: Encoder | None = None,
    device: str | torch.device = "cpu",
) -> np.ndarray:
    """(S, S) float32 in [0, 1]: the heatmap of one image, computed with the encoder, stored or not.

    Args:
        features: None for the image's discriminative features. combine: mean, sum, max or min.
        encoder: from `study_encoder`, if many heatmaps are computed.
    Raises:
        SettingsError: no such feature or combination. UnreadableImage: the image is missing.
        EncoderError: the encoder can no longer be loaded. StudyError: the study has none.
    """
    check_combination(combine)
    size = study.transform.input_size
    numbers = study.heatmap_reader.discriminative(row)[0] if features is None else features
    numbers = check_features(study, numbers)
    looking: AnyEncoder = encoder or study_encoder(study, device)
    pixels = torch.from_numpy(looking.transform.pixels(study.image(row)))[None]
    maps = sum_map(looking, pixels, numbers) if combine == "sum" else gradcam_maps(looking, pixels, numbers)
    return combine_maps(maps[0].cpu().numpy(), np.ones(maps.shape[1]), combine, size)


def request_heatmaps(
    study: Study,
    image_ids: Sequence[str],
    features: Sequence[int],
    *,
    progress: Progress,
    device: str | torch.device = "cpu",
) -> dict[str, Any]:
    """Compute Grad-CAM maps that the study does not hold, and store them in `requested_heatmaps/`.

    Returns:
        n_images, n_maps (computed now), n_stored (already stored), missing (ids of missing images).
    Raises:
        StudyError: no such image, or its heatmaps could say nothing. SettingsError: no such feature.
        UnreadableImage: all images are missing.
    """
    if why := study.why_skipped("heatmaps"):
        raise StudyError(f"no heatmaps in '{study.path}': {why}")
    numbers = check_features(study, features)
    rows = list(dict.fromkeys(study.row_of(image_id) for image_id in image_ids))
    reader = study.heatmap_reader
    todo = {row: np.setdiff1d(numbers, reader.features_of(row)) for row in rows}
    missing: list[str] = []
    n_maps = 0
    encoder = study_encoder(study, device) if any(map(len, todo.values())) else None
    with progress.stage("heatmaps", total=len(rows), unit="images") as bar:
        for row, lacking in todo.items():
            if encoder and len(lacking):
                try:
                    _request(study, encoder, row, lacking)
                    n_maps += len(lacking)
                except UnreadableImage as error:
                    missing.append(f"{study.images['image_id'].iat[row]}: {error}")
            bar.update()
    if missing and len(missing) == len(rows):
        raise UnreadableImage(f"{missing[0]} ({len(missing)} of {len(rows)} images are missing)")
    n_stored = len(rows) * len(np.unique(numbers)) - sum(map(len, todo.values()))
    return {"n_images": len(rows), "n_maps": n_maps, "n_stored": n_stored, "missing": missing}


def _request(study: Study, encoder: Encoder, row: int, features: np.ndarray) -> None:
    """Compute maps of one image and add them to its file."""
    pixels = torch.from_numpy(encoder.transform.pixels(study.image(row)))[None]
    (computed,) = packed_maps(encoder, pixels, [features])
    add_requested(requested_path(study, row), computed)
