"""Let CLIP look at all probe images, whole, and find the words that each of them shows. [torch below]"""

from __future__ import annotations

import numpy as np

from core.concepts.captions.words import words_in
from core.concepts.clip.thresholds import clip_temperature
from core.concepts.crop_store import WHOLE
from core.concepts.crops import Cropper
from core.concepts.naming.majority import ShownWords, caption_weights, shown_words, word_mass
from core.concepts.tools import Tools
from core.jobs.progress import Progress

BLOCK_IMAGES = 32_768  # images compared with the caption bank together


def look_at_images(cropper: Cropper, rows: np.ndarray, tools: Tools, progress: Progress) -> ShownWords:
    """Find the words that each image shows.

    Args:
        rows: (n,) rows of the study. tools: with a bank.
    """
    assert tools.bank is not None and tools.retrieve_images is not None
    with progress.stage("whole images", total=len(rows), unit="images") as bar:
        crops = cropper.embed(rows, np.full(len(rows), WHOLE, object), bar)
    places, parts = [np.empty(0, np.int64)], []
    with progress.stage("captions of images", total=int(crops.there.sum()), unit="images") as bar:
        for which, held in cropper.store.blocks(crops, BLOCK_IMAGES):
            indices, cosine, _ = tools.retrieve_images(held["embeddings"])
            places.append(which)
            parts.append((np.asarray(indices, np.int64), np.asarray(cosine, np.float32)))
            bar.update(len(which))
    width = parts[0][0].shape[1] if parts else 0
    codes = np.full((len(rows), width), -1, np.int64)
    cosine = np.full((len(rows), width), np.nan)
    texts: list[str] = []
    if parts:
        which = np.concatenate(places)
        distinct, code = np.unique(np.concatenate([part[0] for part in parts]), return_inverse=True)
        codes[which] = code.reshape(-1, width)
        cosine[which] = np.concatenate([part[1] for part in parts])
        texts = list(tools.bank.texts(distinct))
    words = words_in(texts, as_they_stand=tools.bank.of_concepts, general=tools.bank.general)
    weights = caption_weights(cosine, clip_temperature(tools.clip))
    return shown_words(word_mass(codes, weights, words), crops.there)
