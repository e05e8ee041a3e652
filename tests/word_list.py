"""Write assets/wordnet/ from WordNet 3.0: `python -m tests.word_list DICT`, the folder of data.noun.

Nouns, verbs and adjectives of one word; forms whose base no rule tells, or several would; and compounds of
things that can be seen. `core/concepts/caption_words.py` reads them.
"""

import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from core.concepts.caption_words import RULES, VERB

OUT = Path(__file__).parents[1] / "assets" / "wordnet"
ONE_WORD = re.compile(r"[a-z]+(?:-[a-z]+)*\Z")
COMPOUND = re.compile(r"[a-z]+(?: [a-z]+){1,3}\Z")
SMALL_WORDS = {
    "a",
    "an",
    "and",
    "as",
    "at",
    "by",
    "de",
    "for",
    "from",
    "in",
    "of",
    "on",
    "or",
    "the",
    "to",
    "with",
}
PHYSICAL = "00001930"  # physical entity
LIVING = ("00004258", "00007846")  # living thing, person
FIRST_SENSES = 4  # of dog, the fifth is the sausage
# Categories of COCO that WordNet does not have; each is what its last word says
OF_COCO = ("stop sign", "cell phone", "sports ball", "tennis racket", "baseball glove", "potted plant")


def entries(path: Path) -> Iterator[list[str]]:
    """Yield the fields of an index or data file, whose first lines are the licence."""
    for line in path.read_text(encoding="latin-1").splitlines():
        if not line.startswith(" "):
            yield line.split()


def counts(folder: Path, part: str) -> Counter[str]:
    """How often a word was met in the texts that WordNet's authors tagged."""
    number = {"noun": "1", "verb": "2", "adj": "3"}[part]
    total: Counter[str] = Counter()
    for key, _, n in (line.split() for line in (folder / "cntlist.rev").read_text().splitlines()):
        word, _, rest = key.partition("%")
        if rest[0] == number:
            total[word] += int(n)
    return total


def irregular(folder: Path, part: str, words: set[str]) -> Iterator[tuple[str, str]]:
    """Yield (form, base) of exceptions, and of forms that two words share: the more common of the two."""
    exceptions = dict[str, str]()
    for form, *bases in (line.split() for line in (folder / f"{part}.exc").read_text().splitlines()):
        known = [base for base in bases if base in words]
        if known and ONE_WORD.match(form):
            exceptions[form] = known[0]
    common = counts(folder, part)
    for form, bases in shared_forms(part, words):
        if form not in exceptions:
            exceptions[form] = max(bases, key=lambda base: (common[base], len(base)))
    yield from sorted((form, base) for form, base in exceptions.items() if form != base)


def shared_forms(part: str, words: set[str]) -> Iterator[tuple[str, list[str]]]:
    bases_of: dict[str, set[str]] = defaultdict(set)
    for ending, base_ending in RULES[part]:
        for word in words:
            if word.endswith(base_ending):
                bases_of[word.removesuffix(base_ending) + ending].add(word)
    for form, bases in bases_of.items():
        short = [base for base in bases if f"{base}e" in bases and part == VERB and doubles(base)]
        left = sorted(bases - set(short))  # "hoping" is of hope: hop doubles its last letter
        if len(bases) > 1:
            yield form, left


def doubles(word: str) -> bool:
    """Whether the last letter doubles before -ing: one vowel between consonants."""
    return bool(re.fullmatch(r"[^aeiou]*[aeiou][^aeiouwxy]", word))


def compounds(folder: Path, adjectives: set[str]) -> Iterator[tuple[str, bool]]:
    """Yield compounds of physical things, and whether such a thing is one of what its last word says."""
    lemmas, above = {}, {}
    for fields in entries(folder / "data.noun"):
        n_words = int(fields[3], 16)
        lemmas[fields[0]] = [fields[4 + 2 * at].lower().replace("_", " ") for at in range(n_words)]
        pointers = fields[5 + 2 * n_words :]
        above[fields[0]] = [pointers[at + 1] for at, sign in enumerate(pointers) if sign == "@"]
    senses = {}
    for fields in entries(folder / "index.noun"):
        senses[fields[0].lower().replace("_", " ")] = fields[-int(fields[2]) :]
    for word, of_word in senses.items():
        if not COMPOUND.match(word) or SMALL_WORDS & set(word.split()):
            continue
        ancestors = [(synset, ancestry(synset, above)) for synset in of_word]
        physical = [(synset, every) for synset, every in ancestors if PHYSICAL in every]
        head = word.rpartition(" ")[2]
        usual = senses.get(head, [])[:FIRST_SENSES]
        is_head = any(
            synset in usual
            or any(head in lemmas[one] for one in every)
            or any(ends_in(head, name, word) for name in lemmas[synset])
            for synset, every in physical
        )
        # "large white", a butterfly, and "red drum", a fish, are a colour or a thing in a caption
        misleading = not is_head and word.partition(" ")[0] in adjectives
        alive = all(any(one in every for one in LIVING) for _, every in physical)
        if physical and not (misleading and alive):
            yield word, is_head


def ends_in(head: str, name: str, compound: str) -> bool:
    """Whether another name of the thing, in one word, ends in the last one: sailboat, for a sailing boat."""
    return " " not in name and name.endswith(head) and name not in (head, compound.replace(" ", ""))


def ancestry(synset: str, above: dict[str, list[str]]) -> set[str]:
    found: set[str] = set()
    waiting = list(above[synset])
    while waiting:
        if (one := waiting.pop()) not in found:
            found.add(one)
            waiting += above[one]
    return found


def write(name: str, lines: Iterable[str]) -> None:
    (OUT / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def main(folder: Path) -> None:
    for part, name in (("noun", "nouns"), ("verb", "verbs"), ("adj", "adjectives")):
        words = {fields[0] for fields in entries(folder / f"index.{part}") if ONE_WORD.match(fields[0])}
        write(f"{name}.txt", sorted(words))
        write(f"{name}_irregular.txt", (f"{form} {base}" for form, base in irregular(folder, part, words)))
    adjectives = {fields[0] for fields in entries(folder / "index.adj")}
    of = dict(compounds(folder, adjectives)) | dict.fromkeys(OF_COCO, True)
    write("compounds.txt", (word for word, is_head in sorted(of.items()) if is_head))
    write("compounds_of_their_own.txt", (word for word, is_head in sorted(of.items()) if not is_head))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
