"""Words as tokens: the small vocabulary of the embedded CLIP. No torch."""

import re
from collections.abc import Iterable, Sequence

import numpy as np

PAD, START, UNKNOWN = 0, 1, 2
N_SPECIAL = 3  # the end token has the highest number: open_clip reads the text's embedding there
_WORD = re.compile(r"[a-z]+(?:['-][a-z]+)*")


def split_words(text: str) -> list[str]:
    """Split a text into lower-case words of letters; inner hyphens and apostrophes are kept.

    >>> split_words("A high-heeled shoe, 2 m left of Tom's hat!")
    ['a', 'high-heeled', 'shoe', 'm', 'left', 'of', "tom's", 'hat']
    """
    return _WORD.findall(text.lower())


class WordTokenizer:
    """One token per word. A word outside the vocabulary is tried without a plural ending, else "unknown".

    Called like an open_clip tokenizer, it returns (n, context_length) int64, as an array.
    """

    def __init__(self, words: Sequence[str], context_length: int) -> None:
        self.words = tuple(words)
        self.context_length = context_length
        self.numbers = {word: number for number, word in enumerate(self.words, N_SPECIAL)}
        self.end = N_SPECIAL + len(self.words)

    @property
    def vocab_size(self) -> int:
        return self.end + 1

    def number(self, word: str) -> int:
        """Return the token of a lower-case word."""
        for form in (word, word.removesuffix("s"), word.removesuffix("es")):
            if form in self.numbers:
                return self.numbers[form]
        return UNKNOWN

    def __call__(self, texts: str | Iterable[str]) -> np.ndarray:
        """Return start, words, end, padding; a long text loses its last words, never its end token."""
        texts = [texts] if isinstance(texts, str) else list(texts)
        tokens = np.full((len(texts), self.context_length), PAD, np.int64)
        for row, text in zip(tokens, texts, strict=True):
            numbers = [self.number(word) for word in split_words(text)[: self.context_length - 2]]
            row[: len(numbers) + 2] = [START, *numbers, self.end]
        return tokens
