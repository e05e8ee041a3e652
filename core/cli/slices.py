"""The commands `slices` (the saved slices of a study, and those with the highest error rates) and `inspect`
(everything about one slice), and `notes` (what people left on images and features).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.cli import options, output
from core.cli.errors import refuse_options
from core.cli.sentences import say_of_command
from core.common.command_line import command_line
from core.common.formatting import aligned, counted, first_of, number, percent, with_interval

if TYPE_CHECKING:
    from core.store import Study


def add_slices(commands: Any) -> None:
    """Add the command `slices` to the command line."""
    sub = options.add_command(
        commands,
        "slices",
        slices,
        "list the saved slices of a study, or find those with the highest error rates",
        "slices studies/demo --worst 10",
    )
    options.add_study(sub)
    sub.add_argument("--worst", type=options.POSITIVE, metavar="N", help="find the N worst slices instead")
    sub.add_argument(
        "--against",
        choices=["all", "class"],
        help="compare worst slices with all other images or with the rest of their class (default: all)",
    )
    sub.add_argument(
        "--min-images",
        type=options.POSITIVE,
        metavar="N",
        help="minimum number of images in a worst slice (default: 10)",
    )
    options.add_answer(sub)
    options.add_json(sub)


SHOWN = 10  # features, confusions and words that the text lists


def add_inspect(commands: Any) -> None:
    """Add the command `inspect` to the command line."""
    sub = options.add_command(
        commands,
        "inspect",
        inspect,
        "print everything about the images of a slice, and what makes them different from others",
        "inspect studies/demo --where label=bird",
        "inspect studies/demo --where label=bird --against label=dog --json",
        "inspect studies/demo --where correct=false --without 3,98",
        notes=options.POPULATION,
    )
    options.add_study(sub)
    options.add_where(sub, "inspect the images of this slice instead of all evaluation images")
    sub.add_argument(
        "--against",
        metavar="SLICE",
        help="compare with the images of this slice instead of all others of the same split",
    )
    sub.add_argument(
        "--without",
        type=options.FEATURES,
        metavar="J,K",
        help="also answer with these features switched off, beside as many random ones",
    )
    options.add_answer(sub)
    options.add_json(sub)


def inspect(args: argparse.Namespace) -> None:
    """Run the command `inspect`: print everything about the images of a slice."""
    from core.measures.inspect import inspect as inspect_slice
    from core.measures.slice import Slice

    study = options.study_of(args)
    where = Slice.parse(args.where) if "where" in args else Slice()
    against = Slice.parse(args.against) if "against" in args else None
    report = {"study": str(study.path), **inspect_slice(study, where, against, means=True)}
    if "without" in args:
        import numpy as np

        from core.analysis.predictor import without_features
        from core.analysis.removal import switched_off_table

        rows = np.flatnonzero(study.where(where).inside)
        _, made = without_features(study, rows, args.without)
        report["without"] = switched_off_table(made).to_dict("records")
    output.show(report, _inspection_text, as_json="json" in args, of=study.where(where))


def _inspection_text(report: Mapping[str, Any]) -> str:
    """Return what the command `inspect` prints: numbers of a slice, and the first lines of its lists."""
    pairs = [f"{row['true']} → {row['predicted']} {row['n']:,}" for row in report["confusions"]]
    scores = [row for row in report["scores"] if not math.isnan(row["auroc"])]
    features = [row for row in report["features"][:SHOWN] if row["difference"] > 0]
    undefined = next((row["reason"] for row in report["scores"] if not scores), "")
    inside, outside = counted(report["n"], "image"), counted(report["n_against"], "image")
    lines = [
        ("study", report["study"]),
        ("images", f"{inside}: {report['images']}"),
        ("against", f"{outside}: {report['others']}"),
        ("accuracy", _share(report, "accuracy")),
        ("confidence", _mean(report, "mean_confidence")),
        ("Q-Score", _mean(report, "mean_q")),
        ("firing", say_of_command("on_an_image", what=_mean(report, "n_firing", 2))),
    ]
    lines += [("confusions", first_of(pairs, SHOWN) or "none")]
    lines += [("AUROC", _score_line(row)) for row in scores]
    lines += [("AUROC", _too_few(scores))]
    lines += [("AUROC", f"{number(None)}: {undefined}" if undefined else "")]
    lines += [("mIoU", _overlap_line(report, mask)) for mask in ("core", "spurious")]
    lines += [("features", _rates(say_of_command("fires_on", what=_named(row)), row)) for row in features]
    lines += [("words", _rates(f"{row['word']} on", row)) for row in report["words"][:SHOWN]]
    lines += [("answer", _without_line(row)) for row in report.get("without", ())]
    lines += [("note", line) for line in report["notes"]]
    return aligned(lines)


def _share(report: Mapping[str, Any], name: str) -> str:
    low, high = report[f"{name}_interval"]
    ends = "" if math.isnan(low) else f" ({100 * low:.1f} to {100 * high:.1f})"
    return percent(report[name]) + ends


def _mean(report: Mapping[str, Any], name: str, digits: int = 3) -> str:
    low, high = report[f"{name}_interval"]
    return with_interval(report[name], low, high, digits)


def _score_line(row: Mapping[str, Any]) -> str:
    from core.common.score_names import score_label

    auroc = with_interval(row["auroc"], row["low"], row["high"])
    augrc = with_interval(row["augrc"], row["augrc_low"], row["augrc_high"])
    return f"{score_label(row['score'])} {auroc}; AUGRC {augrc}"


def _too_few(scores: list[Mapping[str, Any]]) -> str:
    """Say that the AUROCs of a slice are of too few errors to tell one from chance; else ''."""
    from core.measures.chance import outcomes, too_few_outcomes

    few = too_few_outcomes(*outcomes(scores[0])) if scores else ""
    return say_of_command("few_errors", why=few) if few else ""


def _overlap_line(report: Mapping[str, Any], mask: str) -> str:
    n = report[f"miou_{mask}_n"]
    controls = [row for row in report["controls"] if row["mask"] == mask]
    if not n:
        return ""
    scale = ", ".join(f"{row['control']} {number(row['value'])}" for row in controls)
    return f"{mask} {_mean(report, f'miou_{mask}')} on {counted(n, 'image')}; {scale}"


def _named(row: Mapping[str, Any]) -> str:
    return f"{row['feature']} ({row['name']})" if row["name"] else str(row["feature"])


def _without_line(row: Mapping[str, Any]) -> str:
    ends = f" ({100 * row['accuracy_low']:.1f} to {100 * row['accuracy_high']:.1f})"
    accuracy = f"accuracy {percent(row['accuracy'])}{ends}" if row["n_judged"] else "accuracy not defined"
    return say_of_command("without", what=row["features"], why=accuracy, value=row["flipped"])


def _rates(name: str, row: Mapping[str, Any]) -> str:
    ends = f"{100 * row['low']:.1f} to {100 * row['high']:.1f}"
    rates = f"{percent(row['rate'])}, others {percent(row['rate_against'])}"
    return f"{name} {rates}, difference {100 * row['difference']:.1f} ({ends}), q {row['q']:.2g}"


def slices(args: argparse.Namespace) -> None:
    """Run the command `slices`: print the saved slices or the worst ones."""
    study = options.study_of(args)
    if "worst" in args:
        given = {name: getattr(args, name) for name in ("against", "min_images") if name in args}
        report = _worst_report(study, args.worst, given)
        output.show(report, _worst_text, as_json="json" in args, of=study)
    else:
        from core.measures import saved_slices

        refuse_options(args, ("against", "min_images"), "is of the worst slices; add --worst N")
        report = {"study": str(study.path), "slices": saved_slices.listed(study)}
        output.show(report, _saved_text, as_json="json" in args)


def add_notes(commands: Any) -> None:
    """Add the command `notes` to the command line."""
    summary = "list the notes, tags, doubted labels and names that people left in a study"
    sub = options.add_command(commands, "notes", notes, summary, "notes studies/demo")
    options.add_study(sub)
    options.add_json(sub)


def notes(args: argparse.Namespace) -> None:
    """Run the command `notes`: print what people left on the images and features of a study."""
    from core.store import Study

    output.show(_notes_report(Study(args.study)), _notes_text, as_json="json" in args)


def _notes_report(study: Study) -> dict[str, Any]:
    """Return what the command `notes` reports: traces of the images (with labels) and of the features."""
    from core.study import traces
    from core.study import traces as tables

    by_key = traces.read_traces(study.path)
    images, features = tables.images_table(study), tables.features_table(study)
    return {
        "study": str(study.path),
        "images": [
            {**row, "tags": list(by_key.images[row["image_id"]].tags)} for row in images.to_dict("records")
        ],
        "features": [
            {**row, "tags": list(by_key.features[row["feature"]].tags)} for row in features.to_dict("records")
        ],
    }


def _notes_text(report: Mapping[str, Any]) -> str:
    """Return what the command `notes` prints: one line per image and feature."""
    if not report["images"] and not report["features"]:
        return say_of_command("no_notes")
    lines = [_note_line(f"image {row['image_id']}", _doubt(row), row) for row in report["images"]]
    lines += [_note_line(f"feature {row['feature']}", row["name"], row) for row in report["features"]]
    return "\n".join(lines)


def _doubt(row: Mapping[str, Any]) -> str:
    if row["right_label"]:
        return f"right label {row['right_label']}"
    if not row["wrong_label"]:
        return ""
    return f"wrong label {row['label'] or ''}".rstrip() + f" ({row['wrong_label']})"


def _note_line(what: str, first: str, row: Mapping[str, Any]) -> str:
    parts = [first, *(f"#{tag}" for tag in row["tags"]), row["note"]]
    in_one_line = [" ".join(part.split()) for part in parts if part]
    return f"{what}: {'  '.join(in_one_line)}"


def _saved_text(report: Mapping[str, Any]) -> str:
    """Return what the command `slices` prints of saved slices: one line each."""
    if not report["slices"]:
        worst = command_line("slices", Path(report["study"]), worst=10)
        return say_of_command("no_slices", what=worst)
    lines = []
    for row in report["slices"]:
        n = say_of_command("unreadable") if row["n_images"] is None else counted(row["n_images"], "image")
        lines.append(f"@{row['name']}  {n}  {row.get('why', row['where'])}")
    return "\n".join(lines)


def _worst_report(study: Study, limit: int, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `slices --worst` reports: slices with more errors than other images (`worst_slices`)."""
    from core.measures.finder import worst_slices

    table = worst_slices(study, limit=limit, **given)
    table = table.loc[table["error_rate"] > table["rest"]]
    return {"study": str(study.path), "slices": table.to_dict("records")}


def _worst_text(report: Mapping[str, Any]) -> str:
    """Return what `slices --worst` prints: one line per slice, most significant first."""
    if not report["slices"]:
        return "no worst slices: none of enough images has more errors, or no image has a label and an answer"
    return "\n".join(_worst_line(row) for row in report["slices"])


def _worst_line(row: Mapping[str, Any]) -> str:
    rate = f"{100 * row['error_rate']:5.1f} % ({100 * row['low']:.0f} to {100 * row['high']:.0f})"
    q = f"q {row['q']:.2g}" if row["q"] == row["q"] else "too few errors to tell"
    others = f"others {100 * row['rest']:.1f} %, {q}"
    return f"{rate} of {row['n']:,} misclassified, {others}: {row['where']}"
