"""The probe of one study on the images of another: its accuracy, estimated without labels and kept there.

For images without labels, which have no probe of their own. `compare` shows what is kept.
"""

from typing import Any

import numpy as np
import pandas as pd

from core.common.command_line import command_line
from core.errors import StudyError
from core.research.transfer_learning.compared_estimates import DRAWS, METHODS, STEP, TABLE
from core.research.transfer_learning.evaluate import Represented
from core.research.transfer_learning.own_probe import BEST, ENDS, OF_TESTS, OWN, estimated_rows
from core.slices.evaluate import class_column
from core.storage import manifest as manifests
from core.storage.writer import write_study
from core.store import Study

OF_SOURCE = ("representations", "images", "probe_weights")


def represented_study(study: Study) -> Represented:
    """Read the stored representations of a study, which are those of its encoder."""
    raw = study.array("representations")[:].astype(np.float32)
    return Represented(raw, class_column(study, "label"), study.is_val, study.class_names)


def check_same_encoder(source: Study, target: Study) -> None:
    """Raise StudyError where the probe of one study says nothing of the representations of the other."""
    if source.path.resolve() == target.path.resolve():
        raise StudyError(f"'{target.path}' is the study that the probe is of; name another one with --into")
    prints = [study.summary("embed").get("encoder", {}).get("fingerprint") for study in (source, target)]
    if prints[0] is None or prints[0] != prints[1]:
        raise StudyError(
            f"'{target.path}' was not made with the encoder of '{source.path}', so that study's probe does "
            "not fit it. Analyze the images with the same --encoder and its options"
        )
    if not source.has("probe_weights"):
        raise StudyError(f"'{source.path}' has no probe. Run: {command_line('probe', source.path)}")


def keep_estimates(
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
    with (
        write_study(target.path) as writer,
        writer.step(STEP, settings, ("representations", "images"), outside) as out,
    ):
        out.table(TABLE, table)
        out.table(DRAWS, pd.DataFrame(draws, columns=list(METHODS)))
        out.summary = {
            "source": str(source.path),
            "source_name": source.name,
            "n_images": int(estimated_rows(images).sum()),
            "by": row[f"{BEST}_by"],
            **{name: row[f"{BEST}_{name}"] for name in ("margin", "error", "error_assumed", "noise")},
            **{name: row[name] for name in OF_TESTS},
            "truth": row[OWN],
            "of_images": {
                "known": manifests.digest(_ids(source, source.is_val & (class_column(source, "label") >= 0))),
                "new": manifests.digest(_ids(target, estimated_rows(images))),
            },
        }


def _ids(study: Study, mask: np.ndarray) -> list[str]:
    return study.images["image_id"][mask].tolist()
