"""Extract the words of a caption that may be concepts (docs/method.md 6.4). No torch.

textblob's PatternParser provides parts of speech and noun chunks, simplemma the lemmas; both ship with their
data. Words that are never concepts are listed in assets/discard_words.txt.
"""

import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from core.common.assets import asset
from core.errors import CaptionError

DISCARD_FILE = asset("discard_words.txt")
LONGEST = 600  # characters of a caption that are read: what follows in a longer one is not a caption
SHORTEST_WORD = 3
ENGLISH_SHARE = 0.4  # minimum share of words known to simplemma; other languages stay below 0.2
_LETTERS = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*\Z")


@dataclass(frozen=True)
class Word:
    """A candidate concept in its base form; `kind` is "word" or "phrase"."""

    text: str
    kind: str


@dataclass(frozen=True)
class Tagged:
    """A token with its part of speech, and whether it begins or continues a noun chunk."""

    text: str
    tag: str
    chunk: str

    @property
    def is_noun(self) -> bool:
        return self.tag.startswith("NN")

    @property
    def is_content(self) -> bool:
        return self.tag[:2] in ("NN", "VB", "JJ")


@cache
def discard_words(path: Path = DISCARD_FILE) -> frozenset[str]:
    """Read the list of discarded words. Raises CaptionError when it cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise CaptionError(f"cannot read the discard list '{path}': {error.strerror}") from None
    return frozenset(word for line in lines if not line.startswith("#") for word in line.lower().split())


def concepts_of(caption: str) -> list[Word]:
    """Extract nouns, verbs and adjectives of a caption in base form, and its noun phrases; each once.

    A phrase is a run of kept words of one noun chunk that ends in a noun ("brown guide dog"), its suffixes
    ("guide dog"), and nouns joined by "of" without an article ("ball of yarn").

    >>> [word.text for word in concepts_of("A photo of two brown dogs on the grass")]
    ['brown', 'dog', 'grass', 'brown dog']
    """
    return list(_concepts_of(caption[:LONGEST].lower().replace("\0", " ")))


def words_in(texts: Iterable[str], *, as_they_stand: bool) -> list[list[tuple[str, str]]]:
    """Return the concepts of each text with their kinds; `as_they_stand`: each text is one itself.

    >>> words_in(["stop sign", "ox"], as_they_stand=True)
    [[('stop sign', 'phrase')], [('ox', 'word')]]
    """
    if as_they_stand:
        return [[(text, "phrase" if " " in text else "word")] for text in texts]
    return [[(word.text, word.kind) for word in concepts_of(text)] for text in texts]


@lru_cache(maxsize=65_536)
def _concepts_of(caption: str) -> tuple[Word, ...]:
    tokens = tag(caption)
    words = [base_form(token) for token in tokens]
    single_words = [Word(word, "word") for word in words if word is not None]
    phrases = [Word(text, "phrase") for text in (*chunk_phrases(tokens, words), *of_phrases(tokens, words))]
    return tuple(dict.fromkeys(single_words + phrases))


def tag(caption: str) -> list[Tagged]:
    """Tag the tokens of a lower-case caption. Nothing in it is treated as markup."""
    if not caption.strip():
        return []
    # the parser writes TOKEN/TAG/CHUNK/…; a caption's own slashes and angle brackets would interfere
    rows = str(_parser()(re.sub(r"[/<>|\\]", " , ", caption))).split()
    parts = [row.split("/") for row in rows]
    return [Tagged(row[0], row[1], row[2]) for row in parts if len(row) >= 3]


@cache
def _parser() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from textblob.parsers import PatternParser

    return PatternParser().parse


def base_form(token: Tagged) -> str | None:
    """Return the word as a concept, or None: wrong part of speech, digits or signs, too short, discarded."""
    if not token.is_content or not _LETTERS.match(token.text):
        return None
    lemma = lemma_of(token.text, token.tag)
    dropped = {token.text, lemma} & discard_words()
    return None if dropped or len(lemma) < SHORTEST_WORD else lemma


@lru_cache(maxsize=65_536)
def lemma_of(word: str, part: str) -> str:
    """Return the base form; an adjective changes only if compared ("larger" -> "large", "striped" stays)."""
    if part == "JJ" or part == "NN":
        return word
    from simplemma import lemmatize

    return lemmatize(word, "en").lower()


def chunk_phrases(tokens: Sequence[Tagged], words: Sequence[str | None]) -> list[str]:
    """List runs of kept nouns and adjectives in a noun chunk, from each of their words to the last noun."""
    phrases: list[str] = []
    run: list[int] = []
    for position, (token, word) in enumerate(zip(tokens, words, strict=True)):
        if token.chunk == "B-NP" or not _in_chunk(token) or word is None:
            phrases += _ends(run, tokens, words)
            run = []
        if word is not None and _in_chunk(token):
            run.append(position)
    return phrases + _ends(run, tokens, words)


def _in_chunk(token: Tagged) -> bool:
    return token.chunk in ("B-NP", "I-NP")


def _ends(run: list[int], tokens: Sequence[Tagged], words: Sequence[str | None]) -> list[str]:
    while run and not tokens[run[-1]].is_noun:
        run = run[:-1]
    texts = [str(words[position]) for position in run[-1:]]
    texts = [tokens[position].text for position in run[:-1]] + texts
    return [" ".join(texts[start:]) for start in range(len(texts) - 1)]


def of_phrases(tokens: Sequence[Tagged], words: Sequence[str | None]) -> list[str]:
    """ "ball of yarn", "slice of cake": two kept nouns joined by "of" without an article."""
    is_kept_noun = [token.is_noun and word is not None for token, word in zip(tokens, words, strict=True)]
    return [
        f"{words[at - 1]} of {words[at + 1]}"
        for at in range(1, len(tokens) - 1)
        if tokens[at].text == "of" and is_kept_noun[at - 1] and is_kept_noun[at + 1]
    ]


def require_english(captions: Iterable[str]) -> None:
    """Refuse captions in another language: tagger, lemmas and stop words are English.

    Raises:
        CaptionError: fewer than ENGLISH_SHARE of the words are known English words.
    """
    text = " ".join(caption[:LONGEST] for caption in captions)
    letters = re.findall(r"[^\W\d_]{2,}", text)
    if not letters:
        return
    from simplemma import in_target_language

    if in_target_language(text, lang="en") < ENGLISH_SHARE:
        raise CaptionError(
            f"the captions are not English ('{text[:40]}…'), and other languages are not supported. "
            "Give an English bank"
        )
