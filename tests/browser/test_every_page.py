"""What holds on every page, looked at in one visit: axe-core finds nothing serious, nothing is cut off or
wider than the window, the server's policy is kept, and names that try to be markup are text.

`make test-all` looks at parts of pages, too, at every width, in the dark, and at how high the answer begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest

from dashboard.state.pages import HOME, PAGES
from tests.browser.axe import violations
from tests.browser.harness import BACKGROUND, WHITE, Visitor, settle, until, visit, watching
from tests.browser.hostile import CLASSES, FILE, PLANTED, STUDY, WORD
from tests.sampling import EVERYTHING, sample

pytestmark = pytest.mark.browser
WIDTHS = (820, 1280, 1440, 1920)
VIEWS = tuple("" if name == HOME else name for name in PAGES)  # the first page has no path of its own
PARTS = (  # only `make test-all` looks at these
    "heatmaps?heat_of=One+feature",
    "masks?masks_part=By+image",
    "masks?masks_part=Correct+against+misclassified",
    "features?features_as=Plot&where=label%3Dant",
    "features?features_as=Groups",
    "feature?feature=3&where=label%3Dant",
    "errors?slices_least=5&slices_sure=false&slices_view=Chart",
    "errors?errors_tab=Compare+two",
    "predicting_errors?quality_plot=Numbers",
    "heatmaps?heat_part=Mean+representations",
    "masks?masks_part=By+feature",
    "masks?masks_part=Method",
    "features?where=label%3Dant",
    "features?features_as=Table",
    "features?features_as=Words",
    "feature?feature=3&concept_evidence=Counterfactual+images",
    "errors?slices_least=5&slices_sure=false",
    "errors?errors_tab=Confusions",
    "predicting_errors?quality_plot=Trust",
)
CONTENT = "a.card, .tile, .stage, .peregrine-plot"  # pictures and charts
HIGH = {"images", "map", "features", "feature", "heatmaps", "masks", "predicting_errors"} | {
    "errors?slices_least=5&slices_sure=false",
    "errors?errors_tab=Confusions",
}
TOO_WIDE = "(() => { const main = document.querySelector('[data-testid=stMain]'); \
return main.scrollWidth - main.clientWidth; })()"
ENLARGED = {"width": 640, "height": 400}  # 1280 x 800 at 200 %
# Texts of the page that end in their box before they end, those in components included.
CUT = """() => {
  const cut = [], hides = (style) => !/visible|auto|scroll/.test(style.overflowX);
  const walk = (root) => {
    for (const one of root.querySelectorAll("*")) {
      if (one.shadowRoot) walk(one.shadowRoot);
      const words = [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
      const scrolls = one.closest("svg, pre, input, textarea, [aria-hidden=true]");
      if (!words || !one.checkVisibility() || scrolls) continue;
      for (let box = one; box && box !== root; box = box.parentElement) {
        const style = getComputedStyle(box), shown = box.getBoundingClientRect();
        if (shown.width < 2 || style.clipPath !== "none") break; // for screen readers alone
        const inside = one.getBoundingClientRect();
        const beyond = box === one ? one.scrollWidth - one.clientWidth : inside.right - shown.right;
        if (hides(style) && style.display !== "inline" && beyond > 1.5) {
          cut.push((one.closest(".line") ?? one).textContent.trim().slice(0, 60));
          break;
        }
      }
    }
  };
  walk(document.querySelector("[data-testid=stMain]"));
  return cut;
}"""
TITLE_IN_SIGHT = """() => {
  const box = document.querySelector("[data-testid=stMain] h1").getBoundingClientRect();
  const there = document.elementFromPoint(box.left + 5, box.top + 5);
  return box.bottom < innerHeight && !!there?.closest("h1, [data-testid=stHeading]");
}"""


AT_REST = """() => document.getAnimations().every(
  (one) => one.playState !== "running" || one.effect.getComputedTiming().endTime === Infinity)"""
OPENED = "window.openedByThisModule"
LONG = [name[:20] for name in (*CLASSES, FILE, STUDY, WORD) if len(name) > 20]  # may end in "…"
LABEL = quote(f"label={CLASSES[3]}")


@pytest.fixture
def watched_page(reader, hostile_address) -> Iterator[Visitor]:
    """The page that the test before has left, under the policy; where there is none, the first page."""
    one = reader(bypass_csp=False)
    if not one.page.evaluate(f"{OPENED} === {hostile_address!r}"):
        one.page.goto("about:blank")  # a page of an earlier test would still ask for its server
    with watching(one, hostile_address):
        yield one


def come_to(one: Visitor, address: str, shown: str):
    """Open a page by the sidebar where that is possible: the browser keeps what it has loaded."""
    if shown in PAGES and PAGES[shown].group and one.page.evaluate(f"{OPENED} === {address!r}"):
        visit(one.page, PAGES[shown].title)
        one.page.wait_for_selector(f"h1:has-text('{PAGES[shown].title}')")
        settle(one.page)
    else:
        place = shown.replace("label%3Dant", LABEL)
        one.open(f"{address}/{place}{'&' if '?' in place else '?'}study={quote(STUDY)}")
        one.page.evaluate(f"{OPENED} = {address!r}")
    come_to_rest(one.page)
    return one.page


def come_to_rest(page) -> None:
    """Wait until colours and opacities have ended to change: on the way, a contrast may be too low."""
    page.wait_for_timeout(500)
    until(page, AT_REST)


def cut(page) -> list[str]:
    return [text for text in page.evaluate(CUT) if not any(name in text for name in LONG)]


def nothing_broken(page) -> None:
    """No exception, no component that failed, and no name that has become markup."""
    assert page.locator("[data-testid=stException], .peregrine-failed").count() == 0
    assert page.evaluate(PLANTED) == []


@pytest.mark.parametrize("shown", (*VIEWS, *sample(PARTS, 0)))
def test_page__works_under_the_policy(watched_page, hostile_address, shown):
    """At 1280 pixels, in light: axe finds nothing, no text is cut off, nothing is wider than the window."""
    page = come_to(watched_page, hostile_address, shown)
    assert violations(page) == [] and cut(page) == []
    assert page.evaluate(TOO_WIDE) <= 0
    for _ in range(2):
        page.evaluate("document.querySelector('[data-testid=stMain]').scrollBy(0, 2000)")
        settle(page)
    nothing_broken(page)
    if EVERYTHING:
        assert_fits_at_every_width(page, shown)
        assert_read_in_the_dark(page)
        nothing_broken(page)


def assert_fits_at_every_width(page, shown: str) -> None:
    page.evaluate("document.querySelector('[data-testid=stMain]').scrollTo(0, 0)")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        settle(page)
        until(page, f"{TOO_WIDE} <= 0", patience=5)
        if width == 820:
            assert cut(page) == []
        if shown in HIGH and width > 820:
            page.locator(CONTENT).first.wait_for()
            boxes = [one.bounding_box() for one in page.locator(CONTENT).all()]
            # 260 with short names, which take a line less
            assert min(box["y"] for box in boxes if box and box["height"]) < 290, f"at {width} px"
    page.set_viewport_size(ENLARGED)
    if "feature=3" not in shown:  # its word makes a title higher than this window
        until(page, TITLE_IN_SIGHT, patience=5)
    assert page.evaluate(TOO_WIDE) <= 0


def assert_read_in_the_dark(page) -> None:
    """The open page follows the system; tests/browser/test_theme.py opens one in the dark."""
    page.evaluate("document.querySelector('[data-testid=stMain]').scrollTo(0, 0)")
    page.emulate_media(color_scheme="dark")
    until(page, f"() => ({BACKGROUND})() !== {WHITE!r}")
    settle(page)
    come_to_rest(page)
    assert violations(page, ["color-contrast"]) == []
