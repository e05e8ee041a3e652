"""The token that lets others in: what may be one, how it is compared, and how guessing is slowed down."""

import asyncio
import hashlib
import hmac
import socket
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import quote, urlencode

from core.common.processes import TOKENS
from core.errors import SettingsError

TOKEN, GUEST_TOKEN = TOKENS  # the variables that hold the token of the owner, and of guests who only look
HOSTS = "PEREGRINE_HOSTS"  # and the names under which users open the server
SHORTEST = 16  # characters of it
FREE_TRIES = 3
LONGEST_WAIT_S = 60.0
HELD_S = 2.0  # longest time for which the answer to a wrong token is held back
MOST_CLIENTS = 1000
LOOPBACK = "localhost"
UNSPECIFIED = ("0.0.0.0", "::", "[::]")  # every address of this machine: no browser can be sent there
ELSEWHERE = ("192.0.2.1", 9)  # an address of examples (RFC 5737), which leads to other machines


def check_token(token: str, variable: str = TOKEN) -> None:
    """Raise SettingsError for a token that could be guessed."""
    if len(token) < SHORTEST:
        raise SettingsError(
            f"{variable} has {len(token)} characters and needs {SHORTEST} or more. "
            'Make one: python -c "import secrets; print(secrets.token_urlsafe())"'
        )


def entrance(origin: str, token: str, page: Mapping[str, str] | None = None) -> str:
    """Return the link by which a shared server lets in. Its token is behind a #, which browsers do not send.

    Args:
        page: parts of the address that it leads to.

    >>> entrance("http://lab.example:8501", "a token of 16 characters")
    'http://lab.example:8501/?enter#a%20token%20of%2016%20characters'
    >>> entrance("http://lab.example:8501", "sixteen-letters-", {"study": "a b"})
    'http://lab.example:8501/?enter#sixteen-letters-&study=a+b'
    """
    return "&".join([f"{origin}/?enter#{quote(token, safe='')}", *([urlencode(page)] if page else [])])


def shared_origin(address: str | None, port: int, hosts: str) -> str:
    """Return the beginning of links that others follow to a server.

    Args:
        address: where it listens; None is every address of this machine.
        hosts: names under which users open it, with or without a port and with commas between: the first.

    >>> shared_origin("0.0.0.0", 8501, "lab.example, other"), shared_origin("::1", 80, "")
    ('http://lab.example:8501', 'http://[::1]:80')
    """
    listed = next(filter(None, hosts.replace(" ", "").split(",")), "")
    if listed and ":" in listed.rpartition("]")[2]:  # it has a port
        return f"http://{listed}"
    host = listed or (machine_address() if address is None or address in UNSPECIFIED else address)
    number = numeric_address(host)
    return f"http://{f'[{number}]' if number and number.version == 6 else host}:{port}"


def machine_address() -> str:
    """Return the IP address at which others reach a server of this machine; "localhost" without a network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(ELSEWHERE)  # of datagrams: nothing is sent, the system only chooses its own address
        except OSError:
            return LOOPBACK
        return str(probe.getsockname()[0])


def fits(given: str, token: str) -> bool:
    """Return True when a given text is the token. The time it takes says nothing, not even of the length."""
    digests = (hashlib.sha256(text.encode("utf-8", "replace")).digest() for text in (given, token))
    return hmac.compare_digest(*digests)


class Tries:
    """Wrong tries by client: after three, each one doubles the time until the next is answered at once."""

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()

    async def judge(self, client: str, given: str, *tokens: str) -> int:
        """200 for a token, always; 401 for another text; 429, after a pause, for one too soon after others.

        The token is let in at once even then: behind a proxy, all clients may have one address.

        Args:
            client: its address. This machine has 2^24 of them, which count as one.
        """
        if any([fits(given, token) for token in tokens]):  # all of them: the time tells not which
            return 200
        client, now = LOOPBACK if is_loopback(client) else client, self._clock()
        if wait := self.wait(client, now):
            await self._sleep(min(wait, HELD_S))
            return 429
        self.note(client, now)
        return 401

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


def is_loopback(address: str | None) -> bool:
    """Return True when only this machine reaches a server that listens there; None is every address.

    >>> [is_loopback(text) for text in ("localhost", "127.0.0.1", "::1", "0.0.0.0", "lab.example", None)]
    [True, True, True, False, False, False]
    """
    if address is None:
        return False
    number = numeric_address(address)
    return number.is_loopback if number else address.lower() == LOOPBACK


def numeric_address(address: str) -> IPv4Address | IPv6Address | None:
    """The IP address, without a scope, at which a sharing server listens or is opened; None for a name."""
    try:
        number = ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        return None
    return getattr(number, "ipv4_mapped", None) or number
