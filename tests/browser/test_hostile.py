"""Names that try to be markup, in every place where a study can hold one, are text in every view."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import expect

from core.cli import main
from core.slices import saved_slices
from core.slices.slice import Slice
from core.store import open_study
from core.traces import changes
from dashboard.addresses.pages import PAGES
from tests.browser.harness import dashboard, settle, visit
from tests.browser.test_dashboard import TILE
from tests.browser.test_every_page import PARTS, VIEWS
from tests.concepts.worded import make_worded
from tests.manifests import change_texts
from tests.sampling import sample
from tests.synthetic import make_seen_study

pytestmark = pytest.mark.browser
STUDY = "<b id=planted onclick=alert(1)>study"
CLASSES = (
    "<img id=planted src=x onerror=alert(2)>",
    "<script id=planted>alert(3)<!--",
    "**bold** $x$ :material-home: [l](javascript:alert(4))",
    "plain",
)
FILE = "<svg id=planted onload=alert(5)>"
SLICE = '<iframe id=planted srcdoc="<script>alert(6)</script>">'
WORD = (  # what Markdown and Streamlit's own signs would make of it has texts of its own
    "<img id=planted src=x onerror=window.xss=1><script>window.xss=2</script>**zqbold** $zqmath$ "
    ":red[zqred] [zqlink](javascript:window.xss=3) :material/zqicon: `zqcode` http://zq.invalid/ "
)
WORDS = ("word", "words", "caption", "reason", "keywords", "note")
# Elements that such a name would have made, also in shadow roots, and links that would run a script.
PLANTED = """() => {
  const roots = [document];
  for (const root of roots) {
    roots.push(...[...root.querySelectorAll('*')].map(one => one.shadowRoot).filter(Boolean));
  }
  const wanted = '#planted, img[src="x"], [onerror], [onload], a[href^="javascript:"], [srcdoc], ' +
    'a[href^="http://zq"]';
  const marked = root => [...root.querySelectorAll('*')].filter(
    one => !one.children.length && /^zq\\w+$/.test(one.textContent.trim()));
  return [
    ...roots.flatMap(root => [...root.querySelectorAll(wanted), ...marked(root)]).map(
      one => one.outerHTML.slice(0, 200)),
    ...(window.xss ? [`a script ran: ${window.xss}`] : []),
  ];
}"""


@pytest.fixture(scope="module")
def hostile_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose every name is an attack."""
    folder: Path = tmp_path_factory.mktemp("hostile") / STUDY
    make_worded(make_seen_study(folder, class_names=CLASSES, tail=FILE))
    change_texts(folder, WORDS, WORD)
    study = open_study(folder)
    changes.set_note(study, study.images["image_id"].iat[-1], WORD)
    changes.note_feature(study, 3, WORD)
    saved_slices.save(folder, SLICE, Slice.parse("correct=false"))
    return folder


@pytest.fixture(scope="module")
def hostile_address(chrome: object, hostile_folder: Path) -> Iterator[str]:
    """A dashboard over that study."""
    with dashboard(hostile_folder.parent) as url:
        yield url


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


def come_to(guarded, hostile_address: str, view: str):
    """Open a page by the sidebar where the study is open, so that the browser keeps what it has loaded."""
    page = guarded.page
    if not view or not PAGES[view].group or not page.url.startswith(f"{hostile_address}/"):
        return guarded.open(f"{hostile_address}/{view}?study={quote(STUDY)}")
    visit(page, PAGES[view].title)
    page.wait_for_selector(f"h1:has-text('{PAGES[view].title}')")
    return page


@pytest.mark.parametrize("view", sample(VIEWS[::2] + VIEWS[1::2], 8))
def test_view__names_are_text(guarded, hostile_address, view):
    page = come_to(guarded, hostile_address, view)
    nothing_planted(page)
    assert page.locator("[data-testid=stException]").count() == 0


WITHOUT_A_FILTER = [part for part in PARTS if "where=" not in part and "concept_" not in part]


@pytest.mark.parametrize("part", sample(WITHOUT_A_FILTER, 3))
def test_part_of_a_view__names_are_text(guarded, hostile_address, part):
    where = quote(str(Slice(labels=CLASSES[:1])))
    page = guarded.open(f"{hostile_address}/{part}&study={quote(STUDY)}&where={where}")
    nothing_planted(page)
    assert page.locator("[data-testid=stException]").count() == 0


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
    """A report, a figure and the page of a human study, each opened from its file."""
    study = str(hostile_folder)
    assert main(["report", study, "-o", str(tmp_path / "report.html")]) == 0
    assert main(["figure", study, "purity", "-o", str(tmp_path / "figure.html")]) == 0
    assert main(["human-study", "export", study, "-o", str(tmp_path / "human")]) == 0
    for file in ("report.html", "figure.html", "human/index.html"):
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
