"""What each augmentation of a training does, shown on an image of the open study."""

import html

import numpy as np
import streamlit as st

from core.errors import PeregrineError
from core.store import Study
from core.training.preview import SIDE, Slider, previews
from dashboard.cache import image_reads
from dashboard.components.tooltips import plain

SEED = 1  # of what an augmentation draws
WHERE = {False: "Acts on pixels", True: "Acts on frequencies (Fourier)"}


def section(study: Study | None) -> None:
    """A block that is drawn once it is opened."""
    with st.expander("Augmentations of a training", key="augmentations", on_change="rerun") as block:
        if not block.open:
            return
        st.caption(
            "Self-supervised training shows the encoder two changed views of each image. "
            "See what each change does. Training draws its strength at random. "
            f"Shown at {SIDE} pixels; a training uses its own crop size."
        )
        if study is None:
            st.caption("Open a study first: its images are shown here.")
            return
        _block(study)


def _block(study: Study) -> None:
    left, right = st.columns([2, 3], gap="large")
    with left:
        effects = previews()
        name = st.selectbox(
            "Augmentation", list(effects), format_func=lambda one: effects[one].title, key="augmentation"
        )
        effect = effects[name or next(iter(effects))]
        st.caption(f"{effect.about} {WHERE[effect.fourier]}.")
        values = tuple((slider.name, _slider(name or "", slider)) for slider in effect.sliders)
        row = int(np.argmax(study.is_val))  # the first evaluation image, or the first of all
    with right:
        try:
            pictures = (
                ("Before", image_reads.before_augmentation(study, row)),
                ("After", image_reads.after_augmentation(study, row, name or "", values, SEED)),
            )
        except (PeregrineError, OSError, KeyError) as error:
            st.error(plain(error), icon=":material/broken_image:")
            return
        st.html(side_by_side(pictures, effect.title))


def _slider(name: str, slider: Slider) -> float:
    return float(
        st.slider(
            slider.title,
            float(slider.low),
            float(slider.high),
            float(slider.default),
            float(slider.step),
            key=f"augmentation_{name}_{slider.name}",
        )
    )


def side_by_side(pictures: tuple[tuple[str, str], ...], title: str) -> str:
    """Figures with captions, as HTML."""
    figures = "".join(
        f"<figure style='margin:0'><img src='{address}' width='{SIDE}' height='{SIDE}' "
        f"alt='{html.escape(f'{label}: {title}')}' style='max-width:100%;height:auto;border-radius:4px'>"
        f"<figcaption>{html.escape(label)}</figcaption></figure>"
        for label, address in pictures
    )
    return f"<div style='display:flex;gap:1rem;flex-wrap:wrap'>{figures}</div>"
