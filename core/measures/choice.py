"""Which of several candidates is taken: the documented one, unless labels speak against it. No torch.

Orders of classes, classifiers in one file, normalisations, paddings of a first convolution: wherever a file
leaves several readings, the first candidate is the documented one, and labels may decide for another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.common.records import Record, Templates
from core.measures import design_effect

LEVEL = 0.001  # p, over all candidates, below which labels decide against the documents
TRIAL_IMAGES = 256  # at most, where a trial needs the network
TRIAL_SHARE = 0.05  # of the passes of `embed`, at most, beyond one batch for each candidate
say_of_choice = Templates.beside(__file__)


@dataclass(frozen=True)
class Decision:
    """The candidate that is taken, and what it was judged by.

    Attributes:
        taken: its place; 0 is the documented one. n: labelled images that all were tried on.
        n_right: images that each candidate gets right.
        p: of each, McNemar's exact p against the documented one times the number of the others, at most 1.
    """

    taken: int
    n: int
    n_right: tuple[int, ...]
    p: tuple[float, ...]

    def record(self, what: str, names: Sequence[str]) -> Record:
        """Say which candidate is taken, with the numbers of all.

        Args:
            what: is chosen, such as "order of the classes". names: of the candidates, the documented first.
        """
        others = [candidate for candidate in range(len(names)) if candidate != self.taken]
        if not self.n:
            left = tuple(names[candidate] for candidate in others)
            return say_of_choice("untried", why=what, what=names[self.taken], names=left)
        parts = []
        for candidate in others:
            n_right = self.n_right[candidate]
            parts.append(say_of_choice("other", what=names[candidate], n=n_right, value=n_right / self.n))
        n_right = self.n_right[self.taken]
        kind = "by_labels" if self.taken else "documented"
        names_of_others = tuple(names[candidate] for candidate in others)
        value, chance = n_right / self.n, self.n_right[0] / self.n
        name = names[self.taken]
        return say_of_choice(
            kind,
            why=what,
            what=name,
            n=n_right,
            of=self.n,
            value=value,
            chance=chance,
            names=names_of_others,
            parts=tuple(parts),
        )


def choose(right: np.ndarray, *, of: int | None = None, groups: np.ndarray | None = None) -> Decision:
    """Test (McNemar) which of several candidates gets more images right than the documented one, if any.

    A candidate is ahead where it gets more images right than the first one and McNemar's exact p, times the
    number of candidates beside the first (Bonferroni), is below LEVEL. Of those that are ahead the one with
    most images right is taken, the earlier one of equals; without any the first.

    Args:
        right: (n_candidates, n) bool, whether each candidate gets each labelled image right; the first row is
            the documented candidate.
        of: how many were tried, with those that were given up meanwhile; None: as many as there are rows.
        groups: (n,) codes of patients, lesions or sequences: the images of McNemar's test are then divided by
            the design effect of the difference, as those of `paired_accuracy` are. None: of images.
    """
    others = (len(right) if of is None else of) - 1
    documented = right[0]
    won, lost = (right & ~documented).sum(1).tolist(), (~right & documented).sum(1).tolist()
    effects = [design_effect.of_mean(one.astype(np.float64) - right[0], groups) for one in right]
    discordant = []
    for n_lost, n_won, effect in zip(lost, won, effects, strict=True):
        discordant.append((round(n_lost / effect), round(n_won / effect)))
    p = [min(1.0, others * mcnemar(*pair)) for pair in discordant]
    p[0] = 1.0
    n_right = right.sum(1).tolist()
    more_right = [candidate for candidate in range(1, len(right)) if won[candidate] > lost[candidate]]
    ahead = [candidate for candidate in more_right if p[candidate] < LEVEL]
    taken = max(ahead, key=lambda candidate: n_right[candidate], default=0)
    return Decision(taken, right.shape[1], tuple(n_right), tuple(p))


def deciding_rows(labelled: np.ndarray, is_val: np.ndarray) -> np.ndarray:
    """The rows of images on which candidates are tested: of the training split, else all with a label.

    Args:
        labelled: (n,) bool, images with a label that counts. is_val: (n,) bool, evaluation images.
    """
    train = np.flatnonzero(labelled & ~is_val)
    return train if len(train) else np.flatnonzero(labelled)


def mcnemar(only_first: int, only_second: int) -> float:
    """p of McNemar's exact test: images that one answer alone gets right are as often those of either.

    min(1, 2 P(X <= min(b, c))), X binomial of b + c draws with a half (McNemar 1947). 1 for b = c = 0.
    """
    from scipy.special import bdtr

    fewer, all_of_one = min(only_first, only_second), only_first + only_second
    return float(min(1.0, 2.0 * bdtr(fewer, all_of_one, 0.5))) if all_of_one else 1.0
