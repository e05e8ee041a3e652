"""Errors that a user can act on. Each message is one line: what is wrong, where, and what to do."""

import difflib
import errno
import re
from collections.abc import Iterable, Mapping

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
NOT_LOADED = ("failed to map segment", "cannot allocate memory for")
NOT_ALLOCATED = ("can't allocate memory", "not enough memory", "std::bad_alloc", "can't start new thread")
CUT_SHORT = re.compile(r"\d+ requested and \d+ written")  # numpy's only message about a full disk
AGAIN = "run the same command again"
KEPT = "completed work is kept"
STOPPED = "stopped; run the same command to resume"


class PeregrineError(Exception):
    """Base of every error whose message is meant for the user.

    `offer` maps settings to values with which the same command would work, where such values are known.
    """

    offer: Mapping[str, float] | None = None

    def __str__(self) -> str:
        return one_line(super().__str__())


class StudyError(PeregrineError):
    """A study folder is missing, incomplete, damaged or of another format version."""


class DamagedManifest(StudyError):
    """A study's manifest has been changed or damaged since it was written."""

    def __init__(self, path: object, what: str, remedy: str):
        super().__init__(f"{path} {what}. {remedy}")
        self.what, self.remedy = what, remedy


class NotEnoughMemory(PeregrineError, MemoryError):
    """The machine has too little memory to read the requested data."""


class HeatmapNotStored(StudyError):
    """The study holds no map of this feature on this image; the encoder can compute it."""


class StudyBusy(StudyError):
    """Another process is writing to the study."""


class ImageSourceError(PeregrineError):
    """The images cannot be listed."""


class MaskError(PeregrineError):
    """The masks cannot be listed, or none of them matches an image."""


class UnreadableImage(PeregrineError):
    """One image cannot be decoded; the message is a short reason."""


class DecoderBusy(UnreadableImage):
    """Too many large pictures are being decoded, and it was waited long enough; try again in a moment."""


class RemoteError(PeregrineError):
    """Data cannot be read by its address, after all attempts."""


class AddressRefused(RemoteError):
    """The owner has not named this address, or nothing is read from such an address."""


class EncoderError(PeregrineError):
    """The encoder cannot be built, or lacks what the caller needs from it."""


class CheckpointError(EncoderError):
    """A checkpoint file cannot be read or does not fit the architecture."""


class CodeRefused(PeregrineError):
    """A study, checkpoint, sidecar or config names code that the owner of this machine has not allowed."""


class ClipError(PeregrineError):
    """The CLIP model is unknown, or its weights are not available."""


class CaptionError(PeregrineError):
    """A caption bank cannot be read, or holds no usable captions."""


class TokenError(PeregrineError):
    """Visual tokens cannot be read or made, or do not fit the images, the model or each other."""


class ShapeError(PeregrineError, ValueError):
    """Two arrays that belong together have different shapes."""


class NoDiscriminativeFeatures(PeregrineError):
    """No feature is discriminative at the chosen epsilon and percentiles.

    Args:
        epsilon: the next smaller epsilon at which some features are discriminative, if known, as in `offer`.
    """

    def __init__(self, message: str, *, epsilon: float | None = None):
        super().__init__(message)
        self.epsilon = epsilon
        self.offer = None if epsilon is None else {"epsilon": epsilon}


class TrainingDiverged(PeregrineError):
    """The loss or the weights of a training are no longer finite."""


class SettingsError(PeregrineError, ValueError):
    """An option has an unusable value."""


class SliceError(PeregrineError, ValueError):
    """A slice names an unknown column or cannot be parsed.

    Args:
        short: the message without what a page shows anyway, such as the study and all that it has.
    """

    def __init__(self, message: str, *, short: str | None = None):
        super().__init__(without_middle(message))
        self.short = one_line(without_middle(short or message))


class DamagedKeptFile(SliceError):
    """A file that people change in a study, which slices refer to, has been changed or damaged since."""

    def __init__(self, path: object, what: str, remedy: str):
        super().__init__(f"{path} {what}. {remedy}")
        self.what, self.remedy = what, remedy


class DamagedSlices(DamagedKeptFile):
    """The file of saved slices has been changed or damaged since it was written."""


class DamagedTraces(DamagedKeptFile):
    """The file of notes, tags and names has been changed or damaged since it was written."""


class TraceError(PeregrineError, ValueError):
    """A note, a tag or a name is too long, or holds characters that it may not."""


class ReadOnlyAccess(PeregrineError):
    """Somebody who was let in to look only asked for a change."""


class JobError(PeregrineError):
    """A background command cannot be started, found or stopped."""


FORESEEN = (PeregrineError, OSError, MemoryError)  # what a study, a disk or a machine does: never a bug


def user_message(error: BaseException, *, has_batches: bool = False, again: str = AGAIN) -> str | None:
    """Return one line about an error that the user can fix; None for a bug in Peregrine.

    An error of the system is none, whichever it is: what is done about it is decided here alone.

    Args:
        has_batches: the command has the option --batch-size.
        again: what to do once the cause is gone.
    """
    if is_out_of_memory(error):
        if has_batches:
            return f"out of memory; {KEPT}. {again.capitalize()} with a smaller --batch-size"
        return f"out of memory; {KEPT}. Close other programs or raise the limit (ulimit -v), and {again}"
    if isinstance(error, PeregrineError):
        return str(error)
    if isinstance(error, OSError):
        return f"{system_words(error)}{_remedy(error, again)}"
    return None


def system_words(error: OSError) -> str:
    """Return, in one line of an error, what the operating system refused, and where.

    >>> system_words(OSError(errno.EIO, "Input/output error", "a/b.npy"))
    'Input/output error: a/b.npy'
    """
    where = "" if error.filename is None else one_line(without_middle(str(error.filename), 300))
    if error.errno == errno.EFBIG:
        return f"a file would exceed the file size limit{f' while writing {where}' if where else ''}"
    if error.errno in DISK_FULL or "No space left on device" in str(error):
        return f"the disk is full{f' while writing {where}' if where else ''}"
    if CUT_SHORT.fullmatch(str(error)):
        return "the disk is full, or the file size limit is reached"
    what = error.strerror or without_middle(first_line(error))
    return one_line(f"{what}: {where}" if where else what)


def _remedy(error: OSError, again: str) -> str:
    if error.errno == errno.EFBIG:
        return f" (ulimit -f); {KEPT}. Raise the limit and {again}"
    if system_words(error).startswith("the disk is full"):
        return f"; {KEPT}. Free up space and {again}"
    if error.errno == errno.ENAMETOOLONG:
        return ". Choose a shorter name"
    if error.errno in REFUSED:
        return ". Choose another folder or change its permissions"
    return f"; {KEPT}. Look at the disk or the network behind it, and {again}"


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error of Python, the system, the loader or torch means that memory ran out."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    kinds = {ImportError: NOT_LOADED, RuntimeError: NOT_ALLOCATED}
    message = str(error)
    return any(isinstance(error, kind) and part in message for kind, parts in kinds.items() for part in parts)


def one_line(text: str) -> str:
    """Return an error's text in one line: a stranger's names may have several.

    >>> one_line("no class 'a\\n  b  c'")
    "no class 'a b  c'"
    """
    return " ".join(line.strip() for line in text.splitlines())


def did_you_mean(name: str, options: Iterable[str]) -> str:
    """Return an error message's question naming the closest option, or an empty string without one.

    >>> did_you_mean("--head", ["--seed", "--head-classes"])
    " Did you mean '--head-classes'?"
    """
    near = closest(name, options)
    return f" Did you mean '{near}'?" if near else ""


def closest(name: str, options: Iterable[str], *, least: float = 0.6) -> str | None:
    """Return the closest known name for an error message, or None when none reaches `least` (0 to 1).

    >>> closest("trucks", ["train", "truck"]), closest("ant", ["zebra"])
    ('truck', None)
    """
    texts = [str(option) for option in options]
    begun = [text for text in texts if str(name) and text.startswith(f"{name}-")]
    near = begun or difflib.get_close_matches(str(name), texts, n=1, cutoff=least)
    return near[0] if near else None


def unknown_name(text: str, name: str, known: Iterable[str], label: str) -> str:
    """Write the error for a name that is not known: the closest known name, and all of them.

    >>> unknown_name("no grid 'hrd'", "hrd", ["hard", "tokens"], "Grids")
    "no grid 'hrd'. Did you mean 'hard'? Grids: hard, tokens"
    """
    return f"{text}.{did_you_mean(name, known)} {label}: {', '.join(known)}"


def without_middle(message: str, longest: int = 1000) -> str:
    """Leave out the middle of a long error message: a text quoted from a file may have megabytes.

    >>> without_middle("a message that quotes a long text", 12)
    'a mess … g text'
    """
    half = longest // 2
    return message if len(message) <= longest else f"{message[:half]} … {message[-half:]}"


def article(noun: str) -> str:
    """Put "a" or "an" before a noun of an error message.

    >>> article("array"), article("table")
    ('an array', 'a table')
    """
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def first_line(error: Exception) -> str:
    """Return the first line of a library's error message, or its class name when it has no message.

    >>> first_line(ValueError("no such column\\nat line 3")), first_line(KeyError())
    ('no such column', 'KeyError')
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0]
