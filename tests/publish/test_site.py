"""The published site: complete or not at all, bounded, and every name is data."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from core.errors import SettingsError
from core.publish import report_page
from core.publish.site import size_of, write_site
from core.store import open_study
from core.study.progress import Bar
from tests.publish.test_report import NAMES, Seen, hostile, seen

__all__ = ["hostile", "seen"]
pytestmark = pytest.mark.slow


def plain_drawings(figures: Any, kind: str, *, drawn_one: Any) -> list[bytes]:
    for _ in figures:
        drawn_one()
    return [b"<svg/>"] * len(figures)


@pytest.fixture(autouse=True)
def plain_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_page, "render_all", plain_drawings)
    monkeypatch.setattr(report_page, "find_browser", lambda: "some browser")


def data_of(text: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found and "<" not in found[1]
    return json.loads(found[1])


def test_site__counts_its_pictures_charts_and_chapters(seen: Path, tmp_path: Path, monkeypatch) -> None:
    counts = []
    monkeypatch.setattr(Bar, "_close", lambda bar, finished: counts.append((bar.unit, bar.done, bar.total)))
    write_site(open_study(seen), tmp_path / "site")
    assert [unit for unit, _, _ in counts] == ["pictures", "charts", "chapters"]
    assert all(done == total > 1 for _, done, total in counts)


def test_site__holds_what_its_page_names(seen: Path, tmp_path: Path) -> None:
    study, site = open_study(seen), write_site(open_study(seen), tmp_path / "site")
    text = (site / "index.html").read_text(encoding="utf-8")
    data = data_of(text)
    assert [data["pictures"][str(row)]["id"] for row in data["rows"]] == study.images.loc[
        study.is_val, "image_id"
    ].tolist()
    named = {one["src"] for one in data["pictures"].values()}
    named |= {
        f"heatmaps/{card['feature']:05d}-{row:07d}.jpg"
        for card in data["features"]
        for row, heat in zip(card["rows"], card["heats"], strict=True)
        if heat
    }
    there = {one.relative_to(site).as_posix() for one in site.rglob("*.jpg")}
    assert named == there and any(name.startswith("heatmaps/") for name in there)
    first = data["features"][0]
    assert first["rows"] == study.vector("top_images")[first["feature"]][:6].tolist()
    assert all(address.startswith(("data:image/", "#")) for address in Seen(text).addresses)
    assert str(seen.parent) not in text


@pytest.mark.exhaustive("tests/publish/test_handed_on.py names no folder")
def test_site__of_a_list_of_absolute_paths_names_no_folder(seen: Path, tmp_path: Path) -> None:
    study = open_study(seen)
    study.kept_columns["images", "image_id"] = "/disks/home of jo/" + study.images.loc[:, "image_id"]
    text = (write_site(study, tmp_path / "site") / "index.html").read_text(encoding="utf-8")
    ids = [one["id"] for one in data_of(text)["pictures"].values()]
    assert len(set(ids)) == len(ids) and "/disks" not in text


def test_site__only_its_own_script_may_run(hostile: Path, tmp_path: Path) -> None:
    site = write_site(open_study(hostile), tmp_path / "site")
    text = (site / "index.html").read_text(encoding="utf-8")
    script = text.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = text.split('http-equiv="Content-Security-Policy" content="')[1].split('">')[0]
    assert f"sha256-{digest}" in policy.replace("&#39;", "'") and "unsafe-inline'; connect" not in policy
    page = Seen(text)
    assert page.tags.count("script") == 2 and not page.handlers
    assert {one["label"] for one in data_of(text)["pictures"].values()} == set(NAMES)


@pytest.mark.exhaustive("test_site__holds_what_its_page_names counts them")
def test_site__of_some_images_says_so(hostile: Path, tmp_path: Path) -> None:
    """A zip file holds the same, and twice the same bytes."""
    study = open_study(hostile)
    first, second = (write_site(study, tmp_path / f"{n}.zip", images=5, features=2) for n in "ab")
    assert first.read_bytes() == second.read_bytes() and size_of(first) == first.stat().st_size
    with zipfile.ZipFile(first) as packed:
        text = packed.read("index.html").decode()
        assert packed.testzip() is None
    data = data_of(text)
    assert len(data["rows"]) == 5 and len(data["features"]) == 2
    assert "lists 5 of 24 evaluation images, evenly spaced" in Seen(text).said


def test_site__overwrites_nothing(hostile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("text")
    with pytest.raises(SettingsError, match="not empty"):
        write_site(open_study(hostile), tmp_path / "mine")
    monkeypatch.setattr("core.publish.site._Site._page", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_site(open_study(hostile), tmp_path / "new")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["mine"]
