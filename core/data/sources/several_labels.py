"""Labels that are several in one cell: `rust|scab`, `16 0`, `['copd', 'edema']`; none need stand alone."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

SURE = ("|", ";")
MARKS = (*SURE, ",", "+", "&")
BLANK = " "
MOST = 0.5  # share of the parts that come again
NEARLY_ALL = 2 / 3  # of the parts, where a column is called as one of several labels is
PLURALS = frozenset(("labels", "tags", "classes", "categories", "attributes", "findings", "genres"))
FEWEST = 3  # joined names, where blanks are the only evidence


def labels_in_cell(name: str, mark: str) -> list[str]:
    """
    >>> labels_in_cell("['copd', 'edema']", ","), labels_in_cell(" a  b ", " ")
    (['copd', 'edema'], ['a', 'b'])
    """
    words = unlisted(name).split(None if mark == BLANK else mark)
    return [part for word in words if (part := word.strip(" '\""))]


def unlisted(name: str) -> str:
    """Return a cell without the brackets and quotes of a list as Python or JSON writes it.

    >>> unlisted("['normal']"), unlisted("[0, 1]"), unlisted("cat [1]")
    ('normal', '0, 1', 'cat [1]')
    """
    is_list = name.startswith("[") and name.endswith("]")
    inner = name[1:-1].strip() if is_list else name
    return inner.strip("'\"") if is_list and "," not in inner else inner


def joining_mark(names: Collection[str], column: str = "") -> tuple[str, list[str]] | None:
    """Return what stands between labels that are several in one, and the names with several; else None.

    A bar and a semicolon always do, and the comma of a list in brackets. Another mark does where the parts
    come again, alone or in other names; a blank also between numbers, and in names whose words are joined by
    underscores, and where the column is called so (`tags`) and most parts come again.
    """
    lists = [name for name in names if name.startswith("[") and name.endswith("]") and "," in name]
    if lists and 2 * len(lists) >= sum(name.startswith("[") for name in names):
        return ",", lists
    for mark in (*MARKS, BLANK):
        parts = {name: held for name in names if len(held := labels_in_cell(name, mark)) > 1}
        of_several = mark == BLANK and column.lower() in PLURALS
        if parts and _are_labels(mark, parts, set(names), of_several=of_several):
            return mark, list(parts)
    return None


def _are_labels(
    mark: str, parts: Mapping[str, Sequence[str]], names: Collection[str], *, of_several: bool
) -> bool:
    if mark in SURE:
        return True
    words = {word for held in parts.values() for word in held}
    if mark == BLANK and len(parts) > 1 and all(word.isdecimal() for word in words):
        return True
    joined_words = mark == BLANK and any("_" in word for word in words)
    if len(parts) < 2:
        n_alone = sum(word in names for word in words)
        return n_alone > 0 if joined_words else 2 * n_alone > len(words) and mark != BLANK
    n_names = Counter(word for held in parts.values() for word in set(held))
    again = [word in names or n_names[word] > 1 for held in parts.values() for word in held]
    if mark != BLANK or joined_words:
        return sum(again) > MOST * len(again)
    if of_several and all(word.isalpha() for word in words):
        return sum(again) > NEARLY_ALL * len(again)
    return all(again) and (len(parts) >= FEWEST or words <= set(names))
