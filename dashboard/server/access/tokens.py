"""The server's tokens: how they are compared, and what the browser keeps in their place."""

import hmac
import secrets
from hashlib import sha256

from core.served.token import SHORTEST, check_token, fits

__all__ = ["SHORTEST", "admits", "check_token", "fits", "make_pass", "new_browser", "public_name"]

KEPT_S = 30 * 24 * 3600  # how long a browser is not asked again
LONGEST_BROWSER = 64


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


def new_browser() -> str:
    """Make the secret by which a browser is known again; it lets nobody in."""
    return secrets.token_urlsafe(24)


def public_name(browser: str) -> str:
    """Return what pages and records call a browser, from which nobody finds its secret; "" without one."""
    if not 16 <= len(browser) <= LONGEST_BROWSER:
        return ""
    return sha256(f"peregrine browser {browser}".encode("utf-8", "replace")).hexdigest()[:32]


def _signature(token: str, until: int) -> str:
    return hmac.new(
        token.encode("utf-8", "replace"), f"peregrine pass {until}".encode(), "sha256"
    ).hexdigest()
