"""Decompose one image into the features that it highly activates, with place and meaning.

See Kalibhat's dissertation, Fig. 4.5.
"""

from typing import Any

import numpy as np
import torch
from PIL import Image

from core.analysis.gradcam import gradcam_maps
from core.analysis.heatmaps_on_demand import study_encoder
from core.common.picture_bytes import image_address, image_file
from core.concepts.crops import box_on_image
from core.encoders.registry import Encoder
from core.pictures.decomposition import TOP, check_class, describe
from core.store import Study
from core.study.heatmaps import singly_scaled
from core.study.overlay_image import feature_crop

PREVIEW, CROP = 720, 200  # longer side in pixels of the images in a result


def decompose(
    study: Study,
    picture: Image.Image,
    *,
    encoder: Encoder | None = None,
    device: str | torch.device = "cpu",
    top: int = TOP,
    true: str | None = None,
) -> dict[str, Any]:
    """Decompose an image, from the study or not, into its features; nothing is stored.

    Args:
        picture: RGB, any size. encoder: from `study_encoder`, if many images are processed.
        top: maximum number of features. true: its class, if known.
    Returns:
        as in `core.pictures.decomposition.describe`, with the `box` of each feature (left, top, right, bottom
        in pixels of the image; None without heat), and the `size` (width, height) of the image.
    Raises:
        EncoderError: its encoder is missing. SettingsError: it has no
            such class.
    """
    check_class(study, true)
    used: Any = study_encoder(study, device) if encoder is None else encoder
    pixels = torch.from_numpy(used.transform.pixels(picture))[None]
    with torch.inference_mode():
        seen = [used, used.of_units] if study.below is not None else [used]
        raw = [one.represent(pixels).float().cpu().numpy()[0] for one in seen]
    description = describe(study, raw[0], top=top, true=true, units=raw[-1])
    features = np.array([part["feature"] for part in description["features"]], np.int64)
    for part, box in zip(description["features"], _boxes(used, pixels, features, picture.size), strict=True):
        part["box"] = box
    return description | {"size": list(picture.size)}


def with_pictures(description: dict[str, Any], picture: Image.Image) -> dict[str, Any]:
    """Add the image (`preview`) and each feature's `crop` to a decomposition, as JPEG data URIs."""
    features = []
    for part in description["features"]:
        box = part["box"]
        features.append(part | {"crop": _address(picture.crop(box), CROP) if box else None})
    return description | {"preview": _address(picture, PREVIEW), "features": features}


def _boxes(
    encoder: Encoder, pixels: torch.Tensor, features: np.ndarray, size: tuple[int, int]
) -> list[list[int] | None]:
    """Return the box of each feature, in pixels of the image."""
    if not len(features):
        return []
    maps = gradcam_maps(encoder, pixels, features)[0].float().cpu().numpy()
    side, frame = encoder.transform.sides, encoder.transform.box(*size)
    regions = [feature_crop(heat) for heat in singly_scaled(maps, side)]
    return [None if box is None else list(box_on_image(box, frame, side, *size)) for box in regions]


def _address(picture: Image.Image, side: int) -> str:
    scale = min(1.0, side / max(picture.size))
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    small = picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    return image_address(image_file(small, quality=88))
