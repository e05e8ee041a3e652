"""Faults of what is read: flipped bits, deleted files, malformed inputs, hostile addresses."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import shutil
import signal
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
import timm
import torch
from safetensors.torch import save_file

from core.cli import main
from core.concepts.caption_bank import open_bank
from core.data.decode import decode
from core.data.images import open_images
from core.data.masks import open_masks
from core.data.shards import index_tar, read_member
from core.errors import PeregrineError
from core.measures.slice import Slice
from core.pipeline.verify import verify
from core.study.manifest import read_manifest
from core.study.uploads import HEAD as HEAD_BYTES
from core.study.uploads import check_picture
from core.training.config import read_config
from tests.bases.foreign_files import saev
from tests.bases.foreign_files import weights as dictionary
from tests.browser.harness import dashboard
from tests.campaign.outcome import Outcome
from tests.command_line import QUICK, SMALL, photos, write_given
from tests.concepts.worded import make_worded
from tests.dashboard.server.test_server import ADDRESSES, ask
from tests.data.mask_files import put_masks
from tests.study.flips import add_beside, files_of, flips, one_bit_flipped, read_all
from tests.synthetic import make_seen_study

PATIENCE = 30  # seconds that a reader may take
SECRET = "a line of a file that no visitor may have"
STRANGE = (
    b"",
    b"<!doctype html><title>404</title>",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    b"\x80\x04\x95\x1d\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R.",
    b"\0" * 4096,
)
Reader = Callable[[Path], object]


def whole_study(folder: Path) -> Path:
    """A study with every kind of file."""
    study = make_worded(make_seen_study(folder / "study"))
    add_beside(study)
    return study


def bits(rng: np.random.Generator, n: int, folder: Path) -> Outcome:
    """Single bits flipped in every file in turn: `verify` names it, and no reading ends in an exception."""
    study, outcome, kinds = whole_study(folder), Outcome(), Counter[str]()
    for path, offset, bit in flips(rng, files_of(study), n):
        name = path.relative_to(study).as_posix()
        with one_bit_flipped(path, offset, bit):
            _damaged(outcome, study, name)
        kinds[path.suffix or path.name] += 1
    outcome.note = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())
    return outcome


def deleted(rng: np.random.Generator, n: int, folder: Path) -> Outcome:
    """Single files taken away while the study is looked at; `verify` names those of its results.

    What people left and what is cached is not known to be missing once it is gone.
    """
    study, outcome = whole_study(folder), Outcome()
    files, items = files_of(study), set(read_manifest(study)["items"])
    for at in rng.permutation(len(files))[:n]:
        body = files[at].read_bytes()
        files[at].unlink()
        name = files[at].relative_to(study).as_posix()
        _damaged(outcome, study, name, named=name.partition("/")[0].partition(".")[0] in items)
        files[at].write_bytes(body)
    return outcome


def _damaged(outcome: Outcome, study: Path, name: str, *, named: bool = True) -> None:
    outcome.tried += 1
    try:
        outcome.refused += read_all(study) > 0
        found = [problem.file for problem in verify(study)]
    except PeregrineError:
        outcome.refused += 1
    except Exception as error:
        outcome.went_wrong(f"{name}: {type(error).__name__}: {error}")
    else:
        if named and not any(one == name or name.startswith(f"{one}/") for one in found):
            outcome.went_wrong(f"{name} is damaged, and verify names {found}")


def inputs(rng: np.random.Generator, n: int, folder: Path) -> Outcome:
    """Files of users, cut, changed, joined or replaced: read, or refused in one line, within PATIENCE."""
    outcome, counts = Outcome(), Counter[str]()
    for kind, (path, read) in readers(folder).items():
        whole, valid = path.read_bytes(), Outcome()
        judge(valid, kind, path, read)
        if valid.refused or valid.wrong:
            outcome.went_wrong(f"the whole {kind} is not read: {valid.examples}")
        for _ in range(n):
            path.write_bytes(malformed(rng, whole))
            judge(outcome, kind, path, read)
            counts[kind] += 1
        path.write_bytes(whole)
    outcome.note = ", ".join(counts)
    return outcome


def malformed(rng: np.random.Generator, whole: bytes) -> bytes:
    """One of the faults that files have: cut, bytes changed or put in, a part twice, or something else."""
    at, size = int(rng.integers(len(whole) + 1)), int(rng.integers(1, 64))
    noise = rng.integers(0, 256, size, dtype=np.uint8).tobytes()
    kinds = (
        lambda: whole[:at],
        lambda: whole[:at] + noise + whole[at + size :],
        lambda: whole[:at] + noise + whole[at:],
        lambda: whole + whole[:at],
        lambda: STRANGE[int(rng.integers(len(STRANGE)))],
    )
    return kinds[int(rng.integers(len(kinds)))]()


def judge(outcome: Outcome, kind: str, path: Path, read: Reader) -> None:
    said = io.StringIO()
    outcome.tried += 1
    try:
        with _patience(), contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            read(path)
    except PeregrineError as error:
        outcome.said(f"error: {error}", kind)
    except Refused:
        outcome.said(said.getvalue(), kind)
    except BaseException as error:
        outcome.went_wrong(f"{kind}: {type(error).__name__}: {error}"[:300])


class Refused(Exception):
    """A command that ended with 2."""


def _command(*words: object) -> None:
    if main([str(word) for word in words]):
        raise Refused


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    def late(*_: object) -> None:
        raise TimeoutError(f"took more than {PATIENCE} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def readers(folder: Path) -> dict[str, tuple[Path, Reader]]:
    """A valid file of each kind, and what reads it."""
    given = write_given(folder)
    rows, raw = folder / "rows.csv", folder / "raw.npy"
    study = folder / "small"
    _quietly("analyze", study, *given)
    pictures = photos(folder / "photos", {"cat": 3, "dog": 3})
    one, dry = pictures / "cat" / "0.png", (*SMALL, *QUICK, "--dry-run")
    shard, table, coco = folder / "shard.tar", folder / "rows.parquet", folder / "coco.json"
    with tarfile.open(shard, "w") as tar:
        for path in sorted(pictures.rglob("*.png")):
            tar.add(path, f"{path.parent.name}_{path.name}")
    pd.read_csv(rows).to_parquet(table)
    kinds = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    images = [{"id": at, "file_name": f"cat/{at}.png", "width": 12, "height": 10} for at in range(3)]
    boxes = [{"id": at, "image_id": at, "category_id": 1, "bbox": [1, 1, 5, 5]} for at in range(3)]
    coco.write_text(json.dumps({"images": images, "annotations": boxes, "categories": kinds}))
    weights, pickled = folder / "w.safetensors", folder / "w.pt"
    state = timm.create_model("resnet10t").state_dict()
    save_file(state, str(weights))
    torch.save(state, pickled)
    answers, config, captions = folder / "answers.csv", folder / "train.toml", folder / "captions.csv"
    answers.write_text("image_id,predicted\n" + "".join(f"{row},cat\n" for row in range(40)))
    config.write_text(
        'images = "photos"\noutput = "e.safetensors"\nmethod = "simclr"\n[augment]\ncrop_scale = [0.3, 1.0]\n'
    )
    captions.write_text("caption\n" + "".join(f"a {word} dog\n" for word in ("red", "green", "big")))
    links = folder / "slice.txt"
    links.write_text('label=cat correct=false q_score=..0.2 "fires"=3')
    masks, outlines = folder / "masks", folder / "masks.json"
    half = np.repeat([0, 255], 5)[:, None] * np.ones(12)
    names = [str(path.relative_to(pictures)) for path in sorted(pictures.rglob("*.png"))]
    put_masks(masks / "core", dict.fromkeys(names, half))
    parts = [
        {"id": at, "image_id": at, "category_id": 1, "segmentation": [[1, 1, 8, 1, 8, 8]]} for at in range(3)
    ]
    outlines.write_text(json.dumps({"images": images, "annotations": parts, "categories": kinds}))
    one_mask, listed = masks / "core" / "cat" / "0.png", open_images(str(pictures))
    upload, index = folder / "upload.png", folder / "index.tar"
    shutil.copyfile(one, upload)
    shutil.copyfile(shard, index)
    basis = saev(folder, dictionary(0, 32, 64), {"d_vit": 32, "exp_factor": 2, "l1_coeff": 0.1})

    def images_of(path: Path) -> None:
        _command("analyze", folder / "new", "--images", path, *dry)

    def encoder(path: Path) -> None:
        words = ("--encoder", f"timm:resnet10t@{path}", "--input-size", 32)
        _command("analyze", folder / "new", "--images", pictures, *words, *QUICK, "--dry-run")

    def with_vectors(path: Path) -> None:
        words = ("--images", table if path == table else rows, "--representations", raw)
        _command("analyze", folder / "new", *words, *QUICK, "--dry-run")

    def mask(path: Path) -> None:
        opened = open_masks(masks=masks if path == one_mask else path, source=listed)
        assert opened is not None
        opened.read("cat/0.png", "core")

    def uploaded(path: Path) -> None:
        data = path.read_bytes()
        check_picture(data[:HEAD_BYTES], len(data))
        decode(data)

    def members(path: Path) -> None:
        found = index_tar(str(path))
        for member in found.members:
            assert len(read_member(str(path), member.offset, member.size)) == member.size
        if found.damage:
            raise PeregrineError(found.damage)

    return {
        "mask": (one_mask, mask),
        "COCO masks": (outlines, mask),
        "upload": (upload, uploaded),
        "index of a tar": (index, members),
        "csv of images": (rows, with_vectors),
        "npy of vectors": (raw, with_vectors),
        "parquet of images": (table, with_vectors),
        "picture": (one, lambda path: images_of(pictures)),
        "tar of pictures": (shard, images_of),
        "COCO json": (coco, images_of),
        "safetensors": (weights, encoder),
        "pickled weights": (pickled, encoder),
        "csv of predictions": (
            answers,
            lambda path: _command("answers", study, "--add", path, "--name", "x"),
        ),
        "dictionary": (basis, lambda path: _command("basis", study, "--load", path, "--name", "x")),
        "captions": (captions, lambda path: open_bank(str(path))),
        "training settings": (config, read_config),
        "slice of a link": (links, lambda path: Slice.parse(path.read_bytes().decode("utf-8", "replace"))),
    }


def _quietly(*words: object) -> None:
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        _command(*words)


HOSTILE = (
    *("../../../secret.txt", "..%2f..%2fsecret.txt", "%2e%2e/secret.txt", "....//secret.txt", "/etc/passwd"),
    *(
        "-1",
        "99999999999999999999",
        "1e9",
        "nan",
        "0x10",
        "０",
        "<script>alert(1)</script>",
        "'\"><img src=x>",
    ),
    *("%00", "a\nSet-Cookie: x=1", "%0d%0aX: y", "🦅" * 50, "a" * 8000, "{{7*7}}", "$(id)", ";ls", "\\..\\"),
    *(
        "demo/../demo",
        ".",
        "..",
        "*",
        "%",
        "%zz",
        "null",
        "[]",
        "{}",
        "label=a where=b",
        '@"x"',
        "fires=9999999",
    ),
)
ROUTES = (
    *("/thumb/demo/{}", "/thumb/{}/0", "/image/demo/{}", "/image/{}/0", "/overlay/demo/0?features={}"),
    *(
        "/overlay/{}/0",
        "/overlay/demo/{}",
        "/points/{}",
        "/points/demo?{}",
        "/table/demo/{}",
        "/{}",
        "/media/{}",
    ),
    *("/table/{}/images.csv", "/table/demo/images.csv?where={}", "/features?study={}", "/?where={}"),
    *("/image?study=demo&image={}", "/compare?study=demo&compare_with={}", "/component/{}/x.js"),
    *("/static/{}", "/app/static/{}", "/_stcore/{}"),
)


def addresses(rng: np.random.Generator, n: int, folder: Path) -> Outcome:
    """Requests with hostile names, numbers and parameters: no server error, nothing of another file."""
    served = folder / "served"
    served.mkdir()
    shutil.move(whole_study(folder), served / "demo")
    (folder / "secret.txt").write_text(SECRET)
    outcome, codes = Outcome(), Counter[int]()
    with dashboard(served) as url:
        for _ in range(n):
            value = HOSTILE[int(rng.integers(len(HOSTILE)))]
            value = quote(value, safe="/%") if rng.random() < 0.7 else quote(value, safe="")
            path = ROUTES[int(rng.integers(len(ROUTES)))].format(value)
            outcome.tried += 1
            try:
                answer = ask(url, path)
            except (OSError, http.client.HTTPException) as error:
                outcome.went_wrong(f"{path[:200]}: {type(error).__name__}: {error}")
                continue
            codes[answer.status] += 1
            outcome.refused += answer.status >= 400
            named = str(folder) in answer.text  # where the studies lie is nobody's business
            if answer.status >= 500 or named or SECRET in answer.text or "root:" in answer.text:
                outcome.went_wrong(f"{path[:200]}: {answer.status}")
        if any(ask(url, path).status >= 500 for path in ADDRESSES):
            outcome.went_wrong("afterwards the server does not answer")
    outcome.note = ", ".join(f"{code}: {count}" for code, count in sorted(codes.items()))
    return outcome
