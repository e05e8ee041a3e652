"""Try a picture in a real Chromium with a real encoder: choose, see the answer, switch off, cover, undo."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from core.pictures.seen import samples
from core.pipeline import run as pipeline
from core.store import open_study
from core.study.progress import Progress
from tests.browser.axe import violations
from tests.browser.harness import dashboard, settle

pytestmark = [pytest.mark.browser, pytest.mark.exhaustive("tests/pictures answers the same")]
BRING = """([data, kind, name]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0)), files = new DataTransfer();
  files.items.add(new File([bytes], name, {type: "image/jpeg"}));
  const options = {bubbles: true, cancelable: true};
  document.body.dispatchEvent(
    kind === "paste"
      ? new ClipboardEvent(kind, {clipboardData: files, ...options})
      : new DragEvent(kind, {dataTransfer: files, ...options}));
}"""
# Brings the picture in the moment in which the page shows the text, between one file field and the next.
BRING_WITH = """([picture, text]) => {
  const bring = BRING;
  const watch = new MutationObserver(() => {
    if (!document.body.innerText.includes(text)) return;
    watch.disconnect();
    bring(picture);
  });
  watch.observe(document.body, {subtree: true, childList: true, characterData: true});
}""".replace("BRING", BRING)
LOADED = 180_000  # milliseconds in which a busy machine loads an encoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    studies: Path = tmp_path_factory.mktemp("tried")
    world = {"images": "glyphworld?train=60&val=40&size=64", "encoder": "asset:simclr_glyphworld"}
    for step, options in (("embed", world), ("features", {"epsilon": 2.5}), ("probe", {"lr": 0.1})):
        pipeline.run_step(step, studies / "world", {**options, "workers": 0}, Progress.silent())
    return studies


@pytest.fixture(scope="module")
def address(chrome: object, folder: Path) -> Iterator[str]:
    with dashboard(folder) as url:
        yield url


def test_picture__its_answer_moves_with_switches_and_boxes(visitor, address, folder, tmp_path):
    study = open_study(folder / "world")
    table = study.table("probe")
    row = table.iloc[int((table["confidence"] - 0.6).abs().argmin())]  # one whose answer can be moved
    page = visitor().page
    page.goto(f"{address}/try_picture?study=world")
    page.locator(".st-key-try_images .tile").nth(1).click()  # of the study, where one has no picture at hand
    page.wait_for_url("**of=*")
    page.goto(f"{address}/try_picture?study=world&of={row['image_id']}")
    first = page.locator(".class-bars .first")
    expect(first).to_have_text(str(row["predicted"]), timeout=LOADED)  # what the study stores of this image
    expect(page.get_by_text("Drop another picture anywhere")).to_be_visible()
    expect(page.locator(".st-key-try_samples .tile").first).to_contain_text("temple")
    share = page.locator(".class-bars .share").first
    before = share.inner_text()
    assert before.startswith(f"{100 * row['confidence']:.1f}")
    expect(page.get_by_text("cosine 1.000")).to_be_visible()  # itself, among the similar ones

    switch = page.get_by_role("switch").first
    switch.press("Space")
    expect(page.get_by_text("1 feature switched off.")).to_be_visible()
    expect(switch).to_have_attribute("aria-checked", "false")
    assert share.inner_text() != before

    page.get_by_role("button", name="Add a box").press("Enter")
    expect(page.get_by_text("1 part covered, 1 feature switched off.")).to_be_visible()
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**covered=0.37*")
    settle(page)
    page.wait_for_timeout(800)
    assert violations(page) == []
    page.get_by_role("button", name="Crop", exact=True).click()
    frame = page.locator(".stage").bounding_box()
    assert frame is not None
    page.mouse.move(frame["x"] + 4, frame["y"] + 4)
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] * 0.6, frame["y"] + frame["height"] * 0.9, steps=4)
    page.mouse.up()
    expect(page.get_by_text("Cropped, 1 part covered, 1 feature switched off.")).to_be_visible()
    expect(page.get_by_text("Inside the dashed line is what it sees.")).to_be_visible()
    box, seen = (page.locator(f".stage .{one}").bounding_box() for one in ("box.crop", "seen"))
    assert box is not None and seen is not None and box["width"] < 0.8 * box["height"]
    sides = (seen["width"], seen["height"], box["width"])  # a square of the crop, to its pixels
    assert max(sides) - min(sides) < 6
    page.get_by_role("button", name="Undo all changes").click()
    expect(share).to_have_text(before)

    wrong = tmp_path / "drawing.jpg"
    wrong.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    data = base64.b64encode(samples()["flower"].path.read_bytes()).decode()
    refused = "This is an SVG drawing, not a pixel image"
    page.evaluate(BRING_WITH, [[data, "paste", "pasted.jpg"], refused])
    page.locator("[data-testid=stFileUploader] input[type=file]").set_input_files(wrong)
    expect(page.get_by_alt_text("pasted.jpg", exact=True)).to_be_visible()
    expect(page.get_by_text(refused)).to_have_count(0)
    page.evaluate(BRING, [data, "drop", "dropped.jpg"])
    expect(page.get_by_alt_text("dropped.jpg", exact=True)).to_be_visible()
    expect(share).not_to_have_text(before)


@pytest.mark.parametrize("event", ["paste", "drop"])
def test_back__from_a_picture_that_was_brought_leads_to_the_page_it_was_brought_to(visitor, address, event):
    page = visitor().page
    page.goto(f"{address}/?study=world")
    page.locator("[data-testid=stFileUploader]").wait_for(timeout=LOADED)
    settle(page)
    there = page.url
    data = base64.b64encode(samples()["flower"].path.read_bytes()).decode()
    page.evaluate(BRING, [data, event, "brought.jpg"])
    expect(page).to_have_url(re.compile("/try_picture"), timeout=LOADED)
    page.go_back()
    expect(page).to_have_url(there)
