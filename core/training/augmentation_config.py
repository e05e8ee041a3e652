"""The settings of random views: one set for each of the two large views of an image. No torch."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from core.config import option
from core.errors import SettingsError, did_you_mean
from core.training.checks import Ascending, AscendingFrom0, Count, NotNegative, Share, Shares, check_settings

IMAGE_VIEWS = ("x", "image", "fda", "both")
FREQUENCY_VIEWS = ("f", "fda_f", "f_of_image")
RECIPES = (*IMAGE_VIEWS, *FREQUENCY_VIEWS)
WITH_FOURIER = ("fda", "both", "fda_f")
SCALES = ("log", "linear")


@dataclass(frozen=True)
class FourierConfig:
    """FDA's augmentations (docs/method.md 7.4), with the dissertation's values; a probability of 0: none."""

    amplitude: Share = 0.2  # probability that an image's amplitudes are rescaled
    amplitude_scale: AscendingFrom0 = (0.8, 1.75)
    amplitude_mean: bool = True  # the mean (DC) is rescaled as well, which changes colours
    phase: Share = 0.2
    phase_angle: AscendingFrom0 = (0.4, 0.7)  # radians
    mask: Share = 0.5
    mask_fraction: AscendingFrom0 = (0.01, 0.1)  # share of the frequencies to drop
    mixture: Share = 0.2
    mixture_kernels: Count = 20
    mixture_sigma: Ascending = (10.0, 15.0)  # modes at 224 pixels; scales with the crop
    mixture_isotropic: bool = False  # one sigma for both axes of a kernel instead of one for each
    clip_each: bool = False  # clip to [0, 1] after each of the four instead of once, as earlier versions did
    # before: between the crop and the rest; after: on the finished view
    when: str = option("place among the augmentations", "before", choices=("before", "after"))


@dataclass(frozen=True)
class AugmentConfig:
    """Random views of an image. The defaults are SimCLR's, with the blur adapted to small crops.

    `[augment]` holds for both large views, but for `fourier` and `view`, which are the left view's own.
    `[augment.right]` names what differs on the right; `from_dict` completes it from the left.
    """

    crop_scale: Shares = (0.2, 1.0)  # share of the image's area
    crop_ratio: Ascending = (0.75, 4 / 3)  # width / height
    flip: Share = 0.5
    jitter: Share = 0.8  # probability that an image's colours are changed at all
    brightness: NotNegative = 0.4
    contrast: NotNegative = 0.4
    saturation: NotNegative = 0.4
    hue: NotNegative = 0.1  # turns of the colour circle
    grayscale: Share = 0.2
    blur: Share = 0.5
    blur_sigma: Ascending = (0.1, 0.6)  # crop pixels; SimCLR's (0.1, 2.0) at 224, scaled to 64
    solarize: Share = 0.0  # probability that bright pixels are inverted; BYOL's right view has 0.2
    solarize_threshold: Share = 0.5  # pixels in [0, 1] from here on become 1 - pixel
    fourier: FourierConfig | None = None  # [augment.fourier]; None: off
    view: str | None = None  # one of RECIPES; None: "both" with [augment.fourier], else "image"
    frequency_scale: str = option("scale of frequency images", "log", choices=SCALES)
    right: "AugmentConfig | None" = None  # [augment.right]; None: as left, without Fourier augmentations

    @property
    def recipe(self) -> str:
        """One of RECIPES."""
        return self.view or ("both" if self.fourier is not None else "image")

    @property
    def chain(self) -> FourierConfig | None:
        """The Fourier augmentations of the recipe; None if it has none."""
        return (self.fourier or FourierConfig()) if self.recipe in WITH_FOURIER else None


def view_settings(augment: AugmentConfig, n_views: int) -> list[AugmentConfig]:
    """Return the augmentation settings of each large view of a training, the left one first.

    Raises:
        SettingsError: settings of a right view for a method with only one view.
    """
    if n_views < 2:
        if augment.right is not None:
            raise SettingsError("[augment.right] needs a method with two views; this one has only one.")
        return [augment][:n_views]
    plain = dataclasses.replace(augment, fourier=None, view=None, right=None)
    return [augment, *[augment.right or plain] * (n_views - 1)]


def complete_right(augment: dict[str, Any]) -> dict[str, Any]:
    """Complete the augmentations of a training's right view, `[augment.right]`, by those of the left.

    What is no table is left as it is.
    """
    right = augment.get("right")
    if not isinstance(right, dict):
        return augment
    shared = {name: value for name, value in augment.items() if name not in ("right", "fourier", "view")}
    left, right_fourier = augment.get("fourier"), right.get("fourier")
    if isinstance(left, dict) and isinstance(right_fourier, dict):
        right = {**right, "fourier": {**left, **right_fourier}}
    return {**augment, "right": {**shared, **right}}


def check_augment(config: AugmentConfig, where: str = "augment") -> None:
    """Raise SettingsError for the first invalid augmentation setting of both views of a training."""
    check_settings(config, prefix=f"{where}.")
    if config.view is not None and config.view not in RECIPES:
        raise SettingsError(
            f"{where}.view = '{config.view}' is unknown.{did_you_mean(config.view, RECIPES)} "
            f"Views: {', '.join(RECIPES)}."
        )
    if config.fourier is not None:
        if config.recipe not in WITH_FOURIER:
            raise SettingsError(
                f"{where}.view = '{config.view}' has no Fourier augmentations: leave out [{where}.fourier]."
            )
        _check_fourier(config.fourier, f"{where}.fourier")
    if config.right is not None:
        if config.right.right is not None:
            raise SettingsError(f"[{where}.right.right] is one table too many: an image has two large views.")
        check_augment(config.right, f"{where}.right")


def _check_fourier(config: FourierConfig, where: str) -> None:
    """Raise SettingsError for the first invalid setting of a training's Fourier augmentation."""
    check_settings(config, prefix=f"{where}.")
    if config.mask_fraction[1] > 1:
        raise SettingsError(f"{where}.mask_fraction ends at {config.mask_fraction[1]}, above all (1).")


def check_recipes(augment: AugmentConfig, *, dual: bool, crop_size: int) -> None:
    """Check that frequency images go to the training's encoder that was built for them, and no other.

    Raises:
        SettingsError: a frequency image for an image encoder or the reverse, or an odd width.
    """
    left, right = view_settings(augment, 2)
    if left.recipe in FREQUENCY_VIEWS:
        raise SettingsError(
            f"augment.view = '{left.recipe}' is a frequency image; only augment.right.view can be one."
        )
    if not dual:
        if right.recipe in FREQUENCY_VIEWS:
            raise SettingsError(
                f"augment.right.view = '{right.recipe}' is a frequency image and needs an encoder for it: "
                "set objective.dual = true."
            )
        return
    if right.recipe not in FREQUENCY_VIEWS:
        raise SettingsError(
            f"objective.dual = true needs frequency images: set augment.right.view to one of "
            f"{', '.join(FREQUENCY_VIEWS)}."
        )
    if crop_size % 2:
        raise SettingsError(f"crop_size = {crop_size} is odd, but frequency images need an even width.")
