"""The command `transfer`: a step of the target study, run again when its inputs have changed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.common.device import check_device, resolve_device, run_options
from core.config import as_settings
from core.research.transfer_topic import TransferConfig
from core.store import Study
from core.study.progress import Progress
from core.study.writer import write_study


def transfer(
    source: str | Path, target: str | Path, options: Mapping[str, Any], progress: Progress
) -> dict[str, Any]:
    """Transfer the concepts of one study to another over the same images (research); return the summary."""
    check_device(options)
    from core.research.transfer_step import compute_transfer, transfer_inputs

    given = {name: options[name] for name in ("epochs", "lr", "seed") if name in options}
    config, study = TransferConfig(**given), Study(source)
    settings, inputs = as_settings(config), ("representations", "images", "concepts")
    outside = transfer_inputs(study)
    with write_study(target) as writer:
        if options.get("redo") or not writer.is_current("transfer", settings, inputs, outside):
            with progress.step("transfer"), writer.step("transfer", settings, inputs, outside) as out:
                device = resolve_device(run_options(options).device)
                compute_transfer(study, Study(target), out, config, progress=progress, device=device)
        else:
            progress.note("transfer: up to date")
        return writer.manifest["steps"]["transfer"]["summary"]
