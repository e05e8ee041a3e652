"""Names of the numbers of images: of quality scores (`scores.toml`) and of the pictures themselves."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from core.common.dataframes import LazyTable, has_values

# Names of the columns of the pictures themselves (docs/method.md 1.8), as the table `pictures` has them.


NUMBERS = (
    *("brightness", "dark", "light", "contrast", "sharpness", "saturation"),
    *("width", "height", "aspect", "transparent"),
)
DUPLICATE_OF, NEAR_DUPLICATE_OF = "duplicate_of", "near_duplicate_of"
COLUMNS = (*NUMBERS, "turned", DUPLICATE_OF, NEAR_DUPLICATE_OF)


# Names and explanations of the quality scores (`scores.toml`), the same in every figure and sentence.


@dataclass(frozen=True)
class Score:
    """The name and explanation of a column of the `quality` table."""

    column: str
    label: str
    family: str  # what it looks at
    meaning: str
    tooltip: str  # its meaning in full sentences; a formula in LaTeX, and where it is from, follow it
    formula: str = ""
    label_free: bool = True
    whole_number: bool = False
    zero_means: str = ""  # meaning of a score of exactly 0, as opposed to small scores
    source: str = "docs/method.md"


_WRITTEN = tomllib.loads(Path(__file__).with_name("scores.toml").read_text(encoding="utf-8"))
SCORES = {column: Score(column, **text) for column, text in _WRITTEN.items()}


def score_label(column: str) -> str:
    """Return the score's display name; an unknown column keeps the letters and digits of its own.

    >>> score_label("my_score"), score_label("<b>x</b>")
    ('my score', 'b x b')
    """
    score = SCORES.get(column)
    return score.label if score else " ".join(re.findall(r"[^\W_]+", column))


def score_family(column: str) -> str:
    """Return the family of a score; "" of an unknown column.

    >>> score_family("margin"), score_family("my_score")
    ('Answers of the classifier', '')
    """
    score = SCORES.get(column)
    return score.family if score else ""


def score_in_sentence(column: str) -> str:
    """Name a score within a sentence: "the raw norm", "the classifier's confidence", "distinctiveness"."""
    name = score_label(column)
    if name in ("Confidence", "Margin", "Energy"):
        return f"the classifier's {name.lower()}"
    if name.startswith(("Hoyer", "Q over", "GEN", "NNGuide", "fDBD", "SHE", "ViM")):
        return name
    if name.lower().endswith("distinctiveness"):
        return name.lower()
    if name[1:2].isupper() or name[1:2] == "-":
        return f"the {name}"
    return f"the {name[:1].lower()}{name[1:]}"


def available_scores(quality: pd.DataFrame | LazyTable) -> list[str]:
    """List the names of scores for which a table holds at least one number, in the order of SCORES."""
    return [column for column in SCORES if has_values(quality, column)]
