"""The images of each step and their random views, as a function of (seed, step) alone."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core.errors import SettingsError
from core.topics import function_of_option
from core.training.augmentations.augment import ViewParameters, apply_views, draw_parameters
from core.training.augmentations.config import AugmentConfig, view_settings
from core.training.config import TrainConfig
from core.training.setup import derived_seed, epoch_order, grouped_order, local_views

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
                    draw_parameters(batch, self.size[0], self.size[1], one, generator) for one in settings
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
    """Move images or vectors to the GPU if they fit, so that no step waits for them; else return them as
    they are.
    """
    if device.type != "cuda" or rows.nbytes > share * torch.cuda.mem_get_info(device)[0]:
        return rows
    there = torch.empty(rows.shape, dtype=torch.from_numpy(np.array(rows[:1])).dtype, device=device)
    for start in range(0, len(rows), 4096):
        there[start : start + 4096] = torch.from_numpy(np.array(rows[start : start + 4096]))
    return there


def parts_of_batch(config: TrainConfig, rank: int, n_processes: int) -> list[slice]:
    """List the images of each batch that a process takes: one slice per micro-batch.

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
