"""The step `rotation`: which of four turns of a picture the answer is most confident of (docs/method.md 1.8).

A camera that lay on its side, a scan from the wrong edge: nothing in the file says so. Four passes an image.
"""

from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

from core.analysis.heatmaps_on_demand import encoder_of
from core.analysis.predictor import Predictor, predictor_of
from core.analysis.representations import Pictures, picture_batches
from core.common.processes import default_workers
from core.config import RotationConfig
from core.encoders.head import Head
from core.encoders.registry import Encoder
from core.encoders.transform import Transform
from core.store import Study
from core.study.writer import StepRun, StepWriter

TURNS = (0, 90, 180, 270)  # degrees, counter-clockwise
TRANSPOSE = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}
ROUNDING = 1e-6  # of a probability: an encoder may see no difference
NO_ANSWER = "no answer of these images is known whose classifier is stored"


class TurnedView:
    """What the encoder sees of a picture that was turned."""

    def __init__(self, transform: Transform, turn: int):
        self.transform, self.turn = transform, turn

    def __call__(self, picture: Any) -> np.ndarray:
        return self.transform.pixels(picture.transpose(TRANSPOSE[self.turn]) if self.turn else picture)


def compute_rotation(study: Study, step: StepWriter, config: RotationConfig, run: StepRun) -> None:
    """Find pictures that are turned: of four turns of each, the one of which the answer is most confident.

    Write the table `rotation`: for each image the turn, in degrees counter-clockwise, after which the
    answer is most confident, and by how much its confidence exceeds that of the picture as it is; NaN where
    the picture cannot be read."""
    read = study.answering()
    predictor = predictor_of(read)
    encoder = encoder_of(study, str(run.device))
    head = None if predictor is None or predictor.classifier is not None else encoder.find_head()
    if predictor is None or isinstance(head, str):
        step.summary = {"skipped": NO_ANSWER}
        return
    confidences = _confidences(study, encoder, predictor, head, run)
    is_complete = np.isfinite(confidences).all(1)
    gain = confidences.max(1) - confidences[:, 0]
    best = np.where(gain > ROUNDING, np.nan_to_num(confidences).argmax(1), 0)
    turns = pd.array(np.asarray(TURNS)[best], "Int32")
    turns[~is_complete] = pd.NA
    ids = study.column("images", "image_id")
    step.table("rotation", pd.DataFrame({"image_id": ids, "rotation": turns, "rotation_gain": gain}))
    n_turned = int((is_complete & (best > 0)).sum())
    step.summary = {"answer": predictor.name, "n_images": int(is_complete.sum()), "n_turned": n_turned}


def _confidences(
    study: Study, encoder: Encoder, predictor: Predictor, head: Head | None, run: StepRun
) -> np.ndarray:
    """(n_images, 4) float32: the largest probability of the answer after each turn; NaN without a picture."""
    listing = pd.Index(study.source.table["image_id"])
    places = listing.get_indexer(pd.Index(study.column("images", "image_id")))
    row_of = {int(place): row for row, place in enumerate(places) if place >= 0}
    rows, size = list(row_of), run.options.batch_size
    batches = [rows[start : start + size] for start in range(0, len(rows), size)]
    pictures = Pictures(study.source, [TurnedView(encoder.transform, turn) for turn in TURNS])
    confidences_of_turns = np.full((study.n_images, len(TURNS)), np.nan, np.float32)
    pin = encoder.device.type == "cuda"
    workers = default_workers(run.options, len(rows))
    with run.progress.stage("rotation", total=len(rows), unit="images") as bar:
        stream = picture_batches(pictures, batches, workers=workers, pin=pin)
        for batch_rows, batch in zip(batches, stream, strict=True):
            here = [row_of[place] for place in batch.rows]
            for turn, views in enumerate(batch.looks if batch.rows else ()):
                confidences_of_turns[here, turn] = _confidence(encoder, views, predictor, head)
            bar.update(len(batch_rows))
    return confidences_of_turns


def _confidence(encoder: Encoder, views: torch.Tensor, predictor: Predictor, head: Head | None) -> np.ndarray:
    """(n,) the largest probability that an answer gives to each view."""
    with torch.inference_mode():
        if predictor.classifier is not None:
            raw = encoder.represent(views).float().cpu().numpy()
            logits = predictor.classifier.logits(predictor.rows(raw))
        else:
            assert head is not None  # the encoder's own classifier answers
            logits = encoder.represent_with_logits(views, head)[1].float().cpu().numpy()
    return predictor.shares(logits).max(1)
