"""Commands that the dashboard may start, as typed and checked dataclasses. No torch.

The dashboard builds each command from the user's choices, never from text in a study's files. A command
turns into a list of words for the process and into a record that the dashboard can store.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from core.common.command_line import TYPED
from core.errors import JobError
from core.steps import STEPS

LONGEST = 4096  # characters of one field: the longest path that Linux accepts
MOST_PARTS = 200
SAMPLES = 12
FONTS = ("serif", "sans")
PAGES = ("single", "double", "wide")


@dataclass(frozen=True)
class Command:
    """A command of `python -m core`. `study` is its study folder, or None where it creates one."""

    name: ClassVar[str]
    in_study: ClassVar[bool] = False  # progress is written to the study; else to a separate job folder

    def __post_init__(self) -> None:
        for part in dataclasses.fields(self):
            _check_part(self.name, part.name, getattr(self, part.name), str(part.type))

    @property
    def words(self) -> list[str]:
        """Return the words after `python -m core`."""
        return [self.name, *self._words()]

    @property
    def shell(self) -> str:
        """Return the command as typed in a shell."""
        return shlex.join([*TYPED, *self.words])

    @property
    def target(self) -> Path | None:
        """Return the study that the command reads or makes."""
        return getattr(self, "study", None)

    def record(self) -> dict[str, Any]:
        """Return a JSON-able record from which `command_of` rebuilds the command."""
        values = {part.name: _plain(getattr(self, part.name)) for part in dataclasses.fields(self)}
        return {"kind": type(self).__name__, **values}

    def _words(self) -> list[str]:
        raise NotImplementedError


@dataclass(frozen=True)
class Analyze(Command):
    """Run every step to make a study from images and an encoder; with `dry_run`, only report the plan."""

    name: ClassVar[str] = "analyze"
    in_study: ClassVar[bool] = True
    study: Path
    images: str
    encoder: str
    pool: str = ""
    tokens: str = ""
    token_norm: str = ""
    class_level: str = ""
    epsilon: str = "auto"
    masks: str = ""
    salient_imagenet: str = ""
    captions: str = ""
    clip: str = ""
    dry_run: bool = False

    def _words(self) -> list[str]:
        given = (
            *("images", "class_level", "encoder", "pool", "tokens", "token_norm", "epsilon"),
            *("masks", "salient_imagenet", "captions", "clip"),
        )
        words = [
            str(self.study),
            *(_option(name, getattr(self, name)) for name in given if getattr(self, name)),
        ]
        return words + (["--dry-run", "--json", f"--samples={SAMPLES}"] if self.dry_run else [])


@dataclass(frozen=True)
class RunStep(Command):
    """Run one step of a study with its stored settings, except for the settings given here."""

    name: ClassVar[str] = "step"
    in_study: ClassVar[bool] = True
    step: str
    study: Path
    options: tuple[tuple[str, str], ...] = ()
    redo: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        allowed = STEPS[self.step].options if self.step in STEPS else None
        if allowed is None:
            raise JobError(f"'{self.step[:40]}' is no step of a study that can be run from here")
        unknown = [name for name, _ in self.options if name not in allowed]
        if unknown:
            raise JobError(
                f"the step '{self.step}' has no option '{unknown[0][:40]}' that can be set from here"
            )

    @property
    def words(self) -> list[str]:
        given = [_option(name, value) for name, value in self.options]
        return [self.step, str(self.study), *given, *(["--redo"] if self.redo else [])]


@dataclass(frozen=True)
class Resume(Command):
    """Run every step that a study lacks, with its stored settings; `epsilon` overrides one of them."""

    name: ClassVar[str] = "resume"
    in_study: ClassVar[bool] = True
    study: Path
    epsilon: str = ""

    def _words(self) -> list[str]:
        return [str(self.study), *([_option("epsilon", self.epsilon)] if self.epsilon else [])]


@dataclass(frozen=True)
class RequestHeatmaps(Command):
    """Compute heatmaps of one image that the study does not hold."""

    name: ClassVar[str] = "heatmaps"
    in_study: ClassVar[bool] = True
    study: Path
    image: str
    features: tuple[int, ...]

    def _words(self) -> list[str]:
        features = ",".join(map(str, self.features))
        return [str(self.study), _option("image", self.image), _option("feature", features)]


@dataclass(frozen=True)
class DecomposeImage(Command):
    """Decompose an image of the study into the features that fire on it; the result goes to `output`."""

    name: ClassVar[str] = "decompose"
    study: Path
    image: str
    output: Path

    def _words(self) -> list[str]:
        return [str(self.study), _option("image", self.image), "--pictures", _option("output", self.output)]


@dataclass(frozen=True)
class DecomposeUpload(Command):
    """Decompose an uploaded image, which is deleted once it has been read."""

    name: ClassVar[str] = "decompose"
    study: Path
    picture: Path
    output: Path
    true: str | None = None

    def _words(self) -> list[str]:
        true_class = [] if self.true is None else [_option("true", self.true)]
        picture = [_option("file", self.picture), "--remove-file"]
        return [str(self.study), *picture, *true_class, "--pictures", _option("output", self.output)]


@dataclass(frozen=True)
class MakeReport(Command):
    """Write a study's report as one HTML file."""

    name: ClassVar[str] = "report"
    study: Path
    output: Path = Path()

    def _words(self) -> list[str]:
        return [str(self.study), _option("output", self.output)]


@dataclass(frozen=True)
class MakeSheet(Command):
    """Place figures and images on one page; `cells` are named as in the `figure-sheet` command."""

    name: ClassVar[str] = "figure-sheet"
    study: Path
    cells: tuple[str, ...]
    outputs: tuple[Path, ...] = ()
    columns: int = 2
    font: str = "serif"
    letters: bool = True
    page: str = "double"

    def __post_init__(self) -> None:
        super().__post_init__()
        is_valid = self.font in FONTS and self.page in PAGES
        if not is_valid or not 1 <= self.columns <= 8 or not self.cells:
            raise JobError(
                "a figure sheet needs cells, 1 to 8 columns, a known page, and a serif or sans font"
            )
        if odd := next((cell for cell in self.cells if not cell[:1].isalpha()), None):
            raise JobError(f"'{odd[:60]}' is not a cell of a figure sheet")

    def _words(self) -> list[str]:
        look = [_option(name, getattr(self, name)) for name in ("page", "columns", "font")]
        files = [_option("output", path) for path in self.outputs]
        return [str(self.study), *self.cells, *look, *([] if self.letters else ["--no-letters"]), *files]


@dataclass(frozen=True)
class BuildDemo(Command):
    """Build the embedded studies."""

    name: ClassVar[str] = "demo"
    in_study: ClassVar[bool] = True
    studies: Path
    fresh: bool = False
    pool: str = ""

    def _words(self) -> list[str]:
        pool = [_option("pool", self.pool)] if self.pool else []
        return [_option("studies", self.studies), *(["--fresh"] if self.fresh else []), *pool]


COMMANDS: dict[str, type[Command]] = {
    kind.__name__: kind
    for kind in (
        Analyze,
        RunStep,
        Resume,
        RequestHeatmaps,
        DecomposeImage,
        DecomposeUpload,
        MakeReport,
        MakeSheet,
        BuildDemo,
    )
}


def command_of(record: Mapping[str, Any]) -> Command:
    """Rebuild the command of a record, checking every field again.

    Raises:
        JobError: the record does not describe a command.
    """
    kind = COMMANDS.get(str(record.get("kind")))
    if kind is None:
        raise JobError("the record of this job names no command that can be resumed")
    parts = {part.name: str(part.type) for part in dataclasses.fields(kind)}
    values = {key: value for key, value in record.items() if key != "kind"}
    if unknown := sorted(set(values) - set(parts)):
        raise JobError(f"the record of this job has an unknown field '{unknown[0][:40]}'")
    try:
        return kind(**{key: _typed(value, parts[key]) for key, value in values.items()})
    except TypeError as error:
        raise JobError(f"the record of this job is incomplete ({error})") from None


def _option(name: str, value: object) -> str:
    """Return `--name=value` as one word, so that a value that begins with a dash is not read as an option."""
    return f"--{name.replace('_', '-')}={value}"


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def _typed(value: Any, declared: str) -> Any:
    """Convert a JSON value to the declared type of a field; other values are left for the check."""
    if isinstance(value, list) and declared.startswith("tuple["):
        one = declared.removeprefix("tuple[").removesuffix(", ...]")
        return tuple(tuple(part) if isinstance(part, list) else _typed(part, one) for part in value)
    return Path(value) if isinstance(value, str) and declared == "Path" else value


def _check_part(command: str, name: str, value: Any, declared: str) -> None:
    """Raise JobError for a field of the wrong type, of excessive length, or with a NUL character."""
    if not _fits(value, declared):
        raise JobError(f"'{name}' of the command '{command}' must be {declared}, got {str(value)[:60]!r}")
    texts = [part for one in _parts(value) for part in _parts(one) if isinstance(part, str | Path)]
    if any(len(str(text)) > LONGEST or "\0" in str(text) for text in texts):
        raise JobError(f"'{name}' of the command '{command}' is too long or contains a NUL; change it")


def _fits(value: Any, declared: str) -> bool:
    if declared == "str | None":
        return value is None or isinstance(value, str)
    if declared == "tuple[tuple[str, str], ...]":
        pairs = isinstance(value, tuple) and all(isinstance(one, tuple) and len(one) == 2 for one in value)
        return pairs and all(isinstance(part, str) for pair in value for part in pair)
    if declared.startswith("tuple["):
        one = declared.removeprefix("tuple[").removesuffix(", ...]")
        return (
            isinstance(value, tuple) and len(value) <= MOST_PARTS and all(_fits(part, one) for part in value)
        )
    if declared == "int":
        return type(value) is int and abs(value) < 2**31
    return isinstance(value, {"str": str, "bool": bool, "Path": Path}[declared])


def _parts(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
