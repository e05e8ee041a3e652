"""What features add at each misclassified image, where the layers of a classifier are not stored
(docs/method.md 6.8)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from core.analysis.heatmaps_on_demand import study_encoder
from core.answers.class_logits import misclassified
from core.answers.outcome import Request
from core.encoders.encoder import Encoder
from core.encoders.head import Head
from core.encoders.layers import averages_to
from core.errors import PeregrineError
from core.store import Study
from core.study.chunked_array import CHUNK_ROWS
from core.study.progress import Progress
from core.study.writer import StepWriter

NOT_OF_IT = "its classifier reads more than the representation, so what features add to a class is not known"
BATCH = 32  # pictures


def write_gradients(
    study: Study,
    step: StepWriter,
    item: str,
    table: pd.DataFrame,
    outputs: np.ndarray,
    request: Request,
    progress: Progress,
) -> str | None:
    """Compute at the representations of misclassified images the gradients of the head's logits; write them.

    `item`_gradients, (n, n_features) float32: of each image that is misclassified as a class of the study
    the gradient of the predicted minus the true logit with respect to the raw representation.

    Args:
        table: `answer_NAME`. outputs: (n_outputs,) class of each output, -1 for none.
    Returns:
        None, or a line that says why they cannot be had.
    """
    try:
        encoder = study_encoder(study, request.device)
        head = encoder.find_head()
        if not isinstance(head, Head) or not (head.reads_representation or _reads_map(encoder, head)):
            return NOT_OF_IT
        rows, predicted, true = misclassified(study, table)
        codes, array = torch.from_numpy(outputs).to(encoder.device), step.array(f"{item}_gradients")
        n_chunks = -(-len(rows) // CHUNK_ROWS) or 1
        with progress.stage("gradients", total=len(rows), unit="images") as bar:
            for chunk in range(n_chunks):
                end = min((chunk + 1) * CHUNK_ROWS, len(rows))
                made = np.empty((end - chunk * CHUNK_ROWS, encoder.n_features), np.float32)
                for start in range(0, len(made), BATCH):
                    part = slice(chunk * CHUNK_ROWS + start, min(chunk * CHUNK_ROWS + start + BATCH, end))
                    sides = (torch.from_numpy(side[part]).to(encoder.device) for side in (predicted, true))
                    raw, read = _read(study, encoder, head, rows[part])
                    gradients = _gradients_of_lead(head, raw, read, codes, *sides)
                    made[start : start + BATCH] = gradients.cpu().numpy()
                    bar.update(len(raw))
                array.put(chunk, made)
        step.finish_array(f"{item}_gradients", n_chunks)
    except PeregrineError as error:
        return f"what features add to a class is not known: {error}"
    return None


@torch.no_grad()
def _reads_map(encoder: Encoder, head: Head) -> bool:
    """Whether a head reads one map, whose average is the representation, without negative entries."""
    x, _ = encoder.random_input()
    with head.watching(encoder.base) as read:
        raw, inputs = encoder.model(x), read()
    return encoder.nonnegative and len(inputs) == 1 and inputs[0].ndim == 4 and averages_to(inputs[0], raw)


def _read(study: Study, encoder: Encoder, head: Head, rows: np.ndarray) -> tuple[Tensor, list[Tensor]]:
    """The representations of some images, and what each part of a head reads of them."""
    if head.reads_representation:
        raw = torch.from_numpy(study.array("representations").rows(rows)).to(encoder.device).float()
        return raw, [raw] * len(head.parts)
    pixels = np.stack([encoder.transform.pixels(study.image(int(row))) for row in rows])
    with torch.no_grad(), head.watching(encoder.base) as read:
        return encoder.represent(torch.from_numpy(pixels)), read()


def _gradients_of_lead(
    head: Head, raw: Tensor, read: Sequence[Tensor], codes: Tensor, classes: Tensor, rivals: Tensor
) -> Tensor:
    """(n, n_features): gradient of the head's logit of `classes` minus that of `rivals` at each `raw`.

    Of a map A whose average over the positions p is raw, the gradient as the map of a feature is scaled:
    sum_p A_pj dlead/dA_pj / raw_j, 0 where the map is.

    Args:
        read: what each part of the head reads: `raw`, or that map. codes: (n_outputs,) class of each output;
            a class has the log-sum-exp of its outputs.
    """
    with torch.enable_grad():
        inputs = [one.detach().requires_grad_() for one in read]
        logits = head.logits(inputs)

        def of(one: Tensor) -> Tensor:
            return logits.where(codes[None] == one[:, None], -torch.inf).logsumexp(1)

        gradients = torch.autograd.grad((of(classes) - of(rivals)).sum(), inputs)
    if inputs[0].ndim == 2:
        return torch.stack(gradients).sum(0)
    added = (inputs[0].detach() * gradients[0]).sum((2, 3))
    return torch.where(raw > 0, added / raw, 0.0)
