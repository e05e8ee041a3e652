"""Names of groups of features: their numbers, joined by a sign that no parser of numbers takes.

Until version 0.3 they were joined by "_", and Python reads "2_3" as the number 23.
"""

import re

JOINED_BY, EARLIER = "+", "_"


def group_name(features: tuple[int, ...]) -> str:
    """Name a group of several features by their numbers, joined."""
    return JOINED_BY.join(map(str, features))


def group_features(name: str) -> tuple[int, ...]:
    """The features of a group of several, by the group's name or by the one that it had before.

    >>> group_features("12+40"), group_features("12_40"), group_features("7")
    ((12, 40), (12, 40), (7,))
    """
    return tuple(int(part) for part in re.split(r"[+_]", name))


def is_joint(name: str) -> bool:
    """Return True for the name of a group of several features."""
    return JOINED_BY in name


def from_link(text: str) -> str:
    """The name of a group of features in a link: of an earlier version, or typed (a "+" is a space).

    >>> from_link("2_3"), from_link("2 3"), from_link("2+3")
    ('2+3', '2+3', '2+3')
    """
    return re.sub(r"(?<=\d)[_ ](?=\d)", JOINED_BY, text)
