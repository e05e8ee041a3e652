"""The command `publish`: a study as pages that open from a file or any web host, without a server.

One page, the report with its charts, and lists of images and features in it that are searched by a small
script of ours; pictures lie beside it as files. Every text of a study is data that the script shows as text,
and the page's own policy runs no other script.
"""

import base64
import hashlib
import os
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.charts.table_file import complete_file
from core.common.captions import with_class_names
from core.common.dataframes import evenly, numbers
from core.common.formatting import counted
from core.errors import SettingsError
from core.measures.slice_comparison import shown_images
from core.publish import report_sections
from core.publish.image_sections import telling
from core.publish.picture_zip import WHEN
from core.publish.report import plotly_script, study_sections
from core.publish.report_page import (
    SCRIPTED,
    TEMPLATES,
    Section,
    Source,
    choose_interactive,
    page,
    parts,
    study_charts,
)
from core.store import Study
from core.study.leftovers import remove_leftovers_of
from core.study.progress import Progress

IMAGES, FEATURES = 5000, 500
BESIDE = "img-src data: 'self' file:"  # a page from a file is of no origin, so it is not 'self'


def write_site(
    study: Study,
    out: str | Path,
    *,
    images: int = IMAGES,
    features: int = FEATURES,
    progress: Progress | None = None,
) -> Path:
    """Write the site, a study as web pages without a server, complete or not at all.

    Args:
        out: a .zip file, or a folder that is new or empty.
        images: at most so many thumbnails in the list of images, evenly spaced over those that the study is
            evaluated on. features: at most so many, the most telling first.
    Raises:
        SettingsError: the folder holds something, or is a file.
    """
    out, progress = Path(out), progress or Progress.silent()
    check_site(out)
    site = _Site(study, images, features, progress)
    if out.suffix.lower() == ".zip":
        with complete_file(out) as temporary, zipfile.ZipFile(temporary, "w") as packed:
            for name, body in site.files():
                kind = zipfile.ZIP_DEFLATED if name.endswith(".html") else zipfile.ZIP_STORED
                packed.writestr(zipfile.ZipInfo(name, WHEN), body, kind)
        return out
    out.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers_of(out)
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir()
        for name, body in site.files():
            (temporary / name).parent.mkdir(exist_ok=True)
            (temporary / name).write_bytes(body)
        if out.exists():
            out.rmdir()  # it is empty
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out


def check_site(out: Path) -> None:
    """Raise SettingsError for a place that a site cannot be written to, before any work is done."""
    if out.suffix.lower() == ".zip":
        if out.is_dir():
            raise SettingsError(f"'{out}' is a folder; name a .zip file in it")
    elif out.is_file():
        raise SettingsError(f"'{out}' is a file; give a new folder, or a file that ends in .zip")
    elif out.is_dir() and any(out.iterdir()):
        raise SettingsError(f"'{out}' is not empty; give a new folder, nothing is overwritten")


class _Site:
    """The files of a site, made one after the other: pictures first, then the page that names them."""

    def __init__(self, study: Study, images: int, features: int, progress: Progress):
        self.study, self.source, self.progress = study, Source(study), progress
        self.n_images, self.n_features = images, features

    def files(self) -> Iterator[tuple[str, bytes]]:
        rows, cards = self._rows(), self._features()
        drawn_rows: dict[int, bool] = {}
        of_features = [row for card in cards for row in card["rows"]]
        every = list(dict.fromkeys([*rows, *of_features]))
        n_pictures = len(every) + len(of_features)
        with (
            self.progress.step("pictures"),
            self.progress.stage("pictures", total=n_pictures, unit="pictures") as bar,
        ):
            for row in every:
                if body := self.source.small(row):
                    yield _picture_name(row), body
                drawn_rows[row] = bool(body)
                bar.update()
            for card in cards:
                card["heats"] = []
                for row in card["rows"]:
                    body = self.source.overlay(row, [card["feature"]])
                    if body:
                        yield f"heatmaps/{card['feature']:05d}-{row:07d}.jpg", body
                    card["heats"].append(bool(body))
                    bar.update()
        yield "index.html", self._page(rows, cards, drawn_rows).encode("utf-8", "replace")

    def _rows(self) -> list[int]:
        rows = np.flatnonzero(shown_images(self.study))
        return [int(row) for row in rows[evenly(len(rows), self.n_images)]]

    def _features(self) -> list[dict[str, Any]]:
        """A card a feature: its number, name, facts and the rows of its strongest images."""
        if not self.study.has("features"):
            return []
        features = []
        for feature, facts, rows in telling(self.study, self.n_features):
            name = self.source.feature_name(feature)
            features.append({"feature": feature, "name": name, "facts": facts, "rows": rows})
        return features

    def _page(self, rows: Sequence[int], cards: Sequence[dict[str, Any]], kept: dict[int, bool]) -> str:
        study, source = self.study, self.source
        living, _ = choose_interactive(False)
        with self.progress.step("charts"):
            source.charts = study_charts(study, interactive=living, progress=self.progress)
        with self.progress.step("page"):
            pictures = {row: self._image(row, there) for row, there in kept.items()}
            data = {"rows": rows, "pictures": pictures, "features": cards}
            sections = study_sections(source, self.progress)
            at = next(i for i, section in enumerate(sections) if section.anchor == "features") + 1
            sections[at:at] = [self._browser(len(rows), len(cards))]
            sections[-1].parts.append(parts.data(data))
            script = TEMPLATES.get_template("site.js").render()
            script_hash = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
            policy = SCRIPTED.replace("img-src data:", BESIDE)
            if living:  # charts that plotly draws are scripts of the page, too
                script = f"{plotly_script(True)}\n{script}"
            else:
                policy = policy.replace("script-src 'unsafe-inline'", f"script-src 'sha256-{script_hash}'")
            intro = report_sections.introduction(source)
            return page(study.name, intro, sections, script=script, policy=policy)

    def _browser(self, n_images: int, n_features: int) -> Section:
        shown, study = int(shown_images(self.study).sum()), self.study
        what = counted(shown, "evaluation image" if study.chosen is None and study.is_val.any() else "image")
        total = len(study.table("features")) if study.has("features") else 0
        some = f"{n_images:,} of {what}, evenly spaced" if n_images < shown else f"all {what}"
        sentences = [f"This page lists {some}." if shown else "There is no image to list."]
        if n_features:
            sentences.append(f"Of {total:,} features it lists {n_features:,}, the most telling first.")
        return Section(
            "browse", "Browse features and images", [parts.quiet(" ".join(sentences)), parts.browser()]
        )

    def _image(self, row: int, there: bool) -> dict[str, Any]:
        fact = self.source.facts.iloc[row]
        label = with_class_names(fact["label"]) if isinstance(fact["label"], str) else ""
        correct = float(numbers(self.source.facts.iloc[[row]], "correct")[0])
        verdict = "" if np.isnan(correct) else ("correct" if correct else "misclassified")
        named = {"id": self.source.image_name(row), "label": label, "verdict": verdict}
        source = _picture_name(row) if there else ""
        return {"src": source, "lines": self.source.lines(row), **named}


def _picture_name(row: int) -> str:
    """Return the name of the file of an image's picture in a published site."""
    return f"images/{row:07d}.jpg"


def size_of(out: Path) -> int:
    """Return the bytes of a published site, a folder or an archive."""
    files = [out] if out.is_file() else [one for one in out.rglob("*") if one.is_file()]
    return sum(file.stat().st_size for file in files)
