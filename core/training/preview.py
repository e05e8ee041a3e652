"""Each augmentation on one image, at a strength that is chosen instead of drawn. NumPy alone, no torch.

The same formulas as in `augment.py`; the tests compare them. Topics of research have further ones.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image

from core.common.topics import function_named, topics
from core.errors import SettingsError, did_you_mean
from core.training.augmentation_config import AugmentConfig

SIDE = 224  # pixels: widths in Table C.2 of the dissertation are those at this size
LUMA = np.array([0.299, 0.587, 0.114])
YIQ = np.array([LUMA, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])

USUAL = AugmentConfig()  # a slider begins at the strongest change of a training
USUAL_BLUR = 2.0  # SimCLR's at SIDE pixels; the settings' own is scaled to small crops

SliderValues = Mapping[str, float]


@dataclass(frozen=True)
class Slider:
    """A strength that can be chosen."""

    name: str
    title: str
    low: float
    high: float
    default: float
    step: float


@dataclass(frozen=True)
class Preview:
    """An augmentation with its sliders.

    Attributes:
        draw: (image (H, W, 3) float64 in [0, 1], values of the sliders, randomness) -> image, any range.
        random: whether another seed gives another picture. fourier: whether it acts on frequencies.
    """

    title: str
    about: str
    sliders: tuple[Slider, ...]
    draw: Callable[[np.ndarray, SliderValues, np.random.Generator], np.ndarray]
    random: bool = False
    fourier: bool = False


@cache
def previews() -> dict[str, Preview]:
    """Return the previews of all augmentations of a training by name, those of topics last."""
    of_topics = [function_named(topic.previews) for topic in topics() if topic.previews]
    return OF_PIXELS | {name: preview for table in of_topics for name, preview in table.items()}


def augmented(image: Image.Image, name: str, values: SliderValues, *, seed: int = 0) -> Image.Image:
    """Preview what one augmentation of a training does to an image.

    Args:
        image: RGB; it is resized and centre-cropped to SIDE pixels first. name: a key of `previews`.
        values: by slider; those that are missing have their default.
    Raises:
        SettingsError: an unknown augmentation or slider, or a value beyond the ends of its slider.
    """
    if name not in previews():
        raise SettingsError(f"no augmentation '{name}'.{did_you_mean(name, previews())}")
    preview = previews()[name]
    sliders = {slider.name: slider for slider in preview.sliders}
    slider_values = {key: slider.default for key, slider in sliders.items()}
    for key, value in values.items():
        if key not in sliders:
            raise SettingsError(f"'{name}' has no slider '{key}'.{did_you_mean(key, sliders)}")
        low, high = sliders[key].low, sliders[key].high
        if not low <= value <= high:
            raise SettingsError(f"'{name}': {key} = {value:g} must lie between {low:g} and {high:g}")
        slider_values[key] = value
    pixels = np.asarray(centred(image), np.float64) / 255
    drawn = preview.draw(pixels, slider_values, np.random.default_rng(seed))
    return Image.fromarray((drawn.clip(0, 1) * 255).round().astype(np.uint8))


def centred(image: Image.Image, side: int = SIDE) -> Image.Image:
    """Resize an image for previews of augmentations to a shorter side of `side` pixels; crop the centre."""
    image = image.convert("RGB")
    short = min(image.size)
    left, top = ((length - short) / 2 for length in image.size)
    return image.resize((side, side), Image.Resampling.BILINEAR, box=(left, top, left + short, top + short))


def _crop(image: np.ndarray, values: SliderValues, rng: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
    own_width = min(math.sqrt(values["area"] * height * width * ratio), width)
    own_height = min(math.sqrt(values["area"] * height * width / ratio), height)
    top, left = rng.random() * (height - own_height), rng.random() * (width - own_width)
    box = (left, top, left + own_width, top + own_height)
    whole = Image.fromarray((image * 255).round().astype(np.uint8))
    resized = whole.resize((width, height), Image.Resampling.BILINEAR, box=box)
    return np.asarray(resized, np.float64) / 255


def _jitter(image: np.ndarray, values: SliderValues, rng: np.random.Generator) -> np.ndarray:
    """Brightness, saturation and hue are one matrix; contrast is the distance from the mean grey."""
    angle = 2 * math.pi * values["hue"]
    turn = np.eye(3)
    cos, sin = math.cos(angle), math.sin(angle)
    turn[1:, 1:] = [[cos, -sin], [sin, cos]]
    hue = np.linalg.inv(YIQ) @ turn @ YIQ
    colour = hue @ _saturation_matrix(values["saturation"]) * values["brightness"]
    changed = image @ colour.T
    mean_gray = changed.mean((0, 1)) @ LUMA
    return mean_gray + values["contrast"] * (changed - mean_gray)


def _saturation_matrix(factor: float) -> np.ndarray:
    """(3, 3) augmentation of colour that blends a pixel with its grey: factor 0 is grey, 1 no change."""
    return factor * np.eye(3) + (1 - factor) * np.broadcast_to(LUMA, (3, 3))


def _blur(image: np.ndarray, values: SliderValues, rng: np.random.Generator) -> np.ndarray:
    rows, columns = (_gaussians(n, values["sigma"]) for n in image.shape[:2])
    return np.einsum("ih,hwc,jw->ijc", rows, image, columns, optimize=True)


def _gaussians(n: int, sigma: float) -> np.ndarray:
    """(n, n) weights of a Gaussian around each pixel, rows summing to 1."""
    places = np.arange(n)
    weights = np.exp(-0.5 * ((places[:, None] - places) / sigma) ** 2)
    return weights / weights.sum(1, keepdims=True)


def _factor(name: str, title: str, strength: float) -> Slider:
    return Slider(name, title, 0.0, 2.0, 1 + strength, 0.05)


OF_PIXELS: dict[str, Preview] = {
    "crop": Preview(
        "Random crop",
        "A part of the image, enlarged. The encoder learns that parts belong to the whole.",
        (Slider("area", "Share of the image's area", 0.08, 1.0, 0.3, 0.01),),
        _crop,
        random=True,
    ),
    "flip": Preview("Flip", "Left and right are exchanged.", (), lambda image, *_: image[:, ::-1]),
    "jitter": Preview(
        "Colour jitter",
        "Brightness, contrast, saturation and hue change.",
        (
            _factor("brightness", "Brightness", USUAL.brightness),
            _factor("contrast", "Contrast", USUAL.contrast),
            _factor("saturation", "Saturation", USUAL.saturation),
            Slider("hue", "Hue, in turns of the colour circle", -0.5, 0.5, USUAL.hue, 0.01),
        ),
        _jitter,
    ),
    "grayscale": Preview(
        "Grayscale",
        "Colour is removed; shapes remain.",
        (),
        lambda image, *_: image @ _saturation_matrix(0.0).T,
    ),
    "blur": Preview(
        "Gaussian blur",
        "Fine detail is removed.",
        (Slider("sigma", "Sigma, in pixels", 0.1, 8.0, USUAL_BLUR, 0.1),),
        _blur,
    ),
    "solarize": Preview(
        "Solarize",
        "Bright pixels are inverted.",
        (Slider("threshold", "Inverted from this brightness on", 0.0, 1.0, USUAL.solarize_threshold, 0.01),),
        lambda image, values, _: np.where(image >= values["threshold"], 1 - image, image),
    ),
}
