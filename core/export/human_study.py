"""The tasks of a study in which people rate words (docs/method.md 6.11): the table `human-study`.

Which of six shuffled words fit the images of group A (what a feature looks at) and not those of group B (its
counterfactual images)? Answers are read by `reproductions/human_study.py`.
"""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from core.common.command_line import command_line
from core.concepts.falcon import TOP_WORDS
from core.concepts.word_measures import kept_words
from core.errors import StudyError
from core.store import Study

IMAGES_A, IMAGES_B = 9, 6
WORDS = tuple(f"word_{number}" for number in range(1, TOP_WORDS + 1))
COLUMNS = ("task", "images_a", "images_b", *WORDS)
SEED = 0  # of the order of words


def human_study_tasks(study: Study) -> pd.DataFrame:
    """Return a row a feature or group with words: COLUMNS.

    An image is its id, a crop of one `ID#xywh=LEFT,TOP,WIDTH,HEIGHT` in pixels (a media fragment of the W3C);
    several are joined by semicolons. `%`, `;` and `#` within an id are written %25, %3B and %23.

    Raises:
        StudyError: the study has no concepts.
    """
    words = rated_words(study)
    crops = study.table("highly_activating")
    crops = crops.loc[crops["left"].notna()]
    against = study.table("counterfactuals")
    rng = np.random.default_rng(SEED)
    rows = []
    for task, (group, ranked) in words.items():
        shuffled = [ranked[at] for at in rng.permutation(len(ranked))]
        shown = dict.fromkeys(WORDS, "") | dict(zip(WORDS, shuffled, strict=False))
        of_group = crops.loc[crops["group"] == group].head(IMAGES_A).to_dict("records")
        others = against.loc[against["group"] == group, "image_id"].head(IMAGES_B)
        images_a = ";".join(_crop(row) for row in of_group)
        images_b = ";".join(_image(str(image_id)) for image_id in others)
        rows.append({"task": task, "images_a": images_a, "images_b": images_b} | shown)
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype("str")


def rated_words(study: Study) -> dict[str, tuple[str, list[str]]]:
    """Return by task the feature or group that it is of, and its words, best first.

    Raises:
        StudyError: the study has no concepts.
    """
    if not study.has("concepts"):
        raise StudyError(f"'{study.path}' has no concepts. Run: {command_line('concepts', study.path)}")
    words = kept_words(study.table("concepts"))
    return dict(zip(_names(len(words)), sorted(words.items()), strict=True))


def _names(n: int) -> Iterable[str]:
    return (f"w{number:04d}" for number in range(n))


def _image(image_id: str) -> str:
    return re.sub("[%;#]", lambda found: quote(found.group()), image_id)


def _crop(row: Any) -> str:
    left, top, right, bottom = (int(row[side]) for side in ("left", "top", "right", "bottom"))
    return f"{_image(str(row['image_id']))}#xywh={left},{top},{right - left},{bottom - top}"
