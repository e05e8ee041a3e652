"""The overlay route: heat where the encoder looked, on the right pixels; caching; clean refusals."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from core.errors import UnreadableImage
from core.store import Study, open_study
from core.study.overlay_image import OverlayStyle
from dashboard.app import ROUTES
from dashboard.server.routes import FOR_EVER
from dashboard.state import overlay_images, served_studies
from dashboard.state.overlay_images import overlay_urls

CROP_LEFT, CROP_SIDE = 8, 48  # of the pictures of 64 x 48 pixels, what the planted encoder sees
JPEG_NOISE = 4.0  # mean difference of a grey level


@pytest.fixture
def client(seen):
    overlay_images._drawn.cache_clear()
    return TestClient(Starlette(routes=ROUTES))


@pytest.fixture
def study(seen):
    return open_study(seen)


def picture(answer) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"), float)


def firing_row(study) -> int:
    return int(np.flatnonzero(study.table("quality")["n_firing_discriminative"] > 0)[0])


def slow_heat(frame: np.ndarray, width: int, height: int) -> np.ndarray:
    """Pixel by pixel: where its centre falls in the frame, and the heat there; NaN outside."""
    heat = np.full((height, width), np.nan)
    per = 64 / width  # pixels of the original in one of the tile
    for y in range(height):
        for x in range(width):
            u, v = (x + 0.5) * per - CROP_LEFT, (y + 0.5) * per
            if not 0 <= u <= CROP_SIDE:
                continue
            u, v = np.clip(u - 0.5, 0, CROP_SIDE - 1), np.clip(v - 0.5, 0, CROP_SIDE - 1)
            i, j = min(int(u), CROP_SIDE - 2), min(int(v), CROP_SIDE - 2)
            a, b = u - i, v - j
            top = frame[j, i] * (1 - a) + frame[j, i + 1] * a
            heat[y, x] = top * (1 - b) + (frame[j + 1, i] * (1 - a) + frame[j + 1, i + 1] * a) * b
    return heat


@pytest.mark.slow
@pytest.mark.parametrize("side", [100, 240], ids=["on the thumbnail", "on the original"])
def test_overlay__heat_lies_where_the_encoder_looked(side, client, study):
    row = firing_row(study)
    (url,) = overlay_urls(study, [row], [OverlayStyle(opacity=1.0, colour_map="grey")], side=side)
    drawn = picture(client.get(f"/{url}"))
    height, width = drawn.shape[:2]
    assert (width, height) == (side, round(side * 48 / 64))
    heat = slow_heat(study.heatmap(row), width, height)
    seen = np.isfinite(heat)
    assert heat[seen].max() > 0.9
    left, right = np.flatnonzero(seen.any(0))[[0, -1]]
    lined = np.zeros_like(seen)  # the frame around them, which JPEG spreads over blocks of 8 pixels
    for line in (left, right):
        lined[:, max(line - 8, 0) : line + 9] = True
    lined[:8] = lined[-8:] = True
    assert np.abs(drawn.mean(2) - 255 * heat)[seen & ~lined].mean() < JPEG_NOISE
    ground = np.asarray(study.image(row).resize((width, height), Image.Resampling.BILINEAR), float)
    assert np.abs(drawn - 0.6 * ground)[~seen & ~lined].mean() < JPEG_NOISE


def test_overlay__of_a_feature_is_on_the_disc_of_its_hue(client, study):
    """The planted truth: the hue that is strongest on an image of one class is that of its disc."""
    table = study.table("overlap_by_feature")
    feature = int(table.loc[table["verdict"] == "core", "feature"].iloc[0])
    row = int(study.vector("top_images")[feature][0])
    (url,) = overlay_urls(study, [row], [OverlayStyle((feature,), opacity=1.0, colour_map="grey")])
    drawn = picture(client.get(f"/{url}")).mean(2)
    drawn[:, :25] = drawn[:, -25:] = 0  # 8 of 64 pixels on either side lie outside the crop
    core = study.masks.read(study.images["image_id"].iat[row], "core")
    disc = np.asarray(Image.fromarray(core).resize(drawn.shape[::-1], Image.Resampling.BILINEAR)) >= 0.5
    assert drawn[disc].mean() > 3 * drawn[~disc].mean()


def test_overlay__is_kept_by_the_browser_under_its_own_tag(client, study):
    styles = [
        OverlayStyle(),
        OverlayStyle(opacity=0.3),
        OverlayStyle(colour_map="viridis"),
        OverlayStyle(masks=("core",)),
        OverlayStyle(masks=("core",), mask_style="outline"),
        OverlayStyle(combine="max"),
        OverlayStyle(crop=True),
    ]
    tags = []
    for url in overlay_urls(study, [firing_row(study)] * len(styles), styles):
        answer = client.get(f"/{url}")
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.headers["cache-control"] == FOR_EVER
        again = client.get(f"/{url}", headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        tags.append(answer.headers["etag"])
    assert len(set(tags)) == len(styles)


def test_crop__is_the_part_of_the_picture_around_the_heat(client, study):
    row = firing_row(study)
    plain, crop = (
        picture(client.get(f"/{url}"))
        for url in overlay_urls(study, [row, row], [OverlayStyle(opacity=0.0), OverlayStyle(crop=True)])
    )
    height, width, _ = crop.shape
    assert height == width < plain.shape[0]
    off = [
        np.abs(plain[y : y + height, x : x + width] - crop).mean()
        for y in range(plain.shape[0] - height + 1)
        for x in range(plain.shape[1] - width + 1)
    ]
    assert min(off) < JPEG_NOISE  # without the colours of the heat
    y, x = divmod(int(np.argmin(off)), plain.shape[1] - width + 1)
    heat = study.heatmap(row)
    peak_y, peak_x = np.unravel_index(heat.argmax(), heat.shape)
    scale = plain.shape[1] / 64  # pixels of the tile in one of the picture
    at_y = (peak_y + 0.5) / heat.shape[0] * CROP_SIDE * scale
    at_x = (CROP_LEFT + (peak_x + 0.5) / heat.shape[1] * CROP_SIDE) * scale
    assert y <= at_y <= y + height and x <= at_x <= x + width


def test_tile__is_drawn_without_opening_the_original(client, study, monkeypatch):
    def gone(*_):
        raise UnreadableImage("moved")

    original = Study.image
    monkeypatch.setattr(Study, "image", gone)
    row = firing_row(study)
    tile, large = (
        overlay_urls(study, [row], [OverlayStyle(masks=("core",))]),
        overlay_urls(study, [row], [OverlayStyle()], side=600),
    )
    assert client.get(f"/{tile[0]}").headers["cache-control"] == FOR_EVER
    answer = client.get(f"/{large[0]}")
    assert picture(answer).shape == (450, 600, 3)
    assert answer.headers["cache-control"] == "no-store"  # the original may come back
    monkeypatch.setattr(Study, "image", original)
    assert client.get(f"/{large[0]}").headers["cache-control"] == FOR_EVER


def test_bare_outline__is_the_picture_with_a_line_around_the_mask(client, study):
    masked = study.masks.table.query("mask == 'core'")["image_id"].iloc[0]
    row = study.row_of(masked)
    outline = OverlayStyle(opacity=0.0, masks=("core",), mask_style="outline")
    bare, lined = overlay_urls(study, [row, row], [OverlayStyle(opacity=0.0), outline])
    change = np.abs(picture(client.get(f"/{lined}")) - picture(client.get(f"/{bare}"))).max(2) > 40
    core = np.asarray(Image.fromarray(study.masks.read(masked, "core")).resize((200, 150))) >= 0.5
    near = np.zeros_like(core)
    for step in range(-6, 7):
        for axis in (0, 1):
            near |= np.roll(core, step, axis) != core
    assert change.sum() > 100
    assert (change & ~near).sum() < 0.05 * change.sum()  # JPEG and slanted lines


@pytest.mark.parametrize("kind", ["core", "spurious"])
def test_bare_mask__the_outside_of_the_core_is_dimmed_and_the_spurious_mask_hatched(kind, client, study):
    masked = study.masks.table.query("mask == @kind")["image_id"].iloc[0]
    row = study.row_of(masked)
    styles = [OverlayStyle(opacity=0.0), OverlayStyle(opacity=0.0, masks=(kind,))]
    bare, drawn = (picture(client.get(f"/{url}")) for url in overlay_urls(study, [row, row], styles))
    mask = np.asarray(Image.fromarray(study.masks.read(masked, kind)).resize((200, 150))) >= 0.5
    mask[:, :25] = mask[:, -25:] = False  # outside the crop no mask is known
    edge = np.zeros_like(mask)
    for step in range(-6, 7):
        for axis in (0, 1):
            edge |= np.roll(mask, step, axis) != mask
    edge[:, 16:34] = edge[:, -34:-16] = edge[:9] = edge[-9:] = True  # the line around the crop
    inside, outside = mask & ~edge, ~mask & ~edge
    if kind == "core":
        assert np.abs(drawn[inside] - bare[inside]).mean() < JPEG_NOISE
        assert np.abs(drawn[outside] - 0.34 * bare[outside]).mean() < JPEG_NOISE
    else:
        assert np.abs(drawn[outside] - bare[outside]).mean() < JPEG_NOISE
        assert np.abs(drawn[inside] - bare[inside]).mean() > 4 * JPEG_NOISE


@pytest.mark.parametrize(
    "query",
    [
        "features=9999",
        "features=x",
        "features=-1",
        "combine=product",
        "opacity=2",
        "opacity=nan",
        "opacity=x",
        "colours=none",
        "mask=both",
        "mask=core&masks_as=frame",
    ],
)
def test_overlay__that_makes_no_sense_is_a_clean_404(query, client):
    answer = client.get(f"/overlay/seen/0?v=1&{query}")
    assert answer.status_code == 404
    assert answer.headers["cache-control"] == "no-store"
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("path", ["seen/99999", "seen/-1", "nothere/0", "..%2f..%2fetc/0", "demo/0"])
def test_overlay__of_nothing_is_a_clean_404(path, client):
    assert client.get(f"/overlay/{path}").status_code == 404


def test_map_that_is_not_stored__says_how_to_compute_it(client, study):
    row = firing_row(study)
    held = set(study.heatmap_reader.features_of(row).tolist())
    absent = next(number for number in range(32) if number not in held)
    answer = client.get(f"/overlay/seen/{row}?features={absent}")
    assert answer.status_code == 404
    assert "--feature" in answer.text


@pytest.mark.parametrize(("side", "drawn"), [("1", 32), ("99999", 1600), ("320", 320)])
def test_side__stays_within_bounds(side, drawn):
    assert overlay_images.side_of({"side": side}) == drawn
    assert overlay_images.side_of({}) == overlay_images.TILE


@pytest.mark.parametrize("opacity", ["0", "1", "0.0", "0.55", ".5", "1.0", "1."])
def test_opacity__is_a_share(opacity):
    assert overlay_images.style_of({"opacity": opacity}).opacity == float(opacity)


def test_look__survives_its_own_address():
    style = OverlayStyle((3, 98), "max", 0.35, "magma", ("core", "spurious"), "outline")
    assert overlay_images.style_of(overlay_images.query_of(style)) == style
    assert overlay_images.query_of(OverlayStyle()) == {}


def test_study_name__with_spaces_and_accents(client, study, seen):
    seen.rename(seen.with_name("été 2"))
    study = served_studies.open_current(seen.with_name("été 2"))
    (url,) = overlay_urls(study, [0], [OverlayStyle()])
    assert client.get(f"/{url}").status_code == 200
