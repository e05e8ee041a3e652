"""Random views of whole batches on the device, as a function of (seed, step) alone."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.common.topics import function_of_option
from core.errors import SettingsError
from core.training.augmentation_config import AugmentConfig, view_settings
from core.training.config import TrainConfig
from core.training.setup import derived_seed, epoch_order, grouped_order, local_views

# Random views of whole batches on the device.
#
# Every operation except the last clamp is linear, so a few products do everything. Crop, resize, flip and
# blur are separable: one matrix for the rows and one for the columns of each image. Brightness, contrast,
# saturation, hue and greyscale are one 3x3 matrix and one offset per image. Differences to torchvision:
# values are clamped once, after the colours; hue is rotated in YIQ instead of HSV; blur precedes colour.
# Solarizing is not linear and comes last, as in BYOL.


LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as in Pillow and torchvision
_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


@dataclass(frozen=True)
class ViewParameters:
    """The random parameters of B images, drawn before any pixel is processed."""

    box: Tensor  # (B, 4) top, left, height, width in pixels, fractions allowed
    flip: Tensor  # (B,) bool
    sigma: Tensor  # (B,) blur in output pixels, 0 for none
    colour: Tensor  # (B, 3, 3) applied to RGB
    contrast: Tensor  # (B,) factor on the distance from the mean grey
    solarize: Tensor | None = None  # (B,) pixels in [0, 1] from here on are inverted; None: none anywhere

    def to(self, device: torch.device | str) -> "ViewParameters":
        return self._each(lambda values: values.to(device, non_blocking=True))

    def part(self, rows: slice) -> "ViewParameters":
        """Return the parameters of some of the images."""
        return self._each(lambda values: values[rows])

    def _each(self, change: Callable[[Tensor], Tensor]) -> "ViewParameters":
        parts = (getattr(self, f.name) for f in fields(self))
        return ViewParameters(*(None if values is None else change(values) for values in parts))  # type: ignore[arg-type]


def draw_parameters(
    n: int, height: int, width: int, config: AugmentConfig, generator: torch.Generator
) -> ViewParameters:
    """Draw the parameters of n augmented views from a CPU generator, so that all devices get the same."""

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(n, generator=generator) * (high - low) + low

    def happens(probability: float) -> Tensor:
        return torch.rand(n, generator=generator) < probability

    box = _draw_boxes(uniform, height, width, config)
    flip, blurred = happens(config.flip), happens(config.blur)
    sigma = uniform(*config.blur_sigma) * blurred
    jittered = happens(config.jitter)

    def factor(strength: float) -> Tensor:
        return torch.where(jittered, uniform(max(0.0, 1 - strength), 1 + strength), torch.ones(n))

    brightness, contrast, saturation = map(factor, (config.brightness, config.contrast, config.saturation))
    hue = uniform(-config.hue, config.hue) * jittered
    colour = _hue_matrix(hue) @ _saturation_matrix(saturation) * brightness[:, None, None]
    gray = happens(config.grayscale)[:, None, None]
    colour = torch.where(gray, _saturation_matrix(torch.zeros(n)) @ colour, colour)
    return ViewParameters(box, flip, sigma, colour, contrast, _draw_solarized(n, config, generator))


def _draw_solarized(n: int, config: AugmentConfig, generator: torch.Generator) -> Tensor | None:
    """Draw the thresholds without using up `generator`: the next views are the same with and without them."""
    if config.solarize == 0:
        return None
    aside = torch.Generator()
    aside.set_state(generator.get_state())
    aside.manual_seed(int(torch.randint(2**62, (), generator=aside)))
    solarized = torch.rand(n, generator=aside) < config.solarize
    return torch.where(solarized, config.solarize_threshold, torch.inf)


def apply_views(
    images: Tensor, parameters: ViewParameters, size: int, between: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """Render augmented views of uint8 images for a training.

    Args:
        images: (B, H, W, 3) uint8.
        parameters: of B views, on the same device as the images.
        size: height and width of a view.
        between: modifies the crops, (B, 3, size, size) in [0, 1], before flip, blur and colour.
    Returns:
        (B, 3, size, size) float32 in [0, 1].
    """
    box, flip, sigma = parameters.box, parameters.flip, parameters.sigma
    planes = images.permute(0, 3, 1, 2).to(box.dtype, memory_format=torch.contiguous_format)
    if between is not None:
        crops = _resampled(planes, box, torch.zeros_like(flip), torch.zeros_like(sigma), size)
        planes = between(crops.clamp(0, 255) / 255).contiguous() * 255
        box = box.new_tensor([0.0, 0.0, size, size]).expand(len(box), 4)
    view = _resampled(planes, box, flip, sigma, size).reshape(len(planes), 3, size * size)
    view = _recolour(view, parameters).view(len(planes), 3, size, size)
    return view if parameters.solarize is None else solarized(view, parameters.solarize)


def solarized(view: Tensor, threshold: Tensor) -> Tensor:
    """Solarise bright pixels of augmented views (B, 3, H, W) in [0, 1]: v >= threshold becomes 1 - v.

    Invert bright pixels of (B, 3, H, W) views in [0, 1]: v becomes 1 - v where v >= threshold, (B,).
    """
    return torch.where(view >= threshold[:, None, None, None], 1 - view, view)


def centre_view(images: Tensor, size: int) -> Tensor:
    """Resize whole images without any augmentation: (B, H, W, 3) uint8 -> (B, 3, size, size) in [0, 1].

    Stored images are centre crops already (see `load_pixels`); at their own size they stay as they are.
    """
    n, height, width = images.shape[:3]
    planes = images.permute(0, 3, 1, 2).float().contiguous()
    box = planes.new_tensor([0.0, 0.0, height, width]).expand(n, 4)
    none = planes.new_zeros(n)
    return (_resampled(planes, box, none.bool(), none, size) / 255).clamp_(0, 1)


def augment(images: Tensor, size: int, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Render one random training view per image: (B, H, W, 3) uint8 -> (B, 3, size, size) in [0, 1].

    Render one random view per image: (B, H, W, 3) uint8 -> (B, 3, size, size) float32 in [0, 1].
    """
    parameters = draw_parameters(len(images), images.shape[1], images.shape[2], config, generator)
    return apply_views(images, parameters.to(images.device), size)


def resampling_matrix(start: Tensor, length: Tensor, n_in: int, n_out: int, sigma: Tensor) -> Tensor:
    """Compute weights that resize the interval [start, start + length) of n_in pixels to n_out, then blur.

    Bilinear with antialiasing, as in Pillow's resize(box=...): a triangle of half-width max(1, length /
    n_out) pixels around each output centre, normalised over the existing pixels. The Gaussian is normalised
    over the output.

    Args:
        start, length, sigma: (B,); sigma in output pixels, 0 for no blur.
    Returns:
        (B, n_out, n_in) float32, rows summing to 1.
    """
    device = start.device
    step = (length / n_out)[:, None, None]
    outputs = torch.arange(n_out, device=device, dtype=torch.float32)
    pixels = torch.arange(n_in, device=device, dtype=torch.float32) + 0.5
    centres = start[:, None, None] + (outputs[None, :, None] + 0.5) * step  # (B, n_out, 1)
    weights = (1 - (pixels - centres).abs() / step.clamp(min=1)).clamp(min=0)
    weights = weights / weights.sum(2, keepdim=True)
    distance = (outputs[:, None] - outputs[None, :]) / sigma.clamp(min=1e-3)[:, None, None]
    blur = torch.exp(-0.5 * distance.square())
    return torch.bmm(blur / blur.sum(2, keepdim=True), weights)


def _resampled(planes: Tensor, box: Tensor, flip: Tensor, sigma: Tensor, size: int) -> Tensor:
    """Resample boxes of (B, 3, H, W) planes to (B, 3, size, size), flipped and blurred as requested."""
    n, _, height, width = planes.shape
    top, left, box_height, box_width = box.unbind(1)
    rows = resampling_matrix(top, box_height, height, size, sigma)  # (B, size, H)
    columns = resampling_matrix(left, box_width, width, size, sigma)  # (B, size, W)
    columns = torch.where(flip[:, None, None], columns.flip(1), columns)
    across = torch.bmm(planes.reshape(n, 3 * height, width), columns.transpose(1, 2))  # (B, 3H, size)
    across = across.view(n, 3, height, size).transpose(1, 2).reshape(n, height, 3 * size)
    return torch.bmm(rows, across).view(n, size, 3, size).transpose(1, 2)


def _draw_boxes(uniform, height: int, width: int, config: AugmentConfig) -> Tensor:
    """Draw boxes as torchvision's RandomResizedCrop, but clip to the image instead of drawing again."""
    area = uniform(*config.crop_scale) * height * width
    ratio = uniform(*(math.log(edge) for edge in config.crop_ratio)).exp()
    box_width = (area * ratio).sqrt().clamp(max=width)
    box_height = (area / ratio).sqrt().clamp(max=height)
    top = uniform(0, 1) * (height - box_height)
    left = uniform(0, 1) * (width - box_width)
    return torch.stack([top, left, box_height, box_width], 1)


def _saturation_matrix(factor: Tensor) -> Tensor:
    """(B, 3, 3) that blends each pixel with its own grey: factor 0 is grey, 1 changes nothing."""
    gray = torch.tensor(LUMA).expand(3, 3)
    return factor[:, None, None] * torch.eye(3) + (1 - factor)[:, None, None] * gray


def _hue_matrix(turns: Tensor) -> Tensor:
    """(B, 3, 3) that rotates colours by a fraction of the circle and keeps their luma (rotates I and Q)."""
    yiq = torch.tensor(_YIQ)
    turn = torch.zeros(len(turns), 3, 3)
    angle = 2 * math.pi * turns
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = angle.cos()
    turn[:, 1, 2], turn[:, 2, 1] = -angle.sin(), angle.sin()
    return torch.linalg.inv(yiq) @ turn @ yiq


def _recolour(view: Tensor, parameters: ViewParameters) -> Tensor:
    """Apply the colour changes to (B, 3, pixels) in 0..255, and scale to [0, 1]."""
    colour = parameters.colour / 255
    keep = parameters.contrast[:, None, None]
    mean_gray = (colour @ view.mean(2, keepdim=True) * view.new_tensor(LUMA)[:, None]).sum(1, keepdim=True)
    offset = ((1 - keep) * mean_gray).expand(-1, 3, 1)
    return torch.baddbmm(offset, keep * colour, view).clamp_(0, 1)


# The images of each step and their random views, as a function of (seed, step) alone.


HELD = 0.25  # share of a GPU's free memory that they may use


@dataclass(frozen=True)
class StepDraw:
    """All random choices of one step, for its whole batch."""

    step: int
    rows: np.ndarray  # (batch,) images of the training split, ascending
    large: list[ViewParameters]  # one per view
    local: list[ViewParameters]


class Batches:
    """Views of the training images on the device, normalised.

    A step is drawn for the whole batch, on the CPU; a process or a micro-batch uses its part of it.
    """

    def __init__(
        self,
        config: TrainConfig,
        images: np.ndarray,
        views: tuple[int, int],
        device: torch.device,
        scale: Any,
    ):
        """`images`: (N, S, S, 3) uint8. `views`: number of large and of small ones. `scale`: mean, std."""
        self.config, self.n_views, self.n_local, self.device = config, *views, device
        self.n_images, self.size = len(images), images.shape[1:3]
        self.images = held(images, device)
        self.mean, self.std = (torch.tensor(values, device=device)[:, None, None] for values in scale)
        self.order: tuple[int, np.ndarray] = (-1, np.empty(0, int))  # image order of an epoch
        self.drawn: StepDraw | None = None
        self.groups: np.ndarray | None = None  # see `regroup`
        self.view_settings = view_settings(config.augment, self.n_views)  # of each large view

    @property
    def steps_per_epoch(self) -> int:
        return self.n_images // self.config.batch_size

    def draw(self, step: int) -> StepDraw:
        """Return the random choices of a step; drawn only once, even if requested in advance."""
        if self.drawn is None or self.drawn.step != step:
            generator = torch.Generator().manual_seed(derived_seed(self.config.seed, "views", step))

            def views(settings: list[AugmentConfig]) -> list[ViewParameters]:
                batch = self.config.batch_size
                return [
                    draw_parameters(batch, self.size[0], self.size[1], setting, generator)
                    for setting in settings
                ]

            large = views(self.view_settings)
            small = views([local_views(self.config)[1]] * self.n_local) if self.n_local else []
            self.drawn = StepDraw(step, self.rows(step), large, small)
        return self.drawn

    def regroup(self, groups: np.ndarray | None) -> None:
        """Draw from groups of images from now on, (n_images,) codes as in `Method.batch_groups`."""
        self.groups, self.order, self.drawn = groups, (-1, np.empty(0, int)), None

    def rows(self, step: int) -> np.ndarray:
        epoch, batch = divmod(step, self.steps_per_epoch)
        if self.order[0] != epoch:
            seed = self.config.seed
            order = epoch_order(self.n_images, seed, epoch)
            if self.groups is not None:
                order = grouped_order(self.groups, seed, epoch, self.config.batch_size)
            self.order = (epoch, order)
        size = self.config.batch_size
        return np.sort(self.order[1][batch * size : (batch + 1) * size])

    def views(self, step: int, part: slice = slice(None)) -> tuple[Tensor, Tensor | None]:
        """Return normalised views of a part of the step's images, view after view.

        Returns:
            (n_views * B, 3, S, S), and (n_local * B, 3, s, s) or None.
        """
        drawn = self.draw(step)
        images = self.pixels(drawn.rows[part])
        first = part.indices(self.config.batch_size)[0]

        def on_device(parameters: list[ViewParameters]) -> list[ViewParameters]:
            return [views.part(part).to(self.device) for views in parameters]

        def rendered(number: int, views: ViewParameters, how: AugmentConfig) -> Tensor:
            if how.recipe == "image":
                return apply_views(images, views, self.config.crop_size)
            generator = partial(self.generator, step, first, number)
            render_view = function_of_option("train [augment] view")
            return render_view(images, views, self.config.crop_size, how, generator)

        each = zip(on_device(drawn.large), self.view_settings, strict=True)
        large = [rendered(number, views, how) for number, (views, how) in enumerate(each)]
        if not drawn.local:
            return self.normalise(torch.cat(large)), None
        size = local_views(self.config)[0]
        small = [apply_views(images, views, size) for views in on_device(drawn.local)]
        return self.normalise(torch.cat(large)), self.normalise(torch.cat(small))

    def generator(self, step: int, first: int, view: int) -> torch.Generator:
        """Return a generator on the device, where Fourier transforms draw: views depend on the hardware."""
        name = f"fourier {first} {view}" if view else f"fourier {first}"
        seed = derived_seed(self.config.seed, name, step)
        return torch.Generator(self.device).manual_seed(seed)

    def pixels(self, rows: np.ndarray) -> Tensor:
        if isinstance(self.images, Tensor):
            return self.images[torch.from_numpy(rows).to(self.device)]
        return torch.from_numpy(self.images[rows]).to(self.device)

    def normalise(self, views: Tensor) -> Tensor:
        """Normalise (B, 3, S, S) in [0, 1] for the network."""
        return ((views - self.mean) / self.std).contiguous(memory_format=torch.channels_last)


def held(rows: np.ndarray, device: torch.device, share: float = HELD) -> np.ndarray | Tensor:
    """Move images or vectors of a training to the GPU if they fit, so that no step waits for them.

    Others are returned as they are.
    """
    if device.type != "cuda" or rows.nbytes > share * torch.cuda.mem_get_info(device)[0]:
        return rows
    there = torch.empty(rows.shape, dtype=torch.from_numpy(np.array(rows[:1])).dtype, device=device)
    for start in range(0, len(rows), 4096):
        there[start : start + 4096] = torch.from_numpy(np.array(rows[start : start + 4096]))
    return there


def parts_of_batch(config: TrainConfig, rank: int, n_processes: int) -> list[slice]:
    """List the images of each training batch that a process takes: one slice per micro-batch.

    A batch comes in listing order, often class by class, so the micro-batches of a process are interleaved:
    each sees every class.

    Raises:
        SettingsError: the batch does not divide into equal parts of at least two images.
    """
    n_parts = config.accumulate * n_processes
    size, left = divmod(config.batch_size, n_parts)
    if left or size < 2:
        raise SettingsError(
            f"batch_size = {config.batch_size} does not divide into {n_parts} equal parts of 2 or more "
            f"images ({n_processes} processes, accumulate = {config.accumulate})."
        )
    first, n = rank * size * config.accumulate, config.accumulate
    return [slice(first + part, first + size * n, n) for part in range(n)]
