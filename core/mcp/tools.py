"""What agents may ask of the studies below a folder. Everything is bounded, nothing is written, and no path
leads out of the studies: pictures are the thumbnails that a study holds.
"""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pandas as pd
from PIL import Image

from core.analysis.predictor import predictor_of_images
from core.charts.heat_panels import STORED_ONLY
from core.charts.options import FigureOptions
from core.charts.theme import layout_of
from core.common.picture_bytes import image_file
from core.common.private_paths import folder_of_ids, without_folders
from core.concepts import search
from core.errors import FORESEEN, SettingsError, StudyError, did_you_mean, unknown_name, user_message
from core.measures.finder import worst_slices
from core.measures.saved_slices import listed as saved_slices
from core.measures.slice import Slice
from core.measures.slice_comparison import images_of, shown_images
from core.measures.slice_features import similar_features
from core.measures.slice_words import feature_words
from core.pictures.of_image import look_at
from core.publish.export_files import COLUMNS, TABLES, note_on_train_images, of_slice, read_table
from core.publish.meanings import meaning
from core.publish.served import open_current, resolve, split_basis, study_entries
from core.publish.summary import info
from core.store import Study
from core.study.label_decisions import with_decisions

MOST_ROWS, MOST_STUDIES, MOST_PICTURES, MOST_FEATURES, LISTED = 200, 200, 12, 50, 20
LONGEST_CELL = 2000  # characters
WIDEST, TALLEST = 1600, 4000  # pixels of a picture of a figure, and of what it is drawn from
READ_HERE = tuple(name for name in TABLES if name in COLUMNS)


class StoredPictures:
    """Stand for the images that a study was made from, which lie outside it."""

    def __init__(self, study: Study):
        self.read_id = study.thumbnail_image


class StudyTools:
    """The studies below a folder, as agents see them."""

    def __init__(self, folder: Path, address: str):
        self.folder, self.address = folder.resolve(), address.rstrip("/")

    def opened(self, name: str, answer: str = "") -> Study:
        """Return a study by its name, as it reads with an answer, without what lies outside its folder.

        Raises:
            StudyError: no study of that name. SettingsError: it has no such answer.
        """
        try:
            whole = open_current(resolve(self.folder, name))
        except StudyError as error:
            names = [entry.name for entry in study_entries(self.folder)]
            if name in names:
                raise
            raise StudyError(f"{error}.{did_you_mean(name, names)} The tool `studies` lists them") from None
        read = whole.answering(answer or None)
        for study in (whole, read):
            study.source = StoredPictures(study)
            study.masks = None
        return read

    def studies(self) -> dict[str, Any]:
        """List the studies: name, encoder, number of images and what is missing or wrong."""
        listed = study_entries(self.folder)
        rows = [self._row(entry.name) for entry in listed[:MOST_STUDIES]]
        return {"studies": rows, "n_studies": len(listed)}

    def _row(self, name: str) -> dict[str, Any]:
        try:
            study = self.opened(name)
        except FORESEEN as error:
            return {"study": name, "problem": without_folders(user_message(error, again="ask again") or "")}
        facts = {"study": name, "encoder": study.encoder_name, "n_images": study.n_images}
        return {**facts, "missing": sorted(study.missing()), "link": self.link("overview", name)}

    def describe(self, name: str) -> dict[str, Any]:
        """Return what `info` says of a study, and the slices saved in it."""
        study = self.opened(name)
        more = {"slices": saved_slices(study)[:MOST_ROWS], "link": self.link("overview", name)}
        return {**info(study), "path": name, **more}

    def table(
        self, name: str, table: str, where: str, columns: Sequence[str], page: tuple[int, int], answer: str
    ) -> dict[str, Any]:
        """Return rows of a table as `export --where` writes it; page: the first row and how many."""
        if table not in READ_HERE:
            raise SettingsError(unknown_name(f"no table '{table[:80]}'", table, READ_HERE, "Tables"))
        opened = self.opened(name, answer)
        study, among = of_slice(opened, table, self.slice(opened, where) if where else None)
        frame = read_table(study, table, slice=among)
        present = [str(column) for column in frame.columns]
        columns = list(dict.fromkeys(columns))
        for column in columns:
            if column not in present:
                raise SettingsError(
                    unknown_name(f"no column '{column[:80]}' in '{table}'", column, present, "It has")
                )
        start, n = bounded(page[0], "offset", 0, 1 << 62), bounded(page[1], "limit", 1, MOST_ROWS)
        part = frame.iloc[start : start + n][columns or present]
        next_offset = start + len(part) if start + len(part) < len(frame) else None
        pages = {"n_rows": len(frame), "offset": start, "next_offset": next_offset}
        note = note_on_train_images(study, table, slice=among)
        rows = _without_folder(study, _plain_rows(part))
        return {"columns": list(part.columns), **pages, "rows": rows, "note": note}

    def inspect(self, name: str, where: str, against: str, answer: str) -> dict[str, Any]:
        """Return what `inspect` says of a slice, with the first entries of its lists."""
        from core.measures.inspect import inspect

        study = self.opened(name, answer)
        other = self.slice(study, against) if against else None
        report = inspect(study, self.slice(study, where), other, means=True)
        cut = {key: value[:LISTED] if isinstance(value, list) else value for key, value in report.items()}
        return {**cut, "link": self.link("images", name, where=where, answer=answer)}

    def worst(self, name: str, n: int, answer: str) -> dict[str, Any]:
        """Return the worst slices, most significant first, each with its page."""
        table = worst_slices(self.opened(name, answer), limit=bounded(n, "n", 1, LISTED))
        linked = [
            {**row, "link": self.link("images", name, where=str(row["where"]), answer=answer)}
            for row in _plain_rows(table)
        ]
        return {"slices": linked}

    def image(self, name: str, image_id: str, answer: str) -> dict[str, Any]:
        """Return the facts of an image: label and what people decided on it, prediction, scores, most active
        features with words."""
        study = self.opened(name, answer)
        row = study.row_of(_with_folder(study, image_id))
        facts: dict[str, Any] = {"image_id": image_id, "row": row}
        image = with_decisions(study, study.images.iloc[[row]].drop(columns="path"))
        facts |= _without_folder(study, _plain_rows(image))[0]
        for table in ("probe", "quality"):
            if study.has(table):
                facts |= _without_folder(study, _plain_rows(read_table(study, table).iloc[[row]]))[0]
        if study.has("representations"):
            words, look = feature_words(study), look_at(study, predictor_of_images(study), row)
            features = _plain_rows(look.features.head(LISTED))
            facts["features"] = [
                feature | {"words": words.get(feature["feature"], [])} for feature in features
            ]
            decided = {"answer": look.answer, "rival": look.rival, "lead": look.lead, "note": look.note}
            facts["decision"] = decided if look.answer else None
        return {**facts, "link": self.link("image", name, image=_with_folder(study, image_id), answer=answer)}

    def feature(self, name: str, feature: int, answer: str) -> dict[str, Any]:
        """Return the facts of a feature: rates, words, strongest images, similar features."""
        study = self.opened(name, answer)
        table = read_table(study, "features")
        bounded(feature, "feature", 0, len(table) - 1)
        facts: dict[str, Any] = _plain_rows(table.iloc[[feature]])[0]
        facts["words"] = feature_words(study).get(feature, [])
        strongest = study.images["image_id"].iloc[self.top_rows(study, feature)]
        facts["top_images"] = _without_folder(study, list(strongest.astype(str)))
        if study.has("firing_by_feature_rows"):
            facts["similar"] = _plain_rows(similar_features(study, feature, shown_images(study)).head(5))
        return {**facts, "link": self.link("feature", name, feature=str(feature), answer=answer)}

    def top_rows(self, study: Study, feature: int) -> np.ndarray:
        """Return the rows of the images on which a feature is largest; empty where they are not stored."""
        top = study.vector("top_images")[feature] if study.has("top_images") else np.empty(0, np.int64)
        return top[top >= 0][:MOST_PICTURES]

    def picture(self, study: Study, row: int, features: Sequence[int] | None) -> bytes:
        """Return the thumbnail of an image as JPEG; with a list of features, their stored heatmap over it."""
        if features is None:
            return study.thumbnail(row)
        shown = study.overlay(row, each_once(features) or None, ground=study.thumbnail_image(row))
        return image_file(shown, quality=85)

    def figure(self, name: str, figure: str, where: str, answer: str, features: Sequence[int]) -> bytes:
        """Return a figure of the catalogue as PNG, of what the study holds: no heatmap is computed."""
        from core.charts.catalogue import draw
        from core.charts.figure_files import render

        study = self.opened(name, answer)
        options = FigureOptions(features=tuple(each_once(features)), device=STORED_ONLY)
        drawn = draw(study.where(self.slice(study, where)) if where else study, figure, options=options)
        if (layout_of(drawn).height or 0) > TALLEST:
            raise SettingsError(f"the figure is {layout_of(drawn).height} pixels high; narrow it by a slice")
        shown = Image.open(io.BytesIO(render(drawn, "png")))
        shown.thumbnail((WIDEST, WIDEST))
        return image_file(shown, "PNG")

    def search(self, name: str, text: str, where: str, n: int) -> dict[str, Any]:
        """Find images by words: with CLIP where they are embedded, in captions and by class names."""
        study, text = self.opened(name), search.tidy(text)
        if not search.plain_words(text):
            raise SettingsError("nothing to search for: give a few words, as in 'a red ball on grass'")
        among = images_of(study, self.slice(study, where))
        n, clip = bounded(n, "n", 1, MOST_ROWS), search.index_facts(study).clip
        result: dict[str, Any] = {"text": text}
        if clip.startswith("asset:"):  # the one that is shipped; others would be loaded at a study's word
            rows, cosines = search.most_alike(
                study.array(search.CLIP_IMAGES), search.embed_text(clip, text), n, among=among
            )
            result["by_clip"] = search.hits(study, rows, cosines)
        elif clip:
            result["note"] = f"images are embedded with {clip}, which is not loaded here"
        rows, cosines = search.said_of(study, text, among=among)
        result["by_captions"] = search.hits(study, rows[:n], cosines[:n])
        ids = study.images["image_id"].iloc[search.of_classes(study, text, among=among)[:n]]
        result["by_class"] = [str(one) for one in ids]
        return _without_folder(study, result)

    def schema(self) -> dict[str, Any]:
        """Return the tables and what their columns mean."""
        return {name: {column: meaning(column) for column in COLUMNS[name]} for name in READ_HERE}

    def slice(self, study: Study, text: str) -> Slice:
        """Parse a slice. Raises SliceError."""
        where = Slice.parse(text)
        return replace(where, image_ids=tuple(_with_folder(study, image_id) for image_id in where.image_ids))

    def link(self, page: str, name: str, **parts: str) -> str:
        """Return the address of a page of the dashboard."""
        study, basis = split_basis(name)
        query = {key: value for key, value in {"study": study, "basis": basis, **parts}.items() if value}
        return f"{self.address}/{page}?{urlencode(query)}"


def _folder_prefix(study: Study) -> str:
    """Return the folder below which an agent, as every export, sees the ids of images (`folder_of_ids`)."""
    return folder_of_ids(study.column("images", "image_id"))


def _with_folder(study: Study, image_id: str) -> str:
    """Return the id of an image that an agent names as `_without_folder` shows it."""
    home = _folder_prefix(study)
    return image_id if image_id.startswith(home) else home + image_id


def _without_folder(study: Study, report: Any) -> Any:
    """Return rows or facts of images for an agent, with their ids as `_folder_prefix` says."""
    home = _folder_prefix(study)
    return _shortened(report, home) if home else report


def _shortened(value: Any, home: str) -> Any:
    if isinstance(value, dict):
        return {name: _shortened(inner, home) for name, inner in value.items()}
    if isinstance(value, list):
        return [_shortened(inner, home) for inner in value]
    return value.removeprefix(home) if isinstance(value, str) else value


def bounded(value: int, name: str, least: int, most: int) -> int:
    """Return a number that an agent asks with, within bounds. Raises SettingsError for another."""
    if not least <= value <= most:
        raise SettingsError(f"{name} is a number from {least} to {most:,}; got {str(value)[:30]}")
    return value


def each_once(features: Sequence[int]) -> list[int]:
    """Return an agent's features without repetitions. Raises SettingsError for too many of them."""
    features = list(dict.fromkeys(features))
    bounded(len(features), "the number of features", 0, MOST_FEATURES)
    return features


def _plain_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a table's rows as dicts for an agent, long texts cut and missing values None."""
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(name): _cell(value) for name, value in row.items()} for row in rows]


def _cell(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str) and len(value) > LONGEST_CELL:
        return value[:LONGEST_CELL] + "…"
    return value
