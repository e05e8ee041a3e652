"""How a table of text is written, from its first lines: encoding, separator, header."""

import codecs
import csv
import itertools
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from core.common.addresses import is_url
from core.common.arrow_tables import BATCH
from core.common.records import Record, Templates
from core.data.source import IMAGE_EXTENSIONS

LOOKED_AT = 50  # lines
LONGEST = 1_000_000  # letters of them
USUAL = ",;\t"
RARE = ("|", " ")  # only where a line above has none of the usual ones
BLANKS = r"\s+"
SEPARATORS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "space": " ", "": " ", "bar": "|"}
NAMES = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar", " ": "space"}
TRUTHS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False, "none": False}
HEADER_NAMES = frozenset(  # of columns of paths
    ("path", "image", "file", "filename", "file_name", "filepath", "file_path", "image_path", "image_id")
    + ("url", "image_url", "img_url", "image_link", "image_name", "img", "name")
)
EXCEL_SEPARATOR = re.compile(r"sep=([,;|\t])", re.IGNORECASE)
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
say_of_text = Templates.beside(__file__)


@dataclass(frozen=True)
class Writing:
    """How the lines of a table are written; `skipped` lines stand above the header, or the first row.

    names: of the columns, where the file has none for all of them.
    """

    separator: str = ","
    header: bool = True
    encoding: str = "utf-8-sig"
    skipped: int = 0
    names: tuple[str, ...] = ()

    def notes(self) -> list[Record]:
        """Say what a reader could not see from the name of the file."""
        if not self.header:
            return [say_of_text("no_header", names=self.names)]
        return [say_of_text("blanks")] if self.separator == " " else []


def separator_named(text: str) -> str:
    """Return the separator of a table of images that an option names: `,` `;` `|` tab, space …, a letter.

    Raises:
        ValueError: it names none.
    """
    named = SEPARATORS.get(text.strip().lower(), text)
    if len(named) != 1 or named in '\r\n"':
        raise ValueError(f"?sep={text} is no separator: write one letter, tab or space")
    return named


def header_named(text: str) -> bool:
    """Return whether a table of images has a header, as `?header=` says. Raises ValueError for another."""
    if (is_header := TRUTHS.get(text.strip().lower())) is None:
        raise ValueError(f"?header={text}: write yes or no")
    return is_header


def old_writing(path: str) -> Writing:
    """How tables of images were read before first lines were looked at: the most common separator."""
    with open(path, encoding="utf-8-sig") as file:
        header = file.readline()
    return Writing("\t" if path.lower().endswith(".tsv") else max(USUAL, key=header.count))


def writing_of(
    path: str, *, separator: str | None = None, header: bool | None = None, is_there: Callable[[str], bool]
) -> Writing:
    """Find out how a user's table of images is written, from its first lines.

    Args:
        separator, header: as the user says.
        is_there: whether a cell names an image that is there: no name of a column does.
    Raises:
        OSError, UnicodeDecodeError: it cannot be read.
    """
    encoding = _encoding_of(path)
    with open(path, encoding=encoding, newline="") as file:
        lines = list(itertools.islice(file.read(LONGEST).splitlines(keepends=True), LOOKED_AT))
    skipped = 1 if len(lines) > 2 and lines[0].strip().isdecimal() and separator is None else 0
    if stated := EXCEL_SEPARATOR.fullmatch(lines[0].strip() if lines else ""):
        separator, skipped = separator or stated[1], 1
    skipped += _remarks(lines[skipped:], separator, is_list=path.lower().endswith(".txt"))
    lines = lines[skipped:]
    mark = separator or _separator(lines, tab=path.lower().endswith(".tsv"))
    rows = fields_of(lines, mark)
    if not rows:
        return Writing(mark, encoding=encoding)
    if _lacks_first_name(rows, mark):
        return Writing(mark, True, encoding, skipped + 1, ("image", *rows[0]))
    is_list = path.lower().endswith(".txt")
    has_header = not _is_data(rows[0], is_there, is_list) if header is None else header
    width = max(map(len, rows))
    names = () if has_header else tuple(str(number) for number in range(1, width + 1))
    return Writing(mark, has_header, encoding, skipped, names)


def _remarks(lines: Sequence[str], separator: str | None, *, is_list: bool) -> int:
    """Count the lines of remarks (#) above a table.

    One with as many fields as the next line, which names no columns, is the table's header.
    """
    n_remarks = sum(1 for _ in itertools.takewhile(lambda line: line.startswith("#"), lines))
    if is_list or not 0 < n_remarks < len(lines):
        return n_remarks
    last, following = lines[n_remarks - 1 : n_remarks + 1]
    marks = separator or USUAL
    alike = [last.count(mark) for mark in marks] == [following.count(mark) for mark in marks]
    is_named = not HEADER_NAMES.isdisjoint(re.split(r"[,;\t|]", following.strip().lower()))
    return n_remarks - (alike and not is_named)


def has_header(path: str) -> bool:
    """Whether a .txt that lists images is a table with a header.

    A name of its first line is that of a column of paths, or it has a name less than the lines below have
    fields.
    """
    try:
        writing = writing_of(path, is_there=lambda cell: False)
        with open(path, encoding=writing.encoding, newline="") as file:
            lines = list(itertools.islice(file.read(LONGEST).splitlines(keepends=True), LOOKED_AT))
    except (OSError, UnicodeDecodeError, csv.Error):
        return False
    rows = fields_of(lines[writing.skipped :], writing.separator)
    if writing.names or len(rows) < 2:
        return bool(writing.names) and writing.header
    names = {name.lower() for name in rows[0]}
    return bool(names & HEADER_NAMES) and len(rows[0]) > 1 and any(map(is_image_name, rows[1]))


def ends_with_image(path: str) -> bool:
    """Whether a list has fields with tabs between, of which the last alone names an image (im2rec)."""
    try:
        with open(path, encoding=_encoding_of(path), newline="") as file:
            lines = list(itertools.islice(file.read(LONGEST).splitlines(), LOOKED_AT))[:-1]
    except (OSError, UnicodeDecodeError):
        return False
    fields = [line.split("\t") for line in lines]
    return bool(fields) and all(len(each) > 1 and _only_last_is_image(each) for each in fields)


def _only_last_is_image(fields: Sequence[str]) -> bool:
    """Whether the last of the fields of a line names an image and the first does not."""
    return is_image_name(fields[-1]) and not is_image_name(fields[0])


def _encoding_of(path: str) -> str:
    """Return the encoding that a table's first bytes state; UTF-8 where they state none."""
    with open(path, "rb") as file:
        return "utf-16" if file.read(2) in UTF_16 else "utf-8-sig"


def fields_of(lines: Sequence[str], mark: str) -> list[list[str]]:
    """Split the lines of a user's table into stripped fields, without empty lines."""
    if mark == " ":
        return [line.split() for line in lines if line.strip()]
    quoting: Any = csv.QUOTE_NONE if mark == "\t" else csv.QUOTE_MINIMAL
    rows = csv.reader(lines, delimiter=mark, skipinitialspace=True, quoting=quoting)
    return [[field.strip() for field in row] for row in rows if row]


def _separator(lines: Sequence[str], *, tab: bool) -> str:
    """Return the separator by which all lines have as many fields; else the one that the first has most."""
    header = lines[0] if lines else ""
    if tab and ("\t" in header or len(lines) < 2):
        return "\t"
    usual = max(USUAL, key=header.count)
    if header.count(usual) and _fields_in_each(lines, usual):
        return usual
    others = USUAL if header.count(usual) else (*USUAL, *RARE)
    return next((mark for mark in others if _fields_in_each(lines, mark)), usual)


def _fields_in_each(lines: Sequence[str], mark: str) -> int:
    """Return how many fields each line has, where it is the same number above one; else 0."""
    try:
        rows = fields_of(lines, mark)
    except csv.Error:
        return 0
    rows = rows[:-1] if len(rows) == LOOKED_AT else rows  # the last may end in the middle
    counts = {len(row) for row in rows[int(_lacks_first_name(rows, mark)) :]}
    n_fields = counts.pop() if len(counts) == 1 else 0
    return n_fields if n_fields > 1 else 0


def _lacks_first_name(rows: Sequence[Sequence[str]], mark: str) -> bool:
    """Whether the header of lines of blanks has a name less than the lines below have fields (CelebA)."""
    if mark != " " or len(rows) < 2:
        return False
    widths = {len(row) for row in rows[1:]}
    if widths != {len(rows[0]) + 1}:
        return False
    return is_image_name(rows[1][0]) and not is_image_name(rows[0][0])


def _is_data(row: Sequence[str], is_there: Callable[[str], bool], is_list: bool) -> bool:
    """Whether a first line is a row: one of its cells names an image, or is a number in a list (.txt)."""
    if is_list and any(cell.lstrip("-").isdecimal() for cell in row):
        return True
    return any(is_image_name(cell) or (bool(cell) and is_there(cell)) for cell in row)


def is_image_name(cell: str) -> bool:
    """Return True for a cell that ends as names of image files do, or is the address of one.

    >>> is_image_name("a/b.JPG"), is_image_name("jpg"), is_image_name("https://a.org/b.png?size=2")
    (True, False, True)
    """
    cell = cell.partition("?")[0] if is_url(cell) else cell
    stem, mark, ending = cell.rpartition(".")
    return bool(mark and stem) and ending.lower() in IMAGE_EXTENSIONS


def read_text(path: str, writing: Writing) -> pd.DataFrame:
    """Read a user's table of images whose cells stay text, stripped.

    Raises:
        ValueError, OSError: it is no table.
    """
    mark = writing.separator
    options: dict[str, Any] = {"sep": BLANKS if mark == " " else mark, "dtype": "str"}
    options |= {"keep_default_na": False, "encoding": writing.encoding, "index_col": False}
    options |= {"skipinitialspace": mark != "\t", "skiprows": writing.skipped}
    if writing.names:
        options |= {"header": None, "names": list(writing.names)}
    with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
        try:
            frame = _read_parts(path, options, holds_no="\t" if mark == "\t" else None)
        except pd.errors.ParserWarning:
            raise ValueError("its first row has more cells than its header names") from None
    if frame is None:  # its quotes are letters, and hid rows
        frame = _read_parts(path, options | {"quoting": csv.QUOTE_NONE})
    assert frame is not None
    return frame


def _read_parts(path: str, options: Any, *, holds_no: str | None = None) -> pd.DataFrame | None:
    """Read a table some rows at a time, as the cells of all would be objects at once, before they are texts.

    Args:
        holds_no: return None where a cell has this letter.
    """
    parts = []
    reader: Any = pd.read_csv(path, chunksize=BATCH, **options)
    with reader:
        for part in reader:
            if holds_no is not None and any(
                column.str.contains(holds_no).any() for _, column in part.items()
            ):
                return None
            parts.append(part.apply(lambda column: column.fillna("").str.strip()))
    return pd.concat(parts, ignore_index=True)


def two_encodings(path: str) -> str:
    """Say which line of a user's table is no UTF-8, and which near it is, with letters beyond ASCII.

    It is before or after the other; "" where no line has both.
    """
    good, bad = "", ""
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            text = _as_utf_8(line)
            if text is None:
                bad = (
                    bad
                    or f"line {number} is not UTF-8 text ('{_shortened(line.decode('cp1252', 'replace'))}')"
                )
            elif not good and not text.isascii():
                good = f"line {number} is ('{_shortened(text)}')"
            if good and bad:
                return f"{bad}, {good}"
    return bad


def _as_utf_8(line: bytes) -> str | None:
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


def _shortened(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()[:30]
