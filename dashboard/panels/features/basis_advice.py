"""Which basis of a study to look at, and by which control it is judged."""

import math
from collections.abc import Mapping
from typing import Literal

from core.bases.basis import Basis
from core.bases.worth import CONTROLS, explained, explained_by_random
from core.common.records import Record, Templates
from core.common.verdicts.words import RELIABLE, USEFUL, USELESS, WEAK, WORDS, Verdict

_say = Templates.beside(__file__)
FEW_VECTORS = 500  # of 97 photographs, a dictionary explained 4 %, and another run found few of its latents
TITLES = {USELESS: "useless", WEAK: "weak", USEFUL: "useful", RELIABLE: "reliable", "": "not_judged"}


def advice(bases: Mapping[str, Basis], worth: Mapping[str, Verdict]) -> tuple[Record, Record]:
    """Which basis to look at, and why, by the verdicts on them (`dictionary_verdicts`).

    >>> advice({}, {})
    ('No basis is learned yet', 'A basis describes each image by a few latents, each often of one thing.')
    """
    if worth:
        best = _best(bases, worth)
        return _say(TITLES[worth[best].word], what=best), worth[best].sentence
    if controls := tuple(bases):
        return _say("only_controls"), _say("controls", names=controls)
    return _say("none"), _say("gives")


def few_images(n_vectors: int) -> Record | Literal[""]:
    """Warn where so few vectors are learned from that the latents may be chance; "" for enough of them."""
    return _say("few_images", n=n_vectors, of=FEW_VECTORS) if n_vectors < FEW_VECTORS else ""


def _best(bases: Mapping[str, Basis], worth: Mapping[str, Verdict]) -> str:
    """The basis with the best word, and of these the one that explains most."""
    return max(worth, key=lambda name: (_place(worth[name]), explained(bases[name])))


def _place(judged: Verdict) -> int:
    """One that is not judged is better than a useless one."""
    return WORDS.index(judged.word or WEAK)


def lacking_control(bases: Mapping[str, Basis]) -> Basis | None:
    """The learned basis that explains most, where it has no random directions to be judged by."""
    learned = [one for one in bases.values() if one.kind not in CONTROLS]
    best = max(learned, key=explained, default=None)
    return best if best is not None and math.isnan(explained_by_random(best, bases)) else None
