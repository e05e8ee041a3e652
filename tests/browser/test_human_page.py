"""The page of a human study in a real Chromium: answers come out as files, texts are text, no network."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from core.research.human_study.page import write_page

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=window.stolen=1>"
BREAKING = "</script><script>window.stolen=1</script>"


@pytest.fixture
def page_file(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for name, colour in (("a", "red"), ("b", "blue")):
        Image.new("RGB", (300, 200), colour).save(tmp_path / "images" / f"{name}.jpg")
    words = [
        {"task": "w0000", "images_a": "images/a.jpg", "images_b": "images/b.jpg", "word_1": "dog",
         "word_2": HOSTILE, "word_3": 'a, "quoted" word', "word_4": ""},
        {"task": "w0001", "images_a": "images/a.jpg", "images_b": "", "word_1": BREAKING},
    ]  # fmt: skip
    choices = [{"task": "c0000", "images_a": "images/a.jpg", "option_1": "red, sky", "option_2": "dog"}]
    write_page(tmp_path / "index.html", words, choices)
    return tmp_path / "index.html"


@pytest.fixture
def worker(chrome, page_file):
    """A page on which nothing but the file itself was asked for and no error was raised."""
    context = chrome.new_context(accept_downloads=True)
    page = context.new_page()
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(page_file.as_uri())
    yield page
    stolen = page.evaluate("window.stolen")
    context.close()
    assert errors == [] and stolen is None
    assert {url for url in asked if not url.startswith(("data:", "blob:"))} == {page_file.as_uri()}


def begin(page, name: str = "Ann") -> None:
    page.fill("#worker", name)
    page.get_by_role("button", name="Begin").click()


def saved(page, name: str, folder: Path) -> tuple[str, list[list[str]]]:
    with page.expect_download() as download:
        page.get_by_role("button", name=f"Save {name}").click()
    path = folder / "saved.csv"
    download.value.save_as(path)
    return download.value.suggested_filename, list(csv.reader(path.open(newline="", encoding="utf-8")))


def test_answers__become_rows_that_the_reader_takes(worker, tmp_path):
    begin(worker, "Ann B.")
    assert "group A, and not group B" in worker.locator("#question").inner_text()
    worker.get_by_label(HOSTILE).check()
    worker.keyboard.press("3")  # by the keyboard
    worker.keyboard.press("Enter")
    expect(worker.locator("#question")).to_have_text("Which words fit these images?")
    expect(worker.locator("#options")).to_contain_text(BREAKING)
    worker.get_by_role("button", name="None fits, next").click()
    assert worker.locator("#next").is_disabled()  # of two descriptions one has to be chosen
    worker.keyboard.press("2")
    worker.locator("#next").click()
    name, rows = saved(worker, "word_answers", tmp_path)
    assert name == "word_answers_Ann_B_.csv"
    assert rows == [
        ["worker", "task", "word", "fits"],
        ["Ann B.", "w0000", "dog", "0"],
        ["Ann B.", "w0000", HOSTILE, "1"],
        ["Ann B.", "w0000", 'a, "quoted" word', "1"],
        ["Ann B.", "w0001", BREAKING, "0"],
    ]
    assert saved(worker, "choice_answers", tmp_path)[1][1:] == [["Ann B.", "c0000", "2"]]


def test_back_and_reload__lose_nothing(worker):
    begin(worker)
    worker.keyboard.press("1")
    worker.locator("#next").click()
    worker.locator("#back").click()
    expect(worker.get_by_label("dog")).to_be_checked()
    worker.locator("#next").click()
    worker.reload()
    begin(worker)
    expect(worker.locator("#place")).to_have_text("Task 2 of 3")
    worker.reload()
    begin(worker, "Bea")
    expect(worker.locator("#place")).to_have_text("Task 1 of 3")
    expect(worker.get_by_label("dog")).not_to_be_checked()


def test_pictures__are_in_the_page_itself(worker):
    begin(worker)
    sources = worker.eval_on_selector_all("img", "all => all.map((one) => [one.src, one.naturalWidth])")
    assert len(sources) == 2 and all(
        src.startswith("data:image/jpeg") and wide == 240 for src, wide in sources
    )
