"""Tables of a study that hold a prediction, as they read with another answer than the probe."""

import numpy as np
import pandas as pd

from core.answers.answer import COLUMNS, Answer
from core.common.score_names import SCORES
from core.reader import StudyReader


def answers_as_read(study: StudyReader, answer: Answer, split: np.ndarray) -> pd.DataFrame:
    """What the answer says of each image, in the columns of the table `probe`.

    Args:
        split: (n_images,) "val" for the images that the answer is judged on.
    """
    images, answers = study.images, study.table(answer.table, list(COLUMNS))
    facts = {"image_id": images["image_id"], "split": split, "true": images["label"]}
    return pd.concat([pd.DataFrame(facts), answers], axis=1)


def scores_as_read(scores: pd.DataFrame, probe: pd.DataFrame) -> pd.DataFrame:
    """The table `quality` with an answer's predictions; scores that come from the probe are left out."""
    columns = [name for name in scores if name in probe or name not in SCORES or SCORES[name].label_free]
    rows = probe if len(scores) == len(probe) else probe.set_index("image_id").loc[scores["image_id"]]
    mine = {name: rows[name].array for name in columns if name in probe and name != "image_id"}
    return scores[columns].assign(**mine)


def overlap_as_read(overlap: pd.DataFrame, probe: pd.DataFrame) -> pd.DataFrame:
    """The table `overlap` with an answer's answers_as_read."""
    rows = overlap["row"].to_numpy()
    return overlap.assign(correct=probe["correct"].array[rows], split=probe["split"].to_numpy()[rows])
