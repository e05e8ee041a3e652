"""CLIP-Dissect's scores of words, and the retrieval of captions of FALCON's released code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.peers.environment import CLIP_DISSECT, FALCON, import_checkout
from benchmarks.peers.task import Inputs, Task, unit

SCALE, TOP = 10.0, 100  # of CLIP-Dissect's softmax over words; images of a unit
CAPTIONS, TEMPERATURE = 5, 100.0
CANCELLED = 1e-4  # in its float32, 1 + p (P - 1) loses most digits where P is small and p near 1


def _similar(small: bool) -> dict[str, np.ndarray]:
    """Cosines of images with words, and activations of units that follow some of the words."""
    rng = np.random.default_rng(0)
    n_images, n_words, n_units = (150, 20, 4) if small else (5000, 2000, 128)
    cosines = rng.normal(0.2, 0.05, (n_images, n_words)).astype(np.float32)
    followed = cosines[:, rng.integers(0, n_words, n_units)]
    noise = rng.normal(0, 0.02, (n_images, n_units)).astype(np.float32)
    return {"cosines": cosines, "activations": followed + noise}


def _words_ours(inputs: Inputs) -> Callable[[], np.ndarray]:
    from core.concepts.word_measures import soft_wpmi, softmax

    return lambda: soft_wpmi(softmax(inputs["cosines"], SCALE), inputs["activations"], top_k=TOP)


def _words_theirs(inputs: Inputs) -> Callable[[], np.ndarray]:
    import torch

    score = import_checkout(CLIP_DISSECT).soft_wpmi
    cosines, activations = (torch.from_numpy(inputs[name]) for name in ("cosines", "activations"))
    return lambda: score(cosines, activations, top_k=TOP, a=SCALE, lam=1, device="cpu").numpy()


def _scores(inputs: Inputs, ours: np.ndarray, theirs: np.ndarray) -> tuple[float, str]:
    same = float((ours.argmax(1) == theirs.argmax(1)).mean())
    gap = float((np.abs(ours - theirs) / np.abs(ours).max()).max())
    return (
        gap,
        f"largest difference relative to the largest score; {same:.1%} of the units have the same word",
    )


def _captions(small: bool, n_shards: int) -> dict[str, np.ndarray]:
    rng, (n, m, width) = np.random.default_rng(1), (4, 160, 16) if small else (200, 64_000, 512)
    return {
        "crops": unit(rng.standard_normal((n, width))),
        "captions": unit(rng.standard_normal((m, width))),
        "n_shards": np.array(n_shards),
    }


def _retrieval_ours(inputs: Inputs) -> Callable[[], np.ndarray]:
    from core.concepts.nearest_captions import retrieve

    shards = np.split(inputs["captions"], int(inputs["n_shards"]))

    def found() -> np.ndarray:
        places, cosines, total = retrieve(inputs["crops"], shards, k=CAPTIONS, temperature=TEMPERATURE)
        return np.concatenate([places, np.exp(TEMPERATURE * cosines - total[:, None])], axis=1)

    return found


class _Numbered:
    """Captions that are their own numbers, in place of a file of LAION's."""

    def get_captions(self, places: list[int]) -> list[str]:
        return [str(path) for path in places]


def _retrieval_theirs(inputs: Inputs) -> Callable[[], np.ndarray]:
    """Its tensors are sent to a GPU; without one they stay where they are."""
    import torch

    peer: Any = import_checkout(FALCON)
    crops = torch.from_numpy(inputs["crops"])
    shards = [torch.from_numpy(part)[None] for part in np.split(inputs["captions"], int(inputs["n_shards"]))]
    if not torch.cuda.is_available():
        torch.Tensor.cuda = lambda self, *_args, **_options: self  # type: ignore[method-assign]
    crops = crops.cuda()

    def found() -> np.ndarray:
        names, scores = peer.caption_images(crops, shards, _Numbered())
        return np.concatenate([np.array(names, np.float64), np.array(scores)], axis=1)

    return found


def _confidences(inputs: Inputs, ours: np.ndarray, theirs: np.ndarray) -> tuple[float, str]:
    text = f"largest difference of confidences; {_same(ours, theirs):.1%} of the crops have the same captions"
    return float(np.abs(ours[:, CAPTIONS:] - theirs[:, CAPTIONS:]).max()), text


def _other_captions(inputs: Inputs, ours: np.ndarray, theirs: np.ndarray) -> tuple[float, str]:
    text = f"share of crops with other captions; theirs: softmax in each of {inputs['n_shards']} shards"
    return 1 - _same(ours, theirs), text


def _same(ours: np.ndarray, theirs: np.ndarray) -> float:
    captions = (np.sort(side[:, :CAPTIONS], axis=1) for side in (ours, theirs))
    return float(np.equal(*captions).all(1).mean())


def _retrieval(name: str, n_shards: int, gap: Any, tolerance: float | None) -> Task:
    return Task(
        name,
        FALCON,
        lambda small: _captions(small, n_shards),
        *(_retrieval_ours, _retrieval_theirs, gap, tolerance),
    )


TASKS = (
    Task("soft-WPMI", CLIP_DISSECT, _similar, _words_ours, _words_theirs, _scores, CANCELLED),
    _retrieval("captions, one shard", 1, _confidences, 1e-5),
    _retrieval("captions, 16 shards", 16, _other_captions, None),
)
