"""Names of classes that are all different: two classes of one name stay two."""

from collections import Counter
from collections.abc import Hashable, Sequence

from core.common.labels.match import few
from core.common.labels.spelling import wordnet_id
from core.common.records import Record, Templates

say_of_names = Templates.beside(__file__)


def distinct_names(
    ids: Sequence[Hashable], names: Sequence[str | None]
) -> tuple[list[str | None], list[Record]]:
    """Return a label for each class of a list, all different, and what is said of that.

    Where no two classes have one name, the names are the labels. Else the labels of a list whose classes all
    have WordNet ids are these, whose words are shown; in another list the id stands behind a repeated name.

    Args:
        ids: the id or the number of each class, all different. names: what each is called, None for nothing.

    >>> distinct_names(["n02012849", "n03126707"], ["crane", "crane"])[0]
    ['n02012849', 'n03126707']
    >>> distinct_names([4, 9, 5], ["crane", "crane", "cat"])[0]
    ['crane (4)', 'crane (9)', 'cat']
    """
    uses = Counter(name for name in names if name is not None)
    repeated = tuple(sorted(name for name, n in uses.items() if n > 1))
    if not repeated:
        return list(names), []
    of_wordnet = [wordnet_id(str(one)) for one in ids]
    if all(of_wordnet):
        return [*of_wordnet], [say_of_names("by_id", n=len(repeated), what=few(repeated), names=repeated)]
    labels = []
    for image, name in zip(ids, names, strict=True):
        is_repeated = name is not None and uses[name] > 1
        labels.append(f"{name} ({image})" if is_repeated else name)
    return labels, [say_of_names("id_behind", n=len(repeated), what=few(repeated), names=repeated)]
