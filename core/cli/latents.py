"""Numbers of features on the command line, and the basis that they are of."""

import argparse

from core.config.reading import parts_of_list
from core.errors import SettingsError


class Latents(tuple[int, ...]):
    """Numbers of features of a basis."""

    basis = ""


def features(text: str) -> tuple[int, ...]:
    """
    >>> features("3, 98"), features("sae/3,98"), features("sae/3,sae/98").basis
    ((3, 98), (3, 98), 'sae')
    """
    named = [part.rpartition("/") for part in parts_of_list(text)]
    read = Latents(int(number) for _, _, number in named)
    bases = {basis for basis, _, _ in named if basis}
    if len(bases) > 1:
        raise ValueError
    read.basis = next(iter(bases), "")
    return read if read.basis else tuple(read)


def in_basis(args: argparse.Namespace) -> None:
    """Point a command to the basis that `--basis NAME`, or a feature written NAME/12, names.

    Raises:
        SettingsError: two bases are named.
    """
    if getattr(args, "command", "basis") == "basis" or getattr(args, "table", None) == "basis":
        return
    values = [*vars(args).values()]
    bases = {value.basis for value in values if isinstance(value, Latents)}
    if "basis" in args:
        bases.add(args.basis)
        delattr(args, "basis")
    if len(bases) > 1:
        raise SettingsError(f"features of two bases ({', '.join(sorted(bases))}): name those of one")
    for basis in bases - {"units"}:
        from core.storage.layers import layer

        if "studies" in args:
            args.studies = [layer(study, basis) for study in args.studies]
        elif getattr(args, "study", None) is not None:
            args.study = layer(args.study, basis)
