"""Labels that are likely wrong: images whose label an answer is confident against, to mark, tag and save."""

from streamlit.delta_generator import DeltaGenerator

from core.common.formatting import counted
from core.measures.label_issues import own_errors, why_no_probabilities
from core.slices.slice import Slice
from core.store import Study
from dashboard.cache import reads
from dashboard.components import widgets
from dashboard.components.chart import download
from dashboard.panels import marks
from dashboard.state import session

PAGE = 24
TABLE = "label_issues"
HELP = (
    "Confident learning estimates how many labels are wrong; these are the ones that the classifier finds "
    "least likely. Train images are left out: the classifier learnt their labels."
)


def likely_wrong_list(
    study: Study, population: Slice, head: DeltaGenerator, answer_slot: DeltaGenerator
) -> None:
    """Draw the section; `head`, the row of the page's headline, takes the buttons, and `answer_slot`, the
    line below the title, how many labels there are.
    """
    table = reads.slice_table(study, population, TABLE)
    if table.empty:
        why = why_no_probabilities(study) or "no label of these evaluation images is unlikely enough"
        widgets.empty_state("No label is likely wrong", f"{widgets.plain(why[0].upper() + why[1:])}.")
        return
    warning = own_errors(study.summary("probe")["top1"])
    text = f"{counted(len(table), 'label')} that may be wrong, the least likely first.{warning}"
    answer_slot.caption(text, help=HELP)
    rows = session.rows_held(study, table["image_id"])
    with head:
        download(study, table, population, name=TABLE)
    suggested = dict(zip(rows, table["suggested"].astype(str), strict=True))
    marks.action_bar(study, rows, key="wrong_labels_bar", suggested=suggested)
    pairs = zip(rows, table["label"], table["suggested"], strict=True)
    captions = {row: (f"{label} → {better}",) for row, label, better in pairs}
    badges = {row: f"{100 * sure:.0f} %" for row, sure in zip(rows, table["confidence"], strict=True)}
    widgets.image_gallery(
        study,
        rows,
        key="wrong_labels",
        captions=captions,
        badges=badges,
        page_size=PAGE,
        select=True,
        label="images whose label is likely wrong",
    )
