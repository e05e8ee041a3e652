"""What the page of a feature says of its words."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dashboard.panels.word_evidence import detection_line
from tests.sentences import numbers

WORDS = pd.DataFrame(
    {
        "word": ["sky", "blue sky", "blue", "bird"],
        "auc": [0.913, np.nan, 0.7, 0.61],
        "auc_low": [0.88, np.nan, 0.64, 0.5],
        "auc_high": [0.94, np.nan, 0.76, 0.7],
    }
)


def test_detection_line__names_the_first_words_whose_truth_is_known():
    said = detection_line(WORDS.head(3))
    assert numbers(said) == ["0.91", "0.88", "0.94", "0.70", "0.64", "0.76"]
    assert said.index("sky 0.91") < said.index("blue 0.70") and "blue sky" not in said
    assert detection_line(pd.concat([WORDS, WORDS])).count("(") == 3


def test_detection_line__is_empty_for_other_images_and_older_studies():
    assert detection_line(WORDS.iloc[1:2]) == ""
    assert detection_line(WORDS.loc[:, ["word"]]) == ""
