"""Everything that a click in the dashboard can change on the disk or of a process: a function each, by name.

`test_writes.py` compares the list with what the dashboard imports, so a new one has to be added here; the
served page `writing_page.py` has a button for each, which a guest presses.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from core.charts import kept_figures
from core.charts.kept_figures import KeptFigure
from core.measures import saved_slices
from core.measures.slice import Slice
from core.store import Study
from core.study import label_decisions, runner, shared_decisions, study_folders, trace_changes, uploads
from core.study.commands import RunStep
from core.study.jobs import Job, read_job
from dashboard.jobs import dropped_images, launcher
from dashboard.state import my_figures

PNG = b"\x89PNG\r\n\x1a\n" + bytes(32)
FIGURE = KeptFigure("stem", "caption", "{}", "a,b\n", 100, 100)


def _job(study: Study) -> Job:
    return read_job(study.path) or Job(study.path, ())


def _first(study: Study) -> str:
    return str(study.column("images", "image_id").iat[0])


def _folder(study: Study) -> Path:
    return study.path.parent / "figures"


def _stopped(study: Study) -> None:
    if reason := launcher.stop(_job(study)):
        raise PermissionError(reason)


# The functions that are called, as test_writes.py finds their names in the dashboard.
WRITES: dict[str, Callable[[Study], object]] = {
    "trace_changes.set_note": lambda study: trace_changes.set_note(study, _first(study), "a note"),
    "trace_changes.set_tags": lambda study: trace_changes.set_tags(study, _first(study), ["tag"]),
    "trace_changes.mark_wrong_label": lambda study: trace_changes.mark_wrong_label(study, _first(study)),
    "trace_changes.name_feature": lambda study: trace_changes.name_feature(study, 0, "night sky"),
    "trace_changes.note_feature": lambda study: trace_changes.note_feature(study, 0, "a note"),
    "trace_changes.set_feature_tags": lambda study: trace_changes.set_feature_tags(study, 0, ["tag"]),
    "trace_changes.save_view": lambda study: trace_changes.save_view(study, "view", "images"),
    "trace_changes.remove_view": lambda study: trace_changes.remove_view(study, "kept view"),
    "label_decisions.decide_label": lambda study: label_decisions.decide_label(
        study, _first(study), "unsure"
    ),
    "shared_decisions.take_over": lambda study: shared_decisions.take_over(
        study, shared_decisions.SharedDecisions({_first(study): "unsure"}, {})
    ),
    "label_decisions.undecide": lambda study: label_decisions.undecide(study, _first(study)),
    "trace_changes.change_images": lambda study: trace_changes.change_images(
        study, [_first(study)], add=["tag"]
    ),
    "trace_changes.take_back": lambda study: trace_changes.take_back(
        study, trace_changes.ChangedTraces({}, {})
    ),
    "saved_slices.save": lambda study: saved_slices.save(study.path, "mine", Slice(labels=("a",))),
    "saved_slices.rename": lambda study: saved_slices.rename(study.path, "kept", "other"),
    "saved_slices.delete": lambda study: saved_slices.delete(study.path, "kept"),
    "study_folders.rename_study": lambda study: study_folders.rename_study(
        study.path.parent, study.path, "renamed"
    ),
    "study_folders.copy_study": lambda study: study_folders.copy_study(
        study.path.parent, study.path, "copied"
    ),
    "study_folders.remove_study": lambda study: study_folders.remove_study(study.path.parent, study.path),
    "kept_figures.add_figure": lambda study: kept_figures.add_figure(_folder(study), FIGURE),
    "kept_figures.set_caption": lambda study: kept_figures.set_caption(_folder(study), "000001", "other"),
    "kept_figures.remove_figure": lambda study: kept_figures.remove_figure(_folder(study), "000001"),
    "kept_figures.move_figure": lambda study: kept_figures.move_figure(
        _folder(study), "000001", kept_figures.LATER
    ),
    "my_figures.mark": lambda study: my_figures.mark(FIGURE),
    "dropped_images.keep": lambda study: dropped_images.keep([("a.png", PNG)]),
    "dropped_images.keep_masks": lambda study: dropped_images.keep_masks([("core/a.png", PNG)]),
    "dropped_images.keep_table": lambda study: dropped_images.keep_table("labels", b"PAR1"),
    "uploads.new_folder": lambda study: uploads.new_folder(),
    "uploads.discard": lambda study: launcher.discard(uploads.uploads_folder() / "planted"),
    "launcher.start": lambda study: launcher.start(RunStep("neighbours", study.path, redo=True)),
    "launcher.stop": _stopped,
    "launcher.discard": lambda study: launcher.discard(uploads.uploads_folder() / "planted"),
    "launcher.remove": lambda study: launcher.remove(study.path),
    "runner.start_job": lambda study: runner.start_job(RunStep("map", study.path), folder=study.path),
    "runner.cancel": lambda study: runner.cancel(_job(study)),
    "runner.forget": lambda study: runner.forget(study.path),
}


def attempt(name: str, study: Study) -> str:
    """Do one of them; what came of it, and of a refusal its reason."""
    try:
        answer = WRITES[name](study)
    except Exception as error:  # whatever it is: the test compares it
        return f"{type(error).__name__}: {error}"
    return f"done: {answer if isinstance(answer, str) else ''}"
