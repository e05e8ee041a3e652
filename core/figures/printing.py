"""Print a figure sheet as a vector PDF, an SVG or a PNG; PDF and PNG with the browser that draws figures."""

import subprocess
import tempfile
import zipfile
from pathlib import Path

from core.common.csv_text import csv_text
from core.common.inside import check_output_file
from core.errors import SettingsError
from core.export.files import complete_file
from core.figures.files import find_browser
from core.figures.latex import FILE
from core.figures.sheet import Sheet

EXTENSIONS = (".pdf", ".png", ".svg", ".zip")
PATIENCE = 120  # seconds
DOTS = 2  # PNG pixels per CSS px
COMMON = (
    "--headless",
    "--no-sandbox",  # as in kaleido: containers lack a sandbox; the page is our own and loads nothing
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def check_sheet_file(out: Path) -> None:
    """Raise SettingsError for a file type that a sheet cannot be written to, before any work is done."""
    check_output_file(out, "a figure sheet", EXTENSIONS)
    find_browser()


def write_sheet(sheet: Sheet, out: str | Path) -> Path:
    """Write a sheet; the extension selects the format, and the file appears only when it is complete.

    Raises:
        SettingsError: another extension, no browser, or it cannot print.
    """
    out = Path(out)
    check_sheet_file(out)
    if out.suffix.lower() == ".svg":
        with complete_file(out) as temporary:
            temporary.write_text(sheet.svg, encoding="utf-8")
        return out
    if out.suffix.lower() == ".zip":
        with complete_file(out) as temporary:
            _write_all(sheet, out.stem, temporary)
        return out
    with tempfile.TemporaryDirectory(prefix="peregrine-") as folder, complete_file(out) as temporary:
        page, made = Path(folder) / "sheet.html", Path(folder) / f"sheet{out.suffix.lower()}"
        page.write_text(_document(sheet), encoding="utf-8")
        _browse(page, made, _wanted(made, sheet), Path(folder) / "profile")
        temporary.write_bytes(made.read_bytes())
    return out


def _write_all(sheet: Sheet, stem: str, out: Path) -> None:
    """Write everything that a paper takes: the page, the LaTeX that places it, and each panel's numbers."""
    with tempfile.TemporaryDirectory(prefix="peregrine-") as folder, zipfile.ZipFile(out, "w") as archive:
        pdf = write_sheet(sheet, Path(folder) / f"{stem}.pdf")
        archive.write(pdf, pdf.name)
        archive.writestr(f"{stem}.svg", sheet.svg)
        archive.writestr(f"{stem}.tex", _renamed(sheet.latex, stem))
        for panel, table in sheet.numbers.items():
            archive.writestr(f"numbers/{panel}.csv", csv_text(table))


def _renamed(latex: str, stem: str) -> str:
    """Return LaTeX of a file of another name; braces of a caption are escaped, so they never match."""
    return latex.replace(f"{{{FILE}.pdf}}", f"{{{stem}.pdf}}").replace(f"{{fig:{FILE}}}", f"{{fig:{stem}}}")


def _document(sheet: Sheet) -> str:
    """The page that the browser prints: the SVG, and nothing else."""
    policy = "default-src 'none'; img-src data:; font-src data:; style-src 'unsafe-inline'"
    # The body is 1 px shorter than the page, so that rounding never adds a second page.
    style = (
        f"@page {{ size: {sheet.width}px {sheet.height}px; margin: 0; }} svg {{ display: block; }} "
        f"body {{ margin: 0; height: {sheet.height - 1}px; overflow: hidden; background: #fff; }}"
    )
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"><style>{style}</style></head>'
        f"<body>{sheet.svg}</body></html>"
    )


def _wanted(made: Path, sheet: Sheet) -> list[str]:
    if made.suffix == ".pdf":
        return [f"--print-to-pdf={made}", "--no-pdf-header-footer"]
    size = f"--window-size={sheet.width},{sheet.height}"
    return [f"--screenshot={made}", size, f"--force-device-scale-factor={DOTS}"]


def _browse(page: Path, made: Path, options: list[str], profile: Path) -> None:
    browser = find_browser()
    command = [browser, *COMMON, f"--user-data-dir={profile}", *options, page.as_uri()]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        reason = done.stderr.strip().splitlines()
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = [str(error)]
    if not made.is_file() or not made.stat().st_size:
        raise SettingsError(
            f"the browser '{browser}' could not print the sheet: {' '.join(reason[-1:])[:200]}"
        )
