"""What the step `causes` would do: how many passes through the encoder, and how long they take."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from core.causes.changes import VIEWS
from core.causes.drawn import draw_images
from core.causes.improvements import usual_measures
from core.causes.step import EarlierRun, Passes, answer_of
from core.common.device import resolve_device, run_options
from core.common.formatting import format_duration
from core.jobs.progress import Progress
from core.steps import settings_of
from core.storage.writer import StepRun
from core.store import Study

TIMED = 4  # images


def plan_of_causes(study: Study, options: Mapping[str, Any]) -> dict[str, Any]:
    """Count the images and the passes of a run, and measure a few of them.

    Args:
        options: as for `core.pipeline.run.run_step`.
    Returns:
        n_errors of n_all_errors, n_right of n_all_right; n_passes, at most; seconds, and time in words; 0
        passes for a study of ready representations.
    Raises:
        SettingsError, EncoderError: as the step.
    """
    config = settings_of("causes", options)
    read, asked = answer_of(study, config)
    earlier = EarlierRun.of(study, config)
    drawn = draw_images(read, asked, config, earlier.named)
    todo = np.array([row not in earlier.position for row in drawn.rows.tolist()])
    passes = Passes(study, asked, drawn, usual_measures(read, asked, drawn), config.seed)
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
