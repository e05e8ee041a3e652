"""Steps that have nothing to do for a study: no time is set aside for them."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from core.analysis.overlap.input_masks import masks_of
from core.concepts.tools import why_skipped
from core.errors import PeregrineError
from core.store import Study

OF_LABELS = ("probe", "crossfit", "answers", "failures")  # steps that nothing is left of without labels


def idle_steps(study: Study, configs: Mapping[str, Any]) -> list[str]:
    """Return the steps that will only say why they do nothing: without labels, masks or words.

    A step whose inputs cannot be read is not one of them: it says so when its turn comes.

    Args:
        study: that has its images. configs: the settings of the steps that are to be run, by name.
    """
    idle = [] if study.labelled else list(OF_LABELS)
    with suppress(PeregrineError):
        if "overlap" in configs and masks_of(study, configs["overlap"]) is None:
            idle.append("overlap")
    with suppress(PeregrineError):
        if "concepts" in configs and why_skipped(study, configs["concepts"]):
            idle.append("concepts")
    return [name for name in idle if name in configs]
