"""A folder that is written as a whole: it appears once it is complete, or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import SettingsError
from core.storage.leftovers import remove_leftovers_of


def check_new_folder(out: Path) -> None:
    """Raise SettingsError where a folder that is to be written is there already and is not empty."""
    if out.is_symlink() or (out.exists() and not (out.is_dir() and not any(out.iterdir()))):
        raise SettingsError(f"'{out}' is there already; name a folder that is new or empty")


@contextmanager
def complete_folder(out: Path) -> Iterator[Path]:
    """Yield a folder beside `out`, renamed when complete; after an error, nothing is left behind."""
    begun = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers_of(out)
        begun.mkdir()
        yield begun
        os.replace(begun, out)  # also an empty folder, and no other
    except OSError as error:
        raise SettingsError(f"cannot write the folder '{out}': {error.strerror}") from error
    finally:
        shutil.rmtree(begun, ignore_errors=True)
