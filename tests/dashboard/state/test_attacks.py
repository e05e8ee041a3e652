"""What somebody with the read-only token may try at a running dashboard: none of it gives more."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg

from core.study import runner
from core.study.commands import RunStep
from core.study.jobs import log_tail
from dashboard.server import rules
from dashboard.server.guard import FORM
from dashboard.state.pages import PAGES
from tests.browser.harness import dashboard
from tests.dashboard.server.test_server import ADDRESSES, HANDSHAKE, Answer, ask, handshake
from tests.dashboard.state.session import Session, buttons, session

TOKEN, GUEST = "correct horse battery staple", "only looks at everything here"
BEARER = {"Authorization": f"Bearer {GUEST}"}
# What is offered to others on some page and would be refused to a guest.
REFUSED = {
    *("Cancel", "Dismiss", "Resume", "Save", "Save view", "Delete", "Rename", "Duplicate", "Remove", "Undo"),
    *("Learn", "Run", "Run again", "Find out", "Compute it now", "Add nearest neighbours", "Compute UMAP"),
    *("Make the report", "Make the pages", "Add random directions", "Build the demo", "Prepare the search"),
}


@pytest.fixture(scope="module")
def folder(full_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    below: Path = tmp_path_factory.mktemp("guests")
    shutil.copytree(full_study, below / "demo")
    return below


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with dashboard(folder, PEREGRINE_TOKEN=TOKEN, PEREGRINE_GUEST_TOKEN=GUEST) as address:
        yield address


def files(folder: Path) -> dict[Path, tuple[int, int]]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in found}


def port_of(url: str) -> int:
    return urlsplit(url).port or 0


def pass_of(url: str, token: str, now: float | None = None) -> str:
    return f"peregrine_{port_of(url)}={rules.make_pass(token, now or time.time())}"


def is_guest(of: Session) -> bool:
    heard = b"".join(message.SerializeToString() for message in of.run(query="study=demo"))
    return b"Read-only" in heard


def is_let_in(answer: Answer) -> bool:
    return answer.status not in (401, 429)


@pytest.mark.slow
@pytest.mark.parametrize(
    "guess",
    [
        *(GUEST.upper(), GUEST[:-1], f"{GUEST}x", f"{GUEST}\t\t.", GUEST.replace(" ", "")),
        GUEST.replace("o", "\N{CYRILLIC SMALL LETTER O}"),
        *(f"{GUEST} {TOKEN}", f"{GUEST},{TOKEN}", hashlib.sha256(TOKEN.encode()).hexdigest(), "full", "None"),
    ],
)
def test_wrong_form_of_a_token__lets_nobody_in(url: str, guess: str):
    text = guess.encode().decode("latin-1")
    assert not is_let_in(ask(url, "/", Authorization=f"Bearer {text}"))


@pytest.mark.slow
def test_token__counts_in_no_address(url: str):
    for token in (TOKEN, GUEST):
        given = quote(token)
        for path in (f"/?token={given}", f"/static/js/x.js?token={given}", f"/?enter={given}", f"/{given}/"):
            assert ask(url, path).status == 401
        assert ask(url, "/thumb/demo/0", Cookie=f"peregrine_{port_of(url)}={given}").status == 401
        assert (
            ask(url, "/", Authorization=f"Basic {base64.b64encode(f'u:{token}'.encode()).decode()}").status
            == 401
        )


@pytest.mark.slow
def test_headers_of_the_guard__are_not_believed(url: str):
    claims = {"X-Peregrine-Access": "full", "X-Forwarded-User": "owner", "X-Peregrine-Browser": "a" * 32}
    assert ask(url, "/_stcore/upload_file/s/f", "PUT", "x", Origin=url, **BEARER, **claims).status == 403
    with session(url, **BEARER, **claims) as guest:
        assert is_guest(guest)
    with session(url, Authorization=f"Bearer {TOKEN}", **claims) as owner:
        assert not is_guest(owner)


@pytest.mark.slow
def test_passes__forged_foreign_and_mixed(url: str):
    fine, other = pass_of(url, GUEST), port_of(url) + 1
    name, _, value = fine.partition("=")
    until, _, signature = value.partition(".")
    sooner = int(until) - 60  # a pass that ends later than the server's clock allows is refused
    own = hmac.new(GUEST.encode(), f"peregrine pass {sooner}".encode(), "sha256").hexdigest()
    signed_with_pass = hmac.new(value.encode(), f"peregrine pass {until}".encode(), "sha256").hexdigest()
    for cookie in (
        f"{name}={until}.{signature[::-1]}",
        f"{name}={until}.{signed_with_pass}",
        f"{name}=full.{value}",
        f"{name.upper()}={value}",
        f"peregrine_{other}={value}",
        pass_of(url, GUEST, time.time() - rules.KEPT_S - 1),
        f"{name}_browser={value}",
    ):
        assert ask(url, "/", Cookie=cookie).status == 401, cookie
    # Who has the guests' token may sign passes with it: guests' passes.
    for cookie in (
        fine,
        f"{name}={sooner}.{own}",
        f"{fine}; {name}=x",
        f"{name}=full; {fine}",
        f"{fine}; {fine}",
    ):
        assert ask(url, "/", Cookie=cookie).status == 200
        assert ask(url, "/_stcore/upload_file/s/f", "PUT", "x", Origin=url, Cookie=cookie).status == 403
    # Wrong tokens of the tests before may have used up this minute's tries.
    assert not is_let_in(ask(url, "/", Authorization=f"Bearer {value}"))
    with session(url, Cookie=f"{fine}; {pass_of(url, TOKEN)}") as owner:
        assert not is_guest(owner)  # the browser has brought both


@pytest.mark.slow
@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_other_methods__are_refused_wherever_they_go(url: str, folder: Path, method: str):
    before = files(folder)
    for path in (*ADDRESSES[:8], "/_stcore/upload_file/s/f", "/_stcore/agent/interact", "/_stcore/agent/mcp"):
        for given in (
            {"Content-Type": "application/json"},
            {"Content-Type": "multipart/form-data; boundary=x"},
        ):
            assert ask(url, path, method, "{}", Origin=url, **BEARER, **given).status == 403, path
    overriding = {"X-HTTP-Method-Override": method, "X-Method-Override": method}
    assert ask(url, f"/thumb/demo/0?_method={method}", **BEARER, **overriding).status == 200
    assert files(folder) == before


@pytest.mark.slow
def test_request_within_a_request__is_none(url: str, folder: Path):
    """A body of a GET that is a request itself; two lengths; a length beside chunks."""
    host = urlsplit(url).netloc
    inner = f"PUT /_stcore/upload_file/s/f HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {GUEST}\r\n\r\n"
    start = f"GET /thumb/demo/0 HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {GUEST}\r\n"
    for lengths in (
        f"Content-Length: {len(inner)}\r\n",
        f"Content-Length: 0\r\nContent-Length: {len(inner)}\r\n",
        f"Transfer-Encoding: chunked\r\nContent-Length: {len(inner)}\r\n",
        f"Transfer-Encoding : chunked\r\nContent-Length: {len(inner)}\r\n",
    ):
        with socket.create_connection(("localhost", port_of(url)), timeout=10) as client:
            client.sendall(f"{start}{lengths}Connection: close\r\n\r\n{inner}".encode())
            answer = b"".join(iter(lambda client=client: client.recv(65_536), b""))
        statuses = [part.split(b" ")[0] for part in answer.split(b"HTTP/1.1 ")[1:]]
        assert set(statuses) <= {b"200", b"400", b"403"}


@pytest.mark.slow
def test_form__raises_nobody_who_does_not_know_the_token(folder: Path):
    with dashboard(folder, PEREGRINE_TOKEN=TOKEN, PEREGRINE_GUEST_TOKEN=GUEST) as url:
        given = {"Content-Type": FORM, "Origin": url, "Cookie": pass_of(url, GUEST)}
        statuses = [
            ask(url, "/?enter", "POST", urlencode(fields, doseq=True), **given).status
            for fields in (
                {"token": "guess"},
                {"token": ["guess", TOKEN]},
                {"Token": TOKEN},
                {"access": "full"},
            )
        ]
        assert statuses == [401, 401, 401, 429]
        answer = ask(url, "/?enter", "POST", urlencode({"token": GUEST}), **given)
        cookie = answer.headers["set-cookie"].partition(";")[0]
        assert answer.status == 303 and rules.admits(cookie.partition("=")[2], GUEST, time.time())
        assert not rules.admits(cookie.partition("=")[2], TOKEN, time.time())


@pytest.mark.slow
def test_session_of_full_access__is_taken_over_by_no_guest(url: str):
    with session(url, Authorization=f"Bearer {TOKEN}") as owner:
        assert not is_guest(owner)
        for cookie in ("", pass_of(url, GUEST)):
            headers = {"Cookie": cookie} if cookie else BEARER
            with session(url, existing=owner.id, **headers) as thief:
                assert is_guest(thief) and thief.id not in ("", owner.id)
        assert not is_guest(owner)  # two tabs with different tokens: each has its own
        known = owner.id
    with session(url, existing=known, **BEARER) as thief:  # after the owner has gone
        assert is_guest(thief) and thief.id != known
    with session(url, **BEARER) as guest, session(url, existing="x" * 500, **BEARER) as odd:
        assert is_guest(guest) and is_guest(odd)


@pytest.mark.slow
def test_socket__takes_no_order_of_a_guest(url: str):
    with session(url, **BEARER) as guest:
        assert is_guest(guest)
        for name in ("clear_cache", "load_git_info", "set_run_on_save", "debug_shutdown_runtime"):
            order = BackMsg()
            setattr(order, name, True)
            guest.send(order)
        install, upload = BackMsg(), BackMsg()
        install.backend_operation_request.session_id = guest.id
        install.backend_operation_request.install_skills.SetInParent()
        upload.file_urls_request.request_id = "1"
        upload.file_urls_request.file_names.append("a.png")
        for order in (install, upload):
            guest.send(order)
        kinds = {message.WhichOneof("type") for message in guest.run(query="study=demo")}
        answers = {"git_info_changed", "file_urls_response", "backend_operation_response", "session_event"}
        assert not kinds & answers
        assert ask(url, "/_stcore/health", **BEARER).status == 200
    assert handshake(url, Origin="http://evil.example", **BEARER).status == 403
    assert ask(url, "/_stcore/stream", **(HANDSHAKE | {"Upgrade": "h2c"}), **BEARER).status != 101


@pytest.mark.slow
def test_guest__hears_no_full_token_and_is_offered_nothing_that_is_refused(url: str, folder: Path):
    """Every page by its socket, and every address: the token in no form, and no button that is refused."""
    before = files(folder)
    forms = {TOKEN, quote(TOKEN), TOKEN.replace(" ", "+"), base64.b64encode(TOKEN.encode()).decode()}
    forms |= {hashlib.sha256(TOKEN.encode()).hexdigest(), TOKEN.encode().hex(), json.dumps(TOKEN)[1:-1]}
    secrets = [one.encode() for one in forms]
    with session(url, **BEARER) as guest, session(url, Authorization=f"Bearer {TOKEN}") as owner:
        offered: set[str] = set()
        for name in PAGES:
            messages = guest.run(page=name, query="study=demo")
            offered |= {label.partition("`")[0].strip() for label in buttons(messages)}
            owner.run(page=name, query="study=demo")
        assert len(guest.heard) > 100_000 and not offered & REFUSED
        assert not any(secret in guest.heard for secret in secrets)
    for path in ADDRESSES:
        answer = ask(url, path, **BEARER)
        whole = f"{answer.headers}{answer.text}".encode()
        assert not any(secret in whole for secret in secrets), path
    assert not any(secret in ask(url, "/?enter", Accept="text/html").text.encode() for secret in secrets)
    assert files(folder) == before


@pytest.mark.slow
def test_job__is_told_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its log, which guests may read, could hold its environment."""
    monkeypatch.setenv("PEREGRINE_TOKEN", TOKEN)
    monkeypatch.setenv("PEREGRINE_GUEST_TOKEN", GUEST)
    script = "import os; print(sorted(os.environ.items()), flush=True)"
    monkeypatch.setattr(runner, "LAUNCH", (sys.executable, "-c", script))
    runner.start_job(RunStep("map", tmp_path), folder=tmp_path)
    deadline = time.monotonic() + 60
    while "PYTHONUNBUFFERED" not in (log := log_tail(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "PYTHONUNBUFFERED" in log and TOKEN not in log and GUEST not in log


@pytest.mark.slow
def test_guests__are_shut_out_by_another_token(folder: Path):
    with dashboard(folder, PEREGRINE_TOKEN=TOKEN, PEREGRINE_GUEST_TOKEN="another one for others") as url:
        assert ask(url, "/", Cookie=pass_of(url, GUEST)).status == 401
        assert ask(url, "/", Authorization=f"Bearer {GUEST}").status == 401
        assert ask(url, "/", Cookie=pass_of(url, TOKEN)).status == 200
