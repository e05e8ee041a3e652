"""Rules on the origin of a request, from its headers alone. No streamlit, no ASGI server, no clock."""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from core.common.threadsafe import cached_property
from dashboard.server.access.headers import Header
from dashboard.server.access.hosts import Hosts, is_outside
from dashboard.visitors.headers import FULL, GUEST

TOKEN, HOSTS = "PEREGRINE_TOKEN", "PEREGRINE_HOSTS"
READING = ("GET", "HEAD")
MOST_PASSES = 8
ENTRANCE = b"enter"  # the query of the page that always asks for a token; links hold one behind a #


@dataclass(frozen=True)
class Rules:
    """hosts: whose requests are answered. token: what they must bring, or None. headers: of every answer.
    guest_token: what those bring who may only look; None where there are none.
    """

    hosts: Hosts
    token: str | None
    headers: tuple[Header, ...]
    guest_token: str | None = None

    def tokens(self) -> dict[str, str]:
        """Map each token to the access that it gives, the full one first."""
        by_token = {self.token: FULL, self.guest_token: GUEST}
        return {token: access for token, access in by_token.items() if token is not None}


@dataclass(frozen=True)
class Refusal:
    """The status and one sentence for a request that is not answered."""

    status: int
    sentence: str


class Request:
    """The head of a request, or of a WebSocket handshake, read from its ASGI scope."""

    def __init__(self, scope: MutableMapping[str, Any]):
        self.is_socket = scope["type"] == "websocket"
        self.method: str = scope.get("method", "GET")
        self.secure: bool = scope.get("scheme") in ("https", "wss")
        self.query: bytes = scope.get("query_string", b"")
        self.address, self.port = scope.get("server") or ("", None)
        self.client: str = (scope.get("client") or ("",))[0]
        self._headers: dict[bytes, list[str]] = {}
        for name, value in scope["headers"]:
            self._headers.setdefault(name.lower(), []).append(value.decode("latin-1"))

    def all(self, name: bytes) -> list[str]:
        """The values of a header, in order."""
        return self._headers.get(name, [])

    def one(self, name: bytes) -> str:
        """The value of a header; empty where there is none, or more than one."""
        values = self.all(name)
        return values[0].strip() if len(values) == 1 else ""

    @property
    def only_reads(self) -> bool:
        return self.method in READING and not self.is_socket

    @property
    def is_visit(self) -> bool:
        """True when the browser opens a page in a tab, as after a click on a link. A frame is no tab."""
        opens = (self.one(b"sec-fetch-mode"), self.one(b"sec-fetch-dest"))
        return self.only_reads and opens == ("navigate", "document")

    @cached_property
    def bearer(self) -> str:
        """The token that a script sends."""
        kind, _, given = self.one(b"authorization").partition(" ")
        return given.strip() if kind.lower() == "bearer" else ""

    @property
    def cookie_name(self) -> str:
        """Browsers send the cookies of every port of a host to all of them, so the name says whose it is."""
        return f"peregrine_{self.port or 0}"

    @property
    def browser_cookie(self) -> str:
        return f"{self.cookie_name}_browser"

    @property
    def browser(self) -> str:
        """The secret of the browser; "" where it has none, or several."""
        sent = self._cookies(self.browser_cookie)
        return sent[0] if len(sent) == 1 else ""

    @property
    def opens_page(self) -> bool:
        """True where a browser asks for a page, and not for a part of one."""
        return self.only_reads and "text/html" in self.one(b"accept")

    def passes(self) -> list[str]:
        """List the passes that the browser sends. Another port may have put one beside ours."""
        return self._cookies(self.cookie_name)[:MOST_PASSES]

    def _cookies(self, name: str) -> list[str]:
        pairs = [pair.partition("=") for line in self.all(b"cookie") for pair in line.split(";")]
        return [value.strip() for key, _, value in pairs if key.strip() == name]


def refusal(request: Request, rules: Rules) -> Refusal | None:
    """Return the refusal of a request for its origin; None if it may pass. The token is another question."""
    host = request.one(b"host")
    if not rules.hosts.serves(host, request.address, request.port):
        name = host[:80] if host.isprintable() else ""
        return Refusal(
            421,
            f"This server does not answer to the name '{name}'. Open http://localhost:{request.port}, "
            f"or, if that is a name of yours, start it with {HOSTS}={name or 'NAME'}.",
        )
    if rules.token is None and is_outside(request.address):
        return Refusal(403, f"Other machines reach this server, but it has no token. Start it with {TOKEN}.")
    if request.one(b"sec-fetch-site") in ("cross-site", "same-site") and not request.is_visit:
        return Refusal(403, "Another site asked for this, so it is refused. Open Peregrine in a tab.")
    return _refused_origin(request, rules, host)


def _refused_origin(request: Request, rules: Rules, host: str) -> Refusal | None:
    given = request.all(b"origin")
    if given:
        same_origin = len(given) == 1 and rules.hosts.same_origin(given[0].strip(), host, request.port)
        if same_origin:
            return None
        return Refusal(403, "This request comes from another site or port, so it is refused.")
    if request.only_reads or (rules.token is not None and request.bearer):
        return None
    return Refusal(403, "This request does not say where it comes from (no Origin), so it is refused.")
