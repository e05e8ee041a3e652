"""The page that asks for the server's token."""

from html import escape
from pathlib import Path
from string import Template

PAGE = Template(Path(__file__).with_suffix(".html").read_text(encoding="utf-8"))
STYLE = PAGE.template.partition("<style>")[2].partition("</style>")[0]  # whose hash the page's policy allows
# A link on another site brings no SameSite=Strict cookie along. Loaded again from here, the page brings it.
AGAIN = '<meta http-equiv="refresh" content="0">'


def login_page(problem: str = "", *, again: bool = False) -> str:
    """The page; `problem` is what went wrong with the last try, `again` lets it load itself once more."""
    wrong = f'<p class="wrong" role="alert">{escape(problem)}</p>' if problem else ""
    return PAGE.substitute(wrong=wrong, again=AGAIN if again else "")
