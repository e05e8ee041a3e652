"""What is said of remedies: which gain, which do not, and why one was not tried."""

from core.common.records import Record, Templates

_say = Templates.beside(__file__)


def why_not_tried(remedy: str) -> Record:
    """Say why there was no reason to try a remedy."""
    return _say(remedy)
