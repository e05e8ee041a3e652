"""The token that lets others in: what may be one, and how it is compared."""

import hashlib
import hmac

from core.errors import SettingsError

TOKEN = "PEREGRINE_TOKEN"  # the variable that holds the token
SHORTEST = 16  # characters of it


def check_token(token: str) -> None:
    """Raise SettingsError for a token that could be guessed."""
    if len(token) < SHORTEST:
        raise SettingsError(
            f"PEREGRINE_TOKEN has {len(token)} characters and needs {SHORTEST} or more. "
            'Make one: python -c "import secrets; print(secrets.token_urlsafe())"'
        )


def fits(given: str, token: str) -> bool:
    """Return True when a given text is the token. The time it takes says nothing, not even of the length."""
    digests = (hashlib.sha256(text.encode("utf-8", "replace")).digest() for text in (given, token))
    return hmac.compare_digest(*digests)
