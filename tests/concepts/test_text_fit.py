"""How well a text fits what a search finds for it."""

from __future__ import annotations

import numpy as np
import pytest

from core.concepts.search import FITS, text_fit, unknown_words

GENERIC = np.eye(8)[6:]  # two directions that no image has more than the others


def loop_fit(nearest, sample, text, generic):
    """The same, image by image."""

    def cosine(a, b):
        return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))

    ahead = [cosine(text, one) - max(cosine(word, one) for word in generic) for one in nearest]
    return np.median(ahead) / np.std([cosine(text, one) for one in sample])


def test_text_fit__matches_a_loop_at_any_length(rng):
    nearest, sample, text = rng.normal(size=(5, 8)), rng.normal(size=(40, 8)), rng.normal(size=8)
    expected = loop_fit(nearest, sample, text, GENERIC)
    assert text_fit(nearest, sample, text, GENERIC) == pytest.approx(expected, rel=1e-9)
    assert text_fit(3 * nearest, sample, 7 * text, GENERIC) == pytest.approx(expected, rel=1e-9)


def test_text_fit__what_images_show_fits_and_what_none_shows_does_not(rng):
    images = rng.normal(0, 0.1, size=(60, 8)) + 0.3 * GENERIC.sum(0)
    images[:20, 0] += 1  # a third of them shows what the first direction stands for
    shown, absent = np.eye(8)[0], np.eye(8)[1]
    assert text_fit(images[:5], images, shown, GENERIC) > FITS
    assert text_fit(images[np.argsort(-images @ absent)[:5]], images, absent, GENERIC) < FITS


def test_text_fit__nothing_found_or_nothing_varies():
    assert np.isnan(text_fit(np.empty((0, 8)), np.eye(8), np.ones(8), GENERIC))
    assert np.isnan(text_fit(np.ones((2, 8)), np.ones((3, 8)), np.ones(8), GENERIC))


def test_unknown_words__of_an_embedded_clip_in_any_script():
    assert unknown_words("asset:glyphworld", "Walruses, a cat and walruses") == ["walruses"]
    assert unknown_words("asset:glyphworld", "猫") == ["猫"]
    assert unknown_words("asset:glyphworld", "two cats") == []
    assert unknown_words("asset:../glyphworld", "walrus") == unknown_words("ViT-B-32@openai", "walrus") == []
