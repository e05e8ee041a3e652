"""Commands that the dashboard may start, as typed and checked dataclasses. No torch."""

import dataclasses
import inspect
import typing
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Self

from core.common.command_line import TYPED, basis_of, shell_text
from core.config.bases import BasisConfig
from core.config.options import OPTIONS, Option, options_of
from core.config.settings import flag
from core.errors import JobError, SettingsError
from core.study.inside import NAME
from core.study.steps import STEPS

# The checks of the fields of a command that came back from a record. No torch.


LONGEST = 4096  # characters of one field: the longest path that Linux accepts
MOST_PARTS = 200


def _check_field(command: str, name: str, value: Any, hint: Any) -> None:
    """Raise JobError for a field of a job's command of the wrong type, too long, or with a NUL character."""
    if not _fits(value, hint):
        kind = inspect.formatannotation(hint)
        raise JobError(f"'{name}' of the command '{command}' must be {kind}, got {str(value)[:60]!r}")
    texts = [
        part for one in _field_parts(value) for part in _field_parts(one) if isinstance(part, str | Path)
    ]
    if any(len(str(text)) > LONGEST or "\0" in str(text) for text in texts):
        raise JobError(f"'{name}' of the command '{command}' is too long or contains a NUL; change it")


def _check_names(command: str, names: Iterable[str], allowed: Container[str]) -> None:
    """Raise JobError for an option of a job's command that a click may not give."""
    if unknown := [name for name in names if name not in allowed]:
        raise JobError(f"'{command}' has no option '{unknown[0][:40]}' that can be set from here")


def _fits(value: Any, hint: Any) -> bool:
    kinds = typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, tuple) or len(value) > MOST_PARTS:
            return False
        kinds = kinds[:1] * len(value) if kinds[-1] is Ellipsis else kinds
        return len(kinds) == len(value) and all(map(_fits, value, kinds))
    if kinds:  # a union
        return any(_fits(value, kind) for kind in kinds)
    if hint is int:
        return type(value) is int and abs(value) < 2**31
    return isinstance(value, hint)


def _field_parts(value: Any) -> tuple[Any, ...]:
    """Return the values of a field of a job's command as a tuple: its parts, or the one that it is."""
    return value if isinstance(value, tuple) else (value,)


# Commands that the dashboard may start, as typed and checked dataclasses. No torch.
#
# The dashboard builds each command from the user's choices, never from text in a study's files. A command
# turns into a list of words for the process and into a record that the dashboard can store.


SAMPLES = 12
POSITIONAL = ("study", "cells")
Options = tuple[tuple[str, str], ...]  # names of settings, and each value as it is typed


@dataclass(frozen=True)
class Command:
    """A command of `python -m core`. `study` is its study folder, or None where it creates one.

    A field is an option of the command with the same name; those of POSITIONAL are given without their names.
    """

    name: ClassVar[str]
    in_study: ClassVar[bool] = False  # progress is written to the study; else to a separate job folder
    takes: ClassVar[Mapping[str, Option]] = {}  # what its field `options` may hold, each as typed

    def __post_init__(self) -> None:
        for part, hint in _hints(type(self)).items():
            _check_field(self.name, part, getattr(self, part), hint)
        if self.takes:
            _check_options(self.name, self.settings, self.takes)

    @property
    def words(self) -> list[str]:
        """Return the words after `python -m core`."""
        return [self.name, *_named(self._words(), self.target)]

    @property
    def shell(self) -> str:
        """Return the command as typed in a shell."""
        return shell_text([*TYPED, *self.words])

    @property
    def target(self) -> Path | None:
        """Return the study that the command reads or makes."""
        return getattr(self, "study", None)

    @property
    def written(self) -> tuple[Path, ...]:
        """Return the studies that the command writes into beside its target."""
        return ()

    @property
    def settings(self) -> dict[str, str]:
        """Return the settings among its options, each as it is typed."""
        return dict(getattr(self, "options", ()))

    def record(self) -> dict[str, Any]:
        """Return a JSON-able record from which `command_of` rebuilds the command."""
        values = {part.name: _plain(getattr(self, part.name)) for part in dataclasses.fields(self)}
        return {"kind": type(self).__name__, **values}

    def _words(self) -> Iterator[str]:
        for part in dataclasses.fields(self):
            value = getattr(self, part.name)
            if part.name in POSITIONAL:
                yield from map(str, _field_parts(value))
            elif part.name == "options":
                yield from (_option(name, text) for name, text in value)
            elif value is True:
                yield flag(part.name)
            elif value not in (False, "", None):
                yield _option(part.name, value)


@dataclass(frozen=True)
class Analyze(Command):
    """Run every step to make a study from images and an encoder; with `dry_run`, only report the plan.

    after: studies whose jobs have to end first, so that several begin one after the other.
    """

    name: ClassVar[str] = "analyze"
    in_study: ClassVar[bool] = True
    takes: ClassVar[Mapping[str, Option]] = OPTIONS
    study: Path
    options: Options = ()
    dry_run: bool = False
    after: tuple[Path, ...] = ()

    @classmethod
    def of(cls, study: Path, *, dry_run: bool = False, **options: str) -> Self:
        """Return the command with these settings, in the order of OPTIONS; an empty one is left out."""
        names = dict.fromkeys([*OPTIONS, *options])
        return cls(study, tuple((name, options[name]) for name in names if options.get(name)), dry_run)

    def _words(self) -> Iterator[str]:
        yield str(self.study)
        yield from (_option(name, text) for name, text in self.options)
        if self.dry_run:
            yield from ("--dry-run", "--json", f"--samples={SAMPLES}")
        yield from (_option("after", folder) for folder in self.after)


@dataclass(frozen=True)
class RunStep(Command):
    """Run one step of a study with its stored settings, except for the settings given here."""

    name: ClassVar[str] = "step"
    in_study: ClassVar[bool] = True
    step: str
    study: Path
    options: Options = ()
    redo: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        allowed = STEPS[self.step].options if self.step in STEPS else None
        if allowed is None:
            raise JobError(f"'{self.step[:40]}' is no step of a study that can be run from here")
        _check_names(self.step, self.settings, allowed)

    @property
    def words(self) -> list[str]:
        given = [_option(name, value) for name, value in self.options]
        # a step that is the same in every basis is run in the study
        study = self.study if STEPS[self.step].in_basis else basis_of(self.study)[0]
        words = [str(study), *given, *["--redo"] * self.redo]
        return [self.step, *_named(words, study)]


@dataclass(frozen=True)
class Resume(Command):
    """Run every step that a study lacks, with its stored settings, except for the settings given here."""

    name: ClassVar[str] = "resume"
    in_study: ClassVar[bool] = True
    takes: ClassVar[Mapping[str, Option]] = {"epsilon": OPTIONS["epsilon"]}
    study: Path
    options: Options = ()


@dataclass(frozen=True)
class RequestHeatmaps(Command):
    """Compute heatmaps of an image, and of further ones, that the study does not hold."""

    name: ClassVar[str] = "heatmaps"
    in_study: ClassVar[bool] = True
    study: Path
    image: str
    features: tuple[int, ...]
    further: tuple[str, ...] = ()

    def _words(self) -> Iterator[str]:
        yield str(self.study)
        yield from (_option("image", image) for image in (self.image, *self.further))
        yield _option("feature", ",".join(map(str, self.features)))


@dataclass(frozen=True)
class ExplainError(Command):
    """Find out why an image of the study is wrong, by trials on it and on right images of like margin."""

    name: ClassVar[str] = "causes"
    in_study: ClassVar[bool] = True
    study: Path
    image: str
    answer: str = ""

    def _words(self) -> Iterator[str]:
        yield from (str(self.study), _option("images", self.image))
        if self.answer:
            yield _option("answer", self.answer)


@dataclass(frozen=True)
class DecomposeImage(Command):
    """Decompose an image of the study into the features that fire on it; the result goes to `output`."""

    name: ClassVar[str] = "decompose"
    study: Path
    image: str
    output: Path = Path()
    answer: str = ""

    def _words(self) -> Iterator[str]:
        yield from (*super()._words(), "--pictures")


@dataclass(frozen=True)
class MakeReport(Command):
    """Write a study's report as one HTML file."""

    name: ClassVar[str] = "report"
    study: Path
    output: Path = Path()
    answer: str = ""


@dataclass(frozen=True)
class PublishStudy(MakeReport):
    """Write a study as pages with their pictures, in a file that ends in .zip."""

    name: ClassVar[str] = "publish"


@dataclass(frozen=True)
class RemoveBasis(Command):
    """Remove a basis of a study, and all that was made in it. `of`: its name."""

    name: ClassVar[str] = "basis"
    in_study: ClassVar[bool] = True
    study: Path
    of: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if not NAME.fullmatch(self.of) or self.of == "units":
            raise JobError(f"'{self.of[:40]}': a name is up to 40 letters, digits and -, a letter first")

    def _words(self) -> Iterator[str]:
        yield from (str(self.study), _option("remove", self.of))


@dataclass(frozen=True)
class FitBasis(RemoveBasis):
    """Fit a dictionary to the representations of a study; with `resume`, then run the study's steps in it."""

    takes: ClassVar[Mapping[str, Option]] = options_of(BasisConfig, ("kind", "size", "k", "seeds", "on"))
    options: Options = ()
    resume: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.settings.get("kind"):
            raise JobError(f"'{self.of[:40]}': a basis that is fitted needs a kind")

    def _words(self) -> Iterator[str]:
        yield from (str(self.study), _option("name", self.of))
        yield from (_option(name, text) for name, text in self.options)
        yield from ["--resume"] * self.resume


@dataclass(frozen=True)
class AddAnswer(Command):
    """Add the votes of the nearest train images as an answer of a study."""

    name: ClassVar[str] = "answers"
    in_study: ClassVar[bool] = True
    study: Path

    def _words(self) -> Iterator[str]:
        yield from (str(self.study), _option("add", "knn"))


@dataclass(frozen=True)
class CompareEncoders(Command):
    """Compute what a leaderboard of studies lacks. compared: the studies, two or more."""

    name: ClassVar[str] = "compare"
    compared: tuple[Path, ...]

    @property
    def written(self) -> tuple[Path, ...]:
        return self.compared

    def _words(self) -> Iterator[str]:
        yield from (*map(str, self.compared), "--leaderboard", "--json")


@dataclass(frozen=True)
class BuildDemo(Command):
    """Build the embedded studies."""

    name: ClassVar[str] = "demo"
    in_study: ClassVar[bool] = True
    takes: ClassVar[Mapping[str, Option]] = {"pool": OPTIONS["pool"]}
    studies: Path
    options: Options = ()
    fresh: bool = False
    single: bool = False


_KINDS: tuple[type[Command], ...] = (
    *(Analyze, RunStep, Resume, RequestHeatmaps, ExplainError, DecomposeImage, MakeReport),
    *(PublishStudy, FitBasis, RemoveBasis, AddAnswer, CompareEncoders, BuildDemo),
)
COMMANDS: dict[str, type[Command]] = {kind.__name__: kind for kind in _KINDS}


def typed(**values: object) -> Options:
    """Return the `options` of a study's job: the settings of its step as they are typed."""
    return tuple((name, str(value)) for name, value in values.items())


def command_of(record: Mapping[str, Any]) -> Command:
    """Rebuild the command of a job from its record, checking every field again.

    Raises:
        JobError: the record does not describe a command.
    """
    kind = COMMANDS.get(str(record.get("kind")))
    if kind is None:
        raise JobError("the record of this job names no command that can be resumed")
    hints, values = _hints(kind), {key: value for key, value in record.items() if key != "kind"}
    if unknown := sorted(set(values) - set(hints)):
        raise JobError(f"the record of this job has an unknown field '{unknown[0][:40]}'")
    try:
        return kind(**{key: _typed(value, hints[key]) for key, value in values.items()})
    except TypeError as error:
        raise JobError(f"the record of this job is incomplete ({error})") from None


@cache
def _hints(kind: type[Command]) -> dict[str, Any]:
    """Map the fields of a command to their types."""
    return {part.name: typing.get_type_hints(kind)[part.name] for part in dataclasses.fields(kind)}


def _named(words: Iterable[str], study: Path | None) -> list[str]:
    """The words of a command on what lies in a basis, which name the study and the basis."""
    whole, basis = basis_of(study) if study is not None else (None, "")
    if not basis:
        return list(words)
    return [*(str(whole) if word == str(study) else word for word in words), f"--basis={basis}"]


def _check_options(command: str, settings: Mapping[str, str], taken: Mapping[str, Option]) -> None:
    _check_names(command, settings, taken)
    try:
        for name, text in settings.items():
            taken[name].read(text)
    except SettingsError as error:
        raise JobError(str(error)) from None


def _option(name: str, value: object) -> str:
    """Return `--name=value` as one word, so that a value that begins with a dash is not read as an option."""
    return f"{flag(name)}={value}"


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def _typed(value: Any, hint: Any) -> Any:
    """Convert a JSON value to the type of a field; other values are left for the check."""
    if isinstance(value, list) and typing.get_origin(hint) is tuple:
        return tuple(_typed(part, typing.get_args(hint)[0]) for part in value)
    return Path(value) if isinstance(value, str) and hint is Path else value
