"""The start of a training: network, order of the images, their statistics, and seeds."""

import dataclasses
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from core.common.topics import function_named
from core.encoders.transform import Transform
from core.errors import SettingsError
from core.training.backbones import (
    build_backbone,
    count_features,
    square_side,
    start_backbone,
    start_transform,
)
from core.training.config import AugmentConfig, RegularizerConfig, TrainConfig, sections
from core.training.method import Method
from core.training.methods import build_method
from core.training.objective import SmallViewSettings, own_settings
from core.training.penalty import Penalised
from core.training.pixels import Pixels

Build = Callable[[nn.Module, int, TrainConfig], Method]  # as `build_method` of a method

STATISTICS_IMAGES = 5000  # seeded sample; mean and standard deviation converge well before


def start_method(config: TrainConfig, around: Build | None = None) -> Method:
    """Build the method of a config: untrained, or around the start encoder and its regulariser.

    Args:
        around: builds it instead of the registry, if a section of the settings asks for that.
    """
    if config.start is None:
        backbone, n_features = build_backbone(config.arch, config.stem, config.crop_size)
    else:
        backbone, n_features = start_backbone(config, config.arch, config.crop_size)
    if around is None:
        method = build_method(config.method, backbone, n_features, config)
    else:
        method = around(backbone, n_features, config)
    if method.n_local:
        count_features(backbone, config.arch, local_views(config)[0])
    if config.start is None and config.regularizer == RegularizerConfig():
        return method
    return Penalised(method, n_features, config)


def build_around(
    config: TrainConfig, source: Any, rows: np.ndarray, note: Callable[[str], None]
) -> Build | None:
    """Return what builds the method of a training instead of the registry, if a section asks for it."""
    for section in sections().values():
        if (build := function_named(section.around)(config, source, rows, note)) is not None:
            return build
    return None


def build_exported(config: TrainConfig) -> nn.Module:
    """Build the network of a trained encoder for analysis; it must accept the weights unchanged.

    A network with another output_stride does: dilation applies the same filters on a finer grid.
    """
    if config.start is not None:
        size = square_side(start_transform(config), f"the start '{config.start}'")
        return start_backbone(config, config.export_arch or config.arch, size)[0].eval()
    with torch.random.fork_rng(devices=[]):  # this network must not change the training
        trained, _ = build_backbone(config.arch, config.stem, config.crop_size)
        exported, _ = build_backbone(config.export_arch or config.arch, config.stem, config.image_size)
    try:
        exported.load_state_dict(trained.state_dict())
    except RuntimeError:
        raise SettingsError(
            f"export_arch '{config.export_arch}' has different weights from arch '{config.arch}'."
        ) from None
    return exported.eval()


def local_views(config: TrainConfig) -> tuple[int, AugmentConfig]:
    """Return size and settings of a training's small views: as the large ones, from a smaller part."""
    objective = own_settings(config.objective, SmallViewSettings)
    size = objective.local_size or max(config.crop_size // 2, 1)
    return size, dataclasses.replace(config.augment, crop_scale=objective.local_scale)


def describe_source(source: Any) -> dict[str, Any]:
    """Describe the training images, with the parameters of a synthetic world, which may change later.

    Of an absolute path only its last name is told: those who get the encoder need not know this machine.
    """
    world = getattr(source, "world", None)
    planted = {} if world is None else {"world": dataclasses.asdict(world)}
    return {**_last_names(source.describe()), "fingerprint": source.fingerprint(), **planted}


def _last_names(described: Any) -> Any:
    """Replace every absolute path inside dicts and lists by its last name."""
    if isinstance(described, dict):
        return {key: _last_names(value) for key, value in described.items()}
    if isinstance(described, list | tuple):
        return [_last_names(value) for value in described]
    return Path(described).name if isinstance(described, str) and os.path.isabs(described) else described


def epoch_order(n_images: int, seed: int, epoch: int) -> np.ndarray:
    """Return an epoch's permutation of the training images that depends only on the arguments."""
    return np.random.default_rng(derived_seed(seed, "order", epoch)).permutation(n_images)


def grouped_order(groups: np.ndarray, seed: int, epoch: int, batch_size: int) -> np.ndarray:
    """Return the images of an epoch's full training batches, each with as many of each group.

    No image comes twice in a batch: a contrastive loss would take its second copy for a negative. A group
    with fewer images than its share gives them all, and the others fill the batch. A group that is used up
    begins again, in another order, so its images come more than once an epoch.

    Args:
        groups: (n_images,) int codes; images with -1 are left out.
    Returns:
        (steps * batch_size,) int64; fewer a batch where all groups together have fewer images.
    """
    codes = [code for code in np.unique(groups) if code >= 0]
    members = [np.flatnonzero(groups == code) for code in codes]
    queues, rounds = [rows[:0] for rows in members], [0] * len(codes)
    batches = []
    for batch in range(len(groups) // batch_size):
        for group, n in enumerate(_shares_of_batch([len(rows) for rows in members], batch_size, batch)):
            taken, queue = queues[group][:n], queues[group][n:]
            if len(taken) < n:
                key = derived_seed(seed, f"order {codes[group]} {rounds[group]}", epoch)
                again = np.random.default_rng(key).permutation(members[group])
                rounds[group] += 1
                is_repeated = np.isin(again, taken)  # go last, beyond what this batch still needs
                queue, missing = np.concatenate([again[~is_repeated], again[is_repeated]]), n - len(taken)
                taken, queue = np.concatenate([taken, queue[:missing]]), queue[missing:]
            queues[group] = queue
            batches.append(taken)
    return np.concatenate([np.empty(0, np.int64), *batches])


def _shares_of_batch(sizes: Sequence[int], batch_size: int, batch: int = 0) -> list[int]:
    """Divide a training batch among groups of images as equally as their sizes allow.

    >>> _shares_of_batch([10, 10], 8), _shares_of_batch([3, 20, 20], 16), _shares_of_batch([9, 9], 5, 1)
    ([4, 4], [3, 7, 6], [2, 3])
    """
    shares, left = [0] * len(sizes), min(batch_size, sum(sizes))
    while left:
        open_ = [group for group, size in enumerate(sizes) if shares[group] < size]
        each, rest = divmod(left, len(open_))
        for number, group in enumerate(open_):
            share = each + ((number - batch) % len(open_) < rest)
            shares[group] += min(share, sizes[group] - shares[group])
        left = min(batch_size, sum(sizes)) - sum(shares)
    return shares


def transform_of(config: TrainConfig, images: np.ndarray) -> Transform:
    """Return the transform of the trained encoder: that of its start, else from the images' statistics."""
    if config.start is not None:
        return start_transform(config)
    mean, std = channel_statistics(images, config.seed)
    return Transform(config.image_size, config.image_size, tuple(mean), tuple(std))


def channel_statistics(images: np.ndarray, seed: int) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel of training images in [0, 1], from a seeded sample."""
    rows = np.sort(np.random.default_rng(seed).permutation(len(images))[:STATISTICS_IMAGES])
    counts = [np.bincount(images[rows, :, :, channel].ravel(), minlength=256) for channel in range(3)]
    values = np.arange(256) / 255
    mean = [float(np.average(values, weights=count)) for count in counts]
    spread = []
    for channel_mean, count in zip(mean, counts, strict=True):
        variance = np.average((values - channel_mean) ** 2, weights=count)
        spread.append(math.sqrt(variance))
    return [round(m, 4) for m in mean], [round(max(s, 1e-3), 4) for s in spread]


def sample(pixels: Pixels, n: int, seed: int) -> Pixels:
    """Return a seeded sample of n of the pixels of a training's images."""
    rows = np.sort(np.random.default_rng(seed).permutation(len(pixels.images))[:n])
    labels = None if pixels.labels is None else pixels.labels[rows]
    return Pixels(pixels.images[rows], labels, pixels.rows[rows])


def derived_seed(seed: int, purpose: str, number: int) -> int:
    """Derive the seed of one purpose of a training, such as augmentation, from its seed and a number."""
    entropy = np.random.SeedSequence([seed, number, *purpose.encode()])
    return int(entropy.generate_state(1, np.uint64)[0] >> np.uint64(1))


def open_training_images(config: TrainConfig) -> Any:
    """Open the images that a training's settings name."""
    from core.data.images import open_images
    from core.data.pixel_values import reading_of

    seed = config.seed if config.split_seed is None else config.split_seed
    levels = {"class_level": config.class_level, "group_level": config.group_level}
    opened = open_images(config.images, val=config.val, seed=seed, **levels)
    return opened.read_as(reading_of(config.range, config.transparency))
