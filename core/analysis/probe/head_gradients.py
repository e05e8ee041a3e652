"""What features add at each misclassified image, where a classifier is not linear (docs/method.md 6.8)."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from core.analysis.gradcam.on_demand import study_encoder
from core.answers.outcome import Request
from core.encoders.readout.head import Head
from core.errors import PeregrineError
from core.jobs.progress import Progress
from core.slices.features.class_logits import misclassified
from core.storage.chunked_array import CHUNK_ROWS
from core.storage.writer import StepWriter
from core.store import Study

NOT_OF_IT = "its classifier reads more than the representation, so what features add to a class is not known"


def write_gradients(
    study: Study,
    step: StepWriter,
    item: str,
    table: pd.DataFrame,
    outputs: np.ndarray,
    request: Request,
    progress: Progress,
) -> str | None:
    """Write `item`_gradients, (n, n_features) float32: of each image that is misclassified as a class of the
    study the gradient of the predicted minus the true logit with respect to the raw representation.

    Args:
        table: `answer_NAME`. outputs: (n_outputs,) class of each output, -1 for none.
    Returns:
        None, or a line that says why they cannot be had.
    """
    try:
        encoder = study_encoder(study, request.device)
        head = encoder.find_head()
    except PeregrineError as error:
        return f"what features add to a class is not known: {error}"
    if not isinstance(head, Head) or not head.reads_representation:
        return NOT_OF_IT
    rows, predicted, true = misclassified(study, table)
    codes, raw = torch.from_numpy(outputs).to(encoder.device), study.array("representations")
    array = step.array(f"{item}_gradients")
    starts = range(0, max(len(rows), 1), CHUNK_ROWS)
    with progress.stage("gradients", total=len(rows), unit="images") as bar:
        for chunk, start in enumerate(starts):
            part = slice(start, start + CHUNK_ROWS)
            some = torch.from_numpy(raw.rows(rows[part])).to(encoder.device)
            sides = (torch.from_numpy(side[part]).to(encoder.device) for side in (predicted, true))
            array.put(chunk, gradients_of_lead(head, some, codes, *sides).float().cpu().numpy())
            bar.update(len(some))
    step.finish_array(f"{item}_gradients", len(starts))
    return None


def gradients_of_lead(head: Head, raw: Tensor, codes: Tensor, classes: Tensor, rivals: Tensor) -> Tensor:
    """(n, n_features): the gradient of the logit of `classes` minus that of `rivals` at each row of `raw`.

    Args:
        codes: (n_outputs,) class of each output; a class has the log-sum-exp of its outputs.
    """
    with torch.enable_grad():
        read = raw.detach().requires_grad_()
        logits = head.logits([read] * len(head.parts))

        def of(one: Tensor) -> Tensor:
            return logits.where(codes[None] == one[:, None], -torch.inf).logsumexp(1)

        return torch.autograd.grad((of(classes) - of(rivals)).sum(), read)[0]
