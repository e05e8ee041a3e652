"""Text files of captions as lines, packed or not, and the form of delimited ones. No torch."""

import codecs
import csv
import html
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import ftfy
import pandas as pd

from core.common.inside import open_bytes
from core.data.source import IMAGE_EXTENSIONS
from core.errors import CaptionError, unknown_name

# Text files as lines, packed or not, in any encoding; texts as CLIP's tokenizer reads them. No torch.


LONGEST = 1000  # maximum characters of a caption: no text tower reads more
LONGEST_LINE = 4 * LONGEST  # maximum characters of a line that are kept
BLOCK = 1 << 22
WINDOWS = "cp1252"
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
WIDE_SAMPLE = 400  # bytes by which UTF-16 without a mark is told
UNSPACED = re.compile(r"[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")  # of scripts without spaces
LETTERS_OF_A_WORD = 2  # of such a script
LINE_ENDS = r"[\0\r\n\t]+"


def lines_of(path: Path, encoding: str) -> Iterator[str]:
    """Yield the lines of a file of captions with their ends; only an endless one's beginning is read."""
    with io.TextIOWrapper(open_bytes(path), encoding=encoding, errors="replace", newline="") as file:
        while piece := file.readline(LONGEST_LINE):
            line = piece
            while piece and not piece.endswith(("\n", "\r")):
                piece = file.readline(BLOCK)
            yield line


def whole_lines(path: Path, encoding: str) -> Iterator[str]:
    """Yield the lines of a table of captions as they are; NUL characters are spaces."""
    with io.TextIOWrapper(open_bytes(path), encoding=encoding, errors="replace", newline="") as file:
        for line in file:
            yield line.replace("\0", " ") if "\0" in line else line


def text_encoding(path: Path) -> str:
    """Tell the encoding of a file of captions: utf-8-sig, utf-16, utf-16-le, utf-16-be, Windows-1252.

    Raises:
        CaptionError: some lines are UTF-8 and others are not.
    """
    with open_bytes(path) as file:
        start = file.read(WIDE_SAMPLE)
        marked = next((name for mark, name in BYTE_ORDER_MARKS.items() if start.startswith(mark)), None)
        if wide := marked or _wide(start):
            return wide
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            block = start
            while block:
                decoder.decode(block)
                block = file.read(BLOCK)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            _require_one_encoding(path)
            return WINDOWS
    return "utf-8-sig"


def _wide(start: bytes) -> str | None:
    """UTF-16 of mostly Latin letters without a mark: every other byte is 0."""
    first, second = start[0::2], start[1::2]
    if len(start) < 32:
        return None
    shares = first.count(0) / len(first), second.count(0) / len(second)
    if max(shares) < 0.9 or min(shares) > 0.1:
        return None
    return "utf-16-le" if shares[1] > shares[0] else "utf-16-be"


def _require_one_encoding(path: Path) -> None:
    """Refuse lines that are UTF-8 beside lines that are not; the first of each is named."""
    of_kind: dict[bool, int] = {}
    with open_bytes(path) as file:
        number = 0
        while line := file.readline(LONGEST_LINE):
            number += 1
            if not line.isascii():
                of_kind.setdefault(_is_utf8(line), number)
            while line and not line.endswith(b"\n"):
                line = file.readline(BLOCK)
    if len(of_kind) == 2:
        raise CaptionError(
            f"'{path}' has two encodings: line {of_kind[True]} is UTF-8, line {of_kind[False]} is not. "
            "Write it again in one of them"
        )


def _is_utf8(line: bytes) -> bool:
    try:  # a line that was cut may end within a character
        codecs.getincrementaldecoder("utf-8")().decode(line, final=line.endswith(b"\n"))
    except UnicodeDecodeError:
        return False
    return True


def clean_captions(captions: pd.Series) -> tuple[pd.Series, int]:
    """Prepare captions for words and CLIP alike, truncate at LONGEST; return them and the number truncated.

    NUL, line ends and outer blanks go. As in CLIP's tokenizer, wrongly decoded text is repaired (ftfy) and
    HTML entities become characters, so that "&amp;" is no word.
    """
    text = captions.fillna("").astype("str").str.replace(LINE_ENDS, " ", regex=True).str.strip()
    too_long = text.str.len() > LONGEST
    text = text.where(~too_long, text.str.slice(0, LONGEST))
    odd = text.str.contains(r"[^\x00-\x7f]|&[#a-zA-Z]", regex=True).to_numpy(bool)
    if odd.any():
        text = text.copy()
        text.loc[odd] = [_repaired(one) for one in text.loc[odd]]
    return text, int(too_long.sum())


def _repaired(text: str) -> str:
    """Repair the text of a caption as CLIP's tokenizer does.

    >>> _repaired("bread &amp; butter"), _repaired("a cafÃ©")
    ('bread & butter', 'a café')
    """
    return re.sub(LINE_ENDS, " ", html.unescape(html.unescape(ftfy.fix_text(text)))).strip()


def word_count(text: str) -> int:
    """Return how many words a caption has, about: of scripts without spaces, two letters are one.

    >>> word_count("a red bus"), word_count("赤いバスが店の前に止まる")
    (3, 6)
    """
    return max(len(text.split()), len(UNSPACED.findall(text)) // LETTERS_OF_A_WORD)


# The form of delimited lines, by the first of them: separator, quotes, header, columns of captions.


# What columns of captions are called, in order of preference
COLUMNS = (
    *("caption", "captions", "text", "title", "sentence", "sentences", "description", "alt", "comment"),
    *("raw", "re_caption", "recaption", "raw_caption", "caption_str"),
)
SEVERAL = re.compile(r"captions?[ _-]?\d+$", re.IGNORECASE)  # caption_0, caption_1
BESIDE = frozenset(  # what columns beside captions are called
    [
        *("image", "images", "image_name", "image_path", "image_id", "img", "img_id", "imgid", "filename"),
        *("file_name", "filepath", "file", "path", "id", "key", "name", "url", "link", "idx", "index"),
        *("comment_number", "sentid"),
    ]
)
csv.field_size_limit(1 << 30)  # characters; what csv allows by itself is below a long line
SEPARATORS = ("\t", "|", ",", ";")
NAMED_SEPARATORS = {"tab": "\t", "comma": ",", "bar": "|", "semicolon": ";", "space": " ", "none": ""}
SAMPLE = 200  # lines that decide
NEARLY_ALL = 0.95
FEW_WORDS = 3
OPEN_LINES = 50  # lines over which a quoted text may go
QUOTED = '"[^"]*+(?:""[^"]*+)*+"'  # a quoted field, a quote within it doubled
FILE, NUMBER, ID, TEXT = "file", "number", "id", "text"
_FILE_NAME = re.compile(rf".*\.(?:{'|'.join(IMAGE_EXTENSIONS)})(?:#\w+)?", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?", re.IGNORECASE)
_ADDRESS_OR_ID = re.compile(r"\w+://\S+|(?=\S*\d)[\w./#:-]{6,}")
KINDS = ((FILE, _FILE_NAME), (NUMBER, _NUMBER), (ID, _ADDRESS_OR_ID))


class UnclearColumn(ValueError):
    """It is not clear which column holds the captions."""


@dataclass(frozen=True)
class LineForm:
    """How captions stand in lines.

    Attributes:
        separator: "" where a line is a caption, " " for the blank behind a file's name or before a count.
        header: the first line names the columns. quoted: quotes enclose texts that hold a separator.
        names: of the columns, "1", "2" … without a header. columns: those of captions.
        rest: the last column holds what follows, separators too.
    """

    separator: str
    header: bool
    quoted: bool
    names: tuple[str, ...]
    columns: tuple[int, ...]
    rest: bool = False

    def rows(self, lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
        """Yield the number of its last line, and the fields, of each row after the header."""
        rows = _split(lines, self.separator, self.quoted)
        if self.header:
            next(rows, None)
        yield from rows


def _field_kind(field: str) -> str:
    """Tell what a field of a file of captions holds: a file, a number, an id, or text.

    >>> [_field_kind(one) for one in ("a/1.jpg#0", "17", "COCO_val2014_000000000042", "a dog", "dog")]
    ['file', 'number', 'id', 'text', 'text']
    """
    text = field.strip()
    return next((name for name, pattern in KINDS if pattern.fullmatch(text)), TEXT)


def line_form(
    lines: Sequence[str],
    *,
    usual: str = "",
    separator: str | None = None,
    header: bool | None = None,
    column: str | None = None,
) -> LineForm:
    """Decide on the form of a file of captions by its first lines: plain, or fields with a separator.

    Args:
        lines: the first SAMPLE of them, none blank. usual: the separator that the file's ending stands for.
        separator, header, column: what the address says, None for nothing.
    Raises:
        UnclearColumn: several columns may hold the captions. ValueError: there is no such column.
    """
    choice = separator if separator is not None else _separator(lines, usual)
    quoted = choice != " " and bool(choice or usual) and quotes_enclose(lines, choice or usual)
    table = [row for _, row in _split(lines, choice, quoted)]
    if not table:
        return LineForm(choice, bool(header), quoted, ("1",), (0,))
    named = _is_header(table, bool(usual)) if header is None else header
    width = len(table[0]) if named else _width(table)
    names = tuple(cell.strip() for cell in table[0]) if named else tuple(map(str, range(1, width + 1)))
    kinds = _kinds(table[1:] if named else table, width)
    columns = choose_columns(names, [kind == TEXT for kind in kinds], column)
    rest = width > 1 and kinds[0] == FILE and columns == (width - 1,)
    return LineForm(choice, named, quoted, names, columns, rest)


def choose_columns(names: Sequence[str], texts: Sequence[bool], column: str | None) -> tuple[int, ...]:
    """Choose columns of a caption bank for concepts: the named one, else usual names, else the only text.

    Raises:
        UnclearColumn: several may be it. ValueError: there is none of this name.
    """
    if column is not None:
        if column not in names:
            raise ValueError(unknown_name(f"no column '{column}'", column, names, "Columns"))
        return (names.index(column),)
    numbers = range(len(names))
    some = [number for number in numbers if texts[number]]
    by_name = [
        number for usual in COLUMNS for number in some if names[number].lower().replace(" ", "_") == usual
    ]
    alike = [number for number in some if SEVERAL.match(names[number])]
    if by_name or len(alike) > 1 or len(some) == 1:
        return tuple(by_name[:1] or (alike if len(alike) > 1 else some))
    raise UnclearColumn(", ".join(names))


def quotes_enclose(lines: Iterable[str], separator: str) -> bool:
    """Return whether quotes enclose captions and other fields in a file of captions, as CSV has them.

    >>> quotes_enclose(['a.jpg,"a cat, asleep"'], ","), quotes_enclose(['a.jpg;"Stop" on a sign'], ";")
    (True, False)
    """
    behind = re.escape(separator)
    opens = re.compile(rf'(?:^|{behind})"')
    whole = re.compile(rf'(?:(?:{QUOTED}|[^"{behind}][^{behind}]*+)?(?:{behind}|[\r\n]*\Z))++')
    waiting: list[str] = []
    for line in lines:
        if not waiting and ('"' not in line or not opens.search(line)):
            continue
        waiting.append(line)
        if whole.fullmatch("".join(waiting)):
            waiting = []
        elif len(waiting) > OPEN_LINES or not _stays_open("".join(waiting), behind):
            return False
    return not waiting


def _stays_open(text: str, behind: str) -> bool:
    """Whether a quoted field of the text goes on in the next line."""
    closed = re.compile(rf"(?:^|{behind}){QUOTED}(?={behind}|[\r\n]*\Z)")
    return bool(re.search(rf'(?:^|{behind})"[^"]*+(?:""[^"]*+)*+\Z', closed.sub("", text)))


def _split(lines: Iterable[str], separator: str, quoted: bool) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of its last line, and the fields, of each row that is not blank."""
    if quoted and separator:
        reader = csv.reader(lines, delimiter=separator)
        yield from ((reader.line_num, row) for row in reader if row)
        return
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\r\n")
        if text.strip():
            yield number, _fields(text, separator)


def _fields(text: str, separator: str) -> list[str]:
    if separator == " ":
        first, last = text.split(None, 1), text.rsplit(None, 1)
        return first if _field_kind(first[0]) == FILE else last
    return text.split(separator) if separator else [text]


def _separator(lines: Sequence[str], usual: str) -> str:
    """The separator that all lines share and whose fields make sense; "" for none."""
    order = [usual] * bool(usual) + [one for one in SEPARATORS if one != usual]
    tables = {one: [row for _, row in _split(lines, one, quotes_enclose(lines, one))] for one in order}
    shared = {one: table for one, table in tables.items() if table and _is_shared(table)}
    headed = [one for one, table in shared.items() if _names_columns(table[0])]
    forms = [one for one, table in shared.items() if set(_outer(table)) != {TEXT}]
    tabbed = []
    for mark, table in shared.items():
        if mark in ("\t", usual) and len(set(map(len, table))) == 1:
            tabbed.append(mark)
    of_words = " " if not usual and len(lines) > 1 and _blank_parts(lines) else usual
    return next(iter([*headed, *forms, *tabbed]), of_words)


def _is_shared(table: Sequence[Sequence[str]]) -> bool:
    return sum(len(row) > 1 for row in table) >= NEARLY_ALL * len(table)


def _outer(table: Sequence[Sequence[str]]) -> tuple[str, str]:
    """The kinds of the first and of the last field of nearly all rows."""
    body = table[1:] if len(table) > 1 else table
    return _common([row[0] for row in body]), _common([row[-1] for row in body])


def _blank_parts(lines: Sequence[str]) -> bool:
    """Whether each line is a text behind the name of a file, or before a count."""
    parts = [line.split() for line in lines]
    if _common([part[0] for part in parts]) == FILE:
        return True
    if _common([part[-1] for part in parts]) != NUMBER:
        return False
    return all(len(part) > 1 and _field_kind(part[0]) == TEXT for part in parts)


def _common(fields: Sequence[str]) -> str:
    kinds = [_field_kind(field) for field in fields if field.strip()]
    least = NEARLY_ALL * max(len(kinds), 1)
    return next((kind for kind in (FILE, NUMBER, ID) if kinds.count(kind) >= least), TEXT)


def _kinds(table: Sequence[Sequence[str]], width: int) -> list[str]:
    return [_common([row[at] for row in table if at < len(row)]) for at in range(width)]


def _width(table: Sequence[Sequence[str]]) -> int:
    """The number of columns without a header: the most common; behind names of files captions have commas."""
    widths = [len(row) for row in table]
    if _common([row[0] for row in table]) == FILE:
        return sorted(widths)[int((1 - NEARLY_ALL) * len(widths))]
    return min(set(widths), key=lambda width: (-widths.count(width), width))


def _names_columns(row: Sequence[str]) -> bool:
    words = [cell.strip().lower().replace(" ", "_") for cell in row]
    usual = any(word in COLUMNS or SEVERAL.match(word) for word in words)
    return len(row) > 1 and usual and all(len(cell.split()) <= FEW_WORDS for cell in row)


def _is_header(table: Sequence[Sequence[str]], is_table: bool) -> bool:
    """Whether the first row names columns. is_table: the file's ending stands for a table."""
    first, body = table[0], table[1:]
    words = [cell.strip().lower().replace(" ", "_") for cell in first]
    if len(first) == 1:
        longer = bool(body) and median(len(row[0].split()) for row in body) >= FEW_WORDS
        if not is_table:
            return words[0] in ("caption", "captions") and longer
        return words[0] in COLUMNS or len(first[0].split()) < FEW_WORDS or not longer
    if _names_columns(first) or (set(words) & BESIDE and FILE not in map(_field_kind, first)):
        return True
    kinds = _kinds(body, len(first))
    if odd := [kind for kind in kinds if kind != TEXT]:
        same = [
            kind
            for kind, cell in zip(kinds, first, strict=True)
            if kind != TEXT and _field_kind(cell) == kind
        ]
        return len(same) < len(odd) and len(same) == 0
    return is_table and bool(body)
