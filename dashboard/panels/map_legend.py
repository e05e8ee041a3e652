"""The legend of the map as a filter: an entry stands for one value of what colours the points."""

from core.slices.inspection.facets import CORRECT
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache.map_reads import ATTRIBUTE, filter_values
from dashboard.panels.images import facets

VERDICTS = {"correct": "true", "misclassified": "false"}  # entries, and the values of their facet


def filters(by: str) -> bool:
    """Whether the entries are values that a filter can name; a scale's are not."""
    return by in facets.SEVERAL or by == CORRECT or by.startswith(ATTRIBUTE)


def pressed(study: Study, by: str, current: Slice) -> list[str]:
    """The entries that a filter names."""
    values = facets.pressed(current, by.removeprefix(ATTRIBUTE))
    if by in facets.SEVERAL:
        return values
    return [name for name, value in _values(study, by).items() if value in values]


def toggle(study: Study, by: str, name: str) -> None:
    """Put a value into the filter, or take it out. Meant for callbacks."""
    value = name if by in facets.SEVERAL else _values(study, by).get(name)
    if value is not None:
        facets.toggle(study, by.removeprefix(ATTRIBUTE), value)


def _values(study: Study, by: str) -> dict[str, str]:
    return VERDICTS if by == CORRECT else filter_values(study, by.removeprefix(ATTRIBUTE))
