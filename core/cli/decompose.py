"""The command `decompose`: one picture as the features that it activates highly."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.cli import options
from core.jobs.progress import Progress

if TYPE_CHECKING:
    from PIL import Image

    from core.store import Study


def add_decompose(commands: Any, add: Callable[..., argparse.ArgumentParser]) -> None:
    """The command and its options."""
    sub = add(
        commands,
        "decompose",
        decompose,
        "say in words what one picture activates, where, and what the probe makes of it",
        "decompose studies/demo --file photo.jpg --json",
    )
    options.add_study(sub)
    which = sub.add_mutually_exclusive_group(required=True)
    which.add_argument("--image", metavar="ID", help="an image of the study")
    which.add_argument("--file", type=Path, metavar="PATH", help="any picture; nothing of it is stored")
    sub.add_argument("--true", metavar="CLASS", help="its class, to see what speaks for that (of a --file)")
    sub.add_argument(
        "--top", type=options.POSITIVE, metavar="N", help="at most so many features (default 12)"
    )
    sub.add_argument("--pictures", action="store_true", help="put small crops into the result")
    sub.add_argument("--remove-file", action="store_true", help="delete the --file once it has been read")
    sub.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the result there, as JSON")
    options.add_device(sub)
    options.add_json(sub)


def decompose(args: argparse.Namespace) -> None:
    """Run the command."""
    from core.cli import output
    from core.common import formatting
    from core.store import open_study

    if "remove_file" in args:
        _check_removable(args)
    try:
        study = open_study(args.study)
        with Progress.for_command(None, stages_total=3) as progress:
            found = _look(study, args, progress)
            if "output" in args:
                _write(args.output, formatting.json_text(found))
    finally:
        if "remove_file" in args and "file" in args:
            args.file.unlink(missing_ok=True)
    if "output" in args:
        print(f"{args.output}: {len(found['features'])} features")
    else:
        output.show(found, result_text, as_json="json" in args)


def _check_removable(args: argparse.Namespace) -> None:
    """Raise SettingsError where --remove-file would delete something else than an uploaded picture."""
    from core.errors import SettingsError
    from core.jobs.uploads import is_upload

    if "file" not in args or not is_upload(args.file):
        raise SettingsError("--remove-file is for pictures uploaded to the dashboard; leave it out")


def _look(study: Study, args: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from core.concepts.decomposition import TOP, check_class
    from core.concepts.transfer.across import check_has_concepts

    true = _true_class(study, args)
    check_has_concepts(study)
    check_class(study, true)
    with progress.stage("reading the picture"):
        picture = _picture(study, args)
    with progress.stage("loading the encoder"):
        from core.analysis.gradcam.on_demand import study_encoder
        from core.common.device import resolve_device
        from core.concepts import decompose as computing

        encoder = study_encoder(study, resolve_device(getattr(args, "device", "auto")))
    with progress.stage("looking at it"):
        top = getattr(args, "top", TOP)
        found = computing.decompose(study, picture, encoder=encoder, top=top, true=true)
        return computing.with_pictures(found, picture) if "pictures" in args else found


def _true_class(study: Study, args: argparse.Namespace) -> str | None:
    if "image" not in args:
        return getattr(args, "true", None)
    label = study.images["label"].iat[study.row_of(args.image)]
    return label if isinstance(label, str) and study.has("probe_weights") else None


def _picture(study: Study, args: argparse.Namespace) -> Image.Image:
    """The picture asked for; UnreadableImage names it."""
    from core.data.sources.decode import decode
    from core.errors import UnreadableImage

    if "image" in args:
        return study.image(args.image)
    name = "the picture" if "remove_file" in args else f"'{args.file}'"
    try:
        return decode(args.file)
    except UnreadableImage as error:
        raise UnreadableImage(f"cannot look at {name}: {_reason(args.file, error)}") from error


def _reason(path: Path, error: Exception) -> str:
    """What a file is that cannot be decoded, where its first bytes say more than the decoder."""
    from core.errors import UnreadableImage
    from core.jobs.uploads import HEAD, check_format

    try:
        with open(path, "rb") as file:
            if head := file.read(HEAD):
                check_format(head)
    except OSError:
        pass
    except UnreadableImage as other:
        return str(other)
    return str(error)


def _write(path: Path, text: str) -> None:
    """The result appears only when complete, and is nobody else's to read."""
    import os

    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def result_text(found: Mapping[str, Any]) -> str:
    """What the command prints for people."""
    from core.common.formatting import aligned, counted, percent

    n, lines = found["n_features"], []
    shown = f", the strongest {len(found['features'])} shown" if n > len(found["features"]) else ""
    lines.append(("activates", f"{counted(n, 'feature')} above {found['alpha']:.3f}{shown}"))
    for part in found["features"]:
        box = " at " + ",".join(map(str, part["box"])) if part["box"] else ""
        said = ", ".join(part["words"]) or "no words"
        lines.append((f"feature {part['feature']}", f"{part['activation']:.3f}{box}: {said}"))
    for side, name in (("answer", "predicted"), ("truth", "true")):
        if found[side]:
            what = "the probe says" if side == "answer" else "the truth"
            lines.append((what, f"{found[side][name]} ({percent(found[side]['confidence'])})"))
            behind = zip(
                found[side]["features"], found[side]["contributions"], found[side]["words"], strict=True
            )
            for feature, value, words in behind:
                lines.append((what, f"  {value:+.2f} feature {feature}: {', '.join(words) or 'no words'}"))
    return aligned(lines)
