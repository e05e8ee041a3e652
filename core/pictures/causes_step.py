"""The step `causes`: trials on errors and on right images, which explain an error, and how long it takes."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from core.analysis.heatmaps_on_demand import encoder_of
from core.analysis.predictor import Predictor, predictor_of_images
from core.answers.answer import PROBE
from core.common.command_line import command_line
from core.common.device import resolve_device, run_options
from core.common.formatting import format_duration
from core.common.step_facts import EmbedFacts
from core.config import CausesConfig, RunOptions
from core.errors import SettingsError
from core.measures.causes import cause_rates
from core.measures.design_effect import groups_among
from core.pictures.cause_tables import (
    first_counts,
    judged_table,
    notes_on_trials,
    of_errors,
    of_right_images,
    trials_of_views,
    wrong_too_often,
)
from core.pictures.cause_trials import ChangedPictures, PictureAnswers, object_masks, trials_without_pictures
from core.pictures.drawn_errors import DrawnImages, draw_images
from core.pictures.picture_changes import VIEWS, Improvement, Usual, usual_measures
from core.store import Study
from core.study.chunked_array import chunk_name
from core.study.progress import Bar, Progress
from core.study.steps import settings_of
from core.study.writer import StepRun, StepWriter

# The step `causes`: trials on errors and on right images, and which of them explain an error.
#
# What was tried on which image is stored chunk by chunk, so an interrupted run resumes, and a run for a
# single image takes over what earlier runs have tried (docs/method.md 9.3).


CHUNK_IMAGES = 64
GAPS, ROWS = "cause_gaps", "cause_rows"


def outside(study: Study, config: CausesConfig, run: RunOptions) -> dict[str, str]:
    """Identify the masks that the step `causes` reads to change backgrounds: {"masks": sha256}, or {}."""
    masks = None if study.facts(EmbedFacts).encoder.is_given else study.masks
    return {"masks": masks.fingerprint()} if masks else {}


def compute_causes(study: Study, step: StepWriter, config: CausesConfig, run: StepRun) -> None:
    """Write the tables of the step `causes`, why images are wrong (docs/method.md 9.3).

    `causes`, a row a trial of an error, and `cause_controls`, of a right image, with columns of
    `core.measures.causes.STORED`. `cause_rates`, where errors were drawn and not named. `cause_rows` (n,)
    int64, ascending, and `cause_gaps` (n, len(VIEWS), 2): z_target - z_answer of each view, and whether the
    answer is the target.

    Raises:
        SettingsError: the answer cannot be asked again, or there is no error.
        EncoderError: the encoder can no longer be loaded, or has changed.
    """
    read, predictor = _answer_of(study, config)
    earlier = EarlierRun.of(study, config)
    drawn = draw_images(read, predictor, config, earlier.named)
    usual = usual_measures(read, predictor, drawn)
    tried = trials_without_pictures(read, predictor, drawn, config.seed)
    passes = Passes(study, predictor, drawn, usual, config.seed)
    if passes.has_encoder:
        tried |= trials_of_views(passes.gaps(step, run, earlier), usual)
    table = judged_table(read, drawn, tried)
    causes, controls = of_errors(table), of_right_images(table)
    step.table("causes", causes)
    step.table("cause_controls", controls)
    step.vector(ROWS, drawn.rows)
    notes = notes_on_trials(tried, has_encoder=passes.has_encoder)
    if complete := bool(drawn.is_drawn.all()):
        rates = cause_rates(causes, controls, groups_among(study.groups, drawn.rows[drawn.is_error]))
        step.table("cause_rates", rates)
        notes += wrong_too_often(rates)
    is_error = drawn.is_error
    summary = {"answer": read.answer_name, "complete": complete}
    summary |= {"n_errors": int(is_error.sum()), "n_all_errors": drawn.n_errors}
    summary |= {"n_right": int((~is_error).sum()), "n_all_right": drawn.n_right}
    summary |= {"n_passes": passes.n_passes, "n_unreadable": passes.n_unreadable}
    step.summary = summary | {"first": first_counts(causes), "notes": notes}
    for note in notes:
        run.progress.note(note)


def _answer_of(study: Study, config: CausesConfig) -> tuple[Study, Predictor]:
    """Return the study as the answer of `causes` reads it, and its classifier.

    Raises:
        SettingsError: there is no such answer, or it is no classifier of the representation.
    """
    read = study.answering(config.answer)
    if not read.has(PROBE):
        raise SettingsError(
            f"'{study.path}' has no answers, so no image is wrong. Run: {command_line('probe', study.path)}"
        )
    predictor = predictor_of_images(read)
    if predictor is None:
        raise SettingsError(
            f"the answer '{read.answer_name}' of '{study.path}' gives no logits of changed pictures, so "
            "nothing can be tried. Name the encoder's own classifier or the linear probe: --answer head, "
            "--answer probe"
        )
    return read, predictor


class EarlierRun:
    """What an earlier run of the step has tried, if its results still hold.

    Attributes:
        position: row of an image -> its position in `gaps`. named: errors that earlier runs were asked for,
            where no errors were drawn.
    """

    def __init__(self, position: Mapping[int, int], gaps: Any, named: tuple[str, ...]):
        self.position, self.gaps, self.named = position, gaps, named

    @classmethod
    def of(cls, study: Study, config: CausesConfig) -> "EarlierRun":
        before = study.settings("causes")
        same = all(before.get(name) == getattr(config, name) for name in ("answer", "seed"))
        if not same or study.state("causes") != "done" or not study.has("causes"):
            return cls({}, None, ())
        position = {row: at for at, row in enumerate(study.vector(ROWS).tolist())} if study.has(GAPS) else {}
        gaps = study.vector(GAPS) if study.has(GAPS) else None
        ids = study.table("causes", ["image_id"])["image_id"].unique().tolist()
        return cls(position, gaps, tuple(ids) if config.image else ())


class Passes:
    """The changed pictures of the drawn images, asked chunk by chunk."""

    def __init__(
        self, study: Study, predictor: Predictor, drawn: DrawnImages, usual: Usual | None, seed: int
    ):
        self.study, self.predictor, self.drawn, self.usual, self.seed = study, predictor, drawn, usual, seed
        self.has_encoder = not study.facts(EmbedFacts).encoder.is_given
        self.n_passes = self.n_unreadable = 0

    def gaps(self, step: StepWriter, run: StepRun, earlier: EarlierRun) -> np.ndarray:
        """(n, len(VIEWS), 2): the gaps of all views; what an earlier run has tried is not tried again."""
        array, n = step.array(GAPS), len(self.drawn.rows)
        chunks = np.split(np.arange(n), range(CHUNK_IMAGES, n, CHUNK_IMAGES))
        todo = [number for number in range(len(chunks)) if not array.has(number)]
        earlier_position = np.array([earlier.position.get(row, -1) for row in self.drawn.rows.tolist()])
        with run.progress.stage("trials", total=n, unit="images") as bar:
            left = sum(int((earlier_position[chunks[number]] < 0).sum()) for number in todo)
            bar.skip(n - left)
            ask = self.asker(run) if left else None
            for number in todo:
                places = chunks[number]
                values, unreadable = np.full((len(places), len(VIEWS), 2), np.nan), 0
                has_earlier = earlier_position[places] >= 0
                if has_earlier.any():
                    values[has_earlier] = earlier.gaps[earlier_position[places[has_earlier]]]
                if ask is not None and not has_earlier.all():
                    values[~has_earlier], unreadable = ask(places[~has_earlier], bar)
                array.put(number, values, {"n_unreadable": unreadable})
        self.n_unreadable = sum(array.extra(number)["n_unreadable"] for number in range(len(chunks)))
        gaps = np.concatenate([np.load(array.folder / chunk_name(number)) for number in range(len(chunks))])
        self.n_passes = int(np.isfinite(gaps[..., 0]).sum())
        step.finish_array(GAPS, len(chunks))
        return gaps

    def asker(self, run: StepRun) -> Callable[[np.ndarray, Bar], tuple[np.ndarray, int]]:
        """Load the encoder and the masks; what asks again with the views of some of the drawn images."""
        encoder = encoder_of(self.study, run.device)
        masks = object_masks(self.study, self.drawn.rows, run.options, self.seed)
        improvements = self.usual.improvements() if self.usual else [Improvement()] * len(self.drawn.rows)
        pictures = ChangedPictures(self.study, encoder.transform, self.drawn.rows, improvements, masks)
        dtype = str(self.study.settings("embed").get("dtype", "float32"))
        answers = PictureAnswers(encoder, self.predictor, dtype)
        return lambda places, bar: answers.gaps(pictures, self.drawn, places, run.options, bar)


# What the step `causes` would do: how many passes through the encoder, and how long they take.


TIMED = 4  # images


def plan_of_causes(study: Study, options: Mapping[str, Any]) -> dict[str, Any]:
    """Before changed pictures tell why images are wrong: count images and passes, and measure a few of them.

    Args:
        options: as for `core.pipeline.run.run_step`.
    Returns:
        n_errors of n_all_errors, n_right of n_all_right; n_passes, at most; seconds, and time in words; 0
        passes for a study of ready representations.
    Raises:
        SettingsError, EncoderError: as the step.
    """
    config = settings_of("causes", options)
    read, predictor = _answer_of(study, config)
    earlier = EarlierRun.of(study, config)
    drawn = draw_images(read, predictor, config, earlier.named)
    todo = np.array([row not in earlier.position for row in drawn.rows.tolist()])
    passes = Passes(study, predictor, drawn, usual_measures(read, predictor, drawn), config.seed)
    n_images, seconds = int(todo.sum()) if passes.has_encoder else 0, 0.0
    if n_images:
        run = StepRun(Progress.silent(), resolve_device(run_options(options).device), run_options(options))
        sample = np.flatnonzero(todo)[:TIMED]
        started = time.perf_counter()
        ask = passes.asker(run)
        loaded = time.perf_counter()
        with run.progress.stage("trials", total=len(sample)) as bar:
            ask(sample, bar)
        each = (time.perf_counter() - loaded) / len(sample)
        seconds = loaded - started + each * n_images
    is_error = drawn.is_error
    plan: dict[str, Any] = {"n_errors": int(is_error.sum()), "n_all_errors": drawn.n_errors}
    plan |= {"n_right": int((~is_error).sum()), "n_all_right": drawn.n_right}
    plan["n_passes"] = n_images * len(VIEWS)
    return plan | {"seconds": round(seconds, 1), "time": format_duration(seconds)}
