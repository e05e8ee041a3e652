"""The label desk in a real Chromium: twelve decisions by keys alone, one taken back, and a second browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from core.store import open_study
from core.study.label_decisions import decision_on
from core.study.traces import read_traces
from tests.browser.harness import dashboard, settle
from tests.dashboard.issues import write_issues
from tests.synthetic import make_study

pytestmark = pytest.mark.browser
N_LISTED = 14
QUERY = "errors?study=desk&errors_tab=Wrong+labels"


@pytest.fixture(scope="module")
def desk_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_study(tmp_path_factory.mktemp("desks") / "desk", n_train=40, n_val=20)


@pytest.fixture(scope="module")
def desk_address(chrome: object, desk_folder: Path) -> Iterator[str]:
    write_issues(desk_folder, N_LISTED)
    with dashboard(desk_folder.parent) as url:
        yield url


def decided(page, n: int) -> None:
    expect(page.locator(".st-key-desk_controls")).to_contain_text(f"{n} of {N_LISTED} decided")
    settle(page)


def test_twelve_decisions_by_keys__nothing_is_lost(visitor, desk_address, desk_folder):
    table = open_study(desk_folder).table("label_issues").head(N_LISTED)
    ids, label, suggested = (table[name].tolist() for name in ("image_id", "label", "suggested"))
    names = open_study(desk_folder).class_names
    one = visitor()
    page = one.open(f"{desk_address}/{QUERY}")
    decided(page, 0)

    def press(*keys: str, now: int) -> None:
        for key in keys:
            page.keyboard.press(key)
        decided(page, now)

    def later(place: int, by: int) -> str:
        return names[(names.index(label[place]) + by) % len(names)]

    expected = {}
    for n in range(4):
        press("Enter", now=n + 1)
        expected[ids[n]] = suggested[n]
    for n in range(4, 7):
        press("n", now=n + 1)
        expected[ids[n]] = label[n]
    for n, digit in ((7, 2), (8, 3)):
        press(str(digit), now=n + 1)
        expected[ids[n]] = later(n, digit)
    press(" ", now=9)  # 9 is left for later
    expect(page.locator(".st-key-desk_right")).to_contain_text(label[10])
    typed = later(10, 1)
    press("/", *typed, "Enter", now=10)
    expected[ids[10]] = typed
    press("n", now=11)  # the field has the keys no longer
    expected[ids[11]] = label[11]
    press("Enter", now=12)
    expected[ids[12]] = suggested[12]
    press("u", now=11)
    del expected[ids[12]]

    def on_disk() -> dict[str, str]:
        left, of = read_traces(desk_folder).images, dict(zip(ids, label, strict=True))
        return {name: decision_on(trace, of[name]) for name, trace in left.items()}

    assert on_disk() == expected
    page = one.open(f"{desk_address}/{QUERY}")
    decided(page, 11)
    second = visitor().open(f"{desk_address}/{QUERY}")
    decided(second, 11)
    second.keyboard.press("n")  # both look at 9
    decided(second, 12)
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("stAlert")).to_be_visible()  # it has been decided on meanwhile
    decided(page, 12)
    press("Enter", now=13)
    second.keyboard.press("2")
    expected |= {ids[9]: label[9], ids[12]: suggested[12]}
    expect(second.get_by_test_id("stAlert")).to_be_visible()
    decided(second, 13)
    second.keyboard.press("2")
    decided(second, N_LISTED)
    assert on_disk() == expected | {ids[13]: later(13, 2)}
    page.get_by_role("button", name=ids[0].rpartition("/")[2], exact=False).first.click()
    settle(page)
    press("u", now=N_LISTED - 1)  # what somebody decided stays within reach
    assert ids[0] not in on_disk()


EARLY = """key => {
  const said = () => document.querySelector(".st-key-desk [data-testid=stCaptionContainer]")?.textContent;
  const first = said();
  new MutationObserver((_, observer) => {
    if (!said() || said() === first) return;
    observer.disconnect();
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  }).observe(document.body, { childList: true, subtree: true, characterData: true });
}"""


def test_keys__after_a_click_on_a_switch_and_when_the_next_image_just_appears(visitor, desk_address):
    page = visitor().open(f"{desk_address}/{QUERY}")
    settle(page)
    controls = page.locator(".st-key-desk_controls")
    page.get_by_text("All by rank").click()
    settle(page)
    before = int(re.findall(r"([\d,]+) of", controls.inner_text())[0])

    def later(*keys: str, now: int) -> None:
        for key in keys:
            page.keyboard.press(key)
        expect(controls).to_contain_text(f"{now} of")
        settle(page)

    later("n", now=before + 1)  # the focus is still in the switch
    later("Enter", now=before + 2)
    later("1", now=before + 3)
    page.evaluate(EARLY, "n")  # pressed at the moment at which the next image is written there
    later("n", now=before + 5)
    for n in range(5):
        later("u", now=before + 4 - n)
    page.keyboard.press("/")
    expect(page.locator(".st-key-desk_class input")).to_be_focused()


def test_keys__are_those_of_a_field_and_of_what_tab_reached(visitor, desk_address, desk_folder):
    page = visitor().open(f"{desk_address}/{QUERY}&desk_all=true")
    settle(page)
    before = read_traces(desk_folder).images
    page.keyboard.press("/")
    page.keyboard.type("n1u")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Later").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    image = page.locator(".st-key-desk_picture img").get_attribute("alt")
    page.keyboard.press("Enter")  # Later, and not the suggestion
    expect(page.locator(".st-key-desk_picture img")).not_to_have_attribute("alt", image)
    settle(page)
    assert read_traces(desk_folder).images == before


def test_desk_by_a_link__the_filter_says_what_the_list_holds_at_once(visitor, desk_address, desk_folder):
    study = open_study(make_study(desk_folder.with_name("linked"), n_train=20, n_val=12))
    write_issues(study.path, study.n_images)
    name = study.images["image_id"].iat[int(study.is_val.nonzero()[0][0])]
    page = visitor().open(f"{desk_address}/errors?study=linked&errors_tab=Causes")
    expect(page.locator(".st-key-filter_bar")).to_contain_text(f"{study.is_val.sum()} images")
    page.goto(f"{desk_address}/image?study=linked&image={name}")
    page.get_by_role("link", name="Decide on it").click()
    expect(page.locator(".st-key-desk_controls")).to_contain_text("decided")
    settle(page)
    expect(page.locator(".st-key-filter_bar")).to_contain_text(f"{study.n_images} images")
