"""What the process of an encoder loads and answers: what it sees in a picture. [torch]

A request is {"crop", "covered", "epsilon", "dtype", "features", "logits"} with an encoded picture, or
{"head": true} for the encoder's own classifier.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from core.analysis.definitions import highly_activating
from core.analysis.gradcam import CLOSED, channel_maps, gradcam_maps, method_of
from core.analysis.representations import as_stored
from core.common.picture_bytes import image_file
from core.data.decode import decode, reduced
from core.encoders.head import Head
from core.encoders.registry import Encoder, load_encoder
from core.errors import EncoderError
from core.pictures.seen import EPSILON, Alteration, Glance, in_pixels
from core.study.stored_heatmaps import pack_maps
from core.study.uploads import HEAD, check_picture

MOST_KEPT = 25_000_000  # pixels of a picture that is kept decoded
PREVIEW = 720  # pixels of the longer side
MOST_MAPS = 1 << 24  # entries of the maps of all features; beyond it they have to be asked for


def encoder_answers(
    model: str,
) -> tuple[dict[str, Any], Callable[[dict[str, Any], bytes | None], dict[str, Any]]]:
    """Load an encoder to look at pictures, by its settings as JSON; its facts, and what answers."""
    settings = json.loads(model)
    encoder = load_encoder(settings.pop("encoder"), **settings)
    encoder.precision = "float32"
    heads: list[Any] = []
    last: list[Any] = []  # the picture of the last request, as it came and decoded: it is often changed

    def head() -> Any:
        if not heads:
            heads.append(encoder.find_head())
        if isinstance(heads[0], str):
            raise EncoderError(f"this encoder has no classifier: {heads[0]}")
        return heads[0]

    def answer(request: dict[str, Any], data: bytes | None) -> dict[str, Any]:
        if data is None:
            weights, bias = head().linear or (None, None)
            arrays = {} if weights is None else {"weights": weights.numpy().astype("<f4")}
            arrays |= {} if bias is None else {"bias": bias.numpy().astype("<f4")}
            return {"names": head().names, "arrays": arrays}
        if not last or last[0] != data:
            check_picture(data[:HEAD], len(data))
            last[:] = [data, decode(data)]
        picture = last[1]
        if picture.width * picture.height > MOST_KEPT:
            last.clear()
        alteration = Alteration.of(request.get("crop"), request.get("covered") or ())
        epsilon, dtype = float(request["epsilon"]), str(request["dtype"])
        classifier = head() if request.get("logits") else None
        seen = see(
            encoder,
            picture,
            alteration,
            epsilon=epsilon,
            dtype=dtype,
            features=request.get("features"),
            head=classifier,
        )
        return {"arrays": seen.arrays}

    return {"fingerprint": encoder.fingerprint, "n_features": encoder.n_features}, answer


def see(
    encoder: Encoder,
    picture: Image.Image,
    alteration: Alteration = Alteration(),  # noqa: B008  (frozen)
    *,
    epsilon: float = EPSILON,
    features: Sequence[int] | None = None,
    head: Head | None = None,
    dtype: str = "float32",
) -> Glance:
    """Look at a picture: what is covered is painted over, then it is cropped, resized and represented.

    Args:
        picture: RGB, upright, any size. epsilon: of the definition of firing.
        features: whose maps are computed; None: of all, where one pass gives them, else of none.
        head: a classifier whose logits are wanted. dtype: in which representations are stored.
    Raises:
        EncoderError: NaN or infinity in the representation. SettingsError: no such feature.
    """
    ground = _covered(picture, alteration, encoder.transform.mean)
    crop = in_pixels(alteration.crop or (0.0, 0.0, 1.0, 1.0), *ground.size)
    view = ground.crop(crop)
    pixels = torch.from_numpy(encoder.transform.pixels(view))[None]
    with torch.inference_mode():
        raw, numbers, maps = _represented(encoder, pixels, features)
        logits = encoder.represent_with_logits(pixels, head)[1][0].cpu().numpy() if head else np.empty(0)
    raw = as_stored(raw, dtype)
    if not np.isfinite(raw).all():
        raise EncoderError("NaN or infinity in the representation of this picture")
    stored = pack_maps(numbers, maps)
    left, top, right, bottom = encoder.transform.box(*view.size)
    x, y = crop[0], crop[1]
    seen = [left + x, top + y, right + x, bottom + y]
    fires = highly_activating(raw[None], epsilon=epsilon)[0].numpy()
    preview = image_file(reduced(ground.copy(), PREVIEW), quality=88)
    return Glance(
        raw=raw.astype("<f4"),
        fires=fires.astype(np.uint8),
        logits=logits.astype("<f4"),
        features=stored.features.astype("<i4"),
        maps=stored.maps.astype("<f2"),
        peaks=stored.peaks.astype("<f4"),
        floors=stored.floors.astype("<f4"),
        preview=np.frombuffer(preview, np.uint8),
        size=np.array(ground.size, "<i4"),
        view=np.array(seen, "<f4"),
        sides=np.array(encoder.transform.sides, "<i4"),
    )


def _represented(
    encoder: Encoder, pixels: torch.Tensor, features: Sequence[int] | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The representation, and the features with their maps."""
    if features is None and method_of(encoder) == CLOSED:
        raw, maps = (one[0].cpu().numpy() for one in channel_maps(encoder, pixels))
        if maps.size <= MOST_MAPS:
            return raw, np.arange(len(maps)), maps
    raw = encoder.represent(pixels)[0].cpu().numpy()
    numbers = np.unique(np.asarray(features or (), np.int64))
    if not len(numbers):
        return raw, numbers, np.empty((0, 1, 1), np.float32)
    return raw, numbers, gradcam_maps(encoder, pixels, numbers)[0].cpu().numpy()


def _covered(picture: Image.Image, alteration: Alteration, mean: Sequence[float]) -> Image.Image:
    """A picture with parts in the colour that is 0 after the encoder's normalisation."""
    if not alteration.covered:
        return picture
    painted = picture.copy()
    for box in alteration.covered:
        painted.paste(tuple(round(255 * value) for value in mean), in_pixels(box, *picture.size))
    return painted
