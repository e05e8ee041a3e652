"""What the command `remedies` prints, and its options that write the head of a remedy to a file."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.cli import output
from core.cli.errors import refuse_options
from core.common.formatting import aligned, full_sentence
from core.common.step_facts import RemediesFacts
from core.config import RemediesConfig
from core.errors import SettingsError

if TYPE_CHECKING:
    from core.store import Study

OF_HEAD = ("head", "output", "whole")


def add_head(sub: argparse.ArgumentParser) -> None:
    """Add the options that write a head."""
    group = sub.add_argument_group("the head of a remedy as a file, once the step has run")
    group.add_argument(
        "--head", metavar="REMEDY", help="write the head of this remedy: balanced, corrected+slices …"
    )
    group.add_argument("--whole", action="store_true", help="write the encoder's network with that head")
    group.add_argument("-o", "--output", type=Path, metavar="FILE", help="file to write: .safetensors")


def write_head(args: argparse.Namespace) -> None:
    """Write the head of a remedy, or the network with it, and say what was written."""
    from core.export.remedy_head import write_remedy_head
    from core.store import Study

    if "head" not in args or "output" not in args:
        raise SettingsError("--head REMEDY and -o FILE belong together: which head, and where it is written")
    refuse_options(args, (*RemediesConfig.__dataclass_fields__, "redo"), "is of the step; run that before")
    written = write_remedy_head(Study(args.study), args.head, args.output, whole="whole" in args)
    output.show(written, output.summary_text, as_json="json" in args)


def show_remedies(study: "Study", *, as_json: bool) -> None:
    """Print what each remedy gains."""
    output.show(remedies_report(study), _text, as_json=as_json)


def remedies_report(study: "Study") -> dict[str, Any]:
    """What the study remembers of the step, and table `remedies`, a mapping a row."""
    return {**asdict(study.facts(RemediesFacts)), "remedies": study.table("remedies").to_dict("records")}


def _text(report: output.Report) -> str:
    import pandas as pd

    from core.common.entries import record_of
    from core.measures.remedy_sentences import (
        base_sentence,
        remedies_finding,
        remedy_sentence,
        worst_sentence,
    )

    table = pd.DataFrame(report["remedies"])
    lines = [("finding", full_sentence(remedies_finding(table)))]
    facts = record_of(RemediesFacts, report)
    lines.append(("base", base_sentence(facts)))
    if worst := worst_sentence(facts):
        lines.append(("worst", worst))
    lines += [(str(row["remedy"]), full_sentence(remedy_sentence(row))) for row in report["remedies"]]
    return aligned(lines)
