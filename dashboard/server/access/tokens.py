"""The server's token: how it is compared, what the browser keeps in its place, how guessing is slowed."""

from __future__ import annotations

import hmac
from collections import OrderedDict

from core.served.token import SHORTEST, check_token, fits

__all__ = ["SHORTEST", "Tries", "admits", "check_token", "fits", "make_pass"]

KEPT_S = 30 * 24 * 3600  # how long a browser is not asked again
FREE_TRIES = 3
LONGEST_WAIT_S = 60.0
HELD_S = 2.0  # longest time for which the answer to a wrong token is held back
MOST_CLIENTS = 1000


def make_pass(token: str, now: float) -> str:
    """Make the pass that a browser keeps: its end, and a signature that needs the token."""
    until = int(now) + KEPT_S
    return f"{until}.{_signature(token, until)}"


def admits(made: str, token: str, now: float) -> bool:
    """Return True when a pass was made with this token and has not ended."""
    until, _, signature = made.partition(".")
    if not (until.isascii() and until.isdecimal() and len(until) <= 12):
        return False
    fine = hmac.compare_digest(signature.encode("utf-8", "replace"), _signature(token, int(until)).encode())
    return fine and now < int(until) <= now + KEPT_S


def _signature(token: str, until: int) -> str:
    return hmac.new(
        token.encode("utf-8", "replace"), f"peregrine pass {until}".encode(), "sha256"
    ).hexdigest()


class Tries:
    """Wrong tries by client: after three, each one doubles the time until the next is answered at once."""

    def __init__(self) -> None:
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait(self, client: str, now: float) -> float:
        """Seconds until a wrong try of this client is answered at once again; 0 for now."""
        wrong, last = self._wrong.get(client, (0, now))
        pause = min(2.0 ** (wrong - FREE_TRIES + 1), LONGEST_WAIT_S) if wrong >= FREE_TRIES else 0.0
        return max(0.0, last + pause - now)

    def note(self, client: str, now: float) -> None:
        """Remember a wrong try."""
        wrong, _ = self._wrong.pop(client, (0, now))
        self._wrong[client] = (min(wrong + 1, 64), now)
        while len(self._wrong) > MOST_CLIENTS:  # the client that tried longest ago is forgotten
            self._wrong.popitem(last=False)
