"""Cached reads of why images are wrong."""

import pandas as pd

from core.common.step_facts import EmbedFacts
from core.measures.cause_costs import images_of_all, right_images_for_one, seconds_of_trials
from core.measures.cause_sentences import cost_of_all, cost_of_one
from core.slices.inspection.populations import shown_images
from core.slices.why_wrong import TABLE, tells_causes
from core.storage.speed import read_speed
from core.store import Study
from dashboard.cache import reads


def of_image(study: Study, row: int) -> pd.DataFrame | None:
    """The rows of an image in table `causes`; None where it was not tried with the answer of the page."""
    if not tells_causes(study):
        return None
    table = reads.table(study, TABLE)
    rows = table.loc[table["image_id"].to_numpy(object) == study.column("images", "image_id").iat[row]]
    return rows if len(rows) else None


def cost(study: Study) -> str:
    """What finding out why all its images are wrong takes; "" where none is known to be wrong."""
    n_errors, n_right = images_of_all(*_outcomes(study))
    return cost_of_all(n_errors, n_right, _seconds(study, n_errors + n_right)) if n_errors else ""


def cost_for_image(study: Study) -> str:
    """What finding out why one image is wrong takes."""
    n_right = right_images_for_one(_outcomes(study)[1])
    return cost_of_one(n_right, _seconds(study, 1 + n_right))


def _outcomes(study: Study) -> tuple[int, int]:
    """How many of the images that are judged are wrong, and how many right."""
    correct = reads.table(study, "probe")["correct"][shown_images(study)]
    return int((correct == 0).sum()), int((correct == 1).sum())


def _seconds(study: Study, n_images: int) -> float | None:
    whole = study.below or study.path
    return seconds_of_trials(n_images, read_speed(whole, study.facts(EmbedFacts).encoder.fingerprint))
