"""Evaluate a study's encoder on other images (Kalibhat 2024, Table A.2): probe, and Q with the study's D."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from core.analysis.gradcam.on_demand import check_probed, encoder_of
from core.jobs.progress import Progress
from core.research.transfer_learning.back_tests import CORRUPTED
from core.research.transfer_learning.evaluate import Represented, evaluate_representations, represent_source
from core.research.transfer_learning.kept_estimates import (
    check_same_encoder,
    keep_estimates,
    represented_study,
)
from core.research.transfer_learning.own_probe import COLUMNS as OF_OWN_PROBE
from core.research.transfer_learning.own_probe import Estimated, OwnProbe
from core.store import Study

if TYPE_CHECKING:
    pass

COLUMNS = (
    *("study", "encoder", "images", "n_train", "n_val", "n_classes", "n_skipped"),
    *("top1", "top1_low", "top1_high", "top5", "top5_low", "top5_high"),
    *("q_auroc", "q_auroc_low", "q_auroc_high", "q_auprc", "base_rate", "q_auprc_error"),
    *("confidence_auroc", "mean_q_correct", "mean_q_misclassified", "mean_firing", "share_nonempty"),
    *("near_zero", "n_discriminative", "epsilon", "lr", "note"),
    *OF_OWN_PROBE,
)


def transfer_probe(
    studies: Sequence[Study],
    images: Sequence[str],
    *,
    into: Sequence[Study] = (),
    val: str | None = None,
    lr: float | None = None,
    device: str = "auto",
    batch_size: int = 64,
    workers: int | None = None,
    resamples: int = 1000,
    n_corrupted: int = CORRUPTED,
    seed: int = 0,
    progress: Progress,
) -> pd.DataFrame:
    """Return one row per study and image set, columns COLUMNS.

    Encoder, transform, epsilon and D are the study's; the probe is trained on the set's train images and
    evaluated on its evaluation images, with 95 % bootstrap intervals. D was chosen on the study's images: the
    Q columns show whether it is useful elsewhere. The last columns are about the study's own probe on these
    images, also where they have no labels (see `OwnProbe.row`); None for a study without a probe.

    Args:
        images: as for `analyze --images`. val: the evaluation images of a single set.
        into: studies of other images with the same encoder: their stored representations are used, and the
            estimates are kept in them for `compare`.
        lr: of the probe; None: the best of six. n_corrupted: evaluation images of the study that the
            estimates are back-tested on, in 15 corruptions.
    Raises:
        StudyError: a study lacks an encoder or D, or one of `into` has another encoder.
        ImageSourceError: a set cannot be listed.
    """
    from core.common.processes import default_workers
    from core.config import RunOptions
    from core.data.sources.images import open_images

    sources = [(spec, open_images(spec, val=val, seed=seed)) for spec in images]
    for study in studies:
        check_probed(study)
        for target in into:
            check_same_encoder(study, target)
    judged = {"lr": lr, "resamples": resamples, "seed": seed}
    draws = {"resamples": min(resamples, 200), "seed": seed}
    rows = []
    for study in studies:
        encoder = encoder_of(study, device)
        own_probe = None
        if study.has("probe_weights"):
            with progress.stage(f"{study.name}: back tests", total=15 * n_corrupted, unit="images") as bar:
                own_probe = OwnProbe.of(
                    study, encoder, n_corrupted=n_corrupted, seed=seed, after_image=bar.update
                )
        for spec, source in sources:
            n = len(source.table)
            label = f"{study.name} on {Path(spec).name or spec}"
            with progress.stage(label, total=n, unit="images") as bar:
                represented = represent_source(
                    encoder,
                    source,
                    batch_size=batch_size,
                    workers=default_workers(RunOptions(workers=workers), n),
                    after_batch=bar.update,
                )
            estimate = own_probe.estimated(represented, resamples=0) if own_probe else None
            rows.append(row_of(study, spec, represented, own_probe, estimate, **judged))
        for target in into:
            represented = represented_study(target)
            assert own_probe is not None  # check_same_encoder: there is a probe
            estimate = own_probe.estimated(represented, **draws)
            rows.append(row_of(study, str(target.path), represented, own_probe, estimate, **judged))
            settings = {"source": str(study.path), "n_corrupted": n_corrupted, **judged}
            keep_estimates(study, target, represented, rows[-1], estimate.draws, settings)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def row_of(
    study: Study,
    images: str,
    represented: Represented,
    own_probe: OwnProbe | None,
    estimate: Estimated | None,
    *,
    lr: float | None,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Return the columns COLUMNS of a study's encoder on an image set."""
    discriminative = study.discriminative
    epsilon = float(study.summary("features")["epsilon"])
    values = evaluate_representations(
        represented, discriminative=discriminative, epsilon=epsilon, lr=lr, resamples=resamples, seed=seed
    )
    about = {"study": str(study.path), "encoder": study.encoder_name, "images": images}
    estimated = own_probe.row(represented, estimate) if own_probe and estimate else {}
    return {**about, "n_skipped": represented.n_skipped, **values, **estimated}
