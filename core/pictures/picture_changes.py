"""Changes of a picture that trials make before the encoder looks at it again (docs/method.md 9.3)."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from core.analysis.predictor import Predictor
from core.common.dataframes import numbers
from core.encoders.grey import LUMA
from core.encoders.transform import INTERPOLATIONS, Transform
from core.measures.slice_comparison import shown_images
from core.pictures.alterations import removed
from core.pictures.drawn_errors import DrawnImages, label_outcomes
from core.store import Study

# Changes of a picture that trials make before the encoder looks at it again (docs/method.md 9.3).
#
# Pictures are changed as the encoder sees them, in its input view, but for a turn and for the whole
# picture, which are taken from the picture itself.


AS_IT_IS = "as it is"
NEUTRAL = ("mirrored", "zoomed", "as JPEG", "shifted", "gamma")
WHOLE = "whole"
EQUALISED, SHARPENED, BOTH = IMPROVED = ("equalised", "sharpened", "equalised and sharpened")
TURNS = {90: "turned by 90", 180: "turned by 180", 270: "turned by 270"}  # degrees, against the clock
REPLACED, OTHER_REPLACED = "background replaced", "background replaced, other mask"
VIEWS = (AS_IT_IS, *NEUTRAL, WHOLE, *IMPROVED, *TURNS.values(), REPLACED, OTHER_REPLACED)

ZOOM = 0.05  # of each side that is cut off
QUALITY = 60  # of the JPEG
SHIFT = 4  # pixels of the input view, to the right
GAMMA = 1.1
RADIUS, AMOUNT = 2, 150  # of the unsharp mask: pixels of the input view, percent
TRANSPOSED = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}


@dataclass(frozen=True)
class Improvement:
    """What the trial of the picture does to one image.

    Attributes:
        brightness, contrast: mean and standard deviation of the luma that it gets; None: it keeps its own.
        sharpen: an unsharp mask is laid on.
    """

    brightness: float | None = None
    contrast: float | None = None
    sharpen: bool = False

    @property
    def equalises(self) -> bool:
        return self.brightness is not None or self.contrast is not None


def changed_views(
    picture: Image.Image,
    transform: Transform,
    improvement: Improvement,
    mask: np.ndarray | None = None,
    other_mask: np.ndarray | None = None,
    fill: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Make the encoder's views of a changed picture for all trials of causes, by their names in VIEWS.

    Args:
        picture: RGB, upright. mask, other_mask: (H, W) bool of the input view, the object of this picture and
            of another; None: the background is not replaced. fill: (3,) uint8, what it is replaced by.
    Returns:
        (H, W, 3) uint8 each. Without WHOLE where the view shows the whole picture already, and without those
        of IMPROVED and TURNS that would change nothing.
    """
    view = transform.pixels(picture)
    views = {AS_IT_IS: view, **neutral_views(view)}
    if (whole := whole_picture(picture, transform)) is not None:
        views[WHOLE] = whole
    if improvement.equalises:
        views[EQUALISED] = equalised(view, improvement.brightness, improvement.contrast)
    if improvement.sharpen:
        views[SHARPENED] = sharpened(view)
    if improvement.equalises and improvement.sharpen:
        views[BOTH] = sharpened(views[EQUALISED])
    for degrees, name in TURNS.items():
        views[name] = transform.pixels(picture.transpose(TRANSPOSED[degrees]))
    if mask is not None and other_mask is not None and fill is not None:
        views[REPLACED] = removed(view, ~mask, fill)
        views[OTHER_REPLACED] = removed(view, ~other_mask, fill)
    return views


def neutral_views(view: np.ndarray) -> dict[str, np.ndarray]:
    """Change a picture in ways that leave what it shows: controls of trials of the causes of errors.

    Args:
        view: (H, W, 3) uint8.
    """
    height, width = view.shape[:2]
    image = Image.fromarray(view)
    rest = 1 - ZOOM / 2
    cut = (width * ZOOM / 2, height * ZOOM / 2, width * rest, height * rest)
    zoomed = image.resize((width, height), Image.Resampling.BILINEAR, box=cut)
    shifted = np.pad(view, ((0, 0), (SHIFT, 0), (0, 0)), mode="edge")[:, :width]
    darker = 255 * (view / 255) ** GAMMA
    changed = (view[:, ::-1], np.asarray(zoomed), _as_jpeg(image), shifted, _as_pixels(darker))
    return dict(zip(NEUTRAL, map(np.ascontiguousarray, changed), strict=True))


def _as_jpeg(image: Image.Image) -> np.ndarray:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return np.asarray(Image.open(file).convert("RGB"))


def whole_picture(picture: Image.Image, transform: Transform) -> np.ndarray | None:
    """Show a whole picture to the encoder, padded with its mean colour; None where the view does so.

    Returns:
        (H, W, 3) uint8.
    """
    left, top, right, bottom = transform.box(*picture.size)
    if left <= 1 and top <= 1 and right >= picture.width - 1 and bottom >= picture.height - 1:
        return None
    height, width = transform.sides
    scale = min(height / picture.height, width / picture.width)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    fitted = picture.resize(size, INTERPOLATIONS[transform.interpolation])
    mean = tuple(np.rint(np.asarray(fitted).reshape(-1, 3).mean(0)).astype(int).tolist())
    ground = Image.new("RGB", (width, height), mean)
    ground.paste(fitted, ((width - size[0]) // 2, (height - size[1]) // 2))
    return np.asarray(ground)


def equalised(view: np.ndarray, brightness: float | None, contrast: float | None) -> np.ndarray:
    """Give a picture another mean and standard deviation of its luma, as a trial of an error's cause.

    x' = m' + (x - m) s' / s of the luma's mean m and deviation s. Where only m' is given, x' = x m' / m: a
    picture that is too dark lacks contrast, too. Where only s' is given, m' = m. A flat or black view keeps
    what it has.

    Args:
        view: (H, W, 3) uint8. brightness, contrast: m' and s', in [0, 1].
    """
    x = view / 255
    grey = x @ np.array(LUMA)
    mean, deviation = float(grey.mean()), float(grey.std())
    target = mean if brightness is None else brightness
    if contrast is None:
        factor = target / mean if mean > 0 else 1.0
    else:
        factor = contrast / deviation if deviation > 0 else 1.0
    return _as_pixels(255 * (target + (x - mean) * factor))


def sharpened(view: np.ndarray) -> np.ndarray:
    """Sharpen a picture by an unsharp mask, (H, W, 3) uint8, as a trial of an error's cause."""
    mask = ImageFilter.UnsharpMask(radius=RADIUS, percent=AMOUNT, threshold=0)
    return np.asarray(Image.fromarray(view).filter(mask))


def _as_pixels(values: np.ndarray) -> np.ndarray:
    """Round the values of a changed picture to uint8, what lies outside cut off."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


# What the trial of the picture does to each image: unusual light and sharpness become the usual ones.


MEASURES = BRIGHTNESS, CONTRAST, SHARPNESS = ("brightness", "contrast", "sharpness")
OUTER = 0.1  # of the evaluation images at each end


@dataclass(frozen=True)
class Usual:
    """Measures of the drawn images, and the medians of right images of their target.

    Attributes:
        value, median: (n, 3) float64, in the order of MEASURES. is_outer: (n, 3) bool, in the lowest or
            highest tenth; of the sharpness in the lowest alone, as nothing is made less sharp.
    """

    value: np.ndarray
    median: np.ndarray
    is_outer: np.ndarray

    def improvements(self) -> list[Improvement]:
        improvements = []
        for median, outer in zip(self.median, self.is_outer, strict=True):
            brightness, contrast = (float(median[at]) if outer[at] else None for at in (0, 1))
            improvements.append(Improvement(brightness, contrast, bool(outer[2])))
        return improvements


def usual_measures(study: Study, predictor: Predictor, drawn: DrawnImages) -> Usual | None:
    """Compare the drawn images with right ones; None where the study holds no measures of its pictures.

    The median is that of the evaluation images that are answered correctly as the target; of all that are
    answered correctly where there is none.
    """
    if not study.has("pictures"):
        return None
    table, shown = study.table("pictures", [*MEASURES]), shown_images(study)
    values = np.stack([numbers(table, name) for name in MEASURES], axis=1)
    label, _, correct = label_outcomes(study, predictor)
    right = np.flatnonzero(shown & (correct == 1))
    medians = np.empty((len(predictor.names), len(MEASURES)))
    medians[:] = _medians(values[right])
    for code in np.unique(label[right]).tolist():
        medians[code] = _medians(values[right[label[right] == code]])
    low, high = (_quantiles(values[shown], share) for share in (OUTER, 1 - OUTER))
    here = values[drawn.rows]
    is_outer = (here < low) | (here > high)
    is_outer[:, MEASURES.index(SHARPNESS)] = (here < low)[:, MEASURES.index(SHARPNESS)]
    median = medians[drawn.target]
    return Usual(here, median, is_outer & np.isfinite(median))


def _medians(values: np.ndarray) -> np.ndarray:
    return _quantiles(values, 0.5)


def _quantiles(values: np.ndarray, share: float) -> np.ndarray:
    """(k,) of each column, NaN left out; NaN for a column without a number."""
    columns = [column[np.isfinite(column)] for column in values.T]
    return np.array([np.quantile(column, share) if len(column) else np.nan for column in columns])
