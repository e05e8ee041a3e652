"""The table of the campaign, and docs/compatibility.md made of it: `python -m tests.crossed.table`."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import groupby
from pathlib import Path

TABLE = Path(__file__).with_name("table.csv")
DOCUMENT = Path(__file__).parents[2] / "docs" / "compatibility.md"
RIGHT, NOTED, REFUSED, WRONG, SKIPPED = "right", "right with a note", "refused", "wrong", "skipped"
VERDICTS = (RIGHT, NOTED, REFUSED, WRONG, SKIPPED)
NETWORK, DATA, EXPORTS = "network", "data", "exports"
KINDS = (NETWORK, DATA, EXPORTS)
HEAD = """# Compatibility

What real tools write, and what Peregrine makes of it. Each row is a file that the tool wrote with its own
functions, in an environment of its own, read through the public API and compared with what the tool itself
says. `make crossed` does it again, `make crossed ONLY=timm` for one tool.

* [Networks and dictionaries](#networks)
* [Images, labels, masks and captions](#data)
* [What Peregrine exports, read by the tools](#exports)
"""
PARTS = {
    NETWORK: """
<a id="networks"></a>
# Networks and dictionaries

Small seeded networks and dictionaries. The tool's own numbers (logits and features on its own pixels, codes
of its own vectors) are compared with ours.

* **right**: the largest relative difference (L2) of logits, features or codes is at most .001, the same
  codes are active, and where the file says how pixels are made, ours differ by at most .02, about one
  grey level.
* **right with a note**: the same, and a note says what was assumed; or the numbers depend on what is not in
  the file, and the note names it.
* **refused**: one line says why, and what to do; where another way reads it, the difference is of that.
* **wrong**: anything else. **skipped**: the tool could not write it; the row says why.
""",
    DATA: """
<a id="data"></a>
# Images, labels, masks and captions

Small data sets of the tool's own making, or trees as they are downloaded. What the tool's own loader returns
for each picture (pixels, name of the class, split, file, caption, mask) is compared with ours. The difference
is the largest share of pictures of which something is another, or 1 - IoU of a mask.

* **right**: the same pictures, each with its label, split, file and text, no grey level apart, and each mask
  with an IoU of at least .99. Of several splits for evaluation one is taken, and a note names the others.
* **right with a note**: the same, and the listing says something of it.
* **refused**: one line says why, and what to do; where another way reads it, that way was tried.
* **wrong**: anything else. **skipped**: the tool could not write it; the row says why.
""",
    EXPORTS: """
<a id="exports"></a>
# What Peregrine exports, read by the tools

The other way round: a study of small pictures is exported (everything that is known of each image, or its
corrected labels), and each tool reads that with its own functions, in an environment of its own. Fields,
tags, heatmaps, masks, vectors and labels are compared with the tables and arrays of the study; names hold
signs that CSV and XML give a meaning.

* **right**: every image and value is the study's, numbers to 1e-9, maps and vectors bit by bit. Where
  something is merged, what the user had is unchanged as well. **wrong**: anything else.
""",
}
HEADINGS = {NETWORK: "option or architecture", DATA: "form or option", EXPORTS: "read by"}


@dataclass(frozen=True)
class Row:
    """A row: what a release of a tool wrote, and what was made of it.

    Attributes:
        difference: the largest of logits, features and codes, relative L2. pixels: of pixels, where the file
            states them. Both are "" where there are none.
        said: the kinds of the notes, the line of a refusal, what is wrong, or why it was skipped.
        kind: NETWORK, or DATA, whose difference is a share of pictures, and pixels grey levels.
    """

    tool: str
    version: str
    writer: str
    option: str
    difference: str
    pixels: str
    verdict: str
    said: str
    kind: str = NETWORK

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.tool, self.version, self.writer, self.option

    @property
    def release(self) -> tuple[str, str, str]:
        """What is written and read at once."""
        return self.kind, self.tool, self.version


def read_table(path: Path = TABLE) -> list[Row]:
    """The rows of a table; none where there is no file."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as opened:
        return [Row(**row) for row in csv.DictReader(opened)]


def write_table(rows: Iterable[Row], path: Path = TABLE) -> None:
    """Write rows, sorted by kind, tool and version; within them they stay in their order."""
    ordered = sorted(rows, key=lambda row: (KINDS.index(row.kind), row.tool.lower(), row.version))
    with path.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in ordered)


def document(rows: Sequence[Row]) -> str:
    """The page: for each kind of rows what they say, counts of each release of a tool, then its rows."""
    lines = [HEAD]
    for kind in PARTS:
        held = [row for row in rows if row.kind == kind]
        if held:
            lines += _part(kind, held)
    return "\n".join(lines) + "\n"


def _part(kind: str, rows: Sequence[Row]) -> list[str]:
    releases = [(release, list(held)) for release, held in groupby(rows, key=lambda row: row.release)]
    lines = [PARTS[kind], f"| tool | version | rows | {' | '.join(VERDICTS)} |"]
    lines.append(f"|{'---|' * (3 + len(VERDICTS))}")
    for release, held in releases:
        lines.append(f"| [{release[1]}](#{_anchor(*release)}) | {release[2]} | {_counts(held)} |")
    lines.append(f"| all | | {_counts(rows)} |")
    for release, held in releases:
        lines += [f'\n<a id="{_anchor(*release)}"></a>\n## {release[1]} {release[2]}\n']
        lines += [f"| written by | {HEADINGS[kind]} | difference | |", "|---|---|---|---|"]
        lines += [_line(row) for row in held]
    return lines


def _anchor(kind: str, tool: str, version: str) -> str:
    prefix = "" if kind == NETWORK else f"{kind}-"
    return f"{prefix}{tool}-{version}".lower().replace(".", "-").replace("_", "-")


def _counts(rows: Sequence[Row]) -> str:
    counts = Counter(row.verdict for row in rows)
    return " | ".join(str(count) for count in (len(rows), *(counts[verdict] for verdict in VERDICTS)))


def _line(row: Row) -> str:
    difference = row.difference + (f", pixels {row.pixels}" if row.pixels else "")
    explained = row.verdict in (REFUSED, WRONG, SKIPPED) and row.said
    verdict = f"{row.verdict}: {row.said}" if explained else row.verdict
    cells = (f"`{row.writer}`", row.option, difference, verdict)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def write_document() -> None:
    DOCUMENT.write_text(document(read_table()), encoding="utf-8")


if __name__ == "__main__":
    write_document()
