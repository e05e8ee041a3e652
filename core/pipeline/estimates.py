"""Time and disk space of every step of an analysis, from rates measured on a few images and rows."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from core.analysis.definitions import highly_activating, normalise_rows
from core.analysis.gradcam import CLOSED, gradcam_maps, method_of
from core.analysis.kept_maps import is_apart, settle_precision
from core.analysis.linear_probe import Recipe, ShuffledRows, Standard, fit
from core.analysis.probe_penalty import PER_CLASS
from core.common.formatting import percent
from core.common.moments import Moments
from core.common.processes import default_workers
from core.config import EPSILON_CANDIDATES, NeighboursConfig, ProbeConfig, RunOptions
from core.data.decode import thumbnail_jpeg
from core.encoders.registry import Encoder
from core.measures.metrics import bootstrap_metrics, rank
from core.pipeline.run import OF_LABELS
from core.study.steps import STEPS, in_analysis, settings_of
from core.study.stored_heatmaps import kept_per_image, pack_maps, scratch_bytes

ENOUGH = 1.0  # seconds: a rate that took this long is measured
BATCH = 32
ROWS = 256  # rows of numbers that a rate is measured on
PASSES = 80  # of a probe over its rows, to its optimum: 75 of the demo, 76 of CIFAR-10
SEARCH_PASSES = 600  # over the few rows of each class that its penalty is chosen on: 655 and 314
CROSSFIT_PASSES = 20  # of a fit of crossfit, which knows the curvature: measured on 1,500 images of CIFAR-10
N_SCORES = 20  # scores that `quality` evaluates
STARTING = 0.5  # seconds that a step takes for no image: imports, reading and writing the study
MAP_BYTES = 2  # a stored heatmap has half precision
CLIP_BYTES = 1024  # a row of the search index
SEEN_IN_PASS = "CLIP reads whole images while they are embedded"
SPECTRUM_ROWS, MAP_ROWS = 25_600, 100_000  # to which `neighbours` and `map` reduce large studies


@dataclass(frozen=True)
class Sizes:
    """The sizes of a study that its cost depends on."""

    n_images: int
    n_val: int
    n_classes: int
    n_masked: int = 0
    n_captions: int = 0
    no_probe: str | None = None  # why there is none

    @property
    def n_train(self) -> int:
        return self.n_images - self.n_val


@dataclass(frozen=True)
class Estimate:
    """The cost of one step; `seconds` None where it cannot be told, with the reason in `note`."""

    step: str
    seconds: float | None
    bytes: float = 0.0
    note: str = ""
    passing: int = 0  # bytes that are there for a while only

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"title": STEPS[self.step].title}


@dataclass(frozen=True)
class ImageRates:
    """Seconds an image, and what its maps and vectors are."""

    seconds: float  # read and represented
    raw: np.ndarray  # (n, n_features) of the sample
    map_seconds: float | None = None  # read, represented, and its maps made; None without maps
    map_bytes: float = 0.0  # a map
    keeps_maps: bool = False  # `embed` keeps them for `heatmaps`
    apart_seconds: float = 0.0  # of a second pass, where maps are made in another precision


def image_rates(
    encoder: Encoder, pictures: list[Image.Image], decode: float, run: RunOptions, epsilon: float
) -> ImageRates:
    """For `--dry-run`, time an encoder and its maps on at most BATCH images, on few where they take long.

    Args:
        decode: seconds to read an image, with all workers together.
    """
    images = [encoder.transform.pixels(picture) for picture in pictures[:BATCH]]
    pixels = torch.from_numpy(np.stack(images))
    small = pixels[:2]
    precision = settle_precision(encoder, small)
    _timed(lambda: encoder.represent(small[:1]))  # the first call allocates
    together = encoder.device.type == "cuda"  # reading overlaps with the encoder
    slow = not together and _timed(lambda: encoder.represent(small)) > ENOUGH * len(small) / BATCH
    batch = small if slow else pixels[: min(run.batch_size, len(pixels))]
    outputs: list[torch.Tensor] = []
    times = 2 if together else 1  # a GPU loads its kernels in the first call
    forward = _timed(lambda: outputs.append(encoder.represent(batch).cpu()), times=times) / len(batch)
    seconds = max(decode, forward) if together else decode + forward
    raw = outputs[0].numpy()
    _, maps = encoder.represent_with_map(small[:1])
    if maps.shape[2] * maps.shape[3] == 1:
        return ImageRates(seconds, raw)
    n_maps = max(1, round(firing_per_image(raw, epsilon)))
    features = torch.from_numpy(np.argsort(-raw, axis=1)[:, :n_maps].copy())
    closed = method_of(encoder) == CLOSED
    few = (batch if together else small) if closed else small[:1]
    apart = closed and is_apart(encoder, precision)
    asked, encoder.precision = encoder.precision, precision if apart else encoder.precision

    def draw() -> None:
        for one in gradcam_maps(encoder, few, features[: len(few)]).cpu().numpy():
            pack_maps(np.zeros(len(one)), one)

    drawing = _timed(draw, times=times) / len(few)
    shape = maps.shape[2] * maps.shape[3] * MAP_BYTES
    map_seconds = max(decode, drawing) if together else decode + drawing
    encoder.precision = asked
    keeps_maps = closed and not run.no_maps
    return ImageRates(seconds, raw, map_seconds, shape, keeps_maps, drawing if keeps_maps and apart else 0.0)


def decode_rate(
    pictures: list[Image.Image], reading: float, thumbnail_size: int, run: RunOptions, n_images: int
) -> float:
    """Measure seconds to read an image and make its thumbnail, to estimate how long an analysis takes."""
    few = pictures[:8]
    if thumbnail_size and few:
        reading += _timed(lambda: [thumbnail_jpeg(one, thumbnail_size) for one in few]) / len(few)
    return reading / max(default_workers(run, n_images), 1)


def firing_per_image(raw: np.ndarray, epsilon: float) -> float:
    """Mean number of features that fire on an image, by which `--dry-run` estimates how long steps take."""
    return float(highly_activating(normalise_rows(raw), epsilon=epsilon).sum(1).double().mean())


def estimate_steps(
    sizes: Sizes,
    rates: ImageRates,
    options: Mapping[str, Any],
    embed_bytes: float,
    clip: Any = None,
    *,
    given: bool = False,
) -> list[Estimate]:
    """Estimate how long every step that `analyze` would run with these options takes.

    Args:
        embed_bytes: disk space after embedding. clip: a loaded CLIP, or the reason why there is none.
        given: representations are given, so that CLIP reads whole images in a pass of its own.
    """
    numbers = _numeric_seconds(sizes, rates.raw, options)
    second = rates.apart_seconds if _keeps(sizes, rates) else 0.0
    seen = _seen_in_pass(None if given else clip)
    embedding = sizes.n_images * (rates.seconds + second + seen.seconds)
    passing = _kept_bytes(sizes, rates) + sizes.n_images * seen.n_bytes
    note = SEEN_IN_PASS if seen.n_bytes else ""
    by_step = {step: Estimate(step, seconds) for step, seconds in numbers.items()}
    by_step["embed"] = Estimate("embed", embedding, embed_bytes, note, passing)
    by_step["heatmaps"] = _heatmaps(sizes, rates, options)
    by_step["overlap"] = _overlap(sizes, rates)
    for step in ("concepts", "search"):
        by_step[step] = _with_clip(step, sizes, rates, clip, seen)
    if sizes.no_probe:
        by_step["probe"] = Estimate("probe", 0.0, note=sizes.no_probe)
    if not sizes.n_classes:
        by_step |= {step: Estimate(step, 0.0, note="no labels") for step in OF_LABELS}
    return [by_step[step] for step in in_analysis()]


def _numeric_seconds(sizes: Sizes, raw: np.ndarray, options: Mapping[str, Any]) -> dict[str, float]:
    """Measure one pass over rows, products of matrices, an epoch of the probe and a bootstrap resample."""
    n_features = raw.shape[1]
    noise = np.random.default_rng(0).uniform(0.5, 1.5, (ROWS, n_features))
    rows = (np.resize(raw, (ROWS, n_features)) * noise).astype(np.float32)
    each_row = _timed(lambda: highly_activating(normalise_rows(rows)), times=2) / ROWS
    matrix = torch.from_numpy(rows).double()
    product = _timed(lambda: matrix @ matrix.T, times=2) / (ROWS * ROWS * n_features)  # a multiplication
    candidates = len(EPSILON_CANDIDATES) if options.get("epsilon") == "auto" else 1
    spectrum = min(sizes.n_images, SPECTRUM_ROWS) * n_features**2 + 10 * n_features**3
    similarities = sizes.n_val * min(sizes.n_train, MAP_ROWS) * n_features
    similarities += sizes.n_images * min(sizes.n_train, NeighboursConfig.max_nearest) * n_features
    components = min(sizes.n_images, MAP_ROWS) * n_features**2
    one_pass = sizes.n_images * each_row
    logits = sizes.n_images * n_features * sizes.n_classes
    has_probe = sizes.n_classes and not sizes.no_probe
    passes = {
        "features": (candidates + 2) * sizes.n_images * each_row,
        "neighbours": (similarities + spectrum) * product,
        "quality": 4 * one_pass + _bootstrap_seconds(sizes, options),
        "map": 2 * one_pass + components * product,
        "failures": one_pass,
        "answers": logits * product,
        "probe": _probe_seconds(sizes, rows, options) if has_probe else 0.0,
        "crossfit": _crossfit_seconds(sizes, rows, options) if sizes.n_classes else 0.0,
    }
    return {step: STARTING + seconds for step, seconds in passes.items()}


def _probe_seconds(sizes: Sizes, rows: np.ndarray, options: Mapping[str, Any]) -> float:
    """Count the rows that a fit to the optimum sees, or time an epoch at every candidate rate and at one."""
    config = settings_of("probe", options)
    if config.solver_in_use == "lbfgs":
        few = min(sizes.n_train, PER_CLASS * sizes.n_classes)
        n_seen = PASSES * sizes.n_train + SEARCH_PASSES * few
        return _epoch_seconds(sizes, rows, (0.1,), config.batch_size) * n_seen
    both = _epoch_seconds(sizes, rows, (config.lr_candidates[0],), config.batch_size)
    both += 0 if config.lr else _epoch_seconds(sizes, rows, config.lr_candidates, config.batch_size)
    return both * sizes.n_train * config.epochs


def _crossfit_seconds(sizes: Sizes, rows: np.ndarray, options: Mapping[str, Any]) -> float:
    """Count the images that fits to the optimum see: of all folds, and of the search of the strength."""
    config = settings_of("crossfit", options)
    searched = min(sizes.n_images, config.most_searched) * config.inner_folds * len(config.strengths)
    n_seen = config.folds * sizes.n_images + searched
    return _epoch_seconds(sizes, rows, (0.1,), ProbeConfig.batch_size) * n_seen * CROSSFIT_PASSES


def _epoch_seconds(sizes: Sizes, rows: np.ndarray, lrs: Sequence[float], batch_size: int) -> float:
    """Time one epoch of the probe at some rates together, in seconds a row."""
    labels = torch.arange(ROWS) % max(sizes.n_classes, 1)
    standard = Standard.of(Moments.of_rows(rows))
    table = torch.from_numpy(rows)
    shuffled = ShuffledRows(lambda at: table[torch.from_numpy(at)], labels, rows.shape[1], standard)
    once = Recipe(epochs=1, batch_size=batch_size)
    fitted = _timed(lambda: fit(shuffled, np.arange(ROWS), sizes.n_classes, lrs=list(lrs), recipe=once))
    return fitted / ROWS


def _bootstrap_seconds(sizes: Sizes, options: Mapping[str, Any]) -> float:
    if not sizes.n_classes or sizes.n_val < 2:
        return 0.0
    rng, n, few = np.random.default_rng(0), min(sizes.n_val, 10_000), 5
    rankings = [rank(rng.random(n), rng.random(n) < 0.8) for _ in range(N_SCORES)]
    measured = _timed(lambda: bootstrap_metrics(rankings, n, resamples=few, seed=0))
    return measured / few * settings_of("quality", options).bootstrap * sizes.n_val / n


def _heatmaps(sizes: Sizes, rates: ImageRates, options: Mapping[str, Any]) -> Estimate:
    """Maps of the evaluation and masked images, and of the top images of every feature (core selection)."""
    if rates.map_seconds is None:
        return Estimate("heatmaps", 0.0, note="no maps")
    config = settings_of("heatmaps", options)
    n_top = config.top * rates.raw.shape[1]
    others = max(sizes.n_train - sizes.n_masked, 0)
    drawn = others * (1 - (1 - 1 / max(sizes.n_images, 1)) ** n_top)  # hit by one of n_top draws
    n_images = sizes.n_images if config.train else sizes.n_val + min(sizes.n_masked, sizes.n_train) + drawn
    n_maps = n_images * firing_per_image(rates.raw, 4.0) + n_top
    share = _second_pass(sizes, rates)
    seconds = STARTING + share * n_images * rates.map_seconds
    note = f"network on {percent(share, 0)} of the images" if _keeps(sizes, rates) else ""
    return Estimate("heatmaps", seconds, n_maps * rates.map_bytes, note)


def _second_pass(sizes: Sizes, rates: ImageRates) -> float:
    """Estimate the share of images that the encoder reads again for `heatmaps`: more fire than are kept."""
    if not _keeps(sizes, rates):
        return 1.0
    n_kept = kept_per_image(sizes.n_images, rates.raw.shape[1], round(rates.map_bytes / MAP_BYTES))
    firing = highly_activating(normalise_rows(rates.raw), epsilon=4.0).sum(1)
    return float((firing > n_kept).double().mean())


def _keeps(sizes: Sizes, rates: ImageRates) -> bool:
    """Whether `embed` keeps maps: where they take a second pass, only if all of them can be kept."""
    n_features = rates.raw.shape[1]
    n_kept = kept_per_image(sizes.n_images, n_features, round(rates.map_bytes / MAP_BYTES) or 1)
    return rates.keeps_maps and (not rates.apart_seconds or n_kept == n_features)


def _kept_bytes(sizes: Sizes, rates: ImageRates) -> int:
    """Estimate the bytes of the maps that `embed` keeps until `heatmaps` has stored its own."""
    if not _keeps(sizes, rates):
        return 0
    return scratch_bytes(sizes.n_images, rates.raw.shape[1], round(rates.map_bytes / MAP_BYTES))


def _overlap(sizes: Sizes, rates: ImageRates) -> Estimate:
    """Each masked image is read with its two masks, and its maps are resized to the input view."""
    if not sizes.n_masked or rates.map_seconds is None:
        return Estimate("overlap", 0.0, note="no masks")
    return Estimate("overlap", STARTING + sizes.n_masked * (rates.map_seconds + 2 * rates.seconds))


class SeenInPass(NamedTuple):
    """Seconds that CLIP takes for an image while it is embedded, and bytes that are kept of it."""

    seconds: float = 0.0
    n_bytes: int = 0


def _seen_in_pass(clip: Any) -> SeenInPass:
    if clip is None or isinstance(clip, str):
        return SeenInPass()
    return SeenInPass(_clip_seconds(clip), 4 * clip.width)


def _clip_seconds(clip: Any) -> float:
    picture = [Image.new("RGB", (224, 224))] * 4
    return _timed(lambda: clip.embed_images(picture), times=2) / len(picture)


def _with_clip(step: str, sizes: Sizes, rates: ImageRates, clip: Any, seen: SeenInPass) -> Estimate:
    """`search` embeds all images, unless they are `seen` before; `concepts` all captions and the crops of
    every feature that qualifies."""
    if step == "concepts" and not sizes.n_captions:
        return Estimate(step, 0.0, note="no captions")
    if clip is None or isinstance(clip, str):
        return Estimate(step, None, note=clip or "no CLIP is named")
    if step == "search" and seen.n_bytes:
        return Estimate(step, STARTING, sizes.n_images * CLIP_BYTES)
    each = seen.seconds or _clip_seconds(clip)
    if step == "search":
        return Estimate(step, STARTING + sizes.n_images * (rates.seconds + each), sizes.n_images * CLIP_BYTES)
    word = _timed(lambda: clip.embed_texts(["a photo of a dog"] * 16), times=2) / 16
    n_crops = min(10, sizes.n_val) * rates.raw.shape[1] / 2  # of the half of the features that qualifies
    return Estimate(step, STARTING + sizes.n_captions * word + n_crops * (rates.seconds + each))


def _timed(run: Callable[[], object], *, times: int = 1) -> float:
    """Return the seconds of the fastest of some runs."""
    seconds = []
    with torch.inference_mode(False):
        for _ in range(times):
            began = time.perf_counter()
            run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - began)
    return min(seconds)
