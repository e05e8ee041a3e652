"""Whether a classifier was given pixels of another normalisation than it was trained with."""

from collections.abc import Iterable

import numpy as np
import torch

from core.analysis.gradcam.on_demand import study_encoder
from core.answers.head import LIKELY_WRONG, matched, usual_share
from core.answers.outcome import Request
from core.common.dataframes import evenly
from core.common.step_facts import EmbedFacts
from core.encoders.readout.bare_head import fill_activation
from core.encoders.transform import CIFAR_MEAN, CIFAR_STD, IMAGENET_MEAN, IMAGENET_STD
from core.errors import PeregrineError
from core.jobs.progress import Progress
from core.store import Study

IMAGES, HALF, BATCH = 256, 128, 32
SURE = 3.0  # standard deviations: several are tried
COMMON = (  # mean and standard deviation of pixels in [0, 1]
    (IMAGENET_MEAN, IMAGENET_STD),
    ((0.5,) * 3, (0.5,) * 3),
    ((0.0,) * 3, (1.0,) * 3),
    ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),  # CLIP's
    (CIFAR_MEAN, CIFAR_STD),
    ((0.0,) * 3, (1 / 255,) * 3),  # not scaled at all
)


def still_tried(right: np.ndarray, left: Iterable[int]) -> list[int]:
    """Name the normalisations that may still prove better than the first one, the study's own.

    After n images one has to be ahead by (n - 32) / 96 of McNemar's standard deviations. After half of the
    images only the best one is left.

    Args:
        right: (n_normalisations, n) bool, whether images were classified correctly. left: those that were
            tried on all of them.
    Returns:
        0 and those others.
    """
    n, ahead = right.shape[1], leads(right)
    others = sorted((candidate for candidate in left if candidate), key=lambda one: -ahead[one])
    others = [candidate for candidate in others if ahead[candidate] >= (n - BATCH) / (HALF - BATCH)]
    return [0, *others[: 1 if n >= HALF else None]]


def leads(right: np.ndarray) -> np.ndarray:
    """(n_normalisations,) by how many of McNemar's standard deviations each is ahead of the first one."""
    won, lost = (right & ~right[0]).sum(1), (~right & right[0]).sum(1)
    return (won - lost) / np.sqrt(np.maximum(won + lost, 1))


def likely_normalisation(
    study: Study, request: Request, progress: Progress, at_chance: bool = True
) -> str | None:
    """Name the common normalisation with which the head is right more often, on at most 256 labelled images.

    Most are tried on fewer images (`still_tried`), and from 128 on one that is sure ends the search.

    Args:
        at_chance: the head is no better than guessing. Where it is, a normalisation that came with the
            weights is not questioned.
    Returns:
        one line; None where none is better than the study's own (McNemar's z of at least 3), where another
        order of the classes explains more (`order_note`), or where the encoder or images cannot be read.
    """
    if not at_chance and study.facts(EmbedFacts).head.normalisation_stated:
        return None
    try:
        encoder = study_encoder(study, request.device)
        head = encoder.find_head()
        _, columns = matched(study, request)
        if isinstance(head, str):
            return None
        for part in head.parts:
            fill_activation(part.module, request.head_activation)
        labels, names = study.images["label"].to_numpy(object), study.class_names
        rows = np.flatnonzero(np.isin(labels, columns.known or ()))
        rows = np.random.default_rng(0).permutation(rows[evenly(len(rows), IMAGES)])
        usual = tuple(encoder.transform.mean), tuple(encoder.transform.std)
        tried = [usual, *(one for one in COMMON if not np.allclose(one, usual))]
        predicted, left = np.zeros((len(tried), len(rows)), int), list(range(len(tried)))
        predictable, right = np.array(columns.names, object), np.zeros((len(tried), 0), bool)
        with progress.stage("normalisations", total=len(rows), unit="images") as bar:
            for start in range(0, len(rows), BATCH):
                some = rows[start : start + BATCH]
                pixels = np.stack([encoder.transform.pixels(study.image(int(row))) for row in some])
                for candidate in left:
                    mean, std = tried[candidate]
                    x = (torch.from_numpy(pixels).float() / 255 - torch.tensor(mean)) / torch.tensor(std)
                    with torch.no_grad(), head.reading(encoder.base) as logits:
                        encoder.base(x.permute(0, 3, 1, 2).to(encoder.device))
                        answers = columns.combined(logits().float()).argmax(1)
                    predicted[candidate, start : start + BATCH] = answers.cpu().numpy()
                bar.update(len(some))
                seen = rows[: start + len(some)]
                right = predictable[predicted[:, : len(seen)]] == labels[seen]
                left = still_tried(right, left)
                if left == [0]:
                    return None
                if len(seen) >= HALF and leads(right)[left[1]] >= SURE:
                    break
    except PeregrineError:
        return None
    better, n = left[1], right.shape[1]
    if leads(right)[better] < SURE:
        return None
    true = np.searchsorted(names, labels[rows[:n]].astype(str))
    order, _ = usual_share(true, predicted[0, :n])  # what that explains
    if right[better].mean() < order:
        return None
    mean, std = (",".join(f"{value:g}" for value in values) for values in tried[better])
    shares = [f"{100 * right[one].mean():.1f} %" for one in (better, 0)]
    return (
        f"THE NORMALISATION IS {LIKELY_WRONG}: on {n} of the images top-1 is {shares[0]} with "
        f"--mean {mean} --std {std}, and {shares[1]} with that of the study"
    )
