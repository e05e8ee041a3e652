"""Each augmentation on one image, at a strength that is chosen instead of drawn. NumPy alone, no torch.

The same formulas as in `augment.py` and of the topic Fourier; the tests compare them.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from core.errors import SettingsError, did_you_mean
from core.training.augmentations.config import AugmentConfig, FourierConfig

SIDE = 224  # pixels: widths in Table C.2 of the dissertation are those at this size
LUMA = np.array([0.299, 0.587, 0.114])
YIQ = np.array([LUMA, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])

USUAL, FOURIER = AugmentConfig(), FourierConfig()  # a slider begins at the strongest change of a training
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


def augmented(image: Image.Image, name: str, values: SliderValues, *, seed: int = 0) -> Image.Image:
    """Show what one augmentation does to an image.

    Args:
        image: RGB; it is resized and centre-cropped to SIDE pixels first. name: a key of PREVIEWS.
        values: by slider; those that are missing have their default.
    Raises:
        SettingsError: an unknown augmentation or slider, or a value beyond the ends of its slider.
    """
    if name not in PREVIEWS:
        raise SettingsError(f"no augmentation '{name}'.{did_you_mean(name, PREVIEWS)}")
    preview = PREVIEWS[name]
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
    """Resize an image so that its shorter side has `side` pixels, and crop the centre."""
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
    turn[1:, 1:] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    hue = np.linalg.inv(YIQ) @ turn @ YIQ
    colour = hue @ saturation_matrix(values["saturation"]) * values["brightness"]
    changed = image @ colour.T
    mean_gray = changed.mean((0, 1)) @ LUMA
    return mean_gray + values["contrast"] * (changed - mean_gray)


def saturation_matrix(factor: float) -> np.ndarray:
    """(3, 3) that blends each pixel with its grey: factor 0 is grey, 1 changes nothing."""
    return factor * np.eye(3) + (1 - factor) * np.broadcast_to(LUMA, (3, 3))


def _blur(image: np.ndarray, values: SliderValues, rng: np.random.Generator) -> np.ndarray:
    rows, columns = (_gaussians(n, values["sigma"]) for n in image.shape[:2])
    return np.einsum("ih,hwc,jw->ijc", rows, image, columns, optimize=True)


def _gaussians(n: int, sigma: float) -> np.ndarray:
    """(n, n) weights of a Gaussian around each pixel, rows summing to 1."""
    places = np.arange(n)
    weights = np.exp(-0.5 * ((places[:, None] - places) / sigma) ** 2)
    return weights / weights.sum(1, keepdims=True)


def filtered(image: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Multiply the modes of rfft2 of each channel by (H, W // 2 + 1) or (H, W // 2 + 1, 3) factors."""
    response = response if response.ndim == 3 else response[..., None]
    spectrum = np.fft.rfft2(image, axes=(0, 1)) * response
    return np.fft.irfft2(spectrum, s=image.shape[:2], axes=(0, 1))


def _amplitude(image: np.ndarray, values: SliderValues, rng: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    low, high = sorted((values["low"], values["high"]))
    return filtered(image, mirrored(rng.uniform(low, high, (height, width // 2 + 1, 3)), width))


def _phase(image: np.ndarray, values: SliderValues, rng: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    return filtered(image, phase_response(height, width, values["angle"]))


def phase_response(height: int, width: int, angle: float) -> np.ndarray:
    """exp(i angle) for one of two opposite frequencies and its conjugate for the other; 1 for its own."""
    sign = np.ones((height, width // 2 + 1))
    for column in own_mirrors(width):
        sign[(height + 1) // 2 :, column] = -1
        sign[0, column] = 0
        if height % 2 == 0:
            sign[height // 2, column] = 0
    return np.exp(1j * angle * sign)


def _mask(image: np.ndarray, values: SliderValues, rng: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    luck = mirrored(rng.random((height, width // 2 + 1)), width)
    luck[0, 0] = 1  # the mean stays
    n_dropped = round(values["fraction"] * (luck.size - 1))
    least_kept = np.sort(luck, axis=None)[n_dropped]
    return filtered(image, (luck >= least_kept).astype(float))


def _mixture(image: np.ndarray, values: SliderValues, rng: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    low, high = sorted((values["sigma_low"], values["sigma_high"]))
    kernels = int(values["kernels"])
    centres = rng.random((kernels, 2)) * (height, width // 2)
    sigmas = rng.uniform(low, high, (kernels, 2)) * height / SIDE
    return filtered(image, mixture_response(height, width, centres, sigmas))


def mixture_response(height: int, width: int, centres: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """Maximum of Gaussians: centres (n, 2) and sigmas (n, 2), along rows and columns of the rfft grid."""
    mask = np.zeros((height, width // 2 + 1))
    rows, columns = np.arange(height), np.arange(width // 2 + 1)
    for (row, column), (down, right) in zip(centres, sigmas, strict=True):
        vertical = np.abs(rows - row)
        vertical = np.minimum(vertical, height - vertical)  # vertical frequencies form a circle
        kernel = np.exp(-0.5 * (vertical / down) ** 2)[:, None]
        mask = np.maximum(mask, kernel * np.exp(-0.5 * ((columns - column) / right) ** 2))
    mask = mirrored(mask, width)
    mask[0, 0] = 1
    return mask


def own_mirrors(width: int) -> tuple[int, ...]:
    """Return the columns of the rfft grid that hold both members of each pair of opposite frequencies."""
    return (0, width // 2) if width % 2 == 0 else (0,)


def mirrored(field: np.ndarray, width: int) -> np.ndarray:
    """Copy the upper half of those columns of (H, W // 2 + 1, ...) to the lower half."""
    height = len(field)
    first = (height - 1) // 2
    for column in own_mirrors(width):
        field[height - first :, column] = field[1 : first + 1, column][::-1]
    return field


def _frequency(image: np.ndarray, values: SliderValues, rng: np.random.Generator) -> np.ndarray:
    """sign(z) log(1 + |z|) / (2 log(1 + H W)) + 1/2 of real and imaginary parts, side by side."""
    height, width = image.shape[:2]
    spectrum = np.fft.rfft2(image, axes=(0, 1))[:, : width // 2]
    z = np.stack([spectrum.real, spectrum.imag], 2).reshape(height, width, 3)
    return np.sign(z) * np.log1p(np.abs(z)) / (2 * math.log1p(height * width)) + 0.5


def _factor(name: str, title: str, strength: float) -> Slider:
    return Slider(name, title, 0.0, 2.0, 1 + strength, 0.05)


PREVIEWS: dict[str, Preview] = {
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
        lambda image, *_: image @ saturation_matrix(0.0).T,
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
    "amplitude": Preview(
        "Amplitude rescale",
        "Each frequency of each channel becomes weaker or stronger, and so do the colours.",
        (
            Slider("low", "Smallest factor", 0.0, 3.0, FOURIER.amplitude_scale[0], 0.05),
            Slider("high", "Largest factor", 0.0, 3.0, FOURIER.amplitude_scale[1], 0.05),
        ),
        _amplitude,
        random=True,
        fourier=True,
    ),
    "phase": Preview(
        "Phase shift",
        "The phases of all frequencies move by one angle.",
        (Slider("angle", "Angle, in radians", -1.6, 1.6, FOURIER.phase_angle[1], 0.05),),
        _phase,
        fourier=True,
    ),
    "mask": Preview(
        "Random frequency mask",
        "Some frequencies are dropped, the same in all channels.",
        (Slider("fraction", "Share of the frequencies", 0.0, 1.0, FOURIER.mask_fraction[1], 0.01),),
        _mask,
        random=True,
        fourier=True,
    ),
    "mixture": Preview(
        "Gaussian mixture mask",
        "Only frequencies near a few random ones remain.",
        (
            Slider("kernels", "Number of Gaussians", 1, 60, FOURIER.mixture_kernels, 1),
            Slider("sigma_low", "Smallest width, in modes", 1.0, 60.0, FOURIER.mixture_sigma[0], 1.0),
            Slider("sigma_high", "Largest width, in modes", 1.0, 60.0, FOURIER.mixture_sigma[1], 1.0),
        ),
        _mixture,
        random=True,
        fourier=True,
    ),
    "frequency": Preview(
        "Frequency image",
        "The spectrum as a picture, which a second encoder can read.",
        (),
        _frequency,
        fourier=True,
    ),
}
