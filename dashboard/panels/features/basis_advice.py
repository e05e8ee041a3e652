"""Which basis of a study to look at, and by which control it is judged."""

from core.bases.basis import Basis
from dashboard.components import widgets

CONTROLS = ("random", "pca", "kmeans")  # kinds that a dictionary has to beat
STABLE = 0.7

READ_UNITS = "Read the units"
WITHOUT_CONTROL = "Look at latents of {} with care"
RUN_ONCE = "Look at {} with care"
UNSTABLE = "Read the units; do not trust single latents of {}"
TRUSTED = "Look at latents of {}, measure with the units"


def advice(bases: list[Basis]) -> tuple[str, str]:
    """Which basis to look at, and why, from how much each explains and how stable it is.

    >>> advice([])
    ('No basis is learned yet', 'It gives latents to look at one by one, each often of one thing.')
    """
    fitted = [basis for basis in bases if basis.card.get("r2") is not None]
    learned = [one for one in fitted if one.kind not in CONTROLS]
    if not learned:
        if not (names := ", ".join(one.name for one in fitted)):
            return (
                "No basis is learned yet",
                "It gives latents to look at one by one, each often of one thing.",
            )
        there = f"Only controls are learned yet ({names})"
        return READ_UNITS, f"{there}. One gives latents to look at one by one."
    best = _best(learned)
    control = _control(best, fitted)
    explains = f"{best.name} explains {_of(best)}"
    if control is None:
        return (
            WITHOUT_CONTROL.format(best.name),
            f"{explains}. How much of that nobody had to learn is told by random directions, its control.",
        )
    against = f"random directions {_of(control)}"
    if explained(best) <= explained(control):
        return READ_UNITS, f"{explains}, no more than {against}."
    stability = best.card.get("stability")
    if stability is None:
        return (RUN_ONCE.format(best.name), f"{explains}, {against}. One run cannot say how stable it is.")
    if stability < STABLE:
        return (
            UNSTABLE.format(best.name),
            f"{explains}, {against}, but another run finds other latents (similarity {stability:.2f}).",
        )
    return (
        TRUSTED.format(best.name),
        f"{explains}, {against}, and another run finds the same latents (similarity {stability:.2f}).",
    )


def lacking_control(bases: list[Basis]) -> Basis | None:
    """The basis that `advice` judges, where it has no random directions to be judged by."""
    fitted = [basis for basis in bases if basis.card.get("r2") is not None]
    learned = [one for one in fitted if one.kind not in CONTROLS]
    return best if learned and _control(best := _best(learned), fitted) is None else None


def _best(learned: list[Basis]) -> Basis:
    """Of stable bases, or of all, the one that explains most."""
    return max(learned, key=lambda one: ((one.card.get("stability") or 0) >= STABLE, explained(one)))


def _control(best: Basis, fitted: list[Basis]) -> Basis | None:
    alike = [one for one in fitted if one.kind == "random" and one.card.get("on") == best.card.get("on")]
    return max(alike, key=explained, default=None)


def _of(basis: Basis) -> str:
    return (
        f"{widgets.percent(explained(basis), digits=0)} with {basis.card.get('l0') or 0:.0f} active latents"
    )


def explained(basis: Basis) -> float:
    """R2 of evaluation images, where there are any."""
    held_out = basis.card.get("r2_val")
    return float(basis.card["r2"] if held_out is None else held_out)
