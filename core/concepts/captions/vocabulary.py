"""The words that are shipped for photographs, and which of them are more general ones of others. No torch."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from core.common.assets import asset
from core.errors import CaptionError

PHOTOGRAPHS = "photographs"  # the name of the bank
REMARK, MORE_GENERAL = "#", ":"


@cache
def photograph_words() -> dict[str, str]:
    """Return the shipped words in their order, each with the next more general one, "" without any.

    Raises:
        CaptionError: the file cannot be read.
    """
    path = Path(asset("captions/photographs.txt"))
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise CaptionError(f"cannot read the word list '{path}': {error.strerror}") from None
    pairs = (line.partition(MORE_GENERAL) for line in lines if line and not line.startswith(REMARK))
    return {word: general.strip() for word, _, general in pairs}


def more_general(word: str, general: Mapping[str, str]) -> Iterator[str]:
    """Yield what is more general than a word, the next first.

    >>> list(more_general("beagle", {"beagle": "dog", "dog": "animal", "animal": ""}))
    ['dog', 'animal']
    """
    seen = {word}
    while (word := general.get(word, "")) and word not in seen:
        seen.add(word)
        yield word
