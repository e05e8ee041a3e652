"""How much of an answer's lead the features that weigh most add up to, in words."""

import numpy as np

from core.common.formatting import signed
from core.common.records import Record, Templates
from core.pictures.look import Look

HALF = 0.5  # of the lead: of a smaller share it is said where the rest is
LITTLE = 0.2  # of the lead: of a smaller share it is said what to look at instead
_say = Templates.beside(__file__)


def listed_sentence(look: Look, n_listed: int) -> Record:
    """Say how much of the lead the first features of a look add up to; only that these weigh most where what
    features add is not exact.

    Args:
        look: with pushes. n_listed: features that are shown.
    """
    if look.note:
        return _say("weigh_most")
    pushes = np.nan_to_num(look.features["push"].to_numpy(float))
    listed, others = np.split(pushes, [n_listed])
    total = float(listed.sum())
    if total < LITTLE * look.lead:
        return _decide_nothing(look, listed, others)
    rest = (signed(look.lead - total, 2),)
    if total > look.lead:
        return _say("weigh_most_and_rest", names=rest)
    share = total / look.lead
    return _say("explains" if share >= HALF else "explains_little", value=share, names=rest)


def _decide_nothing(look: Look, listed: np.ndarray, others: np.ndarray) -> Record:
    """Say what the lead is made of where the listed features hardly add to it; all in logits."""
    bias = look.lead - listed.sum() - others.sum()
    parts = (listed.clip(0).sum(), listed.clip(max=0).sum(), others.sum(), bias)
    names = tuple(signed(float(one), 2) for one in parts)
    n_others = np.count_nonzero(others)
    return _say("decide_nothing" if n_others else "bias_decides", of=len(listed), n=n_others, names=names)
