"""Labels of train and evaluation images that name one class in two spellings."""

from collections.abc import Sequence

from core.common.labels.match import few, match_labels
from core.common.records import Templates
from core.data.sources.source import unseen_classes_note

say_of_splits = Templates.beside(__file__)


def one_spelling(splits: Sequence[str], labels: Sequence[str | None]) -> tuple[list[str | None], list[str]]:
    """Write the labels of evaluation images as the train images write the same classes.

    A folder `hot_dog` of train and `Hot Dog` of val are one class, `n01440764` and `tench` are, `01` and `1`
    are; classes that one split tells apart stay apart (`match_labels`).

    Args:
        splits: "train" or "val" of each image. labels: the class of each image, None for none.
    Returns:
        The label of each image, and notes: classes in another spelling, classes of val not in train.
    """
    trained: dict[str, None] = {}
    evaluated: dict[str, None] = {}
    for split, label in zip(splits, labels, strict=True):
        if label is not None:
            (trained if split == "train" else evaluated).setdefault(label)
    others = [label for label in evaluated if label not in trained]
    if not others or not trained:
        return list(labels), unseen_classes_note(splits, labels)
    names, train_names = list(evaluated), list(trained)
    match = match_labels([[name] for name in names], train_names)
    meant = {
        name: train_names[code]
        for name, code in zip(names, match.code.tolist(), strict=True)
        if code >= 0 and train_names[code] != name
    }
    labels = [
        meant.get(label, label) if label is not None and split != "train" else label
        for split, label in zip(splits, labels, strict=True)
    ]
    return labels, [*_note(meant), *unseen_classes_note(splits, labels)]


def _note(meant: dict[str, str]) -> list[str]:
    pairs = tuple(f"'{name}' is '{label}'" for name, label in sorted(meant.items()))
    return [say_of_splits("respelled", n=len(pairs), what=few(pairs), names=pairs)] if pairs else []
