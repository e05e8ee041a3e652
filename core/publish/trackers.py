"""A study in an experiment tracker: its numbers, charts, features and mistakes as one run.

TensorBoard, Weights & Biases and MLflow each take a number and a picture under a name; how, is their row of
TRACKERS. Their packages are optional. Nothing leaves this computer unless the tracker's own environment
variables say so: without them a run lies in the folder that was given.
"""

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from core.bases.basis import UNITS
from core.charts.feature_points import most_telling
from core.charts.figure_files import find_browser, render_all
from core.charts.table_file import file_stem, identity, provenance
from core.common.dataframes import numbers
from core.common.formatting import json_text
from core.errors import PeregrineError, SettingsError
from core.measures.headline import NAMES, headline
from core.measures.slice_comparison import shown_images
from core.publish.report_page import Source, drawable, lowest
from core.publish.summary import info
from core.store import Study
from core.study.progress import Progress

FEATURES, STRIP, SIDE = 24, 6, 160  # strips of pictures; pictures in each, and the pixels of their sides
MISTAKES = 24
MARK = "peregrine.json"  # in the folder of a run of TensorBoard: what it is of
OF_STUDY = (
    "n_train",
    "n_classes",
    "n_features",
    "n_discriminative",
    "mean_firing",
    "miou_core",
    "miou_spurious",
)
INTERVALS = ("auroc", "auprc_correct", "auprc_error", "aurc", "augrc")  # of every score


@dataclass(frozen=True)
class Run:
    """What a tracker does with a number, and with a picture, (height, width, 3) uint8, under a name."""

    number: Callable[[str, float], None]
    picture: Callable[[str, np.ndarray], None]


@dataclass(frozen=True)
class Named:
    """A run's name, the id that a later run of the same study, read alike, has too, and what it is of."""

    name: str
    id: str
    facts: Mapping[str, str]


def track(
    study: Study, tracker: str, out: Path, *, features: int = FEATURES, progress: Progress | None = None
) -> int:
    """Write a study as one run of a tracker, in place of the run that it had there before.

    The run is called after the study, the answer, the basis and the slice, and has them as parameters.

    Args:
        tracker: a name of TRACKERS. out: folder of its runs; made where there is none.
        features: strips of so many features, the most telling first.
    Returns:
        how many numbers and pictures were written.
    Raises:
        SettingsError: its package is not installed, `out` is a file, or what lies there is no run of this
            study.
    """
    progress = progress or Progress.silent()
    check_tracker(tracker, out)
    out.mkdir(parents=True, exist_ok=True)
    written = 0
    with TRACKERS[tracker].start(out, _named_run(study)) as run:
        for name, value in _tracked_numbers(study).items():
            run.number(name, value)
            written += 1
        with progress.step("pictures"):
            for name, pixels in tracked_pictures(study, features):
                run.picture(name, pixels)
                written += 1
    return written


def _named_run(study: Study) -> Named:
    """Return what a study's run in a tracker of experiments is called, and what it is of."""
    facts, among = provenance(study), vars(study).get("slice")
    basis = [facts["basis"]] if facts["basis"] != UNITS else []
    return Named(
        file_stem([facts["study"]], "_".join([*basis, facts["answer"]]), among), identity(study), facts
    )


def check_tracker(tracker: str, out: Path) -> None:
    """Raise SettingsError for a tracker or place that cannot be written to, before any work is done."""
    if out.exists() and not out.is_dir():
        raise SettingsError(f"'{out}' is a file; give a folder for the runs of {tracker}")
    package = TRACKERS[tracker].package
    try:
        import_module(package)
    except ImportError:
        raise SettingsError(f"--to {tracker} needs the package {package}: pip install {package}") from None


def _tracked_numbers(study: Study) -> dict[str, float]:
    """Return every number of a study for a tracker by name, those that are undefined left out.

    Accuracy, confidence, Q and firing features of the images that are shown, with the ends of their 95 %
    intervals; measures of each score as a predictor of errors, with theirs; and facts of the whole study.
    """
    measured = headline(study, shown_images(study))
    logged: dict[str, float] = {"images/n": measured["n"]}
    for name in NAMES.values():
        ends = zip(("", "/low", "/high"), (measured[name], *measured[f"{name}_interval"]), strict=True)
        logged |= {f"images/{name}{end}": value for end, value in ends}
    if study.has("quality_metrics"):
        table = study.table("quality_metrics")
        for measure in INTERVALS:
            for end in ("", "_low", "_high"):
                values = zip(table["score"], numbers(table, f"{measure}{end}"), strict=True)
                logged |= {f"{measure}/{score}{end.replace('_', '/')}": value for score, value in values}
    facts = info(study)
    logged |= {f"study/{name}": float("nan") if facts[name] is None else facts[name] for name in OF_STUDY}
    return {name: float(value) for name, value in logged.items() if np.isfinite(value)}


def tracked_pictures(study: Study, features: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yield a study's pictures for a tracker by name: charts, features' best images, worst mistakes."""
    yield from _charts(study)
    source = Source(study)
    has_features = study.has("top_images") and study.has("features")
    top = study.vector("top_images") if has_features else np.empty((0, 0), np.int64)
    for feature in most_telling(study)[:features] if has_features else []:
        rows = [int(row) for row in top[feature] if row >= 0][:STRIP]
        strip = [one for row in rows if (one := _pixels(source, row, int(feature))) is not None]
        if strip:
            yield f"features/{source.feature_name(feature)}", np.concatenate(strip, axis=1)
    mistakes = source.judged.query("correct == False")
    for row in lowest(mistakes, "q_score", MISTAKES):
        pixels = _pixels(source, row, None)
        if pixels is not None:
            yield f"mistakes/{row:07d} {', '.join(source.lines(row))}", pixels


def _charts(study: Study) -> Iterator[tuple[str, np.ndarray]]:
    try:
        find_browser()
    except SettingsError:
        return  # charts are drawn by one
    figures = drawable(study)
    pictures = render_all([figure for figure, _ in figures.values()], "png")
    for name, body in zip(figures, pictures, strict=True):
        yield f"charts/{name}", np.array(Image.open(BytesIO(body)).convert("RGB"))


def _pixels(source: Source, row: int, feature: int | None) -> np.ndarray | None:
    """The thumbnail of an image under a feature's heatmap, as a square; None where none is stored."""
    body = source.overlay(row, None if feature is None else [feature])
    try:
        body = body or source.study.thumbnail(row)
    except (PeregrineError, OSError, IndexError):
        return None
    return np.array(Image.open(BytesIO(body)).convert("RGB").resize((SIDE, SIDE)))


@contextmanager
def _tensorboard(out: Path, of: Named) -> Iterator[Run]:
    from torch.utils.tensorboard import SummaryWriter

    folder, begun = out / of.name, out / f".{of.name}"
    if folder.exists() and not _is_run(folder, of):
        raise SettingsError(f"'{folder}' is no run of this study. Delete it, or give another folder")
    shutil.rmtree(begun, ignore_errors=True)  # of a run that was killed
    try:
        with _quiet_threads(), SummaryWriter(str(begun)) as writer:
            for name, value in of.facts.items():
                writer.add_text(name, value)
            pictures = partial(writer.add_image, dataformats="HWC")
            yield Run(writer.add_scalar, pictures)
        (begun / MARK).write_text(json_text({"id": of.id, **of.facts}), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        begun.rename(folder)
    finally:
        shutil.rmtree(begun, ignore_errors=True)


@contextmanager
def _quiet_threads() -> Iterator[None]:
    """Raise what the system refuses to a thread of a writer, once, instead of its traceback."""
    refused: list[OSError] = []
    shown = threading.excepthook

    def hook(raised: threading.ExceptHookArgs) -> None:
        if isinstance(raised.exc_value, OSError):
            refused.append(raised.exc_value)
        else:
            shown(raised)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = shown
    if refused:
        raise refused[0]


def _is_run(folder: Path, of: Named) -> bool:
    """Return whether a folder is the run that the same study, read alike, had before."""
    try:
        return json.loads((folder / MARK).read_text(encoding="utf-8"))["id"] == of.id
    except (OSError, ValueError, LookupError, TypeError):
        return False


@contextmanager
def _wandb(out: Path, of: Named) -> Iterator[Run]:
    import wandb  # pyright: ignore[reportMissingImports]

    has_key = "WANDB_API_KEY" in os.environ or "WANDB_MODE" in os.environ  # else it would ask for a key
    mode = None if has_key else "offline"
    # A run of an id that there is already takes its place.
    run = wandb.init(project="peregrine", name=of.name, id=of.id, config=of.facts, dir=str(out), mode=mode)
    with run:
        yield Run(
            lambda title, value: run.summary.update({title: value}),
            lambda title, pixels: run.log({title: wandb.Image(pixels)}),
        )


@contextmanager
def _mlflow(out: Path, of: Named) -> Iterator[Run]:
    import mlflow  # pyright: ignore[reportMissingImports]

    if "MLFLOW_TRACKING_URI" not in os.environ:
        mlflow.set_tracking_uri(f"sqlite:///{out.resolve() / 'mlflow.db'}")
        if mlflow.get_experiment_by_name("peregrine") is None:
            mlflow.create_experiment("peregrine", (out.resolve() / "artifacts").as_uri())
    experiment = mlflow.set_experiment("peregrine")
    same = f"params.id = '{of.id}'"
    before = mlflow.search_runs([experiment.experiment_id], same, output_format="list")
    with mlflow.start_run(run_name=of.name):
        mlflow.log_params({"id": of.id, **of.facts})
        yield Run(
            lambda title, value: mlflow.log_metric(_plain(title), value),
            lambda title, pixels: mlflow.log_image(pixels, f"{_plain(title)}.png"),
        )
    for run in before:
        mlflow.delete_run(run.info.run_id)


def _plain(title: str) -> str:
    """A title in the letters that MLflow takes for metrics and files, one file in its group."""
    group, _, rest = title.partition("/")
    return f"{group}/" + "".join(one if one.isalnum() or one in "_- " else "_" for one in rest)[:100]


@dataclass(frozen=True)
class Tracker:
    """A tracker: the package that it needs, and how a run is begun in a folder, under a name."""

    package: str
    start: Callable[[Path, Named], AbstractContextManager[Run]]


TRACKERS: dict[str, Tracker] = {
    "tensorboard": Tracker("tensorboard", _tensorboard),
    "wandb": Tracker("wandb", _wandb),
    "mlflow": Tracker("mlflow", _mlflow),
}
