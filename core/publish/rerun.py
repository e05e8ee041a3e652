"""A study once more: of the same images with corrected labels, or by another encoder."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pandas as pd

from core.common.step_facts import EmbedFacts
from core.config import ENCODER_SETTINGS
from core.config.options import IN_ANALYZE, OPTIONS, options_of
from core.config.reading import written
from core.errors import StudyError
from core.publish.export_files import labels_table
from core.publish.label_links import image_places
from core.store import Study
from core.study.commands import Analyze
from core.study.manifest import last_settings
from core.study.steps import STEPS

OF_OWN_HEAD = ("head_classes", "head_activation")  # options of the encoder's own classifier
OF_IMAGES = ("images", "val", "class_level", "group_level")  # options that the table stands for
# Options that mean something for one encoder alone.
OF_ENCODER = ("encoder", "representations", *ENCODER_SETTINGS, "head", "head_classes", "head_activation")


def rerun_table(study: Study) -> pd.DataFrame:
    """Export all images for a new study: image_id, path, label, split, and what their source says besides.

    Ids and splits stay, so that the two studies can be compared image by image. Paths are whole.

    Raises:
        StudyError: the images are no files of this machine, or were represented elsewhere.
    """
    if study.settings("embed").get("representations"):
        raise StudyError(
            f"'{study.path}' was made from ready representations, so it cannot be made again here"
        )
    rows = np.arange(study.n_images)
    table = labels_table(study, corrected=True).assign(path=image_places(study, rows))
    if not study.has("attributes"):
        return table
    further = study.table("attributes")
    return pd.concat([table, further[[name for name in further if name not in table]]], axis=1)


def rerun_command(study: Study, folder: Path, table: Path, *, head: Path | None = None) -> Analyze:
    """Return the command that makes a study again from its exported table of images, with all settings.

    Args:
        folder: of the new study. table: a file with `rerun_table`. head: of its classifier, if it is not to
            be that of the encoder.
    """
    group = study.facts(EmbedFacts).group
    images = f"{table}?{urlencode({'group': group})}" if group else str(table)
    settings = dict(_settings(study, OF_IMAGES))
    if head is not None:
        settings = {key: setting for key, setting in settings.items() if key not in OF_OWN_HEAD} | {
            "head": str(head)
        }
    return Analyze.of(folder, dry_run=False, images=images, **settings)


def other_encoder_command(
    study: Study, folder: Path, encoder: str, *, after: tuple[Path, ...] = ()
) -> Analyze:
    """Hand on the command that makes a study again, of the same images and settings, by another encoder.

    What concerns the first encoder alone, such as its layer or pixel statistics, is left to the other one.

    Args:
        folder: of the new study. encoder: a SPEC. after: folders of jobs that have to end first.
    """
    options = dict(_settings(study, OF_ENCODER))
    command = Analyze.of(folder, dry_run=False, encoder=encoder, **options)
    return replace(command, after=after)


def _settings(study: Study, left_out: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield the settings that `analyze` takes, as they are typed, of the steps that the study has."""
    for config, names in IN_ANALYZE:
        steps = [name for name, step in STEPS.items() if step.config and issubclass(step.config, config)]
        for name in options_of(config, names) if steps else ():
            values = [last_settings(study.manifest, step).get(name) for step in steps]
            value = next((one for one in values if one not in (None, "", False)), None)
            if value not in (None, OPTIONS[name].default) and name not in left_out:
                yield name, written(tuple(value) if isinstance(value, list) else value)
