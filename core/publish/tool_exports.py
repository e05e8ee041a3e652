"""What a study knows of its images, written as a folder that another tool reads: FiftyOne, `datasets` …"""

import io
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core.common.records import Record, Templates
from core.errors import SettingsError, unknown_name
from core.measures.slice import Slice
from core.publish.cvat import write_cvat
from core.publish.datasets import write_datasets
from core.publish.fiftyone import write_fiftyone
from core.publish.known_images import LONGEST, PREFIX, ImageMaps, KnownImages, known_images
from core.publish.label_links import check_new_folder, complete_folder
from core.publish.label_studio import write_label_studio
from core.publish.meanings import meaning
from core.publish.tool_names import CVAT, DATASETS, FIFTYONE, LABEL_STUDIO
from core.store import Study

README = "README.md"
say_of_tools = Templates.beside(__file__)


@dataclass(frozen=True)
class ToolForm:
    """A tool that takes what a study knows.

    Attributes:
        title: its name. about: what it is given. write: writes the folder and returns the number of images.
        kind: of the line that opens the folder, in `tool_exports.toml`. without: what it has no place for.
    """

    title: str
    about: str
    write: Callable[[KnownImages, Path], int]
    kind: str
    without: tuple[str, ...] = ()


_FIFTYONE = ToolForm(
    "FiftyOne",
    "A data set, or fields that join one: labels, tags, heatmaps, embeddings.",
    write_fiftyone,
    "fiftyone",
)
_DATASETS = ToolForm(
    "Hugging Face datasets",
    "Parquet that holds pictures, maps, embeddings and all columns.",
    write_datasets,
    "datasets",
)
_LABEL_STUDIO = ToolForm(
    "Label Studio",
    "Tasks with predictions, suggestions and regions, and the interface for them.",
    write_label_studio,
    "label_studio",
    ("embeddings",),
)
_CVAT = ToolForm(
    "CVAT", "Its form for images 1.1: tags with attributes, and masks.", write_cvat, "cvat", ("embeddings",)
)
TOOLS = {FIFTYONE: _FIFTYONE, DATASETS: _DATASETS, LABEL_STUDIO: _LABEL_STUDIO, CVAT: _CVAT}


@dataclass(frozen=True)
class WrittenImages:
    """How many images were written, how the tool opens them, and what should be known of them."""

    n: int
    opened_by: str
    notes: tuple[Record, ...] = ()


def export_to_tool(study: Study, tool: str, out: str | Path, *, among: Slice | None = None) -> WrittenImages:
    """Export what a study knows of its images as a folder for another tool, complete or not at all.

    Every field and tag begins with PREFIX, so that none of the user's is overwritten.

    Args:
        study: read by the answer whose predictions are written. tool: one of `TOOLS`. among: only these.
    Raises:
        SettingsError: unknown tool, a folder that holds something, or it cannot be written.
        StudyError: the study holds no images. UnreadableImage: a picture that is copied cannot be read.
    """
    form, out = _tool_form(tool), Path(out)
    check_new_folder(out)
    images = known_images(study, among)
    opened_by = say_of_tools(form.kind, what=str(out), names=(images.root or str(out),))
    with complete_folder(out) as begun:
        n = form.write(images, begun)
        (begun / README).write_text(_readme(images, form), encoding="utf-8")
    return WrittenImages(n, opened_by, tuple(_notes(images, form)))


def _tool_form(tool: str) -> ToolForm:
    """Return the form of an export for another tool. Raises SettingsError for an unknown one."""
    if tool not in TOOLS:
        raise SettingsError(unknown_name(f"no tool '{tool}'", tool, TOOLS, "Tools"))
    return TOOLS[tool]


def _notes(exported: KnownImages, form: ToolForm) -> list[Record]:
    notes = []
    maps = ImageMaps(exported.study)
    n_heat = sum(map(maps.has_heat, map(int, exported.rows)))
    if n_heat < len(exported):
        notes.append(say_of_tools("no_heatmap", n=len(exported) - n_heat, of=len(exported)))
    if (
        exported.study.answer is None
        and "train" in exported.fields["split"]
        and "predicted" in exported.fields
    ):
        notes.append(say_of_tools("of_train"))
    if form.without:
        notes.append(say_of_tools("no_place", what=form.title, names=form.without))
    if not exported.root:
        notes.append(say_of_tools("no_files"))
    return notes


def _readme(exported: KnownImages, form: ToolForm) -> str:
    """What the folder holds, without a folder of this machine."""
    facts = ", ".join(f"{name} {value}" for name, value in exported.facts.items() if value)
    rows = [f"| {PREFIX}{name} | {meaning(name)} |" for name in exported.fields]
    opening = say_of_tools(form.kind, what="FOLDER", names=("IMAGES" if exported.root else "FOLDER",))
    head = say_of_tools("head", n=len(exported), what=facts)
    table = "\n".join(["| field | meaning |", "|---|---|", *rows])
    parts = [head, f"```\n{opening}\n```", table, say_of_tools("maps", n=LONGEST)]
    return "\n\n".join([f"# {form.title}", *parts, ""])


def tool_archive(study: Study, tool: str, *, among: Slice | None = None) -> bytes:
    """Return the export of a study's images for another tool as a .zip; raises as `export_to_tool`."""
    buffer = io.BytesIO()
    with tempfile.TemporaryDirectory() as place, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        folder = Path(place) / "folder"
        export_to_tool(study, tool, folder, among=among)
        for path in sorted(folder.rglob("*")):
            packed.write(path, path.relative_to(folder))
    return buffer.getvalue()
