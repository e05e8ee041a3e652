"""Which features push towards a wrong class, in words: kinds and numbers."""

from __future__ import annotations

import math

import pytest

from core.pictures.confused import pushing_sentence


@pytest.mark.parametrize(
    ("shares", "kind"),
    [
        ([0.68, 0.42], "others_push_back"),  # together more than all of the lead
        ([0.4, 0.3], "with_shares"),
        ([0.4, math.nan], "because"),
        ([0.4, -0.1], "because"),
    ],
)
def test_pushing__gives_the_shares_that_are_known(shares, kind):
    sentence = pushing_sentence("bike", ["Feature 150", "Feature 486"], shares, [False, True])
    assert sentence.kind == kind and sentence.what == "bike"
    assert sentence.names[0] == "Feature 150" and sentence.names[1] != "Feature 486"  # the lack of it
    assert sentence.names[1].endswith("Feature 486")
    assert [one.value for one in sentence.parts] == ([] if kind == "because" else shares)
