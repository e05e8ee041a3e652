"""Whether a classifier was given pixels of another normalisation than it was trained with."""

import numpy as np
import torch

from core.analysis.gradcam.on_demand import study_encoder
from core.answers.head import LIKELY_WRONG, matched, usual_share
from core.answers.outcome import Request
from core.common.arrays import evenly
from core.encoders.readout.bare_head import fill_activation
from core.encoders.transform import CIFAR_MEAN, CIFAR_STD, IMAGENET_MEAN, IMAGENET_STD
from core.errors import PeregrineError
from core.jobs.progress import Progress
from core.store import Study

IMAGES, BATCH = 256, 32
SURE = 3.0  # standard deviations: several are tried
COMMON = (  # mean and standard deviation of pixels in [0, 1]
    (IMAGENET_MEAN, IMAGENET_STD),
    ((0.5,) * 3, (0.5,) * 3),
    ((0.0,) * 3, (1.0,) * 3),
    ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),  # CLIP's
    (CIFAR_MEAN, CIFAR_STD),
    ((0.0,) * 3, (1 / 255,) * 3),  # not scaled at all
)


def likely_normalisation(
    study: Study, request: Request, progress: Progress, at_chance: bool = True
) -> str | None:
    """Name the common normalisation with which the head is right more often on 256 labelled images.

    One that is right less often than the study's own, after any 32 images, is tried no further.

    Args:
        at_chance: the head is no better than guessing. Where it is, a normalisation that came with the
            weights is not questioned.
    Returns:
        one line; None where none is better than the study's own (McNemar's z of at least 3), where another
        order of the classes explains more (`order_note`), or where the encoder or images cannot be read.
    """
    if not at_chance and study.summary("embed")["head"].get("normalisation_stated", True):
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
        best, left = np.zeros((len(tried), len(rows)), int), list(range(len(tried)))
        predictable = np.array(columns.names, object)
        with progress.stage("normalisations", total=len(rows), unit="images") as bar:
            for start in range(0, len(rows), BATCH):
                some = rows[start : start + BATCH]
                pixels = np.stack([encoder.transform.pixels(study.image(int(row))) for row in some])
                for place in left:
                    mean, std = tried[place]
                    x = (torch.from_numpy(pixels).float() / 255 - torch.tensor(mean)) / torch.tensor(std)
                    with torch.no_grad(), head.reading(encoder.base) as logits:
                        encoder.base(x.permute(0, 3, 1, 2).to(encoder.device))
                        answers = columns.combined(logits().float()).argmax(1)
                    best[place, start : start + BATCH] = answers.cpu().numpy()
                bar.update(len(some))
                seen = start + len(some)
                n_right = (predictable[best[:, :seen]] == labels[rows[:seen]]).sum(1)
                left = [place for place in left if not place or n_right[place] >= n_right[0]]
                if left == [0]:
                    return None
    except PeregrineError:
        return None
    right = predictable[best] == labels[rows]
    place = max(left, key=lambda one: int(right[one].sum()))
    lost, won = (int(one.sum()) for one in (right[0] & ~right[place], ~right[0] & right[place]))
    if won - lost < SURE * max(won + lost, 1) ** 0.5:
        return None
    order, _ = usual_share(np.searchsorted(names, labels[rows].astype(str)), best[0])  # what that explains
    if right[place].mean() < order:
        return None
    mean, std = (",".join(f"{value:g}" for value in values) for values in tried[place])
    shares = [f"{100 * right[one].mean():.1f} %" for one in (place, 0)]
    return (
        f"THE NORMALISATION IS {LIKELY_WRONG}: on {len(rows)} of the images top-1 is {shares[0]} with "
        f"--mean {mean} --std {std}, and {shares[1]} with that of the study"
    )
