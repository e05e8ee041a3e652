"""A study made from the browser: checked, started, reloaded in the middle, cancelled, resumed, opened."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from playwright.sync_api import expect

from core.data.images import open_images
from core.store import open_study
from core.study.jobs import read_job
from core.study.runner import cancel
from tests.browser.harness import dashboard, settle
from tests.sampling import sample

pytestmark = pytest.mark.browser
LONG = 300_000  # milliseconds, on a busy machine: a check and a small study load torch three times
MARKUP = "<img src=x onerror=window.stolen=1> $x$"
N_IMAGES = 48  # too few for UMAP, which compiles for half a minute
# Without a checkpoint, nothing is checked yet: a check is a process that loads torch.
UNCHECKED = f"new_study?{urlencode({'new_encoder': 'A checkpoint file'}, quote_via=quote)}"


def scenes(folder: Path, n: int) -> Path:
    """Scenes of the embedded world as a plain image folder; one class has a name that tries to be markup."""
    source = open_images(f"glyphworld?train={n}&val=20")
    for row, label in enumerate(source.table["label"].head(n)):
        place = folder / (MARKUP if label == "cat" else str(label))
        place.mkdir(parents=True, exist_ok=True)
        source.read(row).save(place / f"{row}.png")
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("new")
    scenes(folder / "roots" / "photos", N_IMAGES)
    (folder / "secret").mkdir()
    (folder / "studies").mkdir()
    return folder


@pytest.fixture(scope="module")
def empty_address(chrome: object, place: Path) -> Iterator[str]:
    """A dashboard without any study, whose only root is `roots`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PEREGRINE_ROOTS", str(place / "roots"))
        with dashboard(place / "studies") as url:
            yield url
    job = read_job(place / "studies" / "mine")
    if job is not None and job.running:
        cancel(job, patience=1)


def form(place: Path, images: str, name: str = "") -> str:
    asked = {"new_images_path": images, "new_asset": "SimCLR on the embedded world", "new_name": name}
    return f"new_study?{urlencode(asked, quote_via=quote)}"


def resume(page, folder: Path) -> None:
    """Press the button until the job runs: the page redraws itself, and may do so under the pointer."""
    for _ in range(3):
        page.get_by_role("button", name="Resume").click()
        for _ in range(40):
            page.wait_for_timeout(500)
            if (job := read_job(folder)) is not None and job.state in ("running", "done"):
                return
    pytest.fail("the job was not resumed")


def opens(place):
    """The buttons that open a study; the arrow of a select box is called so too."""
    return place.get_by_test_id("stButton").get_by_role("button", name="Open", exact=True)


def test_study_from_the_browser(visitor, empty_address, place):
    shutil.rmtree(place / "studies" / "mine", ignore_errors=True)  # of a first try
    page = visitor().open(empty_address)
    page.get_by_role("link", name="Study your own images").click()
    expect(page.get_by_role("heading", name="New study")).to_be_visible()
    page.goto(f"{empty_address}/{UNCHECKED}")
    page.locator("[class*=st-key-new_images_path_drop] input[type=file]").set_input_files(
        place / "roots" / "photos"
    )
    dropped = str(place / "studies" / "dropped" / "photos")
    expect(page.get_by_role("textbox", name="Image folder")).to_have_value(dropped)
    expect(page.get_by_text("left out, such as")).to_be_visible()  # a folder that tries to be markup
    page.goto(f"{empty_address}/{form(place, str(place / 'roots' / 'photos'), 'mine')}")
    expect(page.get_by_text(f"{N_IMAGES}", exact=True).first).to_be_visible(timeout=LONG)
    expect(page.get_by_text("120 tensors used, format plain state dict")).to_be_visible()
    expect(page.locator(".tile img")).to_have_count(12)

    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_text("A job is running in this study")).to_be_visible(timeout=LONG)
    page.reload()
    expect(page.get_by_role("progressbar").first).to_be_visible(timeout=LONG)
    page.get_by_role("button", name="Cancel").first.click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible(timeout=LONG)
    stopped = read_job(place / "studies" / "mine")
    assert stopped is not None and stopped.state == "cancelled"

    resume(page, place / "studies" / "mine")
    expect(opens(page)).to_be_visible(timeout=LONG)
    study = open_study(place / "studies" / "mine")
    assert study.n_images == N_IMAGES and study.has("quality")
    opens(page).click()
    expect(page.get_by_text("Active features", exact=True)).to_be_visible(timeout=LONG)
    expect(page.get_by_test_id("stSidebar").get_by_role("combobox", name="Study")).to_have_value("mine")
    settle(page)
    assert page.evaluate("window.stolen") is None

    shutil.copytree(place / "studies" / "mine", place / "studies" / "other")
    page.goto(f"{empty_address}/new_study?study=mine")
    jobs = page.locator("[data-testid=stHorizontalBlock]").filter(has=page.get_by_text("Analyze: other"))
    job = jobs.filter(has=opens(page)).last
    try:
        opens(job).click()
        expect(page.get_by_test_id("stSidebar").get_by_role("combobox", name="Study")).to_have_value("other")
        expect(page.get_by_text("Active features", exact=True)).to_be_visible()
    finally:
        page.goto("about:blank")  # its pictures are still being asked for, and would be missing
        shutil.rmtree(place / "studies" / "other")


@pytest.mark.exhaustive("test_study_from_the_browser goes the same way")
@pytest.mark.parametrize(
    "path", sample(["{place}/roots/../secret", "{place}/studies", "/etc", "{place}/secret"], 2)
)
def test_only_roots_can_be_chosen(reader, empty_address, place, path):
    page = reader().open(f"{empty_address}/{form(place, path.format(place=place), 'other')}")
    expect(page.get_by_text("is not below a folder that may be chosen")).to_be_visible()
    assert not page.get_by_role("button", name="Start", exact=True).count()
    assert not (place / "studies" / "other").exists()


@pytest.mark.exhaustive("test_study_from_the_browser goes the same way")
def test_folders_are_browsed(visitor, empty_address, place):
    page = visitor().open(f"{empty_address}/{UNCHECKED}")
    page.get_by_role("button", name="Browse").first.click()
    page.get_by_role("button", name=str(place / "roots")).click()
    page.get_by_role("button", name="photos", exact=True).click()
    expect(page.get_by_role("button", name="truck", exact=True)).to_be_visible()  # the list of photos
    page.get_by_role("button", name="Choose this folder").click()
    expect(page.get_by_role("textbox", name="Image folder")).to_have_value(str(place / "roots" / "photos"))
