"""Names that try to be markup are text in dialogs, tips, files and messages; in views: test_every_page.py."""

from __future__ import annotations

import socket
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import expect

from core.cli import main
from tests.browser.harness import settle
from tests.browser.hostile import CLASSES, FILE, PLANTED, SLICE, STUDY, WORD
from tests.browser.test_dashboard import TILE

pytestmark = pytest.mark.browser


@pytest.fixture
def guarded(reader):
    """A page that notes every dialog that a script opens."""
    one = reader()
    opened: list[str] = []

    def note(dialog) -> None:
        opened.append(dialog.message)
        dialog.dismiss()

    one.page.on("dialog", note)
    yield one
    one.page.remove_listener("dialog", note)
    assert opened == []


def nothing_planted(page) -> None:
    page.wait_for_timeout(600)
    settle(page)
    assert page.evaluate(PLANTED) == []


def test_names__are_shown_as_they_are(guarded, hostile_address):
    page = guarded.open(f"{hostile_address}/images?study={quote(STUDY)}&where={quote('@' + repr(SLICE))}")
    page.locator(TILE).first.wait_for()
    nothing_planted(page)
    said = "\n".join(page.locator(f"{TILE} .line").all_inner_texts())
    assert all(name in said for name in CLASSES)
    page.locator(TILE).first.click()
    page.wait_for_selector("[role=dialog] >> text=True class")
    nothing_planted(page)
    expect(page.locator("[role=dialog]")).to_contain_text(FILE)


def test_words__are_shown_as_they_are_and_are_nothing_else(guarded, hostile_address):
    """A feature with its words, notes and captions, and a group of features."""
    for part in ("feature?feature=3", "features?features_as=Groups&group=1_2"):
        page = guarded.open(f"{hostile_address}/{part}&study={quote(STUDY)}")
        nothing_planted(page)
        assert page.locator("[data-testid=stException]").count() == 0
        expect(page.get_by_text("**zqbold**").first).to_be_attached()


def test_palette_and_tip_of_the_map__names_are_text(guarded, hostile_address):
    page = guarded.open(f"{hostile_address}/map?study={quote(STUDY)}")
    box = page.locator(".stage").bounding_box()
    for step in range(100):
        x, y = 0.1 + 0.08 * (step % 10), 0.1 + 0.08 * (step // 10)
        page.mouse.move(box["x"] + box["width"] * x, box["y"] + box["height"] * y)
        if page.locator(".tip").is_visible():
            break
    nothing_planted(page)
    page.keyboard.press("Control+k")
    field = page.locator("[role=dialog] input").first
    expect(field).to_be_visible()
    for text in ("zq", "planted", "feature 3", WORD[:60]):
        field.fill(text)
        nothing_planted(page)


def test_files__names_are_text_in_a_browser(chrome, guarded, hostile_address, hostile_folder, tmp_path):
    """A report and a figure, each opened from its file."""
    study = str(hostile_folder / STUDY)
    assert main(["report", study, "-o", str(tmp_path / "report.html")]) == 0
    assert main(["figure", study, "purity", "-o", str(tmp_path / "figure.html")]) == 0
    for file in ("report.html", "figure.html"):
        guarded.page.goto((tmp_path / file).as_uri())
        guarded.page.wait_for_timeout(500)
        assert guarded.page.evaluate(PLANTED) == []


def test_link__to_a_study_that_is_none__opens_another_with_a_note(guarded, hostile_address):
    page = guarded.open(f"{hostile_address}/?study={quote('<script>alert(7)</script>')}")
    expect(page.get_by_text("There is no study").first).to_be_visible()
    nothing_planted(page)
    expect(page.get_by_text("Active features", exact=True)).to_be_visible()
    chosen = page.get_by_test_id("stSidebar").get_by_role("combobox", name="Study")
    expect(chosen).to_have_value(STUDY)


def test_server__answers_on_this_machine_only(hostile_address):
    port = urlsplit(hostile_address).port
    own = {str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    outward = sorted(address for address in own if not address.startswith("127."))
    if not outward:
        pytest.skip("this machine has no address but its own loop")
    with pytest.raises(OSError):
        socket.create_connection((outward[0], port), timeout=2).close()


def test_tables_on_a_page__have_no_download_that_spreadsheets_would_run(hostile_address, guarded):
    """Streamlit's own "Download as CSV" writes cells as they are; our downloads do not."""
    page = guarded.open(f"{hostile_address}/images?study={quote(STUDY)}")
    page.locator(TILE).first.click()
    page.get_by_text("All scores of this image").click()
    table = page.get_by_test_id("stDataFrame").first
    table.scroll_into_view_if_needed()
    table.hover()
    page.locator("[data-testid=stElementToolbarButton]").first.wait_for()  # the bar is there
    assert page.locator("[aria-label^='Download as CSV']").count() > 0
    assert not page.locator("[aria-label^='Download as CSV']").first.is_visible()
