"""A recorded walk through the dashboard: `python -m tests.browser.walk [STUDIES]` writes docs/walk.webp.

A minute in a real Chromium on the embedded studies: one frame before each click, with the pointer where it
goes, and one after it, with a line that says what is seen. Where STUDIES also holds `photographs`, labelled
and read by EfficientNet-Lite0, that encoder is shown at work on a photograph that scikit-learn ships; no
picture of that study is shown.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from tests.browser.harness import MOUSE, ROOT, chromium, dashboard, find_browser, settle

SIZE = {"width": 1280, "height": 760}
SHOWN = 960  # pixels of a frame's width
LINE = 40  # pixels of the line below the picture
POINT_MS, LOOK_MS = 900, 3600
QUALITY = 62
LARGEST = 5_000_000  # bytes of the file
INK, PAPER, POINTER = "#F1F4F7", "#263341", "#E5A93B"
PHOTOGRAPHS = "photographs"
MAIN = "[data-testid=stMain]"


@dataclass(frozen=True)
class Step:
    """What is said, what the pointer goes to (None: nothing), and what follows the click."""

    says: str
    target: Callable[[Any], Any] | None = None
    then: Callable[[Any], None] | None = None


def link(title: str) -> Callable[[Any], Any]:
    return lambda page: page.get_by_test_id("stSidebar").get_by_role("link", name=title, exact=True)


def option(name: str) -> Callable[[Any], Any]:
    return lambda page: page.locator(MAIN).get_by_role("radio", name=name, exact=True)


def bird(page: Any) -> None:
    page.get_by_role("option", name="bird", exact=True).click()
    page.keyboard.press("Escape")


def search(page: Any) -> None:
    page.keyboard.type("a red car in the snow")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"{MAIN} >> text=nearest to")


def photographs(page: Any) -> None:
    page.keyboard.type(PHOTOGRAPHS)
    page.keyboard.press("Enter")
    page.wait_for_selector(f"{MAIN} >> text=It says daisy", timeout=60_000)


STEPS = (
    Step("What this encoder sees, and where it goes wrong."),
    Step("Features: where each one looks, what it means in words, how often it fires.", link("Features")),
    Step(
        "Choose a class, and everything answers: what makes a bird, for this encoder? The sky.",
        lambda page: page.locator(MAIN).get_by_role("combobox", name="Class"),
        bird,
    ),
    Step(
        "Every feature has a page: strongest images, classes, weight in the probe, object or background.",
        lambda page: page.locator(".st-key-features_cards [data-card], .st-key-features_cards .card").first,
    ),
    Step("The filter goes along. Heatmaps: correct birds left, misclassified ones right.", link("Heatmaps")),
    Step(
        "Masks and mIoU: on the object, but less than a blob in the centre would be.", link("Masks and mIoU")
    ),
    Step(
        "All images again.",
        lambda page: page.locator(".st-key-filter_bar").get_by_role("button", name="Clear", exact=True),
    ),
    Step("Errors: the worst slices, in plain names, with their images and intervals.", link("Errors")),
    Step("Which classes are taken for which, and the features that push there.", option("Confusions")),
    Step("Wrong labels: every label, checked by models that had not seen its image.", option("Wrong labels")),
    Step(
        "Beside it the nearest images with their labels. One key or click decides: this label is right.",
        lambda page: page.locator(".st-key-desk_right button"),
    ),
    Step("Which score tells, without labels, what is misclassified?", link("Predicting errors")),
    Step("Images: all of them, with the probe's answers.", link("Images")),
    Step(
        "Search in words: CLIP answers at once.",
        lambda page: page.locator(MAIN).get_by_role("textbox", name="Search"),
        search,
    ),
    Step(
        "Open an image: its scores, its heatmap, images like it.", lambda page: page.locator(".tile").nth(1)
    ),
    Step("The map: images that look alike to the encoder are near.", link("Map")),
    Step("Compare two encoders: better, worse, or could it be chance?", link("Compare")),
)
OF_PHOTOGRAPHS = (
    Step("Try a picture of your own, or a photograph that everybody has.", link("Try a picture")),
    Step(
        "The embedded encoder knows a toy world: to it, a dahlia is a boat.",
        lambda page: page.locator(MAIN).locator(".tile").nth(1),
        lambda page: page.wait_for_selector(f"{MAIN} >> text=It says", timeout=60_000),
    ),
    Step(
        "EfficientNet-Lite0, which is shipped, knows photographs: a daisy, with the heat on the petals.",
        lambda page: page.get_by_test_id("stSidebar").get_by_role("combobox", name="Study"),
        photographs,
    ),
    Step(
        "Switch off a feature that speaks for it, and the answer changes at once.",
        lambda page: page.locator(MAIN).get_by_role("switch").first,
    ),
)


def walk(page: Any, address: str, steps: tuple[Step, ...]) -> list[tuple[Image.Image, int]]:
    """Every frame and the milliseconds that it is shown."""
    page.goto(address)
    frames: list[tuple[Image.Image, int]] = []
    for step in steps:
        _rest(page)
        if step.target is not None:
            aim = step.target(page)
            if page.locator("[role=dialog]").count():
                page.keyboard.press("Escape")
                _rest(page)
            aim.wait_for()
            box = aim.bounding_box()
            middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
            frames.append((_frame(page, step.says, middle), POINT_MS))
            aim.click()
            page.mouse.move(SIZE["width"] - 5, SIZE["height"] - 5)
            if step.then is not None:
                page.wait_for_timeout(400)
                step.then(page)
        _rest(page)
        frames.append((_frame(page, step.says, None), LOOK_MS))
    return frames


def _rest(page: Any) -> None:
    page.wait_for_timeout(500)
    settle(page)
    page.wait_for_timeout(1200)


def _frame(page: Any, says: str, pointer: tuple[float, float] | None) -> Image.Image:
    """A picture of the window with the line below it, and the pointer where it is."""
    scale = SHOWN / SIZE["width"]
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    height = round(SIZE["height"] * scale)
    frame = Image.new("RGB", (SHOWN, height + LINE), PAPER)
    frame.paste(shot.resize((SHOWN, height), Image.Resampling.LANCZOS))
    draw = ImageDraw.Draw(frame, "RGBA")
    draw.text((16, height + LINE / 2), says, INK, ImageFont.load_default(17), anchor="lm")
    if pointer is not None:
        x, y = (value * scale for value in pointer)
        draw.ellipse((x - 15, y - 15, x + 15, y + 15), fill=(229, 169, 59, 90), outline=POINTER, width=2)
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=POINTER)
    return frame


def _grey() -> bytes:
    held = io.BytesIO()
    Image.new("RGB", (4, 4), "#D5DBE1").save(held, "PNG")
    return held.getvalue()


def save(frames: list[tuple[Image.Image, int]], path: Path) -> None:
    """Write the animation; smaller pictures are no remedy, so a file that is too large is an error."""
    first, *others = [frame for frame, _ in frames]
    durations = [shown for _, shown in frames]
    first.save(
        path, save_all=True, append_images=others, duration=durations, loop=0, quality=QUALITY, method=6
    )
    if path.stat().st_size > LARGEST:
        raise SystemExit(f"error: {path.name} has {path.stat().st_size:,} bytes, more than {LARGEST:,}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", nargs="?", type=Path, default=ROOT / "studies")
    parser.add_argument("-o", "--out", type=Path, default=ROOT / "docs" / "walk.webp")
    arguments = parser.parse_args()
    if find_browser() is None:
        raise SystemExit("error: no Chromium found. Install it, or name it in the variable CHROMIUM")
    steps = STEPS + (OF_PHOTOGRAPHS if (arguments.studies / PHOTOGRAPHS).is_dir() else ())
    with dashboard(arguments.studies.resolve()) as address, chromium(MOUSE) as browser:
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        page.route(
            f"**/{PHOTOGRAPHS}/**", lambda route: route.fulfill(content_type="image/png", body=_grey())
        )
        frames = walk(page, address, steps)
    save(frames, arguments.out)
    seconds = sum(shown for _, shown in frames) / 1000
    print(f"{arguments.out}: {len(frames)} frames, {seconds:.0f} s, {arguments.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
