"""Runs a command and turns whatever happens into an exit code and, for errors, one line on stderr.

0 done, 1 a defect of ours (the traceback is in a file), 2 an error the user can act on, 130 stopped.
"""

from __future__ import annotations

import argparse
import errno
import os
import re
import signal
import sys
import tempfile
import threading
import traceback
from pathlib import Path

from core.common.inside import inside
from core.errors import PeregrineError, StudyError
from core.jobs.progress import LOG

STOPPED = "stopped; run the same command to resume"
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
NOT_LOADED = ("failed to map segment", "cannot allocate memory for")
NOT_ALLOCATED = ("can't allocate memory", "not enough memory", "std::bad_alloc", "can't start new thread")
CUT_SHORT = re.compile(r"\d+ requested and \d+ written")  # all that numpy says of a full disk
AGAIN = "run the same command again"
REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)


def run_guarded(args: argparse.Namespace) -> int:
    """Run `args.run(args)`; its errors never reach the user as a traceback (unless `--debug`)."""
    _let_interrupts_through()
    try:
        return args.run(args) or 0
    except KeyboardInterrupt:
        print(STOPPED, file=sys.stderr)
        return 130
    except BrokenPipeError:  # `… | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _report(error, args)


def _let_interrupts_through() -> None:
    """A process started in the background by a shell ignores SIGINT; ours must stop on it all the same."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _report(error: Exception, args: argparse.Namespace) -> int:
    if getattr(args, "debug", False):
        traceback.print_exception(error)
    line = user_message(error, has_batches=_has_batches(args))
    if line is not None:
        print(f"error: {line}", file=sys.stderr)
        return 2
    where = write_traceback(error, getattr(args, "study", None))
    said = " ".join(str(error).split())[:300]
    print(f"error: {type(error).__name__}: {said} (this is a defect; details in {where})", file=sys.stderr)
    return 1


def _has_batches(args: argparse.Namespace) -> bool:
    parser = getattr(args, "parser", None)
    return parser is not None and "--batch-size" in parser.format_help()


def user_message(error: BaseException, *, has_batches: bool = False) -> str | None:
    """One line about an error that the user can act on; None for a defect of ours.

    Args:
        has_batches: the command has the option --batch-size.
    """
    if is_out_of_memory(error):
        if has_batches:
            return f"out of memory; nothing is lost. {AGAIN.capitalize()} with a smaller --batch-size"
        return f"out of memory; nothing is lost. Close other programs or allow more (ulimit -v), and {AGAIN}"
    if isinstance(error, PeregrineError):
        return " ".join(line.strip() for line in str(error).splitlines())  # names keep their spaces
    if isinstance(error, OSError):
        return _system_message(error)
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, in the words of Python, the system, the loader or torch."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    kinds = {ImportError: NOT_LOADED, RuntimeError: NOT_ALLOCATED}
    said = str(error)
    return any(isinstance(error, kind) and part in said for kind, parts in kinds.items() for part in parts)


def _system_message(error: OSError) -> str | None:
    where = f" while writing {error.filename}" if error.filename else ""
    kept = "what is finished is kept"
    if error.errno == errno.EFBIG:
        return f"a file would pass the limit on file sizes{where} (ulimit -f); {kept}. Raise it and {AGAIN}"
    if error.errno in DISK_FULL or "No space left on device" in str(error):
        return f"the disk is full{where}; {kept}. Free space and {AGAIN}"
    if CUT_SHORT.fullmatch(str(error)):
        return f"the disk is full, or a limit on file sizes is reached; {kept}. Free space and {AGAIN}"
    if error.errno in REFUSED:
        return f"{error.strerror}: {error.filename}. Choose another folder or change its permissions"
    return None


def write_traceback(error: BaseException, study: Path | None) -> Path:
    """Keep the traceback in the study's log, or in a temporary file where there is no study yet."""
    text = "".join(traceback.format_exception(error))
    if study is not None and study.is_dir():
        try:
            with open(inside(study, LOG), "a", encoding="utf-8") as log:
                log.write(text)
            return study / LOG
        except (OSError, StudyError):
            pass
    descriptor, name = tempfile.mkstemp(prefix="peregrine-", suffix=".txt")
    with open(descriptor, "w", encoding="utf-8") as log:
        log.write(text)
    return Path(name)
