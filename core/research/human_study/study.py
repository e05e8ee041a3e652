"""Evaluate concepts with people: files for a study, and tables of its answers (docs/method.md 6.11).

Two tasks. *Words*: which of six shuffled words fit group A (a feature's crops) and not group B (its
counterfactual images)? *Choice*: which of several explanations of the same crops fits best?
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.common.command_line import PROGRAM, command_line
from core.common.csv_text import as_written, harmless
from core.concepts.crops import crop_of
from core.concepts.falcon import TOP_WORDS
from core.errors import SettingsError, StudyError, UnreadableImage
from core.research.human_study.page import write_page
from core.research.human_study.word_measures import KS, kept_words, pooled
from core.store import Study

IMAGES_A, IMAGES_B = 9, 6
WORD_TASKS, WORD_ANSWERS = "word_tasks.csv", "word_answers.csv"
CHOICE_TASKS, CHOICE_ANSWERS = "choice_tasks.csv", "choice_answers.csv"
KEY, PAGE = "key.csv", "index.html"
# Least percentage of the workers who must call a word related (Kalibhat, dissertation, section 4.4).
RELATED_PERCENT = 65
YES = {"1", "yes", "true", "y", "x"}
NO = {"0", "no", "false", "n", ""}
ABOUT = """Tasks for people who rate concepts.

Send index.html to the workers (it needs no network and no other file). It shows one task after another
and saves the answers as files; put the files of all workers into this folder.

{words} rows (word_tasks.csv): images_a show what a feature looks at, images_b are images without it. Which of
the words fit images_a and not images_b? Answers go into word_answers.csv: worker, task, word, fits (1 or 0).
{choices} rows (choice_tasks.csv): which option fits images_a best? Answers go into choice_answers.csv:
worker, task, option. word_answers_NAME.csv and choice_answers_NAME.csv are read as well.
key.csv identifies the words and options: workers must not see it.
Then run: {program} human-study read THIS_FOLDER
"""


def export_tasks(
    study: Study,
    folder: str | Path,
    *,
    methods: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
    n_groups: int | None = None,
    seed: int = 0,
) -> dict[str, int]:
    """Write the tasks with their images: crops of group A, whole images of group B.

    Args:
        methods: name -> words of each group, for the choice task; omitted with fewer than two methods.
        n_groups: maximum number of groups, drawn by the seed; None: all that have words.
    Returns:
        n_words and n_choices, the numbers of rows written.
    Raises:
        StudyError: the study has no concepts. SettingsError: the folder holds other files.
    """
    check_has_words(study)
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise SettingsError(f"'{folder}' is not empty; choose a new folder for the tasks")
    concepts = study.table("concepts")
    words = kept_words(concepts)
    rng = np.random.default_rng(seed)
    groups = sorted(words)
    if n_groups is not None and n_groups < len(groups):
        groups = sorted(rng.choice(groups, n_groups, replace=False).tolist())
    (folder / "images").mkdir(parents=True)
    pictures = {group: _write_images(study, folder, n, group) for n, group in enumerate(groups)}
    key: list[dict[str, Any]] = []
    word_rows = [
        _word_task(n, group, words[group], pictures[group], rng, key) for n, group in enumerate(groups)
    ]
    choice_rows = []
    if methods and len(methods) > 1:
        common = [
            group for group in groups if all(group in words_of_group for words_of_group in methods.values())
        ]
        choice_rows = [
            _choice_task(n, group, methods, pictures[group], rng, key) for n, group in enumerate(common)
        ]
    _write(folder / WORD_TASKS, word_rows)
    _write(folder / CHOICE_TASKS, choice_rows)
    _write(folder / KEY, key)
    _write(folder / WORD_ANSWERS, [], ("worker", "task", "word", "fits"))
    _write(folder / CHOICE_ANSWERS, [], ("worker", "task", "option"))
    counts = {"n_words": len(word_rows), "n_choices": len(choice_rows)}
    about = ABOUT.format(words=len(word_rows), choices=len(choice_rows), program=PROGRAM)
    (folder / "README.txt").write_text(about, encoding="utf-8")
    write_page(folder / PAGE, word_rows, choice_rows)
    return counts


def check_has_words(study: Study) -> None:
    """Raise StudyError, naming the command, for a study without concepts."""
    if not study.has("concepts"):
        raise StudyError(f"'{study.path}' has no concepts. Run: {command_line('concepts', study.path)}")


def _write_images(study: Study, folder: Path, number: int, group: str) -> dict[str, str]:
    """Write the strongest crops (A) and counterfactual images (B) of a group; return their joined paths.

    Args:
        number: names the files. The group's own name comes from the study, and may be a path.
    """
    active: Any = study.table("highly_activating")
    active = active[(active["group"] == group) & active["left"].notna()].head(IMAGES_A)
    paths = []
    for n, row in enumerate(active.to_dict("records")):
        box = tuple(int(row[side]) for side in ("left", "top", "right", "bottom"))
        paths.append(_save(study, folder, f"{number:04d}_a{n}.jpg", row["image_id"], box))
    counter = study.table("counterfactuals")
    counter = counter[counter["group"] == group].head(IMAGES_B)
    against = [
        _save(study, folder, f"{number:04d}_b{n}.jpg", image_id, None)
        for n, image_id in enumerate(counter["image_id"])
    ]
    return {"images_a": ";".join(filter(None, paths)), "images_b": ";".join(filter(None, against))}


def _save(study: Study, folder: Path, name: str, image_id: str, box: Any) -> str:
    try:
        image = study.image(image_id)
    except UnreadableImage:
        return ""
    picture = image if box is None else crop_of(image, box, image.size)
    picture.save(folder / "images" / name, quality=92)
    return f"images/{name}"


def _word_task(
    number: int,
    group: str,
    words: Sequence[str],
    pictures: Mapping[str, str],
    rng: np.random.Generator,
    key: list[dict[str, Any]],
) -> dict[str, Any]:
    task = f"w{number:04d}"
    shuffled = [words[i] for i in rng.permutation(len(words))]
    key += [{"task": task, "group": group, "shown": word, "means": words.index(word) + 1} for word in words]
    columns = {f"word_{i + 1}": shuffled[i] if i < len(shuffled) else "" for i in range(TOP_WORDS)}
    return {"task": task, **pictures, **columns}


def _choice_task(
    number: int,
    group: str,
    methods: Mapping[str, Mapping[str, Sequence[str]]],
    pictures: Mapping[str, str],
    rng: np.random.Generator,
    key: list[dict[str, Any]],
) -> dict[str, Any]:
    task, names = f"c{number:04d}", list(methods)
    columns = {}
    for rank, index in enumerate(rng.permutation(len(names)), start=1):
        columns[f"option_{rank}"] = ", ".join(methods[names[index]][group])
        key.append({"task": task, "group": group, "shown": str(rank), "means": names[index]})
    return {"task": task, "images_a": pictures["images_a"], **columns}


def _write(path: Path, rows: Sequence[Mapping[str, Any]], columns: Iterable[str] | None = None) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(columns or (rows[0] if rows else ("task",))))
        writer.writeheader()
        writer.writerows({key: harmless(value) for key, value in row.items()} for row in rows)


def read_study_answers(folder: str | Path) -> dict[str, Any]:
    """Build tables from the answers.

    Returns:
        `words`: task, group, word, rank, n_yes, n_workers, related (at least 65 % say yes). `precision`
        (Table 4.1): k, precision, recall_pooled in percent, n (tasks), n_related (words). `choices` (Tables
        4.2, B.2): method, n_chosen, n_shown, share in percent. `agreement`: for both tasks the share of pairs
        of workers that agree, and Fleiss' kappa.
    Raises:
        StudyError: files are missing, or an answer does not belong to a task; the message names the line.
    """
    folder = Path(folder)
    key = _read(folder / KEY, ("task", "group", "shown", "means"))
    words = related_words(_answers(folder / WORD_ANSWERS, ("worker", "task", "word", "fits")), key)
    choices = _once(_answers(folder / CHOICE_ANSWERS, ("worker", "task", "option")))
    return {
        "words": words.drop(columns="votes"),
        "precision": precision_table(words),
        "choices": choice_table(choices, key),
        "agreement": {
            "words": agreement_of(words["votes"].tolist()),
            "choices": agreement_of(choices.groupby("task")["option"].apply(list).tolist()),
        },
    }


def _answers(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read all answers of one kind: the named file and those of single workers (NAME_WORKER.csv), with the
    position of each: `file`, `line`.
    """
    single = sorted(path.parent.glob(f"{path.stem}_*.csv"))
    parts = []
    for one in [path, *single] if path.exists() or not single else single:
        part = _read(one, columns)
        parts.append(part.assign(file=one.name, line=np.arange(2, len(part) + 2)))
    return pd.concat(parts, ignore_index=True)


def _once(choices: pd.DataFrame) -> pd.DataFrame:
    """Keep one answer per worker and task: the last."""
    return choices.drop_duplicates(["worker", "task"], keep="last", ignore_index=True)


def _where(answers: pd.DataFrame, row: int, file: str) -> str:
    """Return file and line of an answer, for messages; without a file, the line in the named file."""
    if "file" not in answers.columns:
        return f"{file}, line {row + 2}"
    return f"{answers['file'].iat[row]}, line {answers['line'].iat[row]}"


def _read(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    try:
        frame = pd.read_csv(path, dtype="str", keep_default_na=False).map(as_written)
    except (OSError, ValueError) as error:
        raise StudyError(f"cannot read {path}: {error}") from None
    absent = [name for name in columns if name not in frame.columns]
    if absent and len(frame):
        raise StudyError(f"{path} has no column '{absent[0]}'; expected {', '.join(columns)}")
    return frame if not absent else pd.DataFrame({name: pd.array([], "str") for name in columns})


def related_words(answers: pd.DataFrame, key: pd.DataFrame) -> pd.DataFrame:
    """Determine which words are related: at least RELATED_PERCENT of their workers say that they fit.

    Returns:
        task, group, word, rank, n_yes, n_workers, related, votes (list of bool, by worker).
    """
    answered = {
        (task, word): (group, int(rank))
        for task, group, word, rank in key[["task", "group", "shown", "means"]].itertuples(index=False)
        if task.startswith("w")
    }
    votes: dict[tuple[str, str], dict[str, bool]] = {}
    for row, (worker, task, word, fits) in enumerate(
        answers[["worker", "task", "word", "fits"]].itertuples(index=False)
    ):
        if (task, word) not in answered:
            at = _where(answers, row, WORD_ANSWERS)
            raise StudyError(f"{at}: task '{task}' does not show the word '{word}'")
        if fits.strip().lower() not in YES | NO:
            at = _where(answers, row, WORD_ANSWERS)
            raise StudyError(f"{at}: 'fits' is '{fits}'; expected 1 or 0")
        votes.setdefault((task, word), {})[worker] = fits.strip().lower() in YES
    rows = [
        {
            "task": task,
            "group": answered[task, word][0],
            "word": word,
            "rank": answered[task, word][1],
            "n_yes": sum(cast.values()),
            "n_workers": len(cast),
            "related": 100 * sum(cast.values()) >= RELATED_PERCENT * len(cast),
            "votes": [cast[worker] for worker in sorted(cast)],
        }
        for (task, word), cast in votes.items()
    ]
    columns = ["task", "group", "word", "rank", "n_yes", "n_workers", "related", "votes"]
    return pd.DataFrame(rows, columns=columns).sort_values(["task", "rank"], ignore_index=True)


def precision_table(words: pd.DataFrame) -> pd.DataFrame:
    """Table 4.1: precision and pooled recall in percent at K = 1 … 6, over the words of all tasks.

    Args:
        words: from `related_words`.
    Returns:
        k, precision, recall_pooled (see `word_measures.pooled`), n (tasks), n_related (words).
    """
    ranked = {str(task): part["word"].tolist() for task, part in words.groupby("task")}
    good = {str(task): set(part.loc[part["related"], "word"]) for task, part in words.groupby("task")}
    rows = []
    for k in KS:
        precision, recall = (100 * share for share in pooled(ranked, good, k))
        counts = {"n": len(ranked), "n_related": sum(map(len, good.values()))}
        rows.append({"k": k, "precision": precision, "recall_pooled": recall, **counts})
    return pd.DataFrame(rows)


def choice_table(choices: pd.DataFrame, key: pd.DataFrame) -> pd.DataFrame:
    """Tables 4.2 and B.2: share of choices of each method's explanation, in percent."""
    method = {
        (task, shown): means for task, _, shown, means in key.itertuples(index=False) if task[:1] == "c"
    }
    names = list(dict.fromkeys(method.values()))
    n_chosen, shown = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    offered: dict[str, list[str]] = {}
    for (task, _), name in method.items():
        offered.setdefault(task, []).append(name)
    for row, (task, option) in enumerate(choices[["task", "option"]].itertuples(index=False)):
        if (task, option) not in method:
            at = _where(choices, row, CHOICE_ANSWERS)
            raise StudyError(f"{at}: task '{task}' has no option '{option}'")
        n_chosen[method[task, option]] += 1
        for name in offered[task]:
            shown[name] += 1
    rows = [
        {
            "method": name,
            "n_chosen": n_chosen[name],
            "n_shown": shown[name],
            "share": 100 * n_chosen[name] / shown[name] if shown[name] else float("nan"),
        }
        for name in names
    ]
    return pd.DataFrame(rows, columns=["method", "n_chosen", "n_shown", "share"])


def agreement_of(votes: Sequence[Sequence[Any]]) -> dict[str, float]:
    """Compute the agreement of workers over items, given the votes on each item.

    Returns:
        pairwise: share of agreeing pairs of workers, over all items. kappa: Fleiss' kappa, every item
        weighted equally; NaN if no item has two votes, or all votes are equal.
    """
    shared = [list(item) for item in votes if len(item) > 1]
    options = sorted({vote for item in shared for vote in item}, key=str)
    if not shared:
        return {"pairwise": float("nan"), "kappa": float("nan"), "n_items": 0}
    counts = np.array([[item.count(option) for option in options] for item in shared], np.float64)
    n = counts.sum(1)
    agreeing, pairs = (counts * (counts - 1)).sum(1), n * (n - 1)
    chance = float(np.square(counts.sum(0) / counts.sum()).sum())
    observed = float((agreeing / pairs).mean())
    kappa = (observed - chance) / (1 - chance) if chance < 1 else float("nan")
    return {"pairwise": float(agreeing.sum() / pairs.sum()), "kappa": kappa, "n_items": len(shared)}
