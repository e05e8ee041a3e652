"""One image as the features that it activates highly: where each looks, what it means (F, Fig. 4.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from core.analysis.features import normalise_rows
from core.analysis.heatmap_request import study_encoder
from core.analysis.heatmaps import gradcam_maps
from core.concepts.across import check_has_concepts
from core.concepts.crops import box_on_image
from core.concepts.failures import SEPARATOR, behind_image, words_of_features
from core.concepts.falcon import feature_crop
from core.concepts.groups import group_name
from core.heat import singly_scaled

if TYPE_CHECKING:
    from PIL import Image

    from core.encoders.registry import Encoder
    from core.store import Study


def decompose(
    study: Study,
    picture: Image.Image,
    *,
    encoder: Encoder | None = None,
    device: str | torch.device = "cpu",
    top: int = 12,
) -> dict[str, Any]:
    """What a picture activates, whether it is in the study or not; nothing is stored.

    Args:
        picture: RGB, any size. encoder: of `study_encoder`, where many pictures are looked at.
        top: at most so many features.
    Returns:
        JSON-able. `features`: by falling activation those above alpha: feature, activation (of h), box (left,
        top, right, bottom in pixels of the picture; None without heat), words (list). `group`: the name of
        Algorithm 1's group of the picture, or None; `n_features`: how many lie above it; `alpha`. `answer`:
        what the probe says and the features behind that (`failures.behind_image`, with words), or None.
    Raises:
        StudyError: the study has no concepts. EncoderError: its encoder is gone.
    """
    check_has_concepts(study)
    encoder = encoder or study_encoder(study, device)
    pixels = torch.from_numpy(encoder.transform.pixels(picture))[None]
    with torch.inference_mode():
        raw = encoder.represent(pixels).float().cpu()
    h, alpha = normalise_rows(raw)[0].double().numpy(), float(study.summary("concepts")["alpha"])
    above = np.flatnonzero(h > alpha)
    shown = above[np.argsort(-h[above], kind="stable")][:top]
    words = words_of_features(study.table("concepts"))
    boxes = _boxes(encoder, pixels, shown, picture.size)
    return {
        "features": [
            {"feature": int(j), "activation": float(h[j]), "box": box, "words": _split(words.get(int(j), ""))}
            for j, box in zip(shown, boxes, strict=True)
        ],
        "group": group_name(tuple(above.tolist())) if len(above) else None,
        "n_features": len(above),
        "alpha": alpha,
        "answer": _answer(study, raw[0].numpy(), words),
    }


def _boxes(
    encoder: Encoder, pixels: torch.Tensor, features: np.ndarray, size: tuple[int, int]
) -> list[list[int] | None]:
    """Where each feature looks, in pixels of the picture."""
    if not len(features):
        return []
    maps = gradcam_maps(encoder, pixels, features)[0].float().cpu().numpy()
    side, frame = encoder.transform.input_size, encoder.transform.box(*size)
    regions = [feature_crop(heat) for heat in singly_scaled(maps, side)]
    return [None if box is None else list(box_on_image(box, frame, side, *size)) for box in regions]


def _answer(study: Study, raw: np.ndarray, words: dict[int, str]) -> dict[str, Any] | None:
    if not study.has("probe_weights"):
        return None
    weights, bias = study.vector("probe_weights"), study.vector("probe_bias")
    found = behind_image(raw, weights, bias, study.class_names)
    return found | {"words": [_split(words.get(feature, "")) for feature in found["features"]]}


def _split(words: str) -> list[str]:
    return words.split(SEPARATOR) if words else []
