"""Text files as lines, packed or not, in any encoding; texts as CLIP's tokenizer reads them. No torch."""

import codecs
import html
import io
import re
from collections.abc import Iterator
from pathlib import Path

import ftfy
import pandas as pd

from core.common.packed import open_bytes
from core.errors import CaptionError

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
    """Yield lines with their ends; only the beginning of an endless one is read into memory."""
    with io.TextIOWrapper(open_bytes(path), encoding=encoding, errors="replace", newline="") as file:
        while piece := file.readline(LONGEST_LINE):
            line = piece
            while piece and not piece.endswith(("\n", "\r")):
                piece = file.readline(BLOCK)
            yield line


def whole_lines(path: Path, encoding: str) -> Iterator[str]:
    """Yield lines as they are, for a reader of tables; NUL characters are spaces."""
    with io.TextIOWrapper(open_bytes(path), encoding=encoding, errors="replace", newline="") as file:
        for line in file:
            yield line.replace("\0", " ") if "\0" in line else line


def text_encoding(path: Path) -> str:
    """Tell the encoding of a text file: utf-8-sig, utf-16, utf-16-le, utf-16-be, or Windows-1252.

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
        text.loc[odd] = [repaired(one) for one in text.loc[odd]]
    return text, int(too_long.sum())


def repaired(text: str) -> str:
    """Repair a text as CLIP's tokenizer does.

    >>> repaired("bread &amp; butter"), repaired("a cafÃ©")
    ('bread & butter', 'a café')
    """
    return re.sub(LINE_ENDS, " ", html.unescape(html.unescape(ftfy.fix_text(text)))).strip()


def word_count(text: str) -> int:
    """Return how many words a text has, about: of scripts without spaces, two letters are one.

    >>> word_count("a red bus"), word_count("赤いバスが店の前に止まる")
    (3, 6)
    """
    return max(len(text.split()), len(UNSPACED.findall(text)) // LETTERS_OF_A_WORD)
