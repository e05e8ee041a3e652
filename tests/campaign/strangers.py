"""Files of strangers that are whole: WebDataset shards and predictions with members and rows that differ.

What is read has to be what the file says, or the line to say why not.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from core.cli import main
from core.data.images import open_images
from core.data.source import UnreadableImage
from core.errors import PeregrineError
from core.store import open_study
from tests.campaign.outcome import Outcome
from tests.command_line import write_given

KEYS = (
    *("{}", "a b {}", "dog/{}", "./x/{}", "/abs/{}", "../up/{}", "b.c/{}", "ü{}", "-{}", "_{}"),
    *("x" * 150 + "{}", "a\nb{}", "%2e{}", "CON{}", "{}\\c"),
)
ENDINGS = ("png", "PNG", "img.png", "Jpg", "jpeg")
LABELS: tuple[tuple[str, str | None], ...] = (  # what a .cls holds, and the label that it is
    *(("0", "0"), ("1", "1"), ("cat", "cat"), (" dog \n", "dog"), ("nan", "nan"), ("", None)),
    *(("犬", "犬"), ("1.5", "1.5"), ("<b>", "<b>"), ("None", "None")),
)
Row = list[Any]


def _picture(number: int, ending: str) -> bytes:
    """A picture of one grey, which tells which it is."""
    file = io.BytesIO()
    Image.new("L", (16, 16), 4 * number + 8).save(
        file, "PNG" if "png" in ending.lower() else "JPEG", quality=95
    )
    return file.getvalue()


def shards(rng: np.random.Generator, n: int, folder: Path) -> Outcome:
    """Shards with missing, doubled, empty and oddly named members: each image has its label, or a line."""
    outcome, met = Outcome(), Counter[str]()
    for number in range(n):
        path = folder / f"train-{number:04d}.tar"
        whole, kinds = _write_shard(rng, path)
        outcome.tried += 1
        met.update(kinds)
        try:
            source = open_images(str(path))
        except PeregrineError as error:
            outcome.said(f"error: {error}\n", str(kinds))
            continue
        except Exception as error:
            outcome.went_wrong(f"{kinds}: {type(error).__name__}: {error}"[:400])
            continue
        seen = _read_all(outcome, source, kinds)
        outcome.refused += len(seen) < len(whole)
        said = [note for note in source.notes if "ignored" in note or "skipped" in note]
        unread = kinds.count("an empty picture")
        if len(seen) < len(whole) - unread and not said:
            outcome.went_wrong(f"{kinds}: {len(whole)} images, {len(seen)} are read, and nothing is said")
        for image, label in seen.items():
            if label not in whole.get(image, ("no such image",)):
                outcome.went_wrong(f"{kinds}: image {image} has the label {label!r}, not {whole.get(image)}")
        path.unlink()
    outcome.note = ", ".join(f"{kind} {count}" for kind, count in met.most_common())
    return outcome


def _read_all(outcome: Outcome, source: Any, kinds: list[str]) -> dict[int, str | None]:
    """The label of each image that can be read, by the number that its grey tells."""
    seen: dict[int, str | None] = {}
    for row, label in enumerate(source.table["label"]):
        try:
            grey = np.asarray(source.read(row).convert("L")).mean()
        except UnreadableImage:
            continue
        except Exception as error:
            outcome.went_wrong(f"{kinds}: {type(error).__name__}: {error}"[:400])
            continue
        seen[round((grey - 8) / 4)] = None if pd.isna(label) else str(label)
    return seen


def _write_shard(rng: np.random.Generator, path: Path) -> tuple[dict[int, tuple[str | None, ...]], list[str]]:
    """Write a shard; return the labels that each of its images may have, and what is odd about it."""
    whole: dict[int, tuple[str | None, ...]] = {}
    n_samples, kinds = int(rng.integers(4, 12)), []
    with tarfile.open(path, "w") as tar:
        for at in range(n_samples):
            key = KEYS[int(rng.integers(len(KEYS)))] if rng.random() < 0.4 else "{}"
            key = key.format(f"{at:03d}")
            ending = ENDINGS[int(rng.integers(len(ENDINGS)))] if rng.random() < 0.3 else "png"
            text, label = LABELS[int(rng.integers(len(LABELS)))] if rng.random() < 0.5 else ("cat", "cat")
            odd = str(rng.choice(ODD)) if rng.random() < 0.3 else ""
            kinds += [odd] * bool(odd)
            if odd == "a folder":
                member = tarfile.TarInfo(f"{key}.png")
                member.type = tarfile.DIRTYPE
                tar.addfile(member)
                _add(tar, f"{key}.cls", text.encode())
                continue
            if odd == "a link":
                member = tarfile.TarInfo(f"{key}.png")
                member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
                tar.addfile(member)
                continue
            if odd != "no picture":
                whole[at] = (label,)
                _add(tar, f"{key}.{ending}", b"" if odd == "an empty picture" else _picture(at, ending))
            if odd == "no label":
                whole[at] = (None,)
            elif odd == "json":
                _add(tar, f"{key}.json", json.dumps({"label": text, "x": float("nan")}).encode())
                whole[at] = (label, text)
            elif odd == "json that is none":
                _add(tar, f"{key}.json", b"[[[{")
                whole[at] = (None,)
            else:
                _add(tar, f"{key}.cls", text.encode())
            if odd == "label twice":
                _add(tar, f"{key}.cls", b"another")
                whole[at] = (label, "another")
            if odd == "picture twice":
                _add(tar, f"{key}.{ending}", _picture(at + 20, ending))
                whole[at + 20] = (label,)
            if odd == "another file":
                _add(tar, f"{key}.npy", b"\x93NUMPY")
    return whole, kinds


ODD = (
    *("a folder", "a link", "no picture", "an empty picture", "no label", "json", "json that is none"),
    *("label twice", "picture twice", "another file"),
)


def _add(tar: tarfile.TarFile, name: str, body: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(body)
    tar.addfile(member, io.BytesIO(body))


def predictions(rng: np.random.Generator, n: int, folder: Path) -> Outcome:
    """Tables of predictions: the class that the file names for an image, none, or a line."""
    kept, study, path = folder / "kept", folder / "study", folder / "mine.csv"
    assert not _run("analyze", kept, *write_given(folder))[0]
    outcome, met = Outcome(), Counter[str]()
    ids = [str(one) for one in open_study(kept).images["image_id"]]
    for number in range(n):
        shutil.rmtree(study, ignore_errors=True)
        shutil.copytree(kept, study)
        rows = [[one, str(rng.choice(["cat", "dog"])), f"{rng.uniform(0.5, 1):.3f}"] for one in ids]
        kind = list(TABLES)[number % len(TABLES)]
        head, rows = TABLES[kind](rng, rows)
        text = "".join(f"{','.join(row)}\n" for row in [head, *rows])
        path.write_bytes(ENCODED[int(rng.integers(len(ENCODED)))](text))
        outcome.tried += 1
        met[kind] += 1
        code, said = _run("answers", study, "--add", path, "--name", "mine")
        if code:
            outcome.said(said, kind)
            continue
        told: dict[str, set[str]] = {}
        for row in rows:
            told.setdefault(row[0].strip().strip('"'), set()).add(row[1].strip().strip('"'))
        table = open_study(study).answering("mine").table("probe")
        for image, predicted in zip(ids, table["predicted"], strict=True):
            expected = told.get(image, set())
            if not pd.isna(predicted) and (len(expected) != 1 or str(predicted) not in expected):
                outcome.went_wrong(f"{kind}: image {image} reads {predicted!r}, the file says {expected}")
                break
    outcome.note = ", ".join(met)
    return outcome


def _run(*words: object) -> tuple[int, str]:
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = main([str(word) for word in words])
    return code, said.getvalue()


HEAD = ["image_id", "predicted", "confidence"]
Table = Callable[[np.random.Generator, list[Row]], tuple[list[str], list[Row]]]


def _with(column: int, *values: str) -> Table:
    """One of these values in a random row of a column."""

    def table(rng: np.random.Generator, rows: list[Row]) -> tuple[list[str], list[Row]]:
        rows[int(rng.integers(len(rows)))][column] = values[int(rng.integers(len(values)))]
        return HEAD, rows

    return table


TABLES: dict[str, Table] = {
    "as it should be": lambda rng, rows: (HEAD, rows),
    "another order": lambda rng, rows: (HEAD, [rows[int(at)] for at in rng.permutation(len(rows))]),
    "rows missing": lambda rng, rows: (HEAD, rows[: int(rng.integers(len(rows)))]),
    "rows of no image": lambda rng, rows: (HEAD, [*rows, ["99", "cat", "0.5"], ["x", "dog", "0.5"]]),
    "a row twice": lambda rng, rows: (HEAD, [*rows, rows[0]]),
    "two rows of an image": lambda rng, rows: (HEAD, [*rows, [rows[0][0], "another", "0.5"]]),
    "an id of another form": _with(0, "1.0", "01", "1e0", "", "nan", "-1", "+3", " 7 ", "7;"),
    "no class": _with(1, "", "nan", "NaN", "None", "NA"),
    "a class of another name": _with(1, "Cat", "cat.", "bird", "<b>", "0", "猫", "a" * 5000, '"a, b"'),
    "a confidence that is none": _with(2, "nan", "", "-0.1", "1.5", "high", "1e999", "inf", "0,5", "50%"),
    "no column of ids": lambda rng, rows: (["file", *HEAD[1:]], rows),
    "a column twice": lambda rng, rows: (["image_id", "predicted", "predicted"], rows),
    "ids with a path": lambda rng, rows: (HEAD, [[f"/data/{row[0]}", *row[1:]] for row in rows]),
    "a cell too many": lambda rng, rows: (HEAD, [[*row, "more"] if row is rows[3] else row for row in rows]),
    "a cell too few": lambda rng, rows: (HEAD, [row[:2] if row is rows[3] else row for row in rows]),
    "no rows": lambda rng, rows: (HEAD, []),
    "names with spaces": lambda rng, rows: ([f" {name} " for name in HEAD], rows),
}
ENCODED: tuple[Callable[[str], bytes], ...] = (
    lambda text: text.encode(),
    lambda text: text.encode(),
    lambda text: text.replace("\n", "\r\n").encode("utf-8-sig"),
    lambda text: text.encode("utf-16"),
    lambda text: text.replace(",", ";").encode(),
)
