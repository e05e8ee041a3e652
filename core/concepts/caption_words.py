"""Extract the words of a caption that may be concepts (docs/method.md 6.4). No torch."""

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from core.common.assets import asset
from core.errors import CaptionError

# The words that are shipped for photographs, and which of them are more general ones of others. No torch.


PHOTOGRAPHS = "photographs"  # the name of the bank
REMARK, MORE_GENERAL = "#", ":"


@cache
def photograph_words() -> dict[str, str]:
    """Return the shipped words that name features of photographs, each with the next more general one.

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
    """Yield what is more general than a word of captions, the next first.

    >>> list(more_general("beagle", {"beagle": "dog", "dog": "animal", "animal": ""}))
    ['dog', 'animal']
    """
    seen = {word}
    while (word := general.get(word, "")) and word not in seen:
        seen.add(word)
        yield word


# Base forms by WordNet's word list (Fellbaum 1998; `assets/wordnet/`), and its compounds. No torch.
#
# As WordNet's own morphy: exceptions first, then endings by rules, and only words of the list are base
# forms.


NOUN, VERB, ADJECTIVE = "noun", "verb", "adj"
FILES = {NOUN: "nouns", VERB: "verbs", ADJECTIVE: "adjectives"}
RULES: dict[str, Sequence[tuple[str, str]]] = {  # (ending, ending of the base)
    NOUN: (
        *(("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh")),
        *(("men", "man"), ("ies", "y"), ("s", "")),
    ),
    VERB: (
        *(("ies", "y"), ("es", "e"), ("es", ""), ("s", "")),
        *(("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", "")),
    ),
    ADJECTIVE: (("er", "e"), ("er", ""), ("est", "e"), ("est", "")),
}
LONGEST_COMPOUND = 4  # words


def _lines(name: str) -> list[str]:
    path = asset(f"wordnet/{name}.txt")
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise CaptionError(f"cannot read the word list '{path}': {error.strerror}") from None


@cache
def known_words(part: str) -> frozenset[str]:
    """The words of a part of speech that captions are read with, in base forms. Raises CaptionError."""
    return frozenset(_lines(FILES[part]))


@cache
def _irregular_forms(part: str) -> dict[str, str]:
    """The base of each word form in captions that rules do not tell, or not alone."""
    return dict(line.split() for line in _lines(f"{FILES[part]}_irregular"))


@lru_cache(maxsize=65_536)
def base_of(word: str, part: str) -> str | None:
    """Return the base form of an inflected word of a caption, a word of the list; None if there is none.

    >>> [base_of(word, VERB) for word in ("playing", "ran", "riding", "singing", "play")]
    ['play', 'run', 'ride', 'sing', 'play']
    >>> [base_of(word, NOUN) for word in ("lenses", "wolves", "women", "frisbees", "zzzs")]
    ['lens', 'wolf', 'woman', 'frisbee', None]
    """
    if exception := _irregular_forms(part).get(word):
        return exception
    words = known_words(part)
    bases = (word.removesuffix(ending) + of_base for ending, of_base in RULES[part] if word.endswith(ending))
    return next((base for base in bases if base in words), word if word in words else None)


@cache
def compounds() -> dict[str, bool]:
    """Compounds to find in captions, "fire hydrant", and whether such a thing is what its last word says.

    >>> compounds()["fire hydrant"], compounds()["hot dog"], "dog hydrant" in compounds()
    (True, False, False)
    """
    return dict.fromkeys(_lines("compounds"), True) | dict.fromkeys(_lines("compounds_of_their_own"), False)


# Extract the words of a caption that may be concepts (docs/method.md 6.4). No torch.
#
# textblob's parser provides parts of speech and noun chunks; WordNet's word list corrects what it guesses
# wrong and has the base forms and compounds. Words that are never concepts are listed in
# assets/discard_words.txt.


DISCARD_FILE = asset("discard_words.txt")
LONGEST = 600  # characters of a caption that are read: what follows in a longer one is not a caption
SHORTEST_WORD = 3
ENGLISH_SHARE = 0.4  # minimum share of words known to simplemma; other languages stay below 0.2
_LETTERS = re.compile(r"[^\W\d_]+(?:[- ][^\W\d_]+)*\Z")
ARTICLES = frozenset(("a", "an", "the"))
COMPOUND_LENGTHS = range(LONGEST_COMPOUND, 1, -1)
BEFORE_VERB = ("NN", "PRP", "WP", "WDT", "TO", "MD", "RB", "VB")
GUESSED = ("FW", "RB", "UH", "SYM")  # tags of words that the tagger does not know as nouns


@dataclass(frozen=True)
class Word:
    """A candidate concept in its base form; `kind` is "word" or "phrase"."""

    text: str
    kind: str


@dataclass(frozen=True)
class Tagged:
    """A token with its part of speech, and whether it begins or continues a noun chunk.

    A compound is one token; `parts`: what of it is a word besides, as the bear of a polar bear.
    """

    text: str
    tag: str
    chunk: str
    parts: tuple["Tagged", ...] = ()

    @property
    def is_noun(self) -> bool:
        return self.tag.startswith("NN")

    @property
    def is_content(self) -> bool:
        return self.tag[:2] in ("NN", "VB", "JJ")


@cache
def discard_words(path: Path = DISCARD_FILE) -> frozenset[str]:
    """Read the list of words that name no feature. Raises CaptionError when it cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise CaptionError(f"cannot read the discard list '{path}': {error.strerror}") from None
    return frozenset(word for line in lines if not line.startswith("#") for word in line.lower().split())


def concepts_of(caption: str) -> list[Word]:
    """Extract nouns, verbs and adjectives of a caption in base form, and its noun phrases; each once.

    A phrase is a run of kept words of one noun chunk that ends in a noun ("brown guide dog"), its suffixes
    ("guide dog"), and nouns joined by "of" without an article ("ball of yarn"). A compound of WordNet is one
    noun ("hot dog"), beside which its last word stands only where it is one ("polar bear": a bear).

    >>> [word.text for word in concepts_of("A photo of two brown dogs on the grass")]
    ['brown', 'dog', 'grass', 'brown dog']
    >>> [word.text for word in concepts_of("a girl who is playing with a teddy bear")]
    ['girl', 'play', 'teddy bear']
    """
    return list(_concepts_of(caption[:LONGEST].lower().replace("\0", " ")))


def words_in(
    texts: Iterable[str], *, as_they_stand: bool, general: Mapping[str, str] | None = None
) -> list[list[tuple[str, str]]]:
    """Return the concepts (words and phrases) of each caption with their kinds.

    `as_they_stand`: each text is one itself, and so is what is more general.

    Args:
        general: of a concept the next more general one.

    >>> words_in(["stop sign", "beagle"], as_they_stand=True, general={"beagle": "dog", "dog": "animal"})
    [[('stop sign', 'phrase')], [('beagle', 'word'), ('dog', 'word'), ('animal', 'word')]]
    """
    if as_they_stand:
        return [
            [(one, "phrase" if " " in one else "word") for one in (text, *more_general(text, general or {}))]
            for text in texts
        ]
    return [[(word.text, word.kind) for word in concepts_of(text)] for text in texts]


@lru_cache(maxsize=65_536)
def _concepts_of(caption: str) -> tuple[Word, ...]:
    tokens = tag(caption)
    words = [_base_form(token) for token in tokens]
    alone = [_base_form(one) for token in tokens for one in (token, *token.parts)]
    single_words = [Word(word, "phrase" if " " in word else "word") for word in alone if word is not None]
    phrases = [Word(text, "phrase") for text in (*chunk_phrases(tokens, words), *_of_phrases(tokens, words))]
    return tuple(dict.fromkeys(single_words + phrases))


def tag(caption: str) -> list[Tagged]:
    """Tag the parts of speech of a lower-case caption's tokens, a compound as one."""
    if not caption.strip():
        return []
    parser = _parser()
    tagged: list[Tagged] = []
    # the parser writes TOKEN/TAG/CHUNK/…; a caption's own slashes and angle brackets would interfere
    for sentence in parser.find_tokens(re.sub(r"[/<>|\\]", " , ", caption)):
        tokens = _joined_compounds(corrected(parser.find_tags(sentence.split(" "))))
        chunks = parser.find_chunks([[token.text, token.tag] for token in tokens])
        tagged += [replace(token, chunk=row[2]) for token, row in zip(tokens, chunks, strict=True)]
    return tagged


def corrected(rows: Sequence[Sequence[str]]) -> list[Tagged]:
    """Put right the tags of a caption's tokens that the tagger guesses wrongly.

    A noun of the word list is one where it is tagged as foreign or, by its ending, as an adverb ("kimono",
    "dragonfly"); so is one that is tagged as a verb behind an article ("a stop sign", "the leaves"), but for
    participles before a noun ("a playing child").
    """
    tags = [row[1] for row in rows]
    for at, (text, part) in enumerate(rows):
        if part in GUESSED and text not in _parser().lexicon or part == "FW":
            tags[at] = _noun_tag(text) or part
        elif part.startswith("VB") and at and _opens_noun(rows[at - 1], part):
            before_noun = at + 1 < len(rows) and rows[at + 1][1].startswith(("NN", "JJ", "CD"))
            is_participle = part in ("VBG", "VBN") and before_noun
            tags[at] = part if is_participle else _noun_tag(text) or part
    return [Tagged(row[0], part, "") for row, part in zip(rows, tags, strict=True)]


def _opens_noun(row: Sequence[str], part: str) -> bool:
    """Whether what follows is no verb: behind an article, a possessive, a number; a rose behind "red"."""
    is_finite = part in ("VB", "VBD", "VBP", "VBZ")
    return row[0] in ARTICLES or row[1] in ("PRP$", "CD") or (is_finite and row[1] == "JJ")


def _noun_tag(text: str) -> str | None:
    """The tag of a noun of the word list; None for other words."""
    if text in known_words(NOUN):
        return "NN"
    return "NNS" if base_of(text, NOUN) else None


def _joined_compounds(tokens: Sequence[Tagged]) -> list[Tagged]:
    """Join a caption's tokens of each compound of the word list, from the right, the longest first."""
    joined: list[Tagged] = []
    end = len(tokens)
    while end:
        starts = (max(end - n, 0) for n in COMPOUND_LENGTHS)
        compound = next(filter(None, (_compound(tokens, start, end) for start in starts)), None)
        joined.append(compound or tokens[end - 1])
        end -= len(compound.text.split()) if compound else 1
    return joined[::-1]


def _compound(tokens: Sequence[Tagged], start: int, end: int) -> Tagged | None:
    """The tokens start … end as one, in the singular; None if they are no compound."""
    first, last = [token.text for token in tokens[start : end - 1]], tokens[end - 1].text
    singular = base_of(last, NOUN) or last
    names = {" ".join([*first, word]): word for word in (last, singular)}
    name = next((name for name in names if name in compounds()), None)
    if name is None or not first or _is_verb(tokens, start, is_plural=singular != last):
        return None
    adjectives = tuple(token for token in tokens[start : end - 1] if token.tag == "JJ")
    parts = (*adjectives, Tagged(names[name], "NN", "")) if compounds()[name] else ()
    return Tagged(name, "NN", "", parts)


def _is_verb(tokens: Sequence[Tagged], at: int, *, is_plural: bool) -> bool:
    """Whether the first word of a compound is a verb of the sentence: people riding horses."""
    if not tokens[at].tag.startswith("VB"):
        return False
    return tokens[at - 1].tag.startswith(BEFORE_VERB) if at else is_plural


@cache
def _parser() -> Any:
    """textblob's parser (Smedt & Daelemans 2012): `find_tokens`, `find_tags`, `find_chunks`, `lexicon`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from textblob.en import parser

    return parser


def _base_form(token: Tagged) -> str | None:
    """Return a caption's word as a concept, or None: wrong part of speech, digits, too short, discarded."""
    if not token.is_content or not _LETTERS.match(token.text):
        return None
    lemma = lemma_of(token.text, token.tag)
    dropped = {token.text, lemma} & discard_words()
    return None if dropped or len(lemma) < SHORTEST_WORD else lemma


@lru_cache(maxsize=65_536)
def lemma_of(word: str, part: str) -> str:
    """Return the base form of a caption's word, or the word as it stands where the list has none.

    Nouns change only from the plural, adjectives only if compared ("larger" -> "large", "striped" stays).
    """
    if part in ("JJ", "NN") or (part in ("VB", "VBP") and word in known_words(VERB)):
        return word
    parts = (NOUN,) if part.startswith("NN") else (ADJECTIVE,) if part.startswith("JJ") else (VERB, NOUN)
    return next((base for kind in parts if (base := base_of(word, kind))), word)


def chunk_phrases(tokens: Sequence[Tagged], words: Sequence[str | None]) -> list[str]:
    """List runs of kept nouns and adjectives in a caption's noun chunk, from each to the last noun."""
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


def _of_phrases(tokens: Sequence[Tagged], words: Sequence[str | None]) -> list[str]:
    """Find phrases of captions such as "ball of yarn": two kept nouns joined by "of" without article."""
    is_kept_noun = [token.is_noun and word is not None for token, word in zip(tokens, words, strict=True)]
    phrases = []
    for at in range(1, len(tokens) - 1):
        if tokens[at].text == "of" and is_kept_noun[at - 1] and is_kept_noun[at + 1]:
            phrases.append(f"{words[at - 1]} of {words[at + 1]}")
    return phrases


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
