"""The output of commands: a few aligned lines of text, or JSON."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from core.cli.sentences import say_of_command
from core.common.durations import expected_duration
from core.common.entries import record_of
from core.common.formatting import (
    UNDEFINED,
    aligned,
    counted,
    for_terminal,
    format_bytes,
    json_text,
    number,
    percent,
    step_times,
)
from core.common.step_facts import CheckpointFacts, EncoderFacts
from core.encoders.readout import layer_words, readout_words, weights_words
from core.study.progress import keep_result

Report = Mapping[str, Any]


def show(report: Report, text: Callable[[Report], str], *, as_json: bool, of: Any = None) -> None:
    """Print a command's report through `text`, with names for WordNet ids, or as JSON.

    Args:
        of: the study that its numbers are of; the JSON then names its answer, basis and filter, too.
    """
    from core.common.captions import with_class_names  # with pandas, which --help does not wait for

    if as_json and of is not None:
        from core.charts.table_file import provenance

        report = {**provenance(of), **report}
    say(json_text(report) if as_json else with_class_names(text(report)), as_json=as_json)


def say(printed: str, *, as_json: bool) -> None:
    """Print the text of a command; where it is JSON, the folder of a job keeps it."""
    print(for_terminal(printed))
    if as_json:
        keep_result(printed)


def info_text(report: Report) -> str:
    """Return the text that `info` prints; of the answers besides the probe, the default first."""
    others = [one for one in report.get("answers", []) if one["name"] != "probe"]
    lines = [
        ("study", f"{report['name']}  ({report['path']}, {format_bytes(report['bytes'])})"),
        ("finding", report.get("finding") or ""),
        ("images", _images_line(report)),
        ("leakage", report.get("leakage") or ""),
        ("encoder", _encoder_line(report)),
        ("encoder", _checkpoint_line(report.get("checkpoint"))),
        ("features", _features_line(report)),
    ]
    lines += _titled("features", report.get("feature_notes", []))
    lines += [(report["answer"], _accuracy_line(report))]
    lines += _titled("probe", report.get("probe_notes", []))
    for one in others:
        lines += _titled("answer", [one["words"], *one["notes"]])
    several = [one["sentence"] for one in report.get("accuracies", [])]
    lines += _titled("accuracy", several if len(several) > 1 else [])
    for one in report.get("bases", []):
        lines += _titled("basis", [one["words"], *one["notes"]])
    lines += _titled("Q-Score", _quality_lines(report))
    lines += [
        ("errors", report.get("recommendation") or ""),
        ("labels", report.get("label_issues") or ""),
        ("mIoU", _overlap_line(report)),
        ("steps", _steps_line(report)),
    ]
    lines += [("missing", f"{step}: {why}") for step, why in report["missing"].items()]
    lines += [("skipped", f"{step}: {why}") for step, why in report.get("skipped_steps", {}).items()]
    worst = report.get("most_harmful", [])
    others = [line for line in report.get("assumptions", []) if line not in worst]
    lines += _titled("note", [*others, *report.get("notes", [])])
    lines += [("not shown", one["line"]) for one in report.get("no_longer_shown", [])]
    return aligned([*lines, *_titled("assumed", worst)])


def _titled(title: str, lines: Iterable[str]) -> list[tuple[str, str]]:
    return [(title, line) for line in lines]


def _steps_line(report: Report) -> str:
    skipped = report.get("skipped_steps", {})
    return ", ".join(
        f"{step} {'skipped' if step in skipped else state}" for step, state in report["steps"].items()
    )


def _images_line(report: Report) -> str:
    n_images, n_val = counted(report["n_images"], "image"), report.get("n_val") or 0
    if n_val:
        splits = say_of_command("split", what=n_images, n=n_val, of=report.get("n_train") or 0)
    else:
        splits = say_of_command("none_held_out", what=n_images)
    parts: list[str] = [splits]
    if report.get("group"):
        parts.append(f"{counted(report.get('n_groups') or 0, 'group')} by {report['group']}")
    n_classes = report.get("n_classes")
    parts.append(counted(n_classes, "class", "classes") if n_classes else "no labels")
    if report.get("n_skipped"):
        parts.append(say_of_command("skipped", n=report["n_skipped"]))
    return ", ".join(parts)


def _encoder_line(report: Report) -> str:
    name = report.get("encoder_name") or report.get("encoder")
    if not name:
        return ""
    layer = f", {layer_words(EncoderFacts(layer=report['layer']))}" if report.get("layer") else ""
    layer += f", {report['readout']}" if report.get("readout") else ""
    layer += f", in {report['precision']}" if report.get("precision") not in (None, "float32") else ""
    return f"{name}{layer}, {counted(report.get('n_features') or 0, 'feature')}"


def _checkpoint_line(checkpoint: Report | None) -> str:
    """Return the line of the command `info` on which weights of a checkpoint were used."""
    return f"weights: {weights_words(record_of(CheckpointFacts, checkpoint))}" if checkpoint else ""


def _features_line(report: Report) -> str:
    if report.get("epsilon") is None:
        return ""
    firing = report.get("mean_firing")
    parts = [f"epsilon {report['epsilon']:g}", f"{report.get('n_discriminative') or 0:,} discriminative"]
    return ", ".join(parts + ([say_of_command("firing", value=firing)] if firing is not None else []))


def _accuracy_line(report: Report) -> str:
    if report.get("accuracy") is None:
        skipped = report.get("skipped_steps", {}).get("probe")
        return say_of_command("no_accuracy", why=skipped) if skipped else ""
    top5 = f", top-5 {percent(report['top5'])}" if report.get("top5") is not None else ""
    on = " on val" if report["answer"] == "probe" else ""
    return f"top-1 {percent(report['accuracy'])}{top5}{on}"


def _quality_lines(report: Report) -> list[str]:
    if report["steps"].get("quality") != "done":
        return []
    auroc = _with_interval(report.get("q_auroc"), report.get("q_auroc_interval"), "chance 0.5")
    base = f"base rate {number(report.get('base_rate'))}"
    auprc = _with_interval(report.get("q_auprc"), report.get("q_auprc_interval"), base)
    measured = [f"AUROC {auroc}"] * (report.get("q_auroc") is not None)
    measured += [f"AUPRC {auprc}"] * (report.get("q_auprc") is not None)
    return [*measured, report.get("premise") or "", report.get("premise_facts") or ""]


def _overlap_line(report: Report) -> str:
    if report.get("miou_core") is None and report.get("miou_spurious") is None:
        return ""
    return say_of_command("miou", names=(number(report["miou_core"]), number(report["miou_spurious"])))


def _with_interval(value: float | None, interval: Any, beside: str) -> str:
    if value is None or not math.isfinite(value):
        return "not defined"
    between = f"95 % interval {number(interval[0])} to {number(interval[1])}; " if interval else ""
    return f"{number(value)} ({between}{beside})"


def plan_text(report: Report) -> str:
    """Lay out the lines that a command prints for `--dry-run`."""
    images, encoder = report["images"], report["encoder"]
    transform = encoder.get("transform") or {}
    bank, seconds = report.get("captions"), report.get("seconds")
    took = "unknown" if seconds is None else say_of_command("duration", parts=(expected_duration(seconds),))
    name = str(report["study"])
    study = say_of_command("exists", what=name) if report["exists"] else name
    bytes_in_all = (format_bytes(report["bytes"]), format_bytes(report["free_bytes"]))
    disk: str = say_of_command("disk", names=bytes_in_all)
    if report.get("passing_bytes"):
        disk += say_of_command("passing", what=format_bytes(report["passing_bytes"]))
    readout = readout_words(record_of(EncoderFacts, encoder))
    described = {**encoder, "encoder": encoder["spec"], "readout": readout}
    lines = [
        ("study", study),
        *_titled("options", [f"{option['flag']} {option['value']}" for option in report.get("options", [])]),
        *_titled("images", _planned_images(images)),
        *_titled("folders", _planned_levels(images)),
        ("encoder", _encoder_line(described)),
        ("encoder", ", ".join(f"{key} {value}" for key, value in transform.items())),
        ("encoder", _checkpoint_line(report.get("checkpoint"))),
    ]
    lines += _titled("note", [*images["notes"], *report.get("assumptions", [])])
    lines += _titled("unreadable", images.get("unreadable_in_sample", []))
    lines += _titled("masks", (report.get("masks") or {}).get("notes", []))
    lines += [
        ("captions", f"{counted(bank['n_captions'], 'caption')} in {bank['name']}" if bank else ""),
        *_titled("captions", bank["notes"] if bank else []),
        ("time", took),
        ("time", step_times(report.get("steps", []))),
        ("disk", disk),
        ("", say_of_command("nothing_written")),
    ]
    return aligned(lines)


def _planned_images(images: Report) -> tuple[str, str]:
    splits = ", ".join(f"{n:,} {split}" for split, n in images["splits"].items())
    classes = counted(images["n_classes"], "class", "classes") if images["n_classes"] else "no labels"
    count = f"{counted(images['n_images'], 'image')} ({images['kind']}): {splits}, {classes}"
    more = " …" if images["n_classes"] > len(images["classes"]) else ""
    return count, ", ".join(images["classes"]) + more


def _planned_levels(images: Report) -> list[str]:
    """Return a line for each level of folders, where they are more than classes."""
    levels = images.get("levels") or []
    if not images.get("how_read"):
        return []
    columns = [
        [level["level"], level["role"] or "-", f"{level['n_names']:,}", f"{level['n_images']:,}"]
        for level in levels
    ]
    header = ["", "read as", "folders", "images"]
    widths = [max(map(len, cells)) for cells in zip(header, *columns, strict=True)]
    names = ["names", *(", ".join(level["names"]) + " …" * _has_more(level) for level in levels)]
    rows = [header, *columns]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=True)), name])
        for row, name in zip(rows, names, strict=True)
    ]


def _has_more(level: Mapping[str, Any]) -> bool:
    return level["n_names"] > len(level["names"])


def summary_text(report: Report) -> str:
    """Lay out the lines that the command of a step prints: its summary's numbers and texts, and the notes.

    >>> print(summary_text({"n_images": 5, "auroc": math.nan, "notes": ["two cannot be read"]}))
    n_images  5
    auroc     not defined
    note      two cannot be read
    """
    simple = [(key, value) for key, value in report.items() if isinstance(value, (str, int, float))]
    lines = [(key, _plain(value)) for key, value in simple]
    return aligned([*_estimates(report), *lines, *(("note", line) for line in report.get("notes") or [])])


def _plain(value: str | float | None) -> str:
    if value is None:
        return UNDEFINED
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4g}" if math.isfinite(value) else UNDEFINED


def _estimates(report: Report) -> list[tuple[str, str]]:
    """Lines of the groups of estimates with an interval: their first number, and its bounds.

    >>> _estimates({"shots": {"5": {"accuracy": 0.45, "low": 0.29, "high": 0.61}}, "draws": 5})
    [('shots 5', 'accuracy 0.45 (0.29 to 0.61)')]
    >>> _estimates({"shots": {"5": {"accuracy": 0.45, "low": None, "high": None}}})  # of too few draws
    [('shots 5', 'accuracy 0.45 (interval not defined)')]
    """
    lines = []
    for group, members in report.items():
        for name, one in members.items() if isinstance(members, dict) else ():
            if isinstance(one, dict) and {"low", "high"} <= set(one):
                what, value = next(iter(one.items()))
                bounds = f"{_plain(one['low'])} to {_plain(one['high'])}"
                if one["low"] is None or one["high"] is None:
                    bounds = f"interval {UNDEFINED}"
                lines.append((f"{group} {name}", f"{what} {_plain(value)} ({bounds})"))
    return lines


def verify_text(report: Report) -> str:
    """Return what the command `verify` prints: problems of a study, and what is no longer shown."""
    count = counted(len(report["problems"]), "problem")
    result = say_of_command("intact") if report["ok"] else count
    unshown = [f"note: {item['line']}" for item in report["no_longer_shown"]]
    return "\n".join([f"{report['study']}: {result}", *report["problems"], *unshown])
