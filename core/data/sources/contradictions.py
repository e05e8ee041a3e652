"""Rows of one image that say two things of it, and splits whose classes are named in two ways: both sides."""

from typing import NamedTuple

import pandas as pd


class Contradiction(NamedTuple):
    """The first image of which two rows say different things; rows count from 1."""

    image: str
    first: str
    row: int
    second: str
    other_row: int

    def __str__(self) -> str:
        return (
            f"'{self.image}' is '{self.first}' in row {self.row} and '{self.second}' in row {self.other_row}"
        )


def find_contradiction(images: pd.Series, values: pd.Series) -> Contradiction | None:
    """Find an image with two different values; rows without one say nothing.

    Args:
        images, values: of the same rows, in their order.
    """
    pairs = pd.DataFrame({"image": images.to_numpy(), "value": values.to_numpy()}).dropna()
    pairs = pairs.loc[pairs["image"].duplicated(keep=False)]
    firsts = pairs.groupby("image")["value"].transform("first")
    others = pairs.loc[pairs["value"] != firsts]
    if not len(others):
        return None
    row = int(others.index[0])
    image, second = others.loc[row, ["image", "value"]]
    first = int(pairs.index[pairs["image"] == image][0])
    return Contradiction(str(image), str(pairs.loc[first, "value"]), first + 1, str(second), row + 1)
