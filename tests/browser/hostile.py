"""A study whose every name tries to be markup, and how a page is searched for what a name has planted."""

from __future__ import annotations

from pathlib import Path

from core.measures import saved_slices
from core.measures.slice import Slice
from core.store import open_study
from core.study import trace_changes
from tests.concepts.worded import make_worded
from tests.manifests import change_texts
from tests.synthetic import make_seen_study

STUDY = "<b id=planted onclick=alert(1)>study"
CLASSES = (
    "<img id=planted src=x onerror=alert(2)>",
    "<script id=planted>alert(3)<!--",
    "**bold** $x$ :material-home: [l](javascript:alert(4))",
    "plain",
)
FILE = "<svg id=planted onload=alert(5)>"
SLICE = '<iframe id=planted srcdoc="<script>alert(6)</script>">'
WORD = (  # what Markdown and Streamlit's own signs would make of it has texts of its own
    "<img id=planted src=x onerror=window.xss=1><script>window.xss=2</script>**zqbold** $zqmath$ "
    ":red[zqred] [zqlink](javascript:window.xss=3) :material/zqicon: `zqcode` http://zq.invalid/ "
)
WORDS = ("word", "words", "caption", "reason", "keywords", "note")
# Elements that such a name would have made, also in shadow roots, and links that would run a script.
PLANTED = """() => {
  const roots = [document];
  for (const root of roots) {
    roots.push(...[...root.querySelectorAll('*')].map(one => one.shadowRoot).filter(Boolean));
  }
  const wanted = '#planted, img[src="x"], [onerror], [onload], a[href^="javascript:"], [srcdoc], ' +
    'a[href^="http://zq"]';
  const marked = root => [...root.querySelectorAll('*')].filter(
    one => !one.children.length && /^zq\\w+$/.test(one.textContent.trim()));
  return [
    ...roots.flatMap(root => [...root.querySelectorAll(wanted), ...marked(root)]).map(
      one => one.outerHTML.slice(0, 200)),
    ...(window.xss ? [`a script ran: ${window.xss}`] : []),
  ];
}"""


def make_hostile(studies: Path) -> None:
    """Make the study in a folder of studies."""
    folder = studies / STUDY
    make_worded(make_seen_study(folder, class_names=CLASSES, tail=FILE))
    change_texts(folder, WORDS, WORD)
    study = open_study(folder)
    trace_changes.set_note(study, study.images["image_id"].iat[-1], WORD)
    trace_changes.note_feature(study, 3, WORD)
    saved_slices.save(folder, SLICE, Slice.parse("correct=false"))
