"""The server as it is started for users, asked over the network: who is answered, and with which headers."""

from __future__ import annotations

import base64
import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import pytest

from tests.browser.harness import ROOT, dashboard, free_port

TOKEN = "correct horse battery staple"
PAGE = {"Accept": "text/html"}
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": base64.b64encode(b"0123456789abcdef").decode(),
}
HEADERS = {
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
ADDRESSES = (
    *(
        "/",
        "/predicting_errors?study=demo",
        "/_stcore/health",
        "/_stcore/host-config",
        "/favicon.png",
        "/plotly.js",
    ),
    *("/thumb/demo/0", "/image/demo/0", "/table/demo/images.csv", "/points/demo", "/overlay/demo/0"),
    *("/thumb/demo/99999", "/nowhere/at/all", "/media/none.png", "/component/none/x.js", "//evil.example/"),
    *("/_stcore/metrics", "/_stcore/bidi-components/none/x.js", "/_stcore/agent/openapi.json", "/auth/login"),
)


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    text: str


def ask(url: str, path: str, method: str = "GET", body: str | None = None, **headers: str) -> Answer:
    """One request as it is written, on a connection of its own; underscores in header names are dashes."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, given)
    answer = connection.getresponse()
    text = "" if answer.status == 101 else answer.read().decode("utf-8", "replace")
    connection.close()
    return Answer(answer.status, answer.headers, text)


def handshake(url: str, **headers: str) -> Answer:
    """Ask for Streamlit's WebSocket."""
    return ask(url, "/_stcore/stream", **HANDSHAKE, **headers)


@pytest.fixture(scope="module")
def folder(full_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    below: Path = tmp_path_factory.mktemp("served")
    shutil.copytree(full_study, below / "demo")
    return below


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """A server on this machine, without a token."""
    with dashboard(folder, PEREGRINE_HOSTS="lab.example, other.example:444") as address:
        yield address


@pytest.fixture(scope="module")
def guarded(folder: Path) -> Iterator[str]:
    """One that wants its token."""
    with dashboard(folder, PEREGRINE_TOKEN=TOKEN) as address:
        yield address


def script_of(url: str) -> str:
    found = re.search(r'src="\./(static/js/[^"]+)"', ask(url, "/").text)
    assert found
    return f"/{found[1]}"


@pytest.mark.slow
def test_every_answer__has_the_headers(url):
    for path in (*ADDRESSES, script_of(url)):
        answer = ask(url, path)
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS, path
        policy = answer.headers.get_all("content-security-policy")
        assert policy is not None and len(policy) == 1 and "frame-ancestors 'none'" in policy[0], path
        assert "'unsafe-eval'" not in policy[0] and "default-src 'self'" in policy[0], path
        assert answer.status < 500, path


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "0.0.0.0"])
def test_rebinding__a_name_that_is_not_the_servers_is_refused(url, host):
    port = urlsplit(url).port
    for path in ("/", "/thumb/demo/0", "/table/demo/images.csv", script_of(url), "/_stcore/health"):
        answer = ask(url, path, Host=f"{host}:{port}")
        assert answer.status == 421, path
        assert host in answer.text and answer.text.count("\n") == 1
    assert handshake(url, Host=f"{host}:{port}", Origin=f"http://{host}:{port}").status == 421


def test_host__without_the_port_or_with_another_is_refused(url):
    for host in ("localhost", "localhost:1", "127.0.0.1:65536", ""):
        assert ask(url, "/", Host=host).status in (400, 421), host


def test_own_names__are_answered(url):
    port = urlsplit(url).port
    for host in ("localhost", "127.0.0.1", "[::1]", "lab.example", "LocalHost"):
        assert ask(url, "/", Host=f"{host}:{port}").status == 200, host
        assert handshake(url, Host=f"{host}:{port}", Origin=f"http://{host}:{port}").status == 101, host
    for host in ("lab.example", "other.example:444"):
        assert ask(url, "/", Host=host).status == 200, host
        assert handshake(url, Host=host, Origin=f"https://{host}").status == 101, host


def test_socket__behind_a_proxy_that_changes_the_host(url):
    assert handshake(url, Origin="https://lab.example").status == 101
    assert handshake(url, Origin="https://lab.example:9").status == 403


@pytest.mark.parametrize(
    "origin",
    [
        *("http://localhost:9999", "http://127.0.0.1:1234", "http://localhost", "https://localhost"),
        *(
            "http://evil.example",
            "null",
            "file://",
            "http://localhost.evil.example",
            "http://169.254.169.254",
        ),
        *(
            "",
            "http://localhost:PORT.evil.example",
            "http://evil.example@localhost:PORT",
            "ftp://localhost:PORT",
        ),
        *("http://127.0.0.1:PORT", "http://localhost:PORT/", "http://localhost:PORT#"),
    ],
)
def test_another_origin__opens_no_socket_and_posts_nothing(url, origin):
    origin = origin.replace("PORT", str(urlsplit(url).port))
    assert handshake(url, Origin=origin).status == 403
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        answer = ask(url, "/_stcore/upload_file/a/b", method, Origin=origin)
        assert answer.status == 403, method
        assert "access-control-allow-origin" not in answer.headers


def test_no_origin__opens_no_socket_and_posts_nothing(url):
    assert handshake(url).status == 403
    assert ask(url, "/_stcore/upload_file/a/b", "PUT").status == 403
    assert handshake(url, Authorization=f"Bearer {TOKEN}").status == 403  # there is no token to bring


def test_own_origin__opens_the_socket(url):
    assert handshake(url, Origin=url).status == 101


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site__can_link_and_nothing_else(url, site):
    assert ask(url, "/thumb/demo/0", Origin="http://localhost:9999").status == 403
    for mode, dest in (
        ("no-cors", "image"),
        ("cors", "empty"),
        ("navigate", "iframe"),
        ("navigate", "object"),
    ):
        asked = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest}
        assert ask(url, "/thumb/demo/0", **asked).status == 403, mode
    visit = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert ask(url, "/", **visit).status == 200


def test_answers__are_shared_with_no_other_origin(url):
    for path in ("/_stcore/host-config", "/_stcore/health", "/component/none/x.js", script_of(url)):
        answer = ask(url, path, Origin=url)
        assert not [name for name in answer.headers if name.lower().startswith("access-control")], path


@pytest.mark.slow
def test_token__is_wanted_of_everything_on_this_machine_too(guarded):
    for path in (*ADDRESSES, "/static/js/x.js"):
        assert ask(guarded, path).status == 401, path
        assert "set-cookie" not in ask(guarded, path).headers
    assert handshake(guarded, Origin=guarded).status == 401
    assert handshake(guarded).status == 403
    page = ask(guarded, "/predicting_errors?study=demo", **PAGE)
    assert page.status == 401 and 'type="password"' in page.text
    assert {name: page.headers[name] for name in HEADERS} == HEADERS
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert ask(guarded, f"/?token={TOKEN}".replace(" ", "+")).status == 401  # an address holds no token


def log_in(url: str, token: str, path: str = "/", **headers: str) -> Answer:
    given = {"Content-Type": "application/x-www-form-urlencoded", "Origin": url, **headers}
    return ask(url, path, "POST", urlencode({"token": token}), **given)


@pytest.mark.slow
def test_token__opens_the_page_that_was_asked_for_and_the_socket(guarded):
    answer = log_in(guarded, TOKEN, "/predicting_errors?study=demo&x=%0d%0aA:b")
    assert answer.status == 303
    assert answer.headers["location"] == "?study=demo&x=%0d%0aA:b"
    cookie = answer.headers["set-cookie"]
    parts = [part.strip() for part in cookie.split(";")]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(parts) and "Secure" not in parts
    assert not any(word in cookie for word in TOKEN.split())
    kept = {"Cookie": f"_streamlit_xsrf=1; {parts[0]}"}
    assert ask(guarded, "/", **kept).status == 200
    assert ask(guarded, "/thumb/demo/0", **kept).status == 200
    assert handshake(guarded, Origin=guarded, **kept).status == 101
    assert handshake(guarded, Origin="http://localhost:9999", **kept).status == 403
    assert log_in(guarded, TOKEN, "//evil.example/a").headers["location"] == "?"


def test_token__by_a_script(guarded):
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert ask(guarded, "/table/demo/images.csv", **bearer).status == 200
    assert handshake(guarded, **bearer).status == 101
    assert handshake(guarded, Origin="http://evil.example", **bearer).status == 403


def test_token__from_another_origin_is_not_taken(guarded):
    for origin in ("http://evil.example", "http://localhost:9999", "null"):
        answer = log_in(guarded, TOKEN, Origin=origin)
        assert answer.status == 403 and "set-cookie" not in answer.headers


@pytest.mark.slow
def test_wrong_tokens__are_slowed_down_whatever_address_they_claim_and_the_right_one_is_not(folder):
    with dashboard(folder, PEREGRINE_TOKEN=TOKEN) as url:
        wrong = [
            log_in(url, guess, X_Forwarded_For=f"203.0.113.{number}", X_Forwarded_Proto="https").status
            for number, guess in enumerate(("", "x" * 5000, "ÿ", TOKEN + "x"))
        ]
        assert wrong == [401, 401, 401, 429]
        assert log_in(url, TOKEN, X_Forwarded_For="203.0.113.9").status == 303
        assert ask(url, "/", Authorization=f"Bearer {TOKEN}").status == 200


@pytest.mark.slow
def test_proxy_that_the_owner_names__says_whose_the_wrong_tokens_are(folder):
    with dashboard(folder, PEREGRINE_TOKEN=TOKEN, FORWARDED_ALLOW_IPS="127.0.0.1,::1") as url:
        for number in range(5):
            assert log_in(url, "guess", X_Forwarded_For=f"203.0.113.{number}").status == 401


@pytest.mark.slow
def test_form_that_is_never_sent_whole__is_closed(guarded):
    place = urlsplit(guarded)
    with socket.create_connection((place.hostname, place.port), timeout=30) as client:
        head = ["POST / HTTP/1.1", f"Host: {place.netloc}", f"Origin: {guarded}", "Content-Length: 99"]
        head += ["Content-Type: application/x-www-form-urlencoded", "", "token="]
        client.sendall("\r\n".join(head).encode())
        answer = b"".join(iter(lambda: client.recv(65_536), b""))  # until the server closes the connection
    assert answer.startswith(b"HTTP/1.1 408 ")


def started(**variables: str) -> subprocess.CompletedProcess[str]:
    """A server that should not start, until it ends by itself."""
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        "dashboard/app.py",
        "--server.port",
        str(free_port()),
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | variables
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"STREAMLIT_SERVER_ADDRESS": "0.0.0.0"}, "0.0.0.0 without a token"),
        ({"STREAMLIT_SERVER_ADDRESS": "0.0.0.0", "PEREGRINE_TOKEN": "  "}, "without a token"),
        ({"PEREGRINE_TOKEN": "short"}, "has 5 characters"),
        ({"PEREGRINE_HOSTS": "http://lab.example"}, "is no host name"),
    ],
)
def test_start__is_refused_in_one_line(variables, said):
    done = started(**variables)
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if "Peregrine" in line]
    assert said in line
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_every_address__with_a_token_is_served(folder):
    given: dict[str, Any] = {"STREAMLIT_SERVER_ADDRESS": "0.0.0.0", "PEREGRINE_TOKEN": TOKEN}
    with dashboard(folder, **given) as url:
        port = urlsplit(url).port
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        assert ask(url, "/", **bearer).status == 200
        assert ask(url, "/", Host=f"0.0.0.0:{port}", **bearer).status == 421
        assert ask(url, "/", Host=f"10.1.2.3:{port}", **bearer).status == 421  # it did not arrive there
        for own in own_addresses():
            assert ask(f"http://{own}:{port}", "/").status == 401
            assert ask(f"http://{own}:{port}", "/", **bearer).status == 200


def own_addresses() -> set[str]:
    """The numeric addresses at which other machines would reach this one; none in a closed box."""
    found = {str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    return {address for address in found if not address.startswith("127.")}
