"""Whether a classifier was given pixels of another normalisation than it was trained with, transparent parts
on another ground, or stands on a network whose first convolution pads otherwise."""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from core.analysis.heatmaps_on_demand import study_encoder
from core.answers.head import matched, share_by_order
from core.answers.outcome import Request
from core.common.dataframes import evenly
from core.common.records import Templates
from core.common.step_facts import EmbedFacts
from core.config.analysis import TRANSPARENCIES
from core.data.images import describe_images, reopen_images
from core.data.pixel_values import TRANSPARENT, file_facts
from core.encoders.bare_head import fill_activation
from core.encoders.transform import CIFAR_MEAN, CIFAR_STD, IMAGENET_MEAN, IMAGENET_STD
from core.errors import EncoderError, PeregrineError
from core.measures.choice import TRIAL_IMAGES, TRIAL_SHARE, Decision, choose, deciding_rows
from core.measures.design_effect import groups_among
from core.store import Study
from core.study.progress import Progress

HALF, BATCH = 128, 32
say_of_normalisation = Templates.beside(__file__)
COMMON = (  # mean and standard deviation of pixels in [0, 1]
    (IMAGENET_MEAN, IMAGENET_STD),
    ((0.5,) * 3, (0.5,) * 3),
    ((0.0,) * 3, (1.0,) * 3),
    ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),  # CLIP's
    (CIFAR_MEAN, CIFAR_STD),
    ((0.0,) * 3, (1 / 255,) * 3),  # not scaled at all
)


@dataclass(frozen=True)
class Tried:
    """How a classifier is tried: mean and std of pixels in [0, 1], the padding of the first convolution, and
    how transparent parts are shown (None: as the encoder and the images were read)."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    stem_padding: int | None = None
    transparency: str | None = None


def remaining_candidates(right: np.ndarray, left: Iterable[int]) -> list[int]:
    """Name the normalisations of pixels that may still prove better than the study's own.

    After n images one has to be ahead by (n - 32) / 96 of McNemar's standard deviations. After half of the
    images only the best one is left.

    Args:
        right: (n_normalisations, n) bool, whether images were classified correctly. left: those that were
            tried on all of them.
    Returns:
        0 and those others.
    """
    n, ahead = right.shape[1], _leads(right)
    others = sorted((candidate for candidate in left if candidate), key=lambda one: -ahead[one])
    others = [candidate for candidate in others if ahead[candidate] >= (n - BATCH) / (HALF - BATCH)]
    return [0, *others[: 1 if n >= HALF else None]]


def _leads(right: np.ndarray) -> np.ndarray:
    """By how much each normalisation of pixels is ahead of the study's own in correct answers.

    (n_normalisations,) by how many of McNemar's standard deviations each is ahead of the first one.
    """
    won, lost = (right & ~right[0]).sum(1), (~right & right[0]).sum(1)
    return (won - lost) / np.sqrt(np.maximum(won + lost, 1))


def likely_normalisation(
    study: Study, request: Request, progress: Progress, at_chance: bool = True
) -> str | None:
    """Name, as a caveat of a study's accuracy, the pixel normalisation by which its head is right more often.

    Or the padding of a 3x3 first convolution, or the way to show transparent parts; on at most 256
    labelled images.

    Most are tried on fewer images (`remaining_candidates`), and from 128 on one that is sure ends the
    search. Beyond a batch for each of them it takes no more than a twentieth of the passes of `embed`.

    Args:
        at_chance: the head is no better than guessing. Where it is better, a normalisation that came with
            the weights is not questioned.
    Returns:
        one line; None where labels favour none over the study's own (`choose`), where another order of the
        classes explains more (`order_note`), or where the encoder or images cannot be read.
    """
    about = study.facts(EmbedFacts).head
    pixels = at_chance or not about.normalisation_stated
    if not (pixels or about.other_stem_paddings or study.facts(EmbedFacts).n_transparent):
        return None
    try:
        trial = _Trial(study, request, about.source, pixels=pixels)
        right = trial.run(progress)
    except PeregrineError:
        return None
    if right is None:
        return None
    better, n = trial.left[1], right.shape[1]
    choice = trial.choice(right, better)
    if not choice.taken or right[better].mean() < trial.explained_by_order(n):
        return None
    taken = trial.tried[better]
    kind, what = "stem_likely_wrong", str(taken.stem_padding)
    if taken.transparency is not None:
        kind, what = "transparency_likely_wrong", f"--transparency {taken.transparency}"
    elif taken.stem_padding is None:
        mean, std = (",".join(f"{value:g}" for value in values) for values in (taken.mean, taken.std))
        kind, what = "likely_wrong", f"--mean {mean} --std {std}"
    shares = [float(right[one].mean()) for one in (better, 0)]
    return say_of_normalisation(kind, n=n, value=shares[0], chance=shares[1], what=what)


@contextlib.contextmanager
def _padded(network: nn.Module, padding: int | None) -> Iterator[None]:
    """The network with another padding of its first convolution, for a while; None: as it is."""
    if padding is None:
        yield
        return
    stem: nn.Conv2d = network.get_submodule("conv1")  # pyright: ignore[reportAssignmentType]
    before = stem.padding
    stem.padding = (padding, padding)
    try:
        yield
    finally:
        stem.padding = before


class _Trial:
    """The images of a study, read by its own classifier with several normalisations.

    Attributes:
        tried: the study's own reading first. left: places of those that may still be better.
        predicted: (n_tried, n_rows) int, places of what was answered; 0 where it was not tried.
    """

    def __init__(self, study: Study, request: Request, source: str, *, pixels: bool) -> None:
        """Args: pixels: other normalisations are tried, too."""
        self.study = study
        self.encoder = study_encoder(study, request.device)
        head = self.encoder.find_head()
        if isinstance(head, str):
            raise EncoderError(head)
        self.head = head.of_source(source)
        for part in self.head.parts:
            fill_activation(part.module, request.head_activation)
        _, self.columns = matched(study, request)
        self.labels = study.images["label"].to_numpy(object)
        rows = deciding_rows(np.isin(self.labels, self.columns.known or ()), study.is_val)
        self.rows = np.random.default_rng(0).permutation(rows[evenly(len(rows), TRIAL_IMAGES)])
        usual = Tried(self.encoder.transform.mean, self.encoder.transform.std)
        paddings = [replace(usual, stem_padding=padding) for padding in self.encoder.other_stem_paddings]
        others = [Tried(*one) for one in COMMON if not np.allclose(one, (usual.mean, usual.std))]
        grounds = [replace(usual, transparency=ground) for ground in self._other_grounds()]
        self.tried = [usual, *paddings, *grounds, *(others if pixels else [])]
        self.left = list(range(len(self.tried)))
        self.predicted = np.zeros((len(self.tried), len(self.rows)), int)

    def run(self, progress: Progress) -> np.ndarray | None:
        """(n_tried, n) bool, whether each image was answered correctly; None where none can be better."""
        budget = max(len(self.tried) * BATCH, int(TRIAL_SHARE * self.study.n_images))
        names, right = np.array(self.columns.names, object), np.zeros((len(self.tried), 0), bool)
        with progress.stage("normalisations", total=len(self.rows), unit="images") as bar:
            for start in range(0, len(self.rows), BATCH):
                some = self.rows[start : start + BATCH]
                budget -= len(self.left) * len(some)
                if budget < 0:
                    break
                self._answer(start, some)
                bar.update(len(some))
                seen = self.rows[: start + len(some)]
                right = names[self.predicted[:, : len(seen)]] == self.labels[seen]
                self.left = remaining_candidates(right, self.left)
                if self.left == [0]:
                    return None
                if len(seen) >= HALF and self.choice(right, self.left[1]).taken:
                    break
        return right if right.shape[1] else None

    def choice(self, right: np.ndarray, better: int) -> Decision:
        """Whether one of what was tried is taken.

        Args:
            right: (n_tried, n) bool, of the first n images. better: its place.
        """
        groups = groups_among(self.study.groups, self.rows[: right.shape[1]])
        return choose(right[[0, better]], of=len(self.tried), groups=groups)

    def _other_grounds(self) -> list[str]:
        """The ways to show transparent parts beside the study's own, where images have some."""
        if not self.study.facts(EmbedFacts).n_transparent:
            return []
        return [one for one in TRANSPARENCIES if one != self.study.source.pixel_reading.transparency]

    def _pixels(self, rows: np.ndarray, transparency: str | None) -> np.ndarray:
        """(n, H, W, 3) uint8 of rows of the study; without transparent parts they are alike."""
        images = [self.study.image(int(row)) for row in rows]
        if transparency is not None:
            ids = self.study.images["image_id"].iloc[rows]
            reading = replace(self.study.source.pixel_reading, transparency=transparency)
            other = reopen_images(describe_images(self.study.source)).read_as(reading)
            clear = [TRANSPARENT in file_facts(image) for image in images]
            images = [
                other.read_id(image_id) if is_clear else image
                for image_id, image, is_clear in zip(ids, images, clear, strict=True)
            ]
        return np.stack([self.encoder.transform.pixels(image) for image in images])

    def _answer(self, start: int, rows: np.ndarray) -> None:
        grounds = {self.tried[candidate].transparency for candidate in self.left}
        shown = {ground: self._pixels(rows, ground) for ground in grounds}
        for candidate in self.left:
            tried, network = self.tried[candidate], self.encoder.base
            x = (
                torch.from_numpy(shown[tried.transparency]).float() / 255 - torch.tensor(tried.mean)
            ) / torch.tensor(tried.std)
            padded = _padded(network, tried.stem_padding)
            with torch.no_grad(), padded, self.head.reading(network) as logits:
                network(x.permute(0, 3, 1, 2).to(self.encoder.device))
                answers = self.columns.combined(logits().float()).argmax(1)
            self.predicted[candidate, start : start + len(rows)] = answers.cpu().numpy()

    def explained_by_order(self, n: int) -> float:
        """The share of the first images that another order of the classes would make right."""
        true = np.searchsorted(self.study.class_names, self.labels[self.rows[:n]].astype(str))
        return share_by_order(true, self.predicted[0, :n])
