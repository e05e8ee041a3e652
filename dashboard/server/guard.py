"""The outermost layer of the server: every request and every message of a guest passes it, or is refused."""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from html import escape
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import parse_qs

from core.common.threads import cached_property
from core.errors import SettingsError
from core.publish.server_token import Tries
from core.study.write_access import READ_ONLY
from dashboard.server import rules
from dashboard.server.rules import ENTRANCE, TOKEN, Request, Rules, origin_host, refusal
from dashboard.state.presence import ACCESS, BROWSER, FULL, GUEST, PRESENCE

# Messages of a guest's WebSocket: those that pages need pass, and no others of Streamlit's protocol.
#
# Streamlit takes from every browser the orders to empty the caches of all sessions, to say where its code
# comes from, to prepare an upload, and (where it is not headless) to write files for its developer.


GuestReceive = Callable[[], Awaitable[MutableMapping[str, Any]]]
OPERATION = "backend_operation_request"
PASSING = frozenset({"rerun_script", "stop_script", "app_heartbeat", OPERATION})
PASSING_OPERATIONS = frozenset({"deferred_file", "dataframe_chunk"})  # downloads, and rows of a long table


def heard_from_guest(receive: GuestReceive) -> GuestReceive:
    """Return a function that receives what the server listens to."""

    async def heard() -> MutableMapping[str, Any]:
        while True:
            message = await receive()
            if message["type"] != "websocket.receive" or may_pass(message.get("bytes")):
                return message

    return heard


def may_pass(frame: bytes | None) -> bool:
    """Return True for a message that a page needs; False for others, and for what is no message."""
    from google.protobuf.message import DecodeError  # Streamlit brings it; a guard without guests needs none
    from streamlit.proto.BackMsg_pb2 import BackMsg

    message = BackMsg()
    try:
        message.ParseFromString(frame or b"")
    except DecodeError:
        return False
    kind = message.WhichOneof("type")
    operation = message.backend_operation_request.WhichOneof("payload") if kind == OPERATION else None
    return kind in PASSING and (kind != OPERATION or operation in PASSING_OPERATIONS)


# The outermost layer of the server: every request and every WebSocket handshake passes it, or is refused.


PAGE = Template(Path(__file__).with_name("login.html").read_text(encoding="utf-8"))
STYLE = PAGE.template.partition("<style>")[2].partition("</style>")[0]  # whose hash the page's policy allows
SCRIPT = PAGE.template.partition("<script>")[2].partition("</script>")[0]  # and whose
# A link on another site brings no SameSite=Strict cookie along. Loaded again from here, the page brings it.
AGAIN = '<meta http-equiv="refresh" content="0">'
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
FORM = "application/x-www-form-urlencoded"
LONGEST_FORM, SLOWEST_FORM = 4096, 10.0  # bytes; seconds until all of it must be here
PLAIN, HTML = "text/plain; charset=utf-8", "text/html; charset=utf-8"
PROBLEMS = {
    401: "That is not the token of this server.",
    408: "The token did not arrive in time. Try again.",
    429: "Too many wrong tokens from this address. Wait a minute, then try again.",
}
_OWN_HEADERS = rules.common_headers(rules.closed_policy(STYLE, SCRIPT))


class Guard:
    """An ASGI application around another one. The rules are read when the server starts."""

    def __init__(
        self,
        app: App,
        read_rules: Callable[[], Rules],
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ):
        self.app, self._read_rules, self._clock = app, read_rules, clock
        self._tries = Tries(clock, sleep)

    @cached_property
    def rules(self) -> Rules:
        return self._read_rules()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":  # not a request: the server starts or ends
            await self._start(scope, receive, send)
            return
        request = Request(scope)
        # The origin is judged before the token: a page of another site must not even try tokens.
        if refused := refusal(request, self.rules):
            await _answer(scope, receive, send, refused.status, refused.sentence)
        elif self.rules.token is None and not self._comes_by_link(request):
            await self._pass_on(FULL, request, scope, receive, send)
        else:
            await self._with_token(request, scope, receive, send)

    async def _start(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start what is inside, or say in one line why this server must not start."""
        try:
            _ = self.rules
        except SettingsError as error:
            await receive()  # ASGI: the answer to lifespan.startup may not come before it
            await send({"type": "lifespan.startup.failed", "message": f"Peregrine does not start: {error}"})
            return
        await self.app(scope, receive, send)

    async def _pass_on(
        self, access: str, request: Request, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Let the app inside answer, with the headers that every answer has; a guest's changes stop here."""
        if access == GUEST and not (request.only_reads or request.is_socket):
            await _answer(scope, receive, send, 403, READ_ONLY)
            return
        browser = request.browser or (rules.new_browser() if request.opens_page else "")
        more = _remembering(browser, request) if browser != request.browser else ()

        async def sent(message: Message) -> None:
            # Also the refusal of a websocket is an answer that a browser reads.
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                given = (*message.get("headers", ()), *more)
                message = {**message, "headers": rules.dressed(given, self.rules.headers)}
            await send(message)

        inside = _as_the_browser_sees_it(scope, request)
        name = rules.public_name(browser)
        inside = _with_headers(inside, {ACCESS: access, BROWSER: name})
        if request.is_socket:
            hears = heard_from_guest(receive) if access == GUEST else receive
            with PRESENCE.connected(name):
                await self.app(inside, hears, sent)
        else:
            await self.app(inside, receive, sent)

    async def _with_token(self, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in that brings a token or a pass; take the token from the form; or ask for it."""
        access = self._access_by_pass(request)
        if _is_form(request):
            await self._take(request, scope, receive, send)
        elif request.opens_page and request.query == ENTRANCE:
            await _answer(scope, receive, send, 200, login_page(), kind=HTML)
        elif access == FULL or (access is not None and not request.bearer):
            await self._pass_on(access, request, scope, receive, send)
        elif not request.bearer:
            await _ask(request, scope, receive, send)
        elif (status := await self._judge(request, request.bearer)) == 200:
            await self._pass_on(self._access_by_token(request.bearer), request, scope, receive, send)
        else:
            await _answer(scope, receive, send, status, PROBLEMS[status])

    def _comes_by_link(self, request: Request) -> bool:
        """Return True for a guest of a server without a token, which everybody else may use as its owner."""
        entering = _is_form(request) or (request.opens_page and request.query == ENTRANCE)
        bearer = any(rules.fits(request.bearer, token) for token in self.rules.tokens())
        return entering or bearer or self._access_by_pass(request) is not None

    def _access_by_pass(self, request: Request) -> str | None:
        """The most that a pass of the browser gives; None where no pass holds."""
        passes, now = request.passes(), self._clock()
        for token, access in self.rules.tokens().items():
            if any(rules.admits(made_before, token, now) for made_before in passes):
                return access
        return None

    def _access_by_token(self, token: str) -> str:
        given = [access for other, access in self.rules.tokens().items() if rules.fits(token, other)]
        return FULL if FULL in given else GUEST

    async def _judge(self, request: Request, given: str) -> int:
        return await self._tries.judge(request.client, given, *self.rules.tokens())

    async def _take(self, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        """Give the browser a pass for the token in its form, and send it back to the page it asked for."""
        given = ""
        try:
            async with asyncio.timeout(SLOWEST_FORM):
                given = await _form_token(receive)
            status = await self._judge(request, given)
        except TimeoutError:
            status = 408
        if status != 200:
            # What is still to come of a slow form must not be taken for the next request.
            closed = ((b"connection", b"close"),) * (status == 408)
            await _answer(scope, receive, send, status, login_page(PROBLEMS[status]), kind=HTML, more=closed)
            return
        token = next(one for one in self.rules.tokens() if rules.fits(given, one))
        made = rules.make_pass(token, self._clock())
        cookie = f"{request.cookie_name}={made}; Path=/; HttpOnly; SameSite=Strict"
        # Without a token, the browser of an owner who follows the link is a guest's until it is closed.
        cookie += f"; Max-Age={rules.KEPT_S}" if self.rules.token else ""
        cookie += "; Secure" if request.secure else ""
        # A query alone is relative to the page asked for: no other host can stand in it, and the prefix of a
        # proxy, which only the browser knows, stays.
        query = b"" if request.query == ENTRANCE else request.query
        more = ((b"location", b"?" + query), (b"set-cookie", cookie.encode("ascii")))
        await _answer(scope, receive, send, 303, "The token fits.", more=more)


def _is_form(request: Request) -> bool:
    """Return True for the form with a token; nothing else in the dashboard sends such a form."""
    sent = request.method == "POST" and request.one(b"content-type").startswith(FORM)
    return sent and not request.is_socket


def _remembering(browser: str, request: Request) -> tuple[rules.Header, ...]:
    """The cookie by which a browser is known again until it is closed. It lets nobody in."""
    cookie = f"{request.browser_cookie}={browser}; Path=/; HttpOnly; SameSite=Lax"
    cookie += "; Secure" if request.secure else ""
    return ((b"set-cookie", cookie.encode("ascii")),)


def _with_headers(scope: Scope, ours: dict[str, str]) -> Scope:
    """The request with headers of ours; those of the same names that a client sent are left out."""
    names = {name.encode() for name in ours}
    others = [(name, value) for name, value in scope["headers"] if name.lower() not in names]
    added = [(name.encode(), value.encode()) for name, value in ours.items()]
    return {**scope, "headers": [*others, *added]}


async def _ask(request: Request, scope: Scope, receive: Receive, send: Send) -> None:
    """Ask a person for the token by a page, and a program by a sentence."""
    if request.opens_page:
        # After a click on another site the browser holds back a SameSite=Strict pass; a reload brings it.
        again = request.one(b"sec-fetch-site") == "cross-site"
        await _answer(scope, receive, send, 401, login_page(again=again), kind=HTML)
    else:
        sentence = (
            f"This server needs its token ({TOKEN}). Open it in a browser, or send the token as Bearer."
        )
        await _answer(scope, receive, send, 401, sentence)


async def _form_token(receive: Receive) -> str:
    """The token in the body of a form; empty for a body that is too long, or no form."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] != "http.request" or len(body) > LONGEST_FORM:
            return ""
        more = message.get("more_body", False)
    try:
        return parse_qs(body.decode("utf-8", "replace"), max_num_fields=8).get("token", [""])[0].strip()
    except ValueError:
        return ""


async def _answer(
    scope: Scope,
    receive: Receive,
    send: Send,
    status: int,
    text: str,
    *,
    kind: str = PLAIN,
    more: tuple[rules.Header, ...] = (),
) -> None:
    """Answer in place of the app inside, with a sentence or a page of ours."""
    body = f"{text}\n".encode("utf-8", "replace")
    given = [*more, (b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    given += [(b"cache-control", b"no-store")] + [(b"www-authenticate", b"Bearer")] * (status == 401)
    answer = "http.response"
    if scope["type"] == "websocket":
        await receive()
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008, "reason": text[:100]})
            return
        answer = "websocket.http.response"
    start = {"type": f"{answer}.start", "status": status, "headers": rules.dressed(given, _OWN_HEADERS)}
    await send(start)
    await send({"type": f"{answer}.body", "body": b"" if scope.get("method") == "HEAD" else body})


def _as_the_browser_sees_it(scope: Scope, request: Request) -> Scope:
    """The request with the Host of its Origin, where a proxy put another one in its place.

    Streamlit compares the two, and where they differ it asks a server on the Internet for its own address.
    """
    origin = origin_host(request.one(b"origin"))
    if origin is None or origin == request.one(b"host").lower():
        return scope
    others = [(name, value) for name, value in scope["headers"] if name.lower() != b"host"]
    return {**scope, "headers": [*others, (b"host", origin.encode("ascii"))]}


def login_page(problem: str = "", *, again: bool = False) -> str:
    """The page; `problem` is what went wrong with the last try, `again` lets it load itself once more."""
    wrong = f'<p class="wrong" role="alert">{escape(problem)}</p>' if problem else ""
    return PAGE.substitute(wrong=wrong, again=AGAIN if again else "")
