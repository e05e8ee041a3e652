"""The guarded server in a real Chromium: what its own pages may do, and what those of other sites may not."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.harness import ARGUMENTS, NOTE, dashboard, find_browser, settle, until
from tests.sampling import sample

pytestmark = pytest.mark.browser
TOKEN = "correct horse battery staple"
POINTS = 3000  # more than from which charts are drawn with WebGL
WEBGL = """async (n) => {
  const place = document.createElement("div");
  document.body.append(place);
  const x = Array.from({ length: n }, (_, i) => Math.sin(i)), y = x.map((_, i) => Math.cos(i));
  const trace = { type: "scattergl", mode: "markers", x, y };
  await window.Plotly.newPlot(place, [trace], { width: 300, height: 300 });
  const drawn = () => place.querySelectorAll("canvas").length;
  const pause = () => new Promise((done) => setTimeout(done, 100));
  for (let tries = 0; tries < 100 && drawn() < 3; tries += 1) await pause();
  return drawn();
}"""
# Each way in which another page might reach the dashboard; gives what it got.
REACH = """async (url) => {
  const tried = (promise) => promise.then(
    (value) => value, () => "blocked");
  const socket = await new Promise((done) => {
    const one = new WebSocket(url.replace("http", "ws") + "/_stcore/stream", ["streamlit"]);
    one.onopen = () => done("opened");
    one.onerror = () => done("blocked");
  });
  const picture = await new Promise((done) => {
    const one = new Image();
    one.onload = () => done("shown");
    one.onerror = () => done("blocked");
    one.src = url + "/thumb/seen/0";
  });
  const script = await new Promise((done) => {
    const one = document.createElement("script");
    one.onload = () => done("ran");
    one.onerror = () => done("blocked");
    one.src = url + "/plotly.js";
    document.head.append(one);
  });
  const read = await tried(fetch(url + "/points/seen").then((answer) => answer.text()));
  const posted = await tried(fetch(url + "/_stcore/host-config").then((answer) => answer.text()));
  return { socket, picture, script, read, posted };
}"""
BLOCKED = {name: "blocked" for name in ("socket", "picture", "script", "read", "posted")}


@contextmanager
def other_site(page: str) -> Iterator[int]:
    """A server of somebody else on another port of this machine: the same page at every address."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def test_pictures_charts_and_dialogs__under_the_policy(watched, address):
    page = watched.open(f"{address}/images?study=seen")
    page.locator(".tile img").first.wait_for()
    page.locator(".tile").first.click()
    page.wait_for_selector("[role=dialog] >> text=True class")
    settle(page)
    page = watched.open(f"{address}/predicting_errors?study=seen")
    until(page, "(document.querySelector('.js-plotly-plot')?._fullData ?? []).length > 0")
    assert page.evaluate(WEBGL, POINTS) == 3
    for kind in ("PNG", "SVG"):
        page.locator(".peregrine-menu .more").first.click()
        with page.expect_download(timeout=60_000) as waiting:
            page.get_by_role("menuitem", name=kind, exact=True).click()
        assert waiting.value.suggested_filename.endswith(kind.lower())


def test_policy__stops_what_a_page_should_not_do(visitor, address):
    """The walk above can fail."""
    one = visitor(bypass_csp=False)
    page = one.open(f"{address}/?study=seen")
    page.evaluate(NOTE)
    page.evaluate("""() => {
      const script = document.createElement("script");
      script.textContent = "window.stolen = 1";
      const frame = document.createElement("iframe");
      frame.src = "http://127.0.0.1:9/";
      const picture = new Image();
      picture.src = "http://127.0.0.1:9/secret.png";
      document.body.append(script, frame, picture);
      fetch("http://127.0.0.1:9/").catch(() => 0);
      setTimeout(() => new Function("window.stolen = 1")());
    }""")
    until(page, "(window.broken ?? []).length >= 5")
    assert page.evaluate("window.stolen") is None
    assert len([error for error in one.errors if "Content Security Policy" in error]) >= 4
    one.errors.clear()


@pytest.mark.parametrize("host", sample(["localhost", "127.0.0.1"], 1))
def test_another_port__reaches_nothing(chrome, address, host):
    with other_site("<p>another site</p>") as port:
        context = chrome.new_context()
        page = context.new_page()
        page.goto(f"http://{host}:{port}/")
        assert page.evaluate(REACH, address) == BLOCKED
        context.close()


def test_another_port__cannot_frame_the_dashboard(chrome, address):
    with other_site(f"<iframe src='{address}/new_study' width=900 height=600></iframe>") as port:
        context = chrome.new_context()
        page = context.new_page()
        page.goto(f"http://localhost:{port}/")
        page.wait_for_timeout(1500)
        frame = page.frames[1]
        assert frame.url.startswith("chrome-error:")
        assert frame.locator("[data-testid=stApp]").count() == 0
        context.close()


def test_rebound_name__gets_nothing(chrome, address):
    """A name of another site, whose page is already there, now has the address of this machine."""
    site = f"http://evil.example:{urlsplit(address).port}"
    # Chromium has begun to refuse such requests by itself. Not every browser does, so that is switched off.
    own_guard = "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests"
    rebound = [*ARGUMENTS, "--host-resolver-rules=MAP evil.example 127.0.0.1", own_guard]
    browser = chrome.browser_type.launch(executable_path=find_browser(), args=rebound)
    page = browser.new_page()
    answer = page.goto(site)
    assert answer.status == 421
    assert "does not answer to the name" in page.inner_text("body")
    page.route(f"{site}/page", lambda route: route.fulfill(body="<p>", content_type="text/html"))
    page.goto(f"{site}/page")
    got = page.evaluate(REACH, site)
    assert got["socket"] == got["picture"] == got["script"] == "blocked"
    assert "does not answer to the name" in got["read"] and "does not answer" in got["posted"]
    browser.close()


def test_read_only_link__of_a_server_without_a_token_opens_its_page_and_holds_on_every_other(
    visitor, address
):
    owner, guest = visitor(bypass_csp=False).page, visitor(bypass_csp=False).page
    owner.goto(f"{address}/?study=seen&where=correct%3Dfalse")
    owner.get_by_text("Share this study").click()
    link = owner.locator(".st-key-report code").first
    expect(link).to_contain_text("?enter#")
    guest.goto(link.inner_text())
    read_only = guest.get_by_test_id("stSidebar").get_by_text("Read-only")
    expect(read_only).to_be_visible()
    assert guest.url == f"{address}/?study=seen&where=correct%3Dfalse"  # the token is gone from it
    for path in ("/images?study=demo", "/"):
        guest.goto(f"{address}{path}")
        expect(read_only).to_be_visible()
    owner.goto(f"{address}/images?study=seen")
    expect(owner.get_by_test_id("stSidebar").get_by_text("New study")).to_be_visible()
    assert owner.get_by_text("Read-only", exact=True).count() == 0


def test_token__is_asked_for_once(visitor, served):
    with dashboard(served, PEREGRINE_TOKEN=TOKEN) as guarded:
        one = visitor(bypass_csp=False)
        page = one.page
        page.goto(f"{guarded}/images?study=seen")
        page.get_by_label("Token").fill("a wrong guess at it")
        page.get_by_role("button", name="Open").click()
        expect(page.get_by_role("alert")).to_contain_text("not the token")
        page.get_by_label("Token").fill(TOKEN)
        page.keyboard.press("Enter")
        page.locator(".tile img").first.wait_for()
        assert page.url.startswith(f"{guarded}/images?study=seen")
        assert page.evaluate("document.cookie").find("peregrine") == -1
        kept = {cookie["name"]: cookie for cookie in one.context.cookies()}
        name, browser = sorted(name for name in kept if name.startswith("peregrine_"))
        assert kept[name]["httpOnly"] and kept[name]["sameSite"] == "Strict"
        assert browser == f"{name}_browser"  # it lets nobody in, so a link on another site brings it along
        assert kept[browser]["httpOnly"] and kept[browser]["sameSite"] == "Lax"
        assert [error for error in one.errors if not error.startswith("401")] == []
        one.errors.clear()
        one.open(f"{guarded}/predicting_errors?study=seen")  # by itself, and by a link on another site
        with other_site(f"<a href='{guarded}/features?study=seen'>look</a>") as port:
            page.goto(f"http://127.0.0.1:{port}/")
            page.get_by_text("look").click()
            page.wait_for_selector("h1:has-text('Features')")
        one.errors.clear()
