"""What people say of words: precision and pooled recall, chosen explanations, agreement of workers.

    python -m reproductions.human_study
    python -m core export studies/demo human-study -o tasks.csv
    python -m reproductions.human_study --study studies/demo --choices choices.csv
    python -m reproductions.human_study --study studies/demo --answers FOLDER -o build/people

Without answers: Table 4.1 of Kalibhat's dissertation from the numbers of related words that it implies (88,
172, 248, 323, 398 and 470 of 93 features), read back as if one worker had said so. FOLDER holds
word_answers*.csv (worker, task, word, fits: 1 or 0) on the tasks of `export human-study`, and
choice_answers*.csv (worker, task, option) on those of --choices. Prints Tables 4.2 and B.2 and the agreement
of workers besides. Takes a second.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.express as px
import plotly.graph_objects as go

from core.common.csv_text import as_written, write_csv
from core.concepts.naming import MAJORITY
from core.concepts.word_measures import KS, kept_words, pooled, random_words
from core.errors import StudyError
from core.publish.export_files import human_study_tasks, rated_words
from core.store import Study
from reproductions.common import options, run_script

RELATED_PERCENT = 65  # of the workers must call a word related (Kalibhat, dissertation, section 4.4)
PUBLISHED, N_PUBLISHED = (88, 172, 248, 323, 398, 470), 93  # related words among the first K; features
WORD_COLUMNS, CHOICE_COLUMNS = ("worker", "task", "word", "fits"), ("worker", "task", "option")
KEY_COLUMNS = ["task", "group", "shown", "means"]
FITS = {"1": True, "yes": True, "true": True, "0": False, "no": False, "false": False, "": False}


def main(argv: Sequence[str] | None = None) -> None:
    parser = options(__doc__)
    parser.add_argument("--study", type=Path, metavar="STUDY", help="the study that people rated")
    parser.add_argument("--answers", type=Path, metavar="FOLDER", help="folder of their answers")
    parser.add_argument("--choices", type=Path, metavar="FILE", help="only write the choice tasks of STUDY")
    args = parser.parse_args(argv)
    if args.choices:
        write_csv(choice_tasks(Study(args.study))[0], args.choices)
        return
    run_script("human_study", args, lambda smoke: rows(smoke, args), draw)
    if args.answers:
        tell_others(args)


def rows(smoke: bool, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the rows of Table 4.1."""
    if args.answers:
        key = word_key(rated_words(Study(args.study)))
        answers = read_answers(args.answers, "word_answers", WORD_COLUMNS)
    else:
        key, answers = published(10 if smoke else N_PUBLISHED)
    yield from precision_table(related_words(answers, key)).to_dict("records")


def tell_others(args: argparse.Namespace) -> None:
    """Print how often each explanation was chosen, and the agreement of workers."""
    study = Study(args.study)
    key = choice_tasks(study)[1]
    choices = read_answers(args.answers, "choice_answers", CHOICE_COLUMNS)
    choices = choices.drop_duplicates(["worker", "task"], keep="last", ignore_index=True)
    words = related_words(
        read_answers(args.answers, "word_answers", WORD_COLUMNS), word_key(rated_words(study))
    )
    print(choice_table(choices, key).to_string(index=False))
    print("words:", agreement_of(words["votes"].tolist()))
    print("choices:", agreement_of(choices.groupby("task")["option"].apply(list).tolist()))


def published(n_tasks: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the key and the answers that the paper's counts amount to, of the first tasks."""
    related = np.diff([0, *PUBLISHED])
    key, answers = [], []
    for task in range(n_tasks):
        for rank, n_related in enumerate(related, start=1):
            name, word = f"w{task:04d}", f"word {rank}"
            key.append((name, str(task), word, str(rank)))
            answers.append(("all", name, word, str(int(task < n_related))))
    return pd.DataFrame(key, columns=KEY_COLUMNS), pd.DataFrame(answers, columns=list(WORD_COLUMNS))


def word_key(tasks: Mapping[str, tuple[str, Sequence[str]]]) -> pd.DataFrame:
    """Return what the words of the rating tasks mean: task, group, shown (a word), means (its rank)."""
    key = [
        (task, group, word, str(rank))
        for task, (group, words) in tasks.items()
        for rank, word in enumerate(words, start=1)
    ]
    return pd.DataFrame(key, columns=KEY_COLUMNS)


def methods_of(study: Study) -> dict[str, dict[str, list[str]]]:
    """Return the words of each group by method: the study's own, and words drawn from its other features."""
    own = kept_words(study.table("concepts"))
    by_majority = study.summary("concepts").get("naming") == MAJORITY
    vocabulary = sorted({word for words in own.values() for word in words})
    name = "majority of whole images" if by_majority else "FALCON"
    return {name: own, "random words": random_words(sorted(own), vocabulary)}


def choice_tasks(study: Study) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the tasks that ask which explanation of the same crops fits best, and their key.

    Returns:
        task, images_a, option_1, option_2; and task, group, shown (number of the option), means (its method).
    """
    methods = methods_of(study)
    rated = human_study_tasks(study).set_index("task")["images_a"]
    rng = np.random.default_rng(0)
    tasks, key = [], []
    for word_task, (group, _) in rated_words(study).items():
        task = word_task.replace("w", "c")
        row = {"task": task, "images_a": rated[word_task]}
        for number, at in enumerate(rng.permutation(len(methods)), start=1):
            name = list(methods)[at]
            row[f"option_{number}"] = ", ".join(methods[name][group])
            key.append((task, group, str(number), name))
        tasks.append(row)
    return pd.DataFrame(tasks), pd.DataFrame(key, columns=KEY_COLUMNS)


def read_answers(folder: Path, stem: str, columns: Sequence[str]) -> pd.DataFrame:
    """Read the answers of all workers, with the position of each: columns, file and line.

    Raises:
        StudyError: there is no such file, or one lacks a column.
    """
    paths = sorted(folder.glob(f"{stem}*.csv"))
    if not paths:
        raise StudyError(f"no {stem}*.csv in '{folder}'")
    parts = []
    for path in paths:
        part = pd.read_csv(path, dtype="str", keep_default_na=False).map(as_written)
        if missing := [name for name in columns if name not in part]:
            raise StudyError(f"{path} has no column '{missing[0]}'; expected {', '.join(columns)}")
        parts.append(part.assign(file=path.name, line=np.arange(2, len(part) + 2)))
    return pd.concat(parts, ignore_index=True)


def related_words(answers: pd.DataFrame, key: pd.DataFrame) -> pd.DataFrame:
    """Determine which words are related: at least RELATED_PERCENT of their workers say that they fit.

    Returns:
        task, group, word, rank, n_yes, n_workers, related, votes (list of bool, by worker).
    Raises:
        StudyError: an answer is to no word of its task, or neither 1 nor 0; its file and line are named.
    """
    asked = {(row["task"], row["shown"]): row for row in key.to_dict("records")}
    votes: dict[tuple[str, str], dict[str, bool]] = {}
    for row in answers.to_dict("records"):
        task, word, fits = row["task"], row["word"], row["fits"].strip().lower()
        if (task, word) not in asked:
            raise StudyError(f"{_place(row)}: task '{task}' does not show the word '{word}'")
        if fits not in FITS:
            raise StudyError(f"{_place(row)}: 'fits' is '{row['fits']}'; expected 1 or 0")
        votes.setdefault((task, word), {})[row["worker"]] = FITS[fits]
    words = []
    for (task, word), cast in votes.items():
        about = asked[task, word]
        counts = {"n_yes": sum(cast.values()), "n_workers": len(cast)}
        related = 100 * counts["n_yes"] >= RELATED_PERCENT * counts["n_workers"]
        given = {"related": related, "votes": [cast[worker] for worker in sorted(cast)]}
        place = {"task": task, "group": about["group"], "word": word, "rank": int(about["means"])}
        words.append(place | counts | given)
    columns = ["task", "group", "word", "rank", "n_yes", "n_workers", "related", "votes"]
    return pd.DataFrame(words, columns=columns).sort_values(["task", "rank"], ignore_index=True)


def precision_table(words: pd.DataFrame) -> pd.DataFrame:
    """Table 4.1: precision and pooled recall in percent at K = 1 … 6, over the words of all tasks.

    Returns:
        k, precision, recall_pooled (see `word_measures.pooled`), n (tasks), n_related (words).
    """
    ranked = {str(task): part["word"].tolist() for task, part in words.groupby("task")}
    good = {str(task): set(part.loc[part["related"], "word"]) for task, part in words.groupby("task")}
    counts = {"n": len(ranked), "n_related": sum(map(len, good.values()))}
    table = []
    for k in KS:
        precision, recall = (100 * share for share in pooled(ranked, good, k))
        table.append({"k": k, "precision": precision, "recall_pooled": recall} | counts)
    return pd.DataFrame(table)


def choice_table(choices: pd.DataFrame, key: pd.DataFrame) -> pd.DataFrame:
    """Tables 4.2 and B.2: share of choices of each method's explanation, in percent.

    Raises:
        StudyError: an answer is to no option of its task; its file and line are named.
    """
    method = {(row["task"], row["shown"]): row["means"] for row in key.to_dict("records")}
    chosen, shown = dict.fromkeys(key["means"], 0), dict.fromkeys(key["means"], 0)
    for row in choices.to_dict("records"):
        option = row["task"], row["option"]
        if option not in method:
            raise StudyError(f"{_place(row)}: task '{row['task']}' has no option '{row['option']}'")
        chosen[method[option]] += 1
        for name in key.loc[key["task"] == row["task"], "means"]:
            shown[name] += 1
    table = pd.DataFrame({"method": list(chosen), "n_chosen": chosen.values(), "n_shown": shown.values()})
    return table.assign(share=100 * table["n_chosen"] / table["n_shown"].where(table["n_shown"] > 0))


def agreement_of(votes: Sequence[Sequence[Any]]) -> dict[str, float]:
    """Compute the agreement of workers over items, given the votes on each item.

    Returns:
        pairwise: share of agreeing pairs of workers, over all items. kappa: Fleiss' kappa, every item
        weighted equally; NaN if no item has two votes, or all votes are equal.
    """
    shared = [list(item) for item in votes if len(item) > 1]
    values = sorted({vote for item in shared for vote in item}, key=str)
    if not shared:
        return {"pairwise": float("nan"), "kappa": float("nan"), "n_items": 0}
    counts = np.array([[item.count(value) for value in values] for item in shared], np.float64)
    n = counts.sum(1)
    agreeing = (counts * (counts - 1)).sum(1)
    pairs = n * (n - 1)
    chance = float(np.square(counts.sum(0) / counts.sum()).sum())
    observed = float((agreeing / pairs).mean())
    kappa = (observed - chance) / (1 - chance) if chance < 1 else float("nan")
    return {"pairwise": float(agreeing.sum() / pairs.sum()), "kappa": kappa, "n_items": len(shared)}


def _place(row: Mapping[Any, Any]) -> str:
    return f"{row.get('file', 'answers')}, line {row.get('line', '?')}"


def draw(table: pd.DataFrame) -> go.Figure:
    """Precision and pooled recall over K."""
    shares = ["precision", "recall_pooled"]
    return px.line(table, x="k", y=shares, markers=True, title="Words that people call related, percent")


if __name__ == "__main__":
    main()
