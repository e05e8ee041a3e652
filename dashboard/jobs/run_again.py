"""A study once more, with the labels that people corrected or with the head of a remedy: started by a click.
No streamlit.
"""

import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from core.common.formatting import full_sentence
from core.errors import JobError, PeregrineError
from core.export.label_links import image_places
from core.export.remedy_head import remedy_head_bytes
from core.export.rerun import rerun_command, rerun_table
from core.jobs.commands import Resume
from core.jobs.jobs import Job
from core.store import Study
from dashboard.addresses import served_studies
from dashboard.jobs import allowed_paths, dropped_images, launcher

LABELS_OF, HEAD_OF = "labels of ", "head of "  # begin the name of the folder of such a table


def why_not(study: Study) -> str | None:
    """Return why no click may make the study again; None where one may."""
    if refused := launcher.refusal(Resume(study.path)):  # the new one reads what this one reads
        return refused
    try:
        if study.settings("embed").get("representations"):
            return "it was made from ready representations; make the next one in a terminal"
        image_places(study, np.arange(1))
    except PeregrineError as error:
        return str(error)
    return None


def start_again(study: Study, name: str, remedy: str = "") -> Job:
    """Keep the corrected labels, and start a study of that name on them, with this one's settings.

    Args:
        remedy: whose head is its classifier; "": the encoder's own, as in this study.
    Raises:
        JobError: a click may not start it, or it cannot be started. PeregrineError: the name is taken.
    """
    if reason := why_not(study):
        raise JobError(full_sentence(reason))
    folder = allowed_paths.study_folder(name)
    if folder.exists():
        raise JobError(f"a study '{name}' exists; choose another name")
    buffer = io.BytesIO()
    rerun_table(study).to_parquet(buffer, index=False)
    head = remedy_head_bytes(study, remedy) if remedy else b""
    begins = HEAD_OF if remedy else LABELS_OF
    table = dropped_images.keep_table(f"{begins}{study.name}", buffer.getvalue(), head)
    place = table.with_name(dropped_images.HEAD) if remedy else None
    return launcher.start(rerun_command(study, folder, table, head=place))


def next_studies(study: Study, begins: str = LABELS_OF) -> Iterator[str]:
    """Yield the names of the served studies that were made of this one's corrected labels.

    Args:
        begins: HEAD_OF for those that were made with the head of a remedy.
    """
    made_of = re.compile(rf"{re.escape(begins + study.name)}(-\d+)?")
    for name, other in served_studies.readable():
        images = Path(str(other.settings("embed").get("images") or "").partition("?")[0])
        if images.parent.parent == allowed_paths.dropped_folder() and made_of.fullmatch(images.parent.name):
            yield name
