"""The kinds of views of an image, by their recipe (Kalibhat, dissertation, sections 5.5 and 5.6).

| recipe | view |
|---|---|
| x | the whole image, without augmentation |
| image | A_im(x): random crop, flip, blur, colour |
| fda | F^-1(A_freq(f)): Fourier augmentations of x |
| both | the two together, in the order that `fourier.when` names |
| f | F(x) as a frequency image |
| fda_f | A_freq(f) as a frequency image |
| f_of_image | F(A_im(x)) as a frequency image |
"""

from collections.abc import Callable

import torch
from torch import Tensor

from core.research.fourier.training.fourier import fourier_chain, fourier_spectra
from core.research.fourier.training.frequency_image import spectra_as_images, to_frequency_image
from core.training.augmentations.augment import ViewParameters, apply_views, centre_view
from core.training.augmentations.config import AugmentConfig


def render_view(
    images: Tensor,
    parameters: ViewParameters,
    size: int,
    how: AugmentConfig,
    generator: Callable[[], torch.Generator],
) -> Tensor:
    """Render one view per image by the recipe of its settings.

    Args:
        images: (B, H, W, 3) uint8. parameters: of B views, on the same device.
        size: height and width of a view. how: settings of this view.
        generator: makes the source of randomness of Fourier augmentations; called only if there are any.
    Returns:
        (B, 3, size, size) float32 in [0, 1].
    """
    recipe = how.recipe
    chain = None if how.chain is None else fourier_chain(how.chain, generator())
    if recipe in ("image", "f_of_image"):
        view = apply_views(images, parameters, size)
        return view if recipe == "image" else to_frequency_image(view, scale=how.frequency_scale)
    if recipe == "both":
        assert chain is not None and how.chain is not None
        if how.chain.when == "after":
            return chain(apply_views(images, parameters, size))
        return apply_views(images, parameters, size, chain)
    view = centre_view(images, size)
    if recipe == "x":
        return view
    if recipe == "fda":
        assert chain is not None
        return chain(view)
    spectra = torch.fft.rfft2(view)
    if chain is not None:
        spectra = fourier_spectra(chain, spectra, size)
    return spectra_as_images(spectra, size, scale=how.frequency_scale)
