"""Rules on requests, from their headers alone: hosts, origins, tokens. No streamlit, no server, no clock."""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from core.common.threads import cached_property
from core.errors import SettingsError
from core.publish.server_token import HOSTS as HOSTS
from core.publish.server_token import SHORTEST as SHORTEST
from core.publish.server_token import TOKEN as TOKEN
from core.publish.server_token import check_token as check_token
from core.publish.server_token import fits as fits
from core.publish.server_token import numeric_address
from dashboard.state.presence import FULL, GUEST

# Host names and origins: which of them are the server's own.


LOCAL = ("localhost", "127.0.0.1", "[::1]")
USUAL_PORTS = (80, 443)  # a browser leaves them out
_HOST = re.compile(
    r"(?P<name>\[[0-9a-f:.]{2,45}\]|[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?)(?::(?P<port>[0-9]{1,5}))?"
)
_ORIGIN = re.compile(r"https?://(?P<host>[^/?#@\\]+)")


@dataclass(frozen=True)
class Hosts:
    """The names of the server.

    Attributes:
        served: names without a port; they stand for the port served.
        listed: names that the owner listed, with or without a port; also allowed as origins.
    """

    served: frozenset[str]
    listed: frozenset[str] = frozenset()

    def serves(self, host: str, address: str, port: int | None) -> bool:
        """Return True when a Host header names this server.

        Args:
            address, port: where the request arrived. A numeric address cannot be rebound to another machine,
                so a Host that is the very address is the server's own.
        """
        parts = split_host(host)
        if parts is None:
            return False
        name, given = parts
        if self._is_listed(name, given, port):
            return True
        usual = given is None and port in USUAL_PORTS
        return (name in self.served or name == _as_name(address)) and (given == port or usual)

    def same_origin(self, origin: str, host: str, port: int | None) -> bool:
        """Return True for an Origin header of the page that the Host header serves, or of a listed host.

        Both headers come from one address in the browser, so a port that one leaves out is left out in both.
        """
        origin_parts = origin_host(origin)
        if origin_parts is None:
            return False
        parts = split_host(origin_parts)
        return origin_parts == host.lower() or (parts is not None and self._is_listed(*parts, port))

    def _is_listed(self, name: str, given: int | None, port: int | None) -> bool:
        return f"{name}:{given}" in self.listed or (name in self.listed and given in (None, port))


def hosts_of(served: Iterable[str], listed: Iterable[str]) -> Hosts:
    """The local names, further names at the port served, and the names that the owner listed.

    Raises:
        SettingsError: a listed name is no host name.
    """
    names = [name.strip().lower() for name in listed]
    for name in names:
        if name and split_host(name) is None:
            raise SettingsError(
                f"PEREGRINE_HOSTS: '{name[:80]}' is no host name. "
                "Write names with or without a port, with commas between: lab.example,10.0.0.7:8501"
            )
    further = (_as_name(name) if numeric_address(name) else name.strip().lower() for name in served)
    return Hosts(frozenset([*LOCAL, *filter(None, further)]), frozenset(filter(None, names)))


def split_host(host: str) -> tuple[str, int | None] | None:
    """Name in lower case and port of a Host header; None for anything that is no such header.

    >>> split_host("Lab.example:8501"), split_host("[::1]"), split_host("a/b")
    (('lab.example', 8501), ('[::1]', None), None)
    """
    match = _HOST.fullmatch(host.lower())
    return match and (match["name"], int(match["port"]) if match["port"] else None)


def origin_host(origin: str) -> str | None:
    """Host and port of an Origin header, in lower case; None for "null" and everything but http and https."""
    match = _ORIGIN.fullmatch(origin.lower())
    return match["host"] if match and split_host(match["host"]) else None


def is_outside(address: str) -> bool:
    """Return True when a request arrived at a numeric address that other machines reach."""
    number = numeric_address(address)
    return number is not None and not number.is_loopback


def _as_name(address: str) -> str | None:
    """A numeric address as a browser writes it in a Host header; None for a name, and for "all addresses"."""
    number = numeric_address(address)
    if number is None or number.is_unspecified:
        return None
    return f"[{number}]" if number.version == 6 else str(number)


# The headers of every answer: what a page may load, who may frame it, who may read it.


Header = tuple[bytes, bytes]

_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
# Headers by which a server lets other origins read its answers. No other origin has anything to read here.
_SHARING = b"access-control-"


def inline_scripts(page: str) -> list[str]:
    """The texts of the scripts that stand in an HTML page."""
    return _INLINE_SCRIPT.findall(page)


def page_policy(scripts: Iterable[str]) -> str:
    """The content security policy of the dashboard; `scripts` stand in its first page (`first_page`)."""
    hashes = " ".join(f"'sha256-{_hash(script)}'" for script in scripts)
    return "; ".join(
        [
            "default-src 'self'",
            # Streamlit loads each component from a blob, and multiplies 64-bit numbers with WebAssembly.
            f"script-src 'self' blob: 'wasm-unsafe-eval' {hashes}".strip(),
            "style-src 'self' 'unsafe-inline'",  # Streamlit, its components and plotly write style sheets
            "img-src 'self' data: blob:",  # our icons are data, a chart that is saved is a blob
            "font-src 'self' data:",
            "worker-src 'none'",
            "frame-src 'none'",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        ]
    )


def closed_policy(style: str, script: str) -> str:
    """The policy of a page of ours that has one style sheet, one script, a form and nothing else."""
    return (
        f"default-src 'none'; style-src 'sha256-{_hash(style)}'; script-src 'sha256-{_hash(script)}'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


def common_headers(policy: str) -> tuple[Header, ...]:
    """The headers of every answer."""
    return (
        (b"content-security-policy", policy.encode("ascii")),
        (b"x-frame-options", b"DENY"),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"same-origin"),
        (b"cross-origin-resource-policy", b"same-origin"),
        (b"cross-origin-opener-policy", b"same-origin"),
    )


def dressed(given: Iterable[Header], ours: tuple[Header, ...]) -> list[Header]:
    """The headers of an answer with ours in place of its own, and without those that share it."""
    names = {name for name, _ in ours}
    unchanged = [
        (name, value)
        for name, value in given
        if name.lower() not in names and not name.lower().startswith(_SHARING)
    ]
    return [*unchanged, *ours]


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


# The server's tokens: how they are compared, and what the browser keeps in their place.


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


# Rules on the origin of a request, from its headers alone. No streamlit, no ASGI server, no clock.


READING = ("GET", "HEAD")
MOST_PASSES = 8
ENTRANCE = b"enter"  # the query of the page that always asks for a token; links hold one behind a #


@dataclass(frozen=True)
class Rules:
    """hosts: whose requests are answered. token: what they must bring, or None. headers: of every answer.
    guest_token: what those bring who may only look; None where there are none. Without a token, only who
    brings this one is a guest.
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
