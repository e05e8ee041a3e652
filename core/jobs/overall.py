"""Progress of a job as a whole: which step of how many, and about how long the rest will take.

Steps take different shares of an analysis (`Step.weight`). What the finished ones took on this machine and
with these images turns the shares into seconds; before one has finished, the rate of the present one does.
"""

from dataclasses import dataclass

from core.jobs.jobs import Job
from core.steps import STEPS, in_analysis, of_basis

WHOLE = ("analyze", "resume", "demo", "basis")  # commands that run every step in its order
WORTH_COUNTING = 0.5  # seconds: a step that took less was up to date
UNFINISHED = 0.95  # at most this share of a running step counts as done


@dataclass(frozen=True)
class Overall:
    """Progress over all steps.

    Attributes:
        number, of: the present step, from 1, and how many there are. step: its name.
        fraction: share of the work that is done, in [0, 1], by the weights of the steps.
        seconds_left: estimate for the present step and those to come; None while nothing is known.
    """

    number: int
    of: int
    step: str
    fraction: float
    seconds_left: float | None


def overall(job: Job) -> Overall | None:
    """Return how far a running job is as a whole; None for one that is not a run of all steps."""
    in_basis = any(word.startswith(("basis", "--basis")) for word in job.arguments[:1] + job.arguments[2:])
    names = of_basis() if in_basis else in_analysis()
    if job.arguments[:1] not in [(name,) for name in WHOLE] or job.stage not in names:
        return None
    at = names.index(job.stage)
    weights = [STEPS[name].weight for name in names]
    scale = _seconds_of_weight(job)
    share = _share(job, scale)
    left = None
    if scale is not None:
        present = max((1 - share) * weights[at] * scale, job.eta_s or 0.0, 0.0)
        left = present + sum(weights[at + 1 :]) * scale
    done = sum(weights[:at]) + share * weights[at]
    return Overall(at + 1, len(names), job.stage, done / sum(weights), left)


def _seconds_of_weight(job: Job) -> float | None:
    """Return how many seconds a weight of 1 takes here; None while no step tells."""
    took = {name: job.seconds.get(name, 0.0) for name in job.stages_done if name in STEPS}
    counted = {name: seconds for name, seconds in took.items() if seconds >= WORTH_COUNTING}
    if counted:
        return sum(counted.values()) / sum(STEPS[name].weight for name in counted)
    if job.stage in STEPS and job.detail is None and job.fraction and job.eta_s is not None:
        return (job.step_s + job.eta_s) / STEPS[job.stage].weight
    return None


def _share(job: Job, scale: float | None) -> float:
    """Return how much of the present step is done: counted where its one stage is the step, else by time."""
    if job.detail is None and job.fraction is not None:
        return min(job.fraction, UNFINISHED)
    if scale is None or job.stage not in STEPS:
        return 0.0
    return min(max(job.step_s, 0.0) / (STEPS[job.stage].weight * scale), UNFINISHED)
