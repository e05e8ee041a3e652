"""Pictures of every view, light and dark, at three widths: `python -m tests.browser.screenshots [STUDIES]`.

They go to build/screenshots/, which git ignores. Each view is one whole page, however long; the last ones
show an opened image and its heatmap. `--docs` writes what the README shows instead: one window of each of
some views, to docs/. That of a wrong image with its reason needs the step `causes`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from urllib.parse import quote

from core.charts.feature_points import most_telling
from core.store import Study, open_study
from tests.browser.harness import MOUSE, ROOT, chromium, dashboard, find_browser, settle

VIEWS = (
    "overview",
    "map",
    "features",
    "predicting_errors",
    "heatmaps",
    "masks",
    "feature",
    "image",
    "errors",
    "compare",
    "images",
    "figures",
    "new_study",
)
HOME = "overview"  # the first page has no path of its own
WIDTHS = (820, 1280, 1920)
THEMES = ("light", "dark")
TALLEST = 6000
WHY_WRONG = "why_wrong"  # of the README: the page of one error without the sidebar
IN_DOCS = (
    "overview",
    "map",
    "features",
    "heatmaps",
    "predicting_errors",
    "errors",
    "wrong_labels",
    "feature",
    "image",
    "compare",
    WHY_WRONG,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", nargs="?", type=Path, default=ROOT / "studies")
    parser.add_argument("--study", default="demo", help="which study to show (default: demo)")
    parser.add_argument("-o", "--out", type=Path, default=ROOT / "build" / "screenshots")
    parser.add_argument("--docs", action="store_true", help="only the pictures in docs/")
    arguments = parser.parse_args()
    if find_browser() is None:
        raise SystemExit("error: no Chromium found. Install it, or name it in the variable CHROMIUM")
    studies = arguments.studies.resolve()
    if arguments.docs:
        taken = take_windows(studies, arguments.study, ROOT / "docs")
    else:
        taken = take(studies, arguments.study, arguments.out)
    for path in taken:
        print(path)


def take(studies: Path, study: str, out: Path) -> list[Path]:
    """Write all pictures and return their paths."""
    out.mkdir(parents=True, exist_ok=True)
    taken = []
    with dashboard(studies) as address, chromium() as browser:
        for theme in THEMES:
            for width in WIDTHS:
                context = browser.new_context(
                    viewport={"width": width, "height": round(width * 0.625)}, color_scheme=theme
                )
                page = context.new_page()
                for name, link in _links(studies, study).items():
                    page.set_viewport_size({"width": width, "height": round(width * 0.625)})
                    page.goto(f"{address}/{link}")
                    _show_whole(page, width)
                    path = out / f"{name}_{theme}_{width}.png"
                    page.screenshot(path=path)
                    taken.append(path)
                context.close()
    return taken


def take_windows(studies: Path, study: str, out: Path) -> list[Path]:
    """Write what one sees of some views on opening them, and return the paths."""
    taken, links = [], _links(studies, study)
    with dashboard(studies) as address, chromium(MOUSE) as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
        for name in filter(links.__contains__, IN_DOCS):
            page.goto(f"{address}/{links[name]}")
            page.wait_for_selector("h1")
            settle(page)
            page.wait_for_timeout(5000)  # components ask for pictures once they are drawn
            taken.append(out / f"{name}.png")
            window = page.get_by_test_id("stMain") if name == WHY_WRONG else page
            window.screenshot(path=taken[-1])
    return taken


def _links(studies: Path, study: str) -> dict[str, str]:
    chosen, opened_study = f"study={quote(study)}", open_study(studies / study)
    images = opened_study.images
    opened = images["image_id"].iloc[int((images["split"] == "val").argmax())]  # else the first train image
    links = {view: f"{view if view != HOME else ''}?{chosen}" for view in VIEWS}
    image = f"image={quote(opened, safe='')}"
    telling = most_telling(opened_study)[0]
    feature = f"heatmaps?{chosen}&heat_of=One+feature"
    dialog = f"images?{chosen}&{image}"
    why_wrong = {}
    if opened_study.has("causes"):
        misled = quote(_misled_by_its_background(opened_study), safe="")
        why_wrong = {WHY_WRONG: f"image?{chosen}&image={misled}"}
    return (
        links
        | why_wrong
        | {
            "image": f"image?{chosen}&{image}",
            "feature": f"feature?{chosen}&feature={telling}",
            "heatmaps_feature": feature,
            "wrong_labels": f"errors?{chosen}&errors_tab=Wrong+labels",
            "image_dialog": dialog,
            "image_heatmap": f"{dialog}&detail_part=Heatmap",
        }
    )


def _misled_by_its_background(study: Study) -> str:
    """The most confident error whose first cause is its background."""
    causes = study.table("causes", ["image_id", "cause", "rank"])
    misled = causes.loc[(causes["cause"] == "background") & (causes["rank"] == 1), "image_id"]
    answers = study.table("probe", ["image_id", "confidence"]).set_index("image_id")
    return str(answers.loc[misled, "confidence"].idxmax())


def _show_whole(page, width: int) -> None:
    """Make the window as tall as the page, so that lazily loaded pictures and all charts are drawn."""
    page.wait_for_selector("h1")
    settle(page)
    page.wait_for_timeout(800)
    for _ in range(2):  # what comes into sight may load, and make the page taller
        height = page.evaluate(
            "Math.max(...[...document.querySelectorAll('[data-testid=stMain], [role=dialog]')]"
            ".map(part => part.scrollHeight + part.getBoundingClientRect().top))"
        )
        page.set_viewport_size({"width": width, "height": min(int(height) + 60, TALLEST)})
        settle(page)
        page.wait_for_timeout(700)


if __name__ == "__main__":
    main()
