"""Evaluate a study's encoder on other images (Kalibhat 2024, Table A.2): probe, and Q with the study's D."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from core.analysis.heatmaps_on_demand import check_probed, encoder_of
from core.common.command_line import command_line
from core.common.processes import default_workers
from core.common.step_facts import EmbedFacts, FeaturesFacts
from core.config import RunOptions
from core.data.images import open_images
from core.errors import StudyError
from core.measures.evaluate import class_column
from core.research.transfer_learning_back_tests import CORRUPTED
from core.research.transfer_learning_estimates import DRAWS, METHODS, STEP, TABLE
from core.research.transfer_learning_evaluate import Represented, evaluate_representations, represent_source
from core.research.transfer_learning_own_probe import (
    BEST,
    ENDS,
    OF_TESTS,
    OWN,
    Estimated,
    OwnProbe,
    estimated_rows,
)
from core.research.transfer_learning_own_probe import COLUMNS as OF_OWN_PROBE
from core.store import Study
from core.study import manifest as manifests
from core.study.progress import Progress
from core.study.writer import write_study

if TYPE_CHECKING:
    pass

OF_SOURCE = ("representations", "images", "probe_weights")


def represented_study(study: Study) -> Represented:
    """Read the stored representations of a study, for transfer learning (research)."""
    raw = study.array("representations")[:].astype(np.float32)
    return Represented(raw, class_column(study, "label"), study.is_val, study.class_names)


def _check_same_encoder(source: Study, target: Study) -> None:
    """Raise StudyError where the probe of one study says nothing of the representations of the other."""
    if source.path.resolve() == target.path.resolve():
        raise StudyError(f"'{target.path}' is the study that the probe is of; name another one with --into")
    prints = [study.facts(EmbedFacts).encoder.fingerprint for study in (source, target)]
    if prints[0] is None or prints[0] != prints[1]:
        raise StudyError(
            f"'{target.path}' was not made with the encoder of '{source.path}', so that study's probe does "
            "not fit it. Analyze the images with the same --encoder and its options"
        )
    if not source.has("probe_weights"):
        raise StudyError(f"'{source.path}' has no probe. Run: {command_line('probe', source.path)}")


def _keep_estimates(
    source: Study,
    target: Study,
    images: Represented,
    row: dict[str, Any],
    draws: np.ndarray,
    settings: dict[str, Any],
) -> None:
    """Write the target study's step `accuracy`: tables `accuracy_estimates` and `accuracy_draws`.

    The first has a row per method, the second a column per method and a row per resample.

    Args:
        images: of the target. row: what `OwnProbe.row` says of them. draws: (resamples, n_methods), of
            `resampled_estimates`. settings: what all depends on.
    """
    names = [end[1:] or "estimate" for end in ENDS]
    table = pd.DataFrame([[row[f"{method}{end}"] for end in ENDS] for method in METHODS], columns=names)
    table = table.astype(float)
    table.insert(0, "method", METHODS)
    items = source.manifest["items"]
    outside = {f"source_{name}": manifests.item_digest(items[name]) for name in OF_SOURCE}
    estimated = estimated_rows(images)
    is_labelled = source.is_val & (class_column(source, "label") >= 0)
    of_best = {name: row[f"{BEST}_{name}"] for name in ("margin", "error", "error_assumed", "noise")}
    with (
        write_study(target.path) as writer,
        writer.step(STEP, settings, ("representations", "images"), outside) as out,
    ):
        out.table(TABLE, table)
        out.table(DRAWS, pd.DataFrame(draws, columns=list(METHODS)))
        of_images = {
            "known": manifests.digest(_ids(source, is_labelled)),
            "new": manifests.digest(_ids(target, estimated)),
        }
        of_tests = {name: row[name] for name in OF_TESTS}
        n_images = int(estimated.sum())
        source_path = str(source.path)
        out.summary = {
            "source": source_path,
            "source_name": source.name,
            "n_images": n_images,
            "by": row[f"{BEST}_by"],
            **of_best,
            **of_tests,
            "truth": row[OWN],
            "of_images": of_images,
        }


def _ids(study: Study, mask: np.ndarray) -> list[str]:
    return study.images["image_id"][mask].tolist()


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
    """Evaluate studies' encoders on image sets (research): one row each, columns COLUMNS.

    Encoder, transform, epsilon and D are the study's; the probe is trained on the set's train images and
    evaluated on its evaluation images, with 95 % intervals. D was chosen on the study's images: the
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
    sources = [(spec, open_images(spec, val=val, seed=seed)) for spec in images]
    for study in studies:
        check_probed(study)
        for target in into:
            _check_same_encoder(study, target)
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
            _keep_estimates(study, target, represented, rows[-1], estimate.draws, settings)
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
    """Return the row COLUMNS of `transfer-probe` (research): a study's encoder on an image set."""
    discriminative = study.discriminative
    epsilon = study.facts(FeaturesFacts).known_epsilon
    values = evaluate_representations(
        represented, discriminative=discriminative, epsilon=epsilon, lr=lr, resamples=resamples, seed=seed
    )
    about = {"study": str(study.path), "encoder": study.encoder_name, "images": images}
    estimated = own_probe.row(represented, estimate) if own_probe and estimate else {}
    return {**about, "n_skipped": represented.n_skipped, **values, **estimated}
