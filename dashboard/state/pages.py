"""The pages of the dashboard: one table (`pages.toml`) that the sidebar, the tour and links read."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

HOME = "overview"
NEW_STUDY = "new_study"
IMAGE_PAGE = "image"
TRY_PICTURE = "try_picture"
CONFUSED, ANSWERED = "failure_true", "failure_predicted"  # the classes of a confusion that is open


@dataclass(frozen=True)
class Page:
    """One page; `pages.toml` says what its parts are."""

    name: str
    title: str
    icon: str
    question: str
    group: str = ""
    within: str = ""
    tour: str = ""
    tour_title: str = ""
    charts: bool = False


_WRITTEN = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
PAGES = {name: Page(name, **parts) for name, parts in _WRITTEN.items()}
GROUPS = ("Study", "Features", "Errors", "Work")
WITHOUT_STUDY = (NEW_STUDY,)  # pages that need none
ALSO_WITHOUT_STUDY = (TRY_PICTURE,)  # pages of a study that do something where there is none


def of_slice(where: str) -> dict[str, str]:
    """The parts of the address of *Errors* that open one slice."""
    return {"slice": where, "errors_tab": "Worst slices"}


def of_confusion(true: str, predicted: str) -> dict[str, str]:
    """The parts of the address of *Errors* that open one confusion."""
    return {CONFUSED: true, ANSWERED: predicted, "errors_tab": "Confusions"}


def of_labels() -> dict[str, str]:
    """The parts of the address of *Errors* that open the labels that may be wrong."""
    return {"errors_tab": "Wrong labels"}


def of_what_would_help() -> dict[str, str]:
    """The parts of the address of *Errors* that open the remedies of the head."""
    return {"errors_tab": "What would help"}
