"""The page on which people do the tasks of a human study: one file, offline, which only saves answers.

It contains what workers may see (images, shuffled words), never the key.
"""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from PIL import Image

from core.common.assets import asset
from core.common.image_files import image_address, image_file
from core.errors import StudyError

TEMPLATE = asset("human_study.html")
MARK = "@TASKS@"
SIDE = 240  # longer side in pixels of an image in the page
WORDS, CHOICE = "words", "choice"


def write_page(
    path: Path, word_tasks: Sequence[Mapping[str, str]], choice_tasks: Sequence[Mapping[str, str]]
) -> None:
    """Write the page beside the tasks' folder of images.

    Args:
        path: of the page; the tasks' image paths are relative to its folder.
        word_tasks, choice_tasks: rows of the task files.
    Raises:
        StudyError: the template is missing from the installation.
    """
    folder = path.parent
    tasks = [_task(folder, row, WORDS, "word_") for row in word_tasks]
    tasks += [_task(folder, row, CHOICE, "option_") for row in choice_tasks]
    shown = json.dumps(tasks, ensure_ascii=False, sort_keys=True)
    held = {"tasks": tasks, "study": sha256(shown.encode()).hexdigest()[:16]}
    try:
        page = TEMPLATE.read_text(encoding="utf-8")
    except OSError as error:
        raise StudyError(f"the page for workers is missing from this installation ({error})") from None
    path.write_text(page.replace(MARK, script_safe(held)), encoding="utf-8")


def script_safe(value: Any) -> str:
    """Return JSON that cannot close its script element, whatever texts it contains.

    >>> script_safe("</script>&")
    '"\\\\u003c/script\\\\u003e\\\\u0026"'
    """
    text = json.dumps(value, ensure_ascii=False)
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def _task(folder: Path, row: Mapping[str, str], kind: str, prefix: str) -> dict[str, Any]:
    """Return the page's data for a task. The value of a word is the word, that of an option its number."""
    texts = {
        name.removeprefix(prefix): text for name, text in row.items() if name.startswith(prefix) and text
    }
    return {
        "task": row["task"],
        "kind": kind,
        "images_a": _pictures(folder, row.get("images_a", "")),
        "images_b": _pictures(folder, row.get("images_b", "")),
        "options": [
            {"value": text if kind == WORDS else number, "text": text} for number, text in texts.items()
        ],
    }


def _pictures(folder: Path, paths: str) -> list[str]:
    """Return downscaled images as data URIs."""
    questions = []
    for name in filter(None, paths.split(";")):
        with Image.open(folder / name) as picture:
            small = picture.convert("RGB")
        small.thumbnail((SIDE, SIDE))
        questions.append(image_address(image_file(small, quality=85)))
    return questions
