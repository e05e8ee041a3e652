"""A job's report: the JSON that its command prints, as a file in the job's folder. No torch."""

import contextlib
import os
from pathlib import Path

from core.jobs.progress import JOB_FOLDER, replace_text

RESULT = "result.json"
LONGEST_RESULT = 16 << 20  # bytes that are read


def keep_result(text: str) -> None:
    """Write the JSON that a command prints to the folder of its job, too; nothing where it is no job.

    A full disk loses the file and not the job.
    """
    if folder := os.environ.get(JOB_FOLDER):
        with contextlib.suppress(OSError):
            replace_text(Path(folder) / RESULT, text)
