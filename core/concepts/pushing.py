"""The features that push images towards a wrong class, in a sentence (docs/method.md 6.8)."""

from collections.abc import Sequence

from core.common.records import Record, Templates

_say = Templates.beside(__file__)


def pushing_sentence(
    predicted: str, names: Sequence[str], shares: Sequence[float], too_little: Sequence[bool]
) -> Record:
    """Say which features make an image be taken for `predicted`, and how much of the lead they are.

    Args:
        names: of features, one or more. shares: of the lead of the answer over the label, a number each;
            where one is not known, NaN or below 0, none is given. too_little: whether it is the lack of the
            feature that pushes.
    """
    parts = [_say("lack", what=name) if weak else name for name, weak in zip(names, too_little, strict=True)]
    if not all(share > 0 for share in shares):
        return _say("because", what=predicted, names=tuple(map(str, parts)))
    kind = "others_push_back" if sum(shares) > 1 else "with_shares"
    of_lead = tuple(_say("share", value=float(share)) for share in shares)
    return _say(kind, what=predicted, names=tuple(map(str, parts)), parts=of_lead)
