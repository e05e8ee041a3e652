"""Which WordNet id the name of a class means, by the names that timm's table of synsets has. No torch."""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from core.common.labels.spelling import plain
from core.common.labels.wordnet import WORDNET, imagenet_synsets, wordnet_lemmas

# How exactly a name is that of an id, the most exact first: in this spelling, all names, the first or any.
SPELLINGS: tuple[Callable[[str], str], ...] = (str.strip, plain)


def _whole(names: str) -> list[str]:
    return [names]


def _first(names: str) -> list[str]:
    return names.split(",")[:1]


def _each(names: str) -> list[str]:
    return names.split(",")


PARTS: tuple[Callable[[str], list[str]], ...] = (_whole, _first, _each)
LEVELS = [(spelling, parts) for spelling in SPELLINGS for parts in PARTS]


def match_synsets(
    outputs: Sequence[Iterable[str]], labels: Sequence[str]
) -> tuple[list[int], dict[str, list[str]]]:
    """The place in `labels` of the id that an output's names mean, and the names that mean several.

    The names are told apart among the 1,000 classes of ImageNet where the labels are of them and there are no
    more outputs, else among all of the table. Of two outputs that mean one label, the more exact name counts.

    Returns:
        (n_outputs,) places, -1 for none; the labels that each name of several labels or outputs may mean.

    >>> match_synsets([["tench"], ["crane"], ["x"]], ["n01440764", "n02012849"])
    ([0, -1, -1], {'crane': ['n02012849']})
    """
    ids = [label for label in labels if WORDNET.fullmatch(label)]
    small = len(outputs) <= len(imagenet_synsets()) and set(ids) <= set(imagenet_synsets())
    tables = _tables(imagenet_synsets() if small else tuple(wordnet_lemmas())) if ids else []
    places = {label: place for place, label in enumerate(labels)}
    shared = dict[str, list[str]]()
    owners: dict[str, dict[int, list[int]]] = {}  # of an id: the outputs that mean it, by level
    for output, names in enumerate(outputs):
        for name in names:
            level, meant = _meant(name, tables)
            if len(meant) == 1:
                owners.setdefault(next(iter(meant)), {}).setdefault(level, []).append(output)
            elif held := sorted(meant & places.keys()):
                shared[name] = held
    code = [-1] * len(outputs)
    for one in owners.keys() & places.keys():
        best = set(owners[one][min(owners[one])])
        if len(best) == 1:
            code[best.pop()] = places[one]
        else:
            shared |= {name: [one] for name in outputs[min(best)]}
    return code, shared


def _meant(name: str, tables: Sequence[dict[str, set[str]]]) -> tuple[int, set[str]]:
    """The ids that a name means by the most exact table that has it, and the number of that table."""
    for level, ((spelling, parts), table) in enumerate(zip(LEVELS, tables, strict=False)):
        ids = [table[key] for part in parts(name) if (key := spelling(part)) in table]
        if ids:
            return level, set().union(*ids)
    return len(LEVELS), set()


@lru_cache(maxsize=2)
def _tables(pool: tuple[str, ...]) -> list[dict[str, set[str]]]:
    """For each level, the ids of `pool` that have a name."""
    lemmas, tables = wordnet_lemmas(), []
    for spelling, parts in LEVELS:
        table: dict[str, set[str]] = {}
        for one in pool:
            for part in parts(lemmas.get(one, one)):
                table.setdefault(spelling(part), set()).add(one)
        tables.append(table)
    return tables
