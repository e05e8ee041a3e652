"""Progress of a job as a whole: which step of how many, and about how long the rest will take.

Steps take different shares of an analysis (`Step.weight`). What the finished ones took on this machine and
with these images turns the shares into seconds; before one has finished, the rate of the present one does.
Learning a basis comes before the steps that are run in it, and counts by its own parts.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from core.jobs.jobs import Job
from core.steps import STEPS, in_analysis, of_basis

WHOLE = ("analyze", "resume", "demo", "basis")  # commands that run every step in its order
BASIS = "basis"  # the stage that learns one
RESUMED = "--resume"  # after which the steps of a basis follow
WEIGHT_OF_BASIS = 30.0  # beside the weights of the steps: as embedding
WORTH_COUNTING = 0.5  # seconds: a step that took less was up to date
UNFINISHED = 0.95  # at most this share of a running step counts as done
WORTH_A_GUESS = 0.02  # share of a step from which the time so far tells how long the rest takes
MOST_JOBS = 500


@dataclass(frozen=True)
class Overall:
    """Progress over all steps.

    Attributes:
        number, of: the present step, from 1, and how many there are. step: its name.
        fraction: share of the work that is done, in [0, 1], by the weights of the steps.
        seconds_left: estimate for the present step and those to come; None while nothing is known.
        seconds_in_step: estimate for the present step alone, where that of the others is not known.
    """

    number: int
    of: int
    step: str
    fraction: float
    seconds_left: float | None
    seconds_in_step: float | None = None


def overall(job: Job) -> Overall | None:
    """Return how far a running job is as a whole; None for one that is not a run of all steps."""
    weights = _weights(job)
    if job.arguments[:1] not in [(name,) for name in WHOLE] or job.stage not in weights:
        return None
    names = list(weights)
    at = names.index(job.stage)
    before, after = (sum(weights[name] for name in part) for part in (names[:at], names[at + 1 :]))
    scale = None if job.stage == BASIS else _seconds_of_weight(job)
    share = _share(job, scale)
    left = in_step = None
    if job.stage == BASIS:
        in_step = _by_time_so_far(job, share)
        left = in_step if len(names) == 1 else None
    elif scale is not None:
        left = max((1 - share) * weights[job.stage] * scale, job.eta_s or 0.0, 0.0) + after * scale
    done = before + share * weights[job.stage]
    return Overall(at + 1, len(names), job.stage, done / (before + weights[job.stage] + after), left, in_step)


def share_of_step(job: Job) -> float:
    """Return how much of its present step a job has done, in [0, 1], whatever is known of it."""
    return _share(job, None)


class Heights:
    """How far each job has been: a bar that was there stays there, whatever a new stage counts."""

    def __init__(self) -> None:
        self._lock, self._by_job = threading.Lock(), OrderedDict[tuple[Path, int | None, str | None], float]()

    def reached(self, job: Job, fraction: float) -> float:
        """Return the largest of this fraction and those before of the same process."""
        of = job.folder, job.pid, job.pid_started
        with self._lock:
            height = self._by_job[of] = max(fraction, self._by_job.pop(of, 0.0))
            while len(self._by_job) > MOST_JOBS:
                self._by_job.popitem(last=False)
        return height


def _weights(job: Job) -> dict[str, float]:
    """The steps of a job in their order, with their weights; those that have nothing to do weigh nothing."""
    learns = job.arguments[:1] == (BASIS,)
    in_basis = learns or any(word.startswith("--basis") for word in job.arguments[2:])
    names = of_basis() if in_basis else in_analysis()
    if learns and RESUMED not in job.arguments:
        names = []
    weights = {name: 0.0 if name in job.idle else STEPS[name].weight for name in names}
    return ({BASIS: WEIGHT_OF_BASIS} if learns else {}) | weights


def _seconds_of_weight(job: Job) -> float | None:
    """Return how many seconds a weight of 1 takes here; None while no step tells."""
    worked = [name for name in job.stages_done if name in STEPS and name not in job.idle]
    took = {name: job.seconds.get(name, 0.0) for name in worked}
    counted = {name: seconds for name, seconds in took.items() if seconds >= WORTH_COUNTING}
    if counted:
        return sum(counted.values()) / sum(STEPS[name].weight for name in counted)
    if job.stage in STEPS and job.detail is None and job.fraction and job.eta_s is not None:
        return (job.step_s + job.eta_s) / STEPS[job.stage].weight
    return None


def _by_time_so_far(job: Job, share: float) -> float | None:
    """Return the seconds that the rest of a step takes at the pace so far; None at its beginning."""
    return job.step_s * (1 - share) / share if share >= WORTH_A_GUESS and job.step_s > 0 else None


def _share(job: Job, scale: float | None) -> float:
    """Return how much of the present step is done: by its parts where it has some, else counted where its one
    stage is the step, else by time; each further stage of an unknown number does half of what is left.
    """
    begin, end = (min(max(edge, 0.0), 1.0) for edge in (job.part_begin, job.part_end))
    if (begin, end) != (0.0, 1.0):
        share = begin + max(end - begin, 0.0) * (job.fraction or 0.0)
    elif job.detail is None and job.fraction is not None:
        share = job.fraction
    elif scale is not None and job.stage in STEPS:
        share = max(job.step_s, 0.0) / (STEPS[job.stage].weight * scale)
    else:
        left = 0.5 ** min(max(job.n_stages - 1, 0), 50)
        share = 1 - left * (1 - 0.5 * (job.fraction or 0.0))
    return min(share, UNFINISHED)
