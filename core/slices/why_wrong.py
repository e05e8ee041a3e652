"""The first cause of each error, as the step `causes` has found it: the column `why` of the images."""

import numpy as np

from core.common.step_facts import CausesFacts
from core.reader import StudyReader

LABEL, CROP, PICTURE, TURN, NEIGHBOURS, FEATURE, BACKGROUND = CAUSES = (
    *("label", "crop", "picture", "turn", "neighbours", "feature", "background"),
)
UNEXPLAINED, TOO_FEW_TO_TELL = NO_CAUSE = ("unexplained", "too few to tell")
TITLES = {  # of single errors
    LABEL: "doubtful or wrong label",
    CROP: "cut by the crop",
    PICTURE: "dark, pale or blurred",
    TURN: "rotated",
    NEIGHBOURS: "among another class",
    FEATURE: "a single feature",
    BACKGROUND: "the background",
    TOO_FEW_TO_TELL: "not judged",
}
WHY, TABLE = "why", "causes"
PROBE = "probe"  # the answer of a study that is read by no other


def cause_name(cause: str) -> str:
    """Name a cause; what is none of them, such as "unexplained", by itself.

    >>> cause_name("crop"), cause_name("unexplained")
    ('cut by the crop', 'unexplained')
    """
    return TITLES.get(cause, cause)


def tells_causes(study: StudyReader) -> bool:
    """Return True when the study holds the causes of the errors of the answer that it is read by."""
    if not study.has(TABLE):
        return False
    answer = getattr(study, "answer", None)
    return study.facts(CausesFacts).answer == (answer.name if answer else PROBE)


def first_causes(study: StudyReader) -> np.ndarray:
    """(n_images,) object: the first cause that holds, UNEXPLAINED or TOO_FEW_TO_TELL; None for other images.

    Args:
        study: of which `tells_causes` is true.
    """
    of_images = study.table(TABLE, ["image_id", WHY]).drop_duplicates("image_id")
    values = of_images.set_index("image_id")[WHY].reindex(study.column("images", "image_id"))
    return values.astype(object).where(values.notna(), None).to_numpy(object)
