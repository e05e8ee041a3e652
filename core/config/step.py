"""A step: one row of the table of steps. No torch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

IN_BATCHES = ("device", "batch_size", "workers")  # fields of RunOptions, of a step that reads pictures


@dataclass(frozen=True)
class Step:
    """One step: what it is called, what it reads and writes, and where its function is.

    Functions are named as "module:function" and imported when they are called, so that this table loads
    neither torch nor anything else that is heavy.
    """

    name: str
    title: str  # in lists of what a study holds
    doing: str  # what progress says while it runs
    summary: str  # what `python -m core --help` says of it
    example: str  # a command line with it, after `python -m core`
    config: type
    function: str  # (study, step writer, config, storage.writer.StepRun) -> None
    outputs: tuple[str, ...]  # every item (table or array) that it may write
    weight: float = 1.0  # share of the time of a whole analysis in percent: the embedded study's on two cores
    inputs: tuple[str, ...] = ()  # items that it reads: a later change of one makes the step stale
    needs: tuple[str, ...] = ()  # steps without which it cannot run
    options: tuple[str, ...] | None = ()  # settings that a click may give; None: no click can run it
    running: tuple[str, ...] = ("device",)  # fields of config.RunOptions that are options of its command
    needs_labels: bool = False  # writes less, or nothing, for images without labels
    shared: bool = False  # all processes of a torchrun share its work (`SharedArrays`); the first ends it
    # It makes the study, in all processes of a torchrun together. Its function is (study writer, config, run
    # options, progress) -> None, since there is no study yet that it could read.
    makes_study: bool = False
    # "module:function" of (study, config, run options) -> fingerprints of what it reads outside the study.
    external_fingerprints: str | None = None
    inputs_by_settings: Callable[[Any], tuple[str, ...]] = lambda config: ()  # that some settings add
    check: Callable[[dict[str, Any]], None] = lambda options: None  # raises SettingsError before any work
    alternatives: tuple[str, ...] = ()  # settings of which a new one replaces those of before
    not_remembered: tuple[str, ...] = ()  # settings that are not kept from the run before
    on_request: bool = False  # `analyze` leaves it to its own command; a study without it lacks nothing
    optional: bool = False  # `analyze` runs it, but a study without it lacks nothing
    in_basis: bool = False  # it reads features, so that it has its own results in each basis
    shows_through: bool = False  # in a basis that lacks them, its results of the study stand
    formulas: int = 0  # how often its formulas have changed: results of fewer changes are from earlier ones

    @property
    def is_of_all(self) -> bool:
        """Whether all processes of a torchrun run it, and not the first one with the help of the others."""
        return self.makes_study or self.shared

    @property
    def is_of_basis(self) -> bool:
        """Whether its results of the study do not stand in a basis, which needs its own."""
        return self.in_basis and not self.shows_through
