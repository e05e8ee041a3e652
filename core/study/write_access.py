"""Who asks for a change: a guest, who may only look, is refused here, whatever a page shows.

Everything that changes a study, or starts or stops a job, asks first. A notebook and a command line may
always; a server registers how it knows who is asking.
"""

from collections.abc import Callable

from core.errors import ReadOnlyAccess

READ_ONLY = "This link is read-only, so nothing was changed. Ask the owner of this server for the full one."


def _nobody() -> bool:
    return False


def _no_browser() -> str:
    return ""


_is_guest: Callable[[], bool] = _nobody
_browser: Callable[[], str] = _no_browser


def ask_before_writing(is_guest: Callable[[], bool]) -> None:
    """Register the function that says whether a guest of the server is asking, for the whole process."""
    global _is_guest
    _is_guest = is_guest


def name_browsers(browser: Callable[[], str]) -> None:
    """Register the function that names the browser that is asking, for the whole process."""
    global _browser
    _browser = browser


def guest_is_asking() -> bool:
    """Return True where the one who asks may only look at a study, and leave nothing on it."""
    return _is_guest()


def asking_browser() -> str:
    """Name the browser that asks for a job or a change of a study; "" for a terminal or a notebook."""
    return _browser()


def check_write_access() -> None:
    """Raise ReadOnlyAccess where a guest of the server, who may only look at studies, is asking."""
    if _is_guest():
        raise ReadOnlyAccess(READ_ONLY)
