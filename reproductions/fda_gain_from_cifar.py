"""What Fourier augmentations add to SimCLR and BYOL, here and on other images: trained on CIFAR-10, probed
on scenes of Glyphworld.

Kalibhat's dissertation, Tables 5.1 and 5.2. The stored table: 12 trainings (seeds 0 to 2) on 4,000
photographs, enlarged to 48 pixels; 20 minutes of one core of an AMD EPYC. `fda_gain_to_cifar` is the other
way.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from reproductions import common
from reproductions.fda_augmentations import GLYPHWORLD, SETTINGS, SMOKE
from reproductions.fda_gain_to_cifar import cifar_sample, draw, parse, rows

NAME = "fda_gain_from_cifar"


def main(argv: Sequence[str] | None = None) -> None:
    """Train, measure and draw, as the options ask."""
    args = parse(argv, __doc__)
    folder = common.output_folder(args) / "encoders" / NAME

    def computed(smoke: bool) -> Iterator[dict[str, Any]]:
        if smoke:
            return rows(folder, SMOKE, f"{SMOKE['images']}&seed=3", (), smoke)
        photographs = {**SETTINGS, "images": cifar_sample(args.cifar, folder)}
        return rows(folder, photographs, GLYPHWORLD, (), smoke)

    common.run_script(NAME, args, computed, draw)


if __name__ == "__main__":
    main()
