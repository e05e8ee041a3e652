"""Which images an accuracy is of, and whose answers, in the fewest words: the same on every page."""

from core.common.records import Record, Templates

_say = Templates.beside(__file__)


def evaluation_images(n: int) -> Record:
    """Name n images that no answer was fitted to. 0: a study of before does not say how many."""
    return _say("evaluation", n=n) if n else _say("unseen")


def out_of_fold(n: int) -> Record:
    """Name n images, train and evaluation alike, that are answered by models of other folds."""
    return _say("out_of_fold", n=n)


def filtered_images(n: int) -> Record:
    """Name n images of a filter, of either split."""
    return _say("filtered", n=n)


def as_corrected(scope: Record, n: int) -> Record:
    """Add that n labels of these images count as people corrected them; the same where none does."""
    return _say("corrected", n=n, what=scope) if n else scope
