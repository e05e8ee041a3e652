"""The button that folds the strip below a page, where a job reports. The browser keeps its state."""

from dashboard.components.browser_half import browser_half

_BUTTON = browser_half(
    "job_strip",
    '<button type="button" aria-controls="peregrine-job"><span class="share"></span><span class="mark">'
    "</span></button>",
)


def fold_button(share: str) -> None:
    """Draw the button. share: how far the job is, shown while the strip is folded."""
    _BUTTON(key="job_strip", data={"share": share}, width="content")
