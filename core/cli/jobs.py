"""The command `jobs`: commands in the background, and how their owner cancels one in a terminal."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from core.cli import options, output
from core.cli.errors import refuse_options
from core.cli.sentences import say_of_command
from core.common.command_line import shell_text, short_path
from core.errors import JobError

if TYPE_CHECKING:
    from core.study.jobs import Job

STUDIES, DEFAULT_STUDIES = "PEREGRINE_STUDIES", "studies"
NOTHING = "no command runs in the background here"


def add_jobs(commands: Any) -> None:
    """Add the command `jobs` to the command line."""
    sub = options.add_command(
        commands,
        "jobs",
        jobs,
        "list the commands that run in the background, or cancel one",
        "jobs",
        "jobs studies/demo --cancel",
        notes="A browser cancels only what it began, until the one that began it has left; a terminal, all.",
    )
    about = f"folder of a study or of studies (default: ${STUDIES}, or {DEFAULT_STUDIES})"
    # default: left out, an argument without dashes would be a word of argparse
    sub.add_argument("folder", nargs="?", default=None, type=options.folder, metavar="FOLDER", help=about)
    sub.add_argument("--cancel", action="store_true", help="cancel the one that runs in FOLDER")
    options.add_json(sub)


def jobs(args: argparse.Namespace) -> None:
    """Run the command `jobs`: list what runs in the background, or cancel what runs in a folder."""
    from core.common.addresses import study_folder
    from core.common.assets import state_folder
    from core.study.jobs import list_jobs

    named = args.folder
    folder = named or study_folder(os.environ.get(STUDIES) or DEFAULT_STUDIES)
    if "cancel" in args:
        if named is None:
            refuse_options(args, ["cancel"], "needs the FOLDER of the command to cancel")
        output.show(_cancelled(folder), _job_text, as_json="json" in args)
        return
    all_jobs = [*list_jobs(folder), *([] if named else list_jobs(state_folder() / "work"))]
    report = {"jobs": [_facts(job) for job in all_jobs if job.running]}
    output.show(report, _jobs_text, as_json="json" in args)


def _jobs_text(report: Mapping[str, Any]) -> str:
    """Return what the command `jobs` prints: a line for each command that runs."""
    return "\n".join(map(_job_text, report["jobs"])) or NOTHING


def _job_text(report: Mapping[str, Any]) -> str:
    """Return the line that `jobs` prints of a command: where, how it stands, the step, what was typed."""
    stage = f", {report['stage']}" if report["stage"] else ""
    return f"{report['folder']}: {report['state']}{stage}  ({report['command']})"


def _cancelled(folder: Any) -> dict[str, Any]:
    from core.study.jobs import read_job
    from core.study.runner import cancel

    job = read_job(folder)
    if job is None or not job.running:
        raise JobError(say_of_command("no_job", what=str(folder)))
    return _facts(cancel(job))


def _facts(job: Job) -> dict[str, Any]:
    command = shell_text(job.command)
    return {"folder": short_path(job.folder), "state": job.state, "stage": job.stage, "command": command}
