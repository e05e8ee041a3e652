"""The head of a remedy as a file; the head alone loads no torch, a whole network with it does."""

from pathlib import Path

import numpy as np

from core.analysis.remedies import TABLE
from core.common.command_line import command_line
from core.common.inside import check_output_file, replacing
from core.common.step_facts import RemediesFacts
from core.encoders.head_file import head_bytes, head_metadata
from core.errors import SettingsError, StudyError, unknown_name
from core.store import Study

WEIGHTS, CLASSES = "remedy_weights", "remedy_classes"
ENDING = ".safetensors"


def remedy_head(study: Study, remedy: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Read a remedy's head to export: weights (n_classes, n_features), bias (n_classes,), class names.

    Raises:
        StudyError: the study has no heads. SettingsError: it has none of this remedy.
    """
    if not study.has(WEIGHTS):
        why = study.why_missing(TABLE)
        raise StudyError(f"no heads in '{study.path}': {why}. Run: {command_line('remedies', study.path)}")
    names = study.facts(RemediesFacts).heads
    if remedy not in names:
        raise SettingsError(unknown_name(f"no head of '{remedy}' in '{study.path}'", remedy, names, "It has"))
    both = np.asarray(study.vector(WEIGHTS)[names.index(remedy)])
    return both[:, :-1], both[:, -1], study.table(CLASSES)["label"].tolist()


def _about_head(study: Study, remedy: str) -> dict[str, str]:
    """Say in an exported head's metadata which remedy it is of, what it reads and was fitted to."""
    facts = study.facts(RemediesFacts)
    fitted = "train images" if study.is_val.any() else "all labelled images"
    return {"remedy": remedy, "reads": "raw representation", "fitted_to": f"{facts.n_fitted} {fitted}"}


def remedy_head_bytes(study: Study, remedy: str) -> bytes:
    """Return the content of the file in which the head of a remedy is handed out."""
    return head_bytes(*remedy_head(study, remedy), **_about_head(study, remedy))


def write_remedy_head(study: Study, remedy: str, out: Path, *, whole: bool = False) -> dict[str, object]:
    """Export a remedy's head for other tools, or the whole network with it; return what was written.

    Args:
        whole: a checkpoint of torchvision or timm, with a sidecar OUT.json that says how pictures are read.
    Raises:
        SettingsError: the ending is another, or there is no such head. EncoderError: no library has it.
    """
    check_output_file(out, "the head", (ENDING,))
    weights, bias, names = remedy_head(study, remedy)
    if whole:
        from core.analysis.whole_checkpoint import write_whole_checkpoint

        metadata = head_metadata(names, **_about_head(study, remedy))
        arch = write_whole_checkpoint(study, weights, bias, metadata, out)
        return {"file": str(out), "remedy": remedy, "n_classes": len(names), "network": arch}
    with replacing(out, parents=True) as temporary:
        temporary.write_bytes(remedy_head_bytes(study, remedy))
    return {"file": str(out), "remedy": remedy, "n_classes": len(names), "n_features": weights.shape[1]}
