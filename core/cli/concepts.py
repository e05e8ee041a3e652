"""The command `decompose`: the concepts of one image."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.cli import options, output
from core.cli.sentences import say_of_command
from core.common.formatting import aligned, counted, json_text, percent
from core.config import RunOptions
from core.errors import SettingsError, UnreadableImage
from core.study.progress import Progress, replace_text

if TYPE_CHECKING:
    from PIL import Image

    from core.store import Study


def add_decompose(commands: Any) -> None:
    """Add the command `decompose` to the command line."""
    sub = options.add_command(
        commands,
        "decompose",
        decompose,
        "explain one image: its strongest features in words, where they are, and what the probe predicts",
        "decompose studies/demo --file photo.jpg --json",
    )
    options.add_study(sub)
    options.add_answer(sub)
    which = sub.add_mutually_exclusive_group(required=True)
    which.add_argument("--image", metavar="ID", help="id of an image of the study")
    which.add_argument("--file", type=Path, metavar="PATH", help="any other image; it is not stored")
    sub.add_argument(
        "--true", metavar="CLASS", help="true class of the --file, to see which features support it"
    )
    sub.add_argument(
        "--top", type=options.POSITIVE, metavar="N", help="maximum number of features (default: 12)"
    )
    sub.add_argument("--pictures", action="store_true", help="include small crops in the result")
    options.add_output(sub, "write the result to a JSON file", required=False)
    options.add_options(sub, RunOptions, "device")
    options.add_json(sub)


def decompose(args: argparse.Namespace) -> None:
    """Run the command `decompose`: explain one image, and print the result or write it."""
    study = options.study_of(args)
    with Progress.for_command(None, stages_total=3) as progress:
        result = _explain(study, args, progress)
        if "output" in args:
            replace_text(args.output, json_text(result))
    if "output" in args:
        print(f"{args.output}: {counted(len(result['features']), 'feature')}")
    else:
        text = partial(_result_text, kind=study.feature_kind.lower())
        output.show(result, text, as_json="json" in args, of=study)


def _explain(study: Study, args: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from core.pictures.decomposition import TOP, check_class

    true = _true_class(study, args)
    check_class(study, true)
    with progress.stage("reading the image"):
        picture = _picture(study, args)
    with progress.stage("loading the encoder"):
        from core.analysis.heatmaps_on_demand import study_encoder
        from core.common.device import resolve_device
        from core.pictures import decompose as computing

        encoder = study_encoder(study, resolve_device(getattr(args, "device", "auto")))
    with progress.stage("explaining the image"):
        top = getattr(args, "top", TOP)
        result = computing.decompose(study, picture, encoder=encoder, top=top, true=true)
        return computing.with_pictures(result, picture) if "pictures" in args else result


def _true_class(study: Study, args: argparse.Namespace) -> str | None:
    if "image" not in args:
        return getattr(args, "true", None)
    if "true" in args:
        raise SettingsError("--true belongs to --file: the study knows the class of its own images")
    from core.pictures.decomposition import can_tell

    label = study.images["label"].iat[study.row_of(args.image)]
    return label if isinstance(label, str) and can_tell(study, label) else None


def _picture(study: Study, args: argparse.Namespace) -> Image.Image:
    """Return the image to explain; UnreadableImage names it."""
    from core.data.decode import decode

    if "image" in args:
        return study.image(args.image)
    try:
        return decode(args.file)
    except UnreadableImage as error:
        raise UnreadableImage(
            say_of_command("file_unread", what=str(args.file), why=_reason(args.file, error))
        ) from error


def _reason(path: Path, error: Exception) -> str:
    """Say why a file cannot be decoded; its first bytes often tell more than the decoder."""
    from core.study.uploads import HEAD, check_format

    try:
        with open(path, "rb") as file:
            if head := file.read(HEAD):
                check_format(head)
    except OSError:
        pass
    except UnreadableImage as other:
        return str(other)
    return str(error)


def _result_text(result: Mapping[str, Any], kind: str = "feature") -> str:
    """Return the lines that the command `decompose` prints. kind: "latent" in a basis."""
    n, lines = result["n_features"], []
    of_all = say_of_command("shown", n=len(result["features"])) if n > len(result["features"]) else ""
    lines.append(("activates", f"{counted(n, kind)} above {result['alpha']:.3f}{of_all}"))
    for part in result["features"]:
        box = " at " + ",".join(map(str, part["box"])) if part["box"] else ""
        words = ", ".join(part["words"]) or "no words"
        lines.append((f"{kind} {part['feature']}", f"{part['activation']:.3f}{box}: {words}"))
    for side, name in (("answer", "predicted"), ("truth", "true")):
        if result[side]:
            what = "predicted" if side == "answer" else "true class"
            lines.append((what, f"{result[side][name]} ({percent(result[side]['confidence'])})"))
            behind = zip(
                result[side]["features"], result[side]["contributions"], result[side]["words"], strict=True
            )
            for feature, value, words in behind:
                lines.append((what, f"  {value:+.2f} {kind} {feature}: {', '.join(words) or 'no words'}"))
    return aligned([*lines, *(("note", note) for note in result["notes"])])
