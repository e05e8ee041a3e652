"""Let the real tools write, read it, and write tests/crossed/table.csv and docs/compatibility.md.

python -m tests.crossed [--only timm,torchvision] [--case WORD] [--redo]

A run that was stopped goes on where it stood. Ends with 1 where a row is wrong. Needs a network for the
packages of the tools; their environments and files lie below build/crossed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.crossed.environments import ROOT, Tool, all_tools, make_environment, newest, version_in
from tests.crossed.table import (
    DATA,
    EXPORTS,
    NETWORK,
    SKIPPED,
    WRONG,
    Row,
    read_table,
    write_document,
    write_table,
)

SHARED = {
    NETWORK: ("kit.py", "writing.py"),
    DATA: ("data_kit.py", "pixels_kit.py", "tables_kit.py", "writing.py"),
}
ROWS, STAMP = "rows.csv", "source"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", type=lambda text: text.split(","), help="tools, by a name of tools.toml")
    parser.add_argument("--case", default="", help="only print rows whose writer or option holds this")
    parser.add_argument("--redo", action="store_true", help="write all files again")
    args = parser.parse_args(argv)
    tools = [one for one in all_tools().values() if _is_asked(one, args.only)]
    if not tools:
        parser.error(f"no such tool; there are: {', '.join(all_tools())}")
    n_wrong, newer, all_rows = 0, [], []
    for tool in tools:
        if args.redo:
            shutil.rmtree(tool.files, ignore_errors=True)
        rows = list(rows_of(tool, args.case))
        all_rows += rows
        n_wrong += sum(row.verdict == WRONG for row in rows)
        if not args.case:
            keep(rows)
            (tool.files / ROWS).unlink(missing_ok=True)
        latest = newest(tool)
        if latest and rows and latest != rows[0].version:
            newer.append(f"{tool.name} {rows[0].version}: {latest} is the newest")
    if args.only is None and not args.case:
        write_table(all_rows)
        write_document()
    print(*newer, sep="\n")
    return 1 if n_wrong else 0


def _is_asked(tool: Tool, only: list[str] | None) -> bool:
    return only is None or tool.name in only or tool.writer in only


def rows_of(tool: Tool, word: str = "") -> Iterator[Row]:
    """Make the environment, let the tool write, and read case after case; each row is printed and kept.

    Args:
        word: part of a writer or an option; other cases are left out.
    """
    try:
        make_environment(tool)
        version = version_in(tool)
        if tool.kind == EXPORTS:
            yield from map(_shown, _read_by(tool, version, word))
            return
        cases = _written(tool, word)
    except RuntimeError as error:
        pinned = tool.requires[0].partition("==")[2]
        yield _shown(Row(tool.distribution, pinned, "", "", "", "", SKIPPED, str(error), tool.kind))
        return
    done = {row.key: row for row in read_table(tool.files / ROWS)} if not word else {}
    for case in cases:
        start = (tool.distribution, version, case["writer"], case["option"])
        if start not in done:
            if case["problem"]:
                row = Row(*start, "", "", SKIPPED, case["problem"], tool.kind)
            else:
                row = Row(*start, *_judged(tool, tool.files / case["folder"]), tool.kind)
            done[start] = _shown(row)
            if not word:
                write_table(done.values(), tool.files / ROWS)
        yield done[start]


def _read_by(tool: Tool, version: str, word: str) -> Iterator[Row]:
    from tests.crossed.exporting import export_rows

    return export_rows(tool, version, word)


def _judged(tool: Tool, folder: Path) -> tuple[str, str, str, str]:
    """Read a case: the largest difference, that of pixels, the verdict and what is said."""
    if tool.kind == DATA:
        from tests.crossed.data_reading import data_verdict, read_data

        written, found = read_data(folder)
        return _number(found.largest), _levels(found.pixels), *data_verdict(written, found)
    from tests.crossed.reading import read, verdict

    about, reading = read(folder)
    return _number(reading.largest), _number(reading.pixels), *verdict(about, reading)


def _written(tool: Tool, word: str) -> list[dict[str, str]]:
    """Let the tool write its cases; files that the same source wrote stay."""
    here = Path(__file__).parent
    sources = [here / name for name in SHARED[tool.kind]] + [here / "writers" / f"{tool.writer}.py"]
    digest = hashlib.sha256("".join([*tool.requires, *(one.read_text() for one in sources)]).encode())
    stamp = tool.files / STAMP
    if not stamp.is_file() or stamp.read_text() != digest.hexdigest():
        shutil.rmtree(tool.files, ignore_errors=True)
        tool.files.mkdir(parents=True)
        stamp.write_text(digest.hexdigest())
    words = [str(tool.python), "-m", "tests.crossed.writing", tool.writer, str(tool.files), word]
    ended = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if ended.returncode:
        raise RuntimeError(f"its writer ended with {ended.returncode}")
    return json.loads(ended.stdout.strip().splitlines()[-1])


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.1e}" if value >= 1e-5 else "< 1e-5"


def _levels(value: float | None) -> str:
    """Grey levels; nothing where there is no difference."""
    return f"{value:g}" if value else ""


def _shown(row: Row) -> Row:
    said = f" ({row.said})" if row.said else ""
    numbers = row.difference + (f", pixels {row.pixels}" if row.pixels else "")
    print(
        f"{row.verdict:<18} {row.tool} {row.version} {row.writer} | {row.option}: {numbers}{said}", flush=True
    )
    return row


def keep(rows: Sequence[Row]) -> None:
    """Put the rows of one release of a tool into the table, and make the document of it."""
    if not rows:
        return
    others = [row for row in read_table() if row.release != rows[0].release]
    write_table([*others, *rows])
    write_document()


if __name__ == "__main__":
    sys.exit(main())
