"""Which requests the server answers, decided without a server: names, origins, tokens, tries, headers."""

from __future__ import annotations

import asyncio
import hmac
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg

from core.errors import SettingsError
from dashboard.server import rules as headers
from dashboard.server import rules as tokens
from dashboard.server.guard import FORM, Guard
from dashboard.server.rules import ENTRANCE, Request, Rules, hosts_of, public_name, refusal
from dashboard.state.presence import ACCESS, BROWSER
from tests.browser.harness import run_apart

ROOT = Path(__file__).parents[3]
TOKEN, GUEST = "correct horse battery staple", "only looks at everything here"
OURS = headers.common_headers("default-src 'self'")


def rules(token: str | None = None, own: tuple[str, ...] = (), listed: tuple[str, ...] = ()) -> Rules:
    return Rules(hosts_of(own, listed), token, OURS)


def scope(
    kind: str = "http", *, at: tuple[str, int] = ("127.0.0.1", 8501), method: str = "GET", **given: str
):
    """A request that arrives `at` an address; underscores in header names are dashes."""
    named = {"host": f"localhost:{at[1]}"} | {name.replace("_", "-"): value for name, value in given.items()}
    lines = [(name.encode(), value.encode("latin-1")) for name, value in named.items()]
    return {
        "type": kind,
        "method": method,
        "path": "/",
        "server": at,
        "client": ("127.0.0.1", 5),
        "headers": lines,
    }


@pytest.mark.parametrize(
    ("host", "served"),
    [
        *[(name, True) for name in ("localhost:8501", "127.0.0.1:8501", "[::1]:8501", "LOCALHOST:8501")],
        *[(name, True) for name in ("box:8501", "10.0.0.7:8501", "lab.example", "lab.example:8501")],
        *[(name, True) for name in ("other:99", "192.168.1.5:8501")],
        *[
            (name, False)
            for name in ("localhost", "localhost:80", "box", "lab.example:443", "other", "other:8501")
        ],
        *[
            (name, False)
            for name in ("evil.example:8501", "localhost.:8501", "xlocalhost:8501", "0.0.0.0:8501")
        ],
        *[
            (name, False)
            for name in ("localhost:8501, evil", "a@localhost:8501", "localhost:8501/", "", ":8501")
        ],
        *[(name, False) for name in ("localhost:８５０１", "192.168.1.6:8501", "[::2]:8501", "[::1:8501")],
    ],
)
def test_host__is_one_of_the_servers_own(host, served):
    hosts = hosts_of(("box", "10.0.0.7", "0.0.0.0", "::"), ("lab.example", " Other:99 ", ""))
    assert hosts.serves(host, "192.168.1.5", 8501) is served


def test_host__without_a_port_on_the_usual_one():
    hosts = hosts_of((), ())
    assert hosts.serves("localhost", "127.0.0.1", 80) and hosts.serves("localhost:80", "127.0.0.1", 80)
    assert not hosts.serves("localhost:443", "127.0.0.1", 80)


def test_host__of_an_address_in_both_families():
    hosts = hosts_of((), ())
    assert hosts.serves("10.0.0.7:8501", "::ffff:10.0.0.7", 8501)
    assert hosts.serves("[fe80::1]:8501", "fe80::1%eth0", 8501)


@pytest.mark.parametrize(
    "name", ["http://lab.example", "*", "*.example", "lab example", "lab.example/", "::1", "a:b"]
)
def test_listed_name__that_is_none_is_refused(name):
    with pytest.raises(SettingsError, match="host name"):
        hosts_of((), ("fine.example", name))


def test_two_host_headers__are_refused():
    given = scope()
    given["headers"].append((b"Host", b"localhost:8501"))
    refused = refusal(Request(given), rules())
    assert refused is not None and refused.status == 421


@pytest.mark.parametrize("address", ["192.168.1.5", "::ffff:192.168.1.5", "2001:db8::5"])
def test_arrival_from_outside__without_a_token_is_refused(address):
    """However the server was started: the address that it was configured with may not be the one it has."""
    refused = refusal(Request(scope(at=(address, 8501))), rules())
    assert refused is not None and refused.status == 403
    assert refusal(Request(scope(at=(address, 8501))), rules(TOKEN)) is None


def test_token__is_compared_in_constant_time(monkeypatch):
    compared, compare = [], hmac.compare_digest

    def noting(one, other):
        compared.append((len(one), len(other)))
        return compare(one, other)

    monkeypatch.setattr("hmac.compare_digest", noting)
    guesses = ("", "x", TOKEN[:-1], TOKEN + "x", "ÿ", "\udcff")
    assert not any(tokens.fits(guess, TOKEN) for guess in guesses) and tokens.fits(TOKEN, TOKEN)
    assert compared == [(32, 32)] * (len(guesses) + 1)


def test_pass__holds_for_its_token_and_its_time():
    kept = tokens.make_pass(TOKEN, 1000.0)
    assert tokens.admits(kept, TOKEN, 1000.0)
    assert tokens.admits(kept, TOKEN, 1000.0 + tokens.KEPT_S - 1)
    assert not tokens.admits(kept, TOKEN, 1000.0 + tokens.KEPT_S)
    assert not tokens.admits(kept, TOKEN + "x", 1000.0)
    assert not tokens.admits(kept, TOKEN, 1000.0 - 100)  # lasts longer than any that we make
    until, _, signature = kept.partition(".")
    changed = (
        f"{int(until) + 1}.{signature}",
        f"{until}.{signature[:-1]}",
        f"{until}.",
        until,
        "",
        f".{signature}",
    )
    for wrong in (*changed, f"{until}.ÿ", f"٣{until}.{signature}", f"{'9' * 5000}.{signature}", TOKEN):
        assert not tokens.admits(wrong, TOKEN, 1000.0), wrong


def test_headers__ours_replace_and_nothing_is_shared():
    given = [(b"X-Frame-Options", b"ALLOWALL"), (b"Access-Control-Allow-Origin", b"*"), (b"etag", b"1")]
    assert headers.dressed(given, OURS) == [(b"etag", b"1"), *OURS]


def test_policy__lets_only_the_scripts_of_the_page_run():
    page = "<script>one</script><script src=x></script>\n<script>\n two\n</script>"
    assert headers.inline_scripts(page) == ["one", "\n two\n"]
    policy = headers.page_policy(headers.inline_scripts(page))
    assert policy.count("'sha256-") == 2
    assert "'unsafe-inline'" not in policy.split("script-src")[1].split(";")[0]


async def hello(scope, receive, send):
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"x-frame-options", b"SAMEORIGIN")]}
    )
    await send({"type": "http.response.body", "body": b"hello"})


def exchange(guard: Guard, given: dict, *messages: dict) -> list[dict]:
    """What an ASGI application sends."""
    waiting, sent = list(messages), []

    async def receive():
        return waiting.pop(0)

    async def send(message):
        sent.append(message)

    run_apart(guard(given, receive, send))
    return sent


def test_guard__lets_in_and_writes_the_headers():
    start, body = exchange(Guard(hello, rules), scope())
    assert (start["status"], start["headers"], body["body"]) == (200, list(OURS), b"hello")


def test_guard__answers_a_head_without_a_body():
    start, body = exchange(Guard(hello, rules), scope(method="HEAD", host="evil.example"))
    assert (start["status"], body["body"]) == (421, b"")


def test_guard__closes_a_socket_where_it_cannot_answer():
    sent = exchange(Guard(hello, rules), scope("websocket"), {"type": "websocket.connect"})
    assert [message["type"] for message in sent] == ["websocket.close"]


def test_guard__is_asked_once_and_again_after_thirty_days():
    now = [0.0]
    guard = Guard(hello, lambda: rules(TOKEN), clock=lambda: now[0])
    form: dict[str, Any] = {
        "content_type": "application/x-www-form-urlencoded",
        "origin": "http://localhost:8501",
    }
    body = {"type": "http.request", "body": b"token=correct+horse+battery+staple"}
    start, _ = exchange(guard, scope(method="POST", **form), body)
    cookie = dict(start["headers"])[b"set-cookie"].decode().split(";")[0]
    assert exchange(guard, scope(cookie=f"{cookie.split('=')[0]}=junk; {cookie}"))[0]["status"] == 200
    now[0] = tokens.KEPT_S + 1
    assert exchange(guard, scope(cookie=cookie))[0]["status"] == 401


def test_guard__holds_back_wrong_tokens_and_never_the_right_one():
    """All addresses of this machine count as one: a proxy in front has one, a guesser here has many."""
    now, slept = [0.0], []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    guard = Guard(hello, lambda: rules(TOKEN), clock=lambda: now[0], sleep=sleep)

    def status(token: str, client: str) -> int:
        given = scope(authorization=f"Bearer {token}") | {"client": (client, 5)}
        return exchange(guard, given)[0]["status"]

    assert [status("guess", f"127.0.0.{n}") for n in range(1, 6)] == [401, 401, 401, 429, 429]
    assert status("guess", "::1") == 429 and slept == [2.0] * 3
    assert status(TOKEN, "127.0.0.9") == 200 and len(slept) == 3
    assert status("guess", "192.168.1.5") == 401  # another machine
    now[0] = 61.0
    assert [status("guess", "127.0.0.1"), status("guess", "127.0.0.2")] == [401, 429]


def test_guard__waits_for_no_form_that_does_not_come(monkeypatch):
    monkeypatch.setattr("dashboard.server.guard.SLOWEST_FORM", 0.05)
    form: dict[str, Any] = {
        "content_type": "application/x-www-form-urlencoded",
        "origin": "http://localhost:8501",
    }
    sent = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    guard = Guard(hello, lambda: rules(TOKEN))
    run_apart(asyncio.wait_for(guard(scope(method="POST", **form), receive, send), 5))
    assert sent[0]["status"] == 408 and (b"connection", b"close") in sent[0]["headers"]


def test_guard__over_tls_keeps_the_pass_to_tls():
    form: dict[str, Any] = {
        "content_type": "application/x-www-form-urlencoded",
        "origin": "http://localhost:8501",
    }
    given = scope(method="POST", **form) | {"scheme": "https"}
    body = {"type": "http.request", "body": b"token=correct+horse+battery+staple"}
    start, _ = exchange(Guard(hello, lambda: rules(TOKEN)), given, body)
    assert dict(start["headers"])[b"set-cookie"].endswith(b"; Secure")


@pytest.mark.parametrize("body", [b"", b"token", b"token=", b"a=1&" * 50, b"\xff\xfe", b"x" * 10**6])
def test_guard__takes_no_other_form(body):
    form: dict[str, Any] = {
        "content_type": "application/x-www-form-urlencoded",
        "origin": "http://localhost:8501",
    }
    messages = [{"type": "http.request", "body": body, "more_body": True}, {"type": "http.disconnect"}]
    whole = [{"type": "http.request", "body": body}]
    for sent in (messages, whole):
        assert (
            exchange(Guard(hello, lambda: rules(TOKEN)), scope(method="POST", **form), *sent)[0]["status"]
            == 401
        )


def guests(*, clock: Any = lambda: 0.0) -> Guard:
    return Guard(seen, lambda: Rules(hosts_of((), ()), TOKEN, OURS, GUEST), clock=clock)


async def seen(scope, receive, send):
    """What the app inside is told of who asks."""
    told = {name.decode(): value.decode() for name, value in scope["headers"]}
    text = f"{told.get(ACCESS)} {told.get(BROWSER)}"
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        message = await receive()
        await send({"type": "websocket.send", "text": f"{text} {message.get('bytes')}"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text.encode()})


def access(given: dict, guard: Guard | None = None) -> str:
    """The access that the app inside is told of; the status of a refusal."""
    start, body = exchange(guard or guests(), given)
    return body["body"].decode().split(" ")[0] if start["status"] == 200 else str(start["status"])


def cookie_of(token: str, name: str = "peregrine_8501") -> str:
    return f"{name}={tokens.make_pass(token, 0.0)}"


def test_guest__is_told_from_the_owner_and_by_the_guard_alone():
    bearer: dict[str, Any] = {"authorization": f"Bearer {GUEST}"}
    assert access(scope(**bearer)) == access(scope(cookie=cookie_of(GUEST))) == "guest"
    assert access(scope(authorization=f"Bearer {TOKEN}")) == access(scope(cookie=cookie_of(TOKEN))) == "full"
    for name in ("x-peregrine-access", "X-Peregrine-Access", "X-PEREGRINE-ACCESS"):
        forged = scope(**bearer)
        forged["headers"] = [(name.encode(), b"full"), *forged["headers"], (name.encode(), b"full")]
        assert access(forged) == "guest"


def test_guest__mixed_passes_give_the_most_that_one_of_them_gives():
    both = f"{cookie_of(GUEST)}; {cookie_of(TOKEN)}"
    assert access(scope(cookie=both)) == "full"
    assert access(scope(cookie=cookie_of(GUEST), authorization=f"Bearer {TOKEN}")) == "full"
    assert access(scope(cookie=cookie_of(GUEST), authorization=f"Bearer {GUEST}")) == "guest"
    assert access(scope(cookie=cookie_of(GUEST), authorization="Bearer wrong")) == "401"
    assert access(scope(cookie=cookie_of(GUEST, "peregrine_8502"))) == "401"  # of another port
    until, _, signature = cookie_of(GUEST).partition("=")[2].partition(".")
    for forged in (f"{int(until) + 1}.{signature}", f"{until}.{signature.upper()}", f"full.{signature}"):
        assert access(scope(cookie=f"peregrine_8501={forged}")) == "401"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get", "TRACE", "MKCOL"])
def test_guest__sends_nothing_but_reads(method: str):
    origin = "http://localhost:8501"
    assert access(scope(method=method, cookie=cookie_of(GUEST), origin=origin)) == "403"
    assert access(scope(method=method, cookie=cookie_of(TOKEN), origin=origin)) == "full"


def test_guest__form_takes_either_token_and_the_last_one_holds():
    given: dict[str, Any] = {"content_type": FORM, "origin": "http://localhost:8501"}
    for token, expected in ((TOKEN, "full"), (GUEST, "guest")):
        body = {"type": "http.request", "body": urlencode({"token": token}).encode()}
        asked = scope(method="POST", cookie=cookie_of(TOKEN), **given) | {"query_string": ENTRANCE}
        start, _ = exchange(guests(), asked, body)
        told = dict(start["headers"])
        assert (start["status"], told[b"location"]) == (303, b"?")
        assert access(scope(cookie=told[b"set-cookie"].decode().split(";")[0])) == expected


def without_token() -> Guard:
    """The guard of a server for this machine alone, whose owner brings no token."""
    return Guard(seen, lambda: Rules(hosts_of((), ()), None, OURS, GUEST), clock=lambda: 0.0)


def test_guest_of_a_server_without_a_token__is_one_by_pass_or_bearer_and_everybody_else_the_owner():
    def given_access(**headers: Any) -> str:
        return access(scope(**headers), without_token())

    assert given_access(cookie=cookie_of(GUEST)) == "guest"
    assert given_access(authorization=f"Bearer {GUEST}") == "guest"
    assert given_access(cookie=cookie_of(GUEST), authorization="Bearer wrong") == "401"
    both = f"{cookie_of('of the server that ran before')}; {cookie_of(GUEST)}"
    assert given_access(cookie=both) == "guest"
    for owner in ({}, {"authorization": "Bearer wrong"}, {"cookie": cookie_of("of the server before")}):
        assert given_access(**owner) == "full"
    forged = scope(cookie=cookie_of(GUEST), x_peregrine_access="full")
    assert access(forged, without_token()) == "guest"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_guest_of_a_server_without_a_token__sends_nothing_but_reads(method: str):
    given = scope(method=method, cookie=cookie_of(GUEST), origin="http://localhost:8501")
    assert access(given, without_token()) == "403"


def test_guest_of_a_server_without_a_token__stays_one_where_the_address_loses_its_query():
    """The link takes the form, whose pass the browser keeps until it is closed; the page has no token."""
    given: dict[str, Any] = {"content_type": FORM, "origin": "http://localhost:8501"}
    asked = scope(accept="text/html") | {"query_string": ENTRANCE}
    start, page = exchange(without_token(), asked)
    assert start["status"] == 200 and b"<form" in page["body"] and GUEST.encode() not in page["body"]
    body = {"type": "http.request", "body": urlencode({"token": GUEST}).encode()}
    sent = scope(method="POST", **given) | {"query_string": b"study=demo"}
    start, _ = exchange(without_token(), sent, body)
    told = dict(start["headers"])
    cookie = told[b"set-cookie"].decode()
    assert (start["status"], told[b"location"]) == (303, b"?study=demo")
    assert "HttpOnly" in cookie and "Max-Age" not in cookie
    for query in (b"study=demo", b"", b"study=other&where=x", b"enter=1"):
        asked = scope(cookie=cookie.split(";")[0], accept="text/html") | {"query_string": query}
        assert access(asked, without_token()) == "guest"
    wrong = {"type": "http.request", "body": b"token=guess"}
    assert exchange(without_token(), sent, wrong)[0]["status"] == 401


def test_guest_of_a_server_without_a_token__socket_hears_no_order():
    given = scope("websocket", origin="http://localhost:8501", cookie=cookie_of(GUEST))
    held_back, passing = framed(clear_cache=True), framed(rerun_script={"query_string": "study=demo"})
    sent = exchange(without_token(), given, {"type": "websocket.connect"}, held_back, passing)
    assert sent[-1]["text"] == f"guest {public_name('')} {passing['bytes']}"


def test_entrance__asks_also_who_is_in():
    asked = scope(cookie=cookie_of(GUEST), accept="text/html") | {"query_string": ENTRANCE}
    start, body = exchange(guests(), asked)
    assert start["status"] == 200 and b"<form" in body["body"] and TOKEN.encode() not in body["body"]
    policy = dict(start["headers"])[b"content-security-policy"].decode()
    assert policy.count("'sha256-") == 2 and "unsafe" not in policy


def framed(**parts: Any) -> dict[str, Any]:
    message = BackMsg()
    for name, value in parts.items():
        if isinstance(value, dict):
            for inner, one in value.items():
                getattr(getattr(message, name), inner).SetInParent() if one is None else setattr(
                    getattr(message, name), inner, one
                )
        else:
            setattr(message, name, value)
    return {"type": "websocket.receive", "bytes": message.SerializeToString()}


def test_guest__socket_hears_what_pages_send_and_nothing_else():
    held_back = [
        framed(clear_cache=True),
        framed(load_git_info=True),
        framed(set_run_on_save=True),
        framed(file_urls_request={"request_id": "1"}),
        framed(backend_operation_request={"install_skills": None}),
        framed(backend_operation_request={"dismiss_skills_nudge": None}),
        {"type": "websocket.receive", "bytes": b"\xff\xff"},
        {"type": "websocket.receive", "bytes": b""},
        {"type": "websocket.receive", "text": "clear_cache"},
    ]
    passing = [
        framed(rerun_script={"query_string": "study=demo"}),
        framed(backend_operation_request={"deferred_file": None}),
        framed(app_heartbeat=True),
        framed(stop_script=True),
    ]
    given = scope("websocket", origin="http://localhost:8501", cookie=cookie_of(GUEST))
    for last in passing:
        sent = exchange(guests(), given, {"type": "websocket.connect"}, *held_back, last)
        assert sent[-1]["text"] == f"guest {public_name('')} {last['bytes']}"
    full = scope("websocket", origin="http://localhost:8501", cookie=cookie_of(TOKEN))
    sent = exchange(guests(), full, {"type": "websocket.connect"}, held_back[0])
    assert sent[-1]["text"].endswith(str(held_back[0]["bytes"]))


def test_browser__is_known_again_by_a_secret_that_no_page_holds():
    page = scope(authorization=f"Bearer {GUEST}", accept="text/html")
    start, body = exchange(guests(), page)
    cookie = dict(start["headers"])[b"set-cookie"].decode()
    assert "HttpOnly" in cookie and cookie.startswith("peregrine_8501_browser=")
    secret = cookie.partition("=")[2].partition(";")[0]
    name = body["body"].decode().split(" ")[1]
    assert name == public_name(secret) and secret not in name
    start, again = exchange(guests(), page | {"headers": [*page["headers"], (b"cookie", cookie.encode())]})
    assert again["body"].decode().split(" ")[1] == name and b"set-cookie" not in dict(start["headers"])
    for odd in ("", "short", "x" * 500):
        given = scope(authorization=f"Bearer {GUEST}", cookie=f"peregrine_8501_browser={odd}")
        assert exchange(guests(), given)[1]["body"].decode() == "guest "


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"PEREGRINE_GUEST_TOKEN": GUEST}, "PEREGRINE_TOKEN is not"),
        ({"PEREGRINE_GUEST_TOKEN": TOKEN, "PEREGRINE_TOKEN": TOKEN}, "are the same"),
        ({"PEREGRINE_GUEST_TOKEN": "short", "PEREGRINE_TOKEN": TOKEN}, "PEREGRINE_GUEST_TOKEN has 5"),
    ],
)
def test_rules__of_guests_who_could_do_more_are_refused(variables, words, monkeypatch):
    from dashboard.server.settings import read_rules

    for name in ("PEREGRINE_TOKEN", "PEREGRINE_GUEST_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=words):
        read_rules()


def test_decisions__need_no_streamlit():
    parts = ", ".join(f"dashboard.server.{part}" for part in ("rules", "guard"))
    script = f"import sys, {parts}; sys.exit('streamlit' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT).returncode == 0
