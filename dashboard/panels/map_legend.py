"""The legend of the map as a filter: an entry stands for one value of what colours the points."""

from core.slices.slice import Slice
from core.store import Study
from dashboard.cache.map_reads import ATTRIBUTE, filter_values
from dashboard.state import image_filter

FIELDS = {"label": "labels", "predicted": "predicted"}
VERDICTS = {"correct": True, "misclassified": False}


def filters(by: str) -> bool:
    """Whether the entries are values that a filter can name; a scale's are not."""
    return by in FIELDS or by == "correct" or by.startswith(ATTRIBUTE)


def pressed(study: Study, by: str, current: Slice) -> list[str]:
    """The entries that a filter names."""
    if by in FIELDS:
        return list(getattr(current, FIELDS[by]))
    if by == "correct":
        return [name for name, value in VERDICTS.items() if value is current.correct]
    column = by.removeprefix(ATTRIBUTE)
    named = current.extras.get(column, ())
    return [name for name, value in filter_values(study, column).items() if value in named]


def toggle(study: Study, by: str, name: str) -> None:
    """Put a value into the filter, or take it out. Meant for callbacks."""
    current = image_filter.current(study)
    before = pressed(study, by, current)
    names = [one for one in before if one != name]
    if len(names) == len(before):
        names.append(name)
    if by in FIELDS:
        image_filter.put(study, **{FIELDS[by]: tuple(names)})
    elif by == "correct":
        image_filter.put(study, correct=VERDICTS.get(name) if name in names else None)
    else:
        column = by.removeprefix(ATTRIBUTE)
        others = {key: values for key, values in current.extras.items() if key != column}
        values = filter_values(study, column)
        pressed_values = tuple(values[one] for one in names if one in values)
        image_filter.put(study, extras=others | ({column: pressed_values} if pressed_values else {}))
