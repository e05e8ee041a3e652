"""Run a command, and turn its outcome into an exit code and, for errors, one line on stderr.

0 success, 1 a bug in Peregrine (traceback in a file), 2 an error that the user can fix, 130 interrupted.
"""

import argparse
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Container, Iterable
from pathlib import Path

from core.cli.options import in_basis
from core.cli.sentences import say_of_command
from core.common.addresses import grant
from core.common.formatting import for_terminal
from core.config.settings import flag
from core.errors import STOPPED, SettingsError, StudyError, one_line, user_message
from core.study.inside import inside
from core.study.progress import LOG


def run_guarded(args: argparse.Namespace, addresses: Iterable[object] = ()) -> int:
    """Run a command, `args.run(args)`; the user sees no traceback of its errors, except with `--debug`.

    addresses: words that may name data by address: where they do, it may be read.
    """
    if threading.current_thread() is threading.main_thread():
        # even in a process that a shell started in the background, where it is ignored
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        in_basis(args)
        grant(addresses)
        return args.run(args) or 0
    except KeyboardInterrupt:
        print(STOPPED, file=sys.stderr)
        return 130
    except BrokenPipeError:  # `… | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _report(error, args)


def refuse_options(given: Container[str], names: Iterable[str], why: str) -> None:
    """Raise SettingsError for the first option given to a command although it would do nothing."""
    if name := next((name for name in names if name in given), None):
        raise SettingsError(f"{flag(name)} {why}")


def _report(error: Exception, args: argparse.Namespace) -> int:
    if getattr(args, "debug", False):
        traceback.print_exception(error)
    line = user_message(error, has_batches=_has_batches(args))
    study = getattr(args, "study", None)
    if isinstance(error, FileNotFoundError) and study is not None and not study.exists():
        line = say_of_command("study_gone", what=str(study))
    if line is not None:
        print(f"error: {for_terminal(line)}", file=sys.stderr)
        return 2
    where = _write_traceback(error, study)
    message = for_terminal(one_line(str(error))[:300])
    bug = say_of_command("bug", what=type(error).__name__, why=message, names=(str(where),))
    print(f"error: {bug}", file=sys.stderr)
    return 1


def _has_batches(args: argparse.Namespace) -> bool:
    parser = getattr(args, "parser", None)
    return parser is not None and "--batch-size" in parser._option_string_actions  # --help may leave it out


def _write_traceback(error: BaseException, study: Path | None) -> Path:
    """Write a failed command's traceback to the study's log, or to a temporary file without a study."""
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
