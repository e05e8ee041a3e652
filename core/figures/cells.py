"""A cell of a figure sheet as text: a figure or a picture, its options, its images and its caption.

`roc`, `roc?score=confidence&where=label=bird`, `heatmap:0/10000003?caption=A+dog`, and of several studies
`miou?with=second`. The command `figure-sheet`, the link of the page Figures and the job that makes a sheet
all use this form.
"""

from dataclasses import dataclass, fields, replace
from typing import Any, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl, quote, urlencode

from core.charts.chart import Chart
from core.charts.options import FigureOptions
from core.charts.other_studies import is_beside, study_name
from core.common.score_names import score_label
from core.errors import SettingsError, SliceError
from core.slices.slice import Slice

PICTURE_NAMES = {"image": "Image", "heatmap": "Heatmap of", "masks": "Heatmap and masks of"}
PICTURES = tuple(PICTURE_NAMES)
OF_FEATURES = ("sorted_activation", "purity", "map", "feature_heatmaps")  # which a feature can be marked in
LONGEST_CAPTION = 300  # characters
LONGEST_TEXT = 2000  # characters of a cell
KEPT = tuple(part.name for part in fields(FigureOptions) if part.name != "device")  # what a figure shows
WHERE, CAPTION = "where", "caption"
OF, WITH = "of", "with"  # other studies, by their folders
SPAN, MOST_SPANNED = "span", 4
BESIDES = (OF, WITH, WHERE, CAPTION, SPAN)  # what a cell has besides options of its figure


@dataclass(frozen=True)
class CellRequest:
    """The content of a cell of a sheet.

    Attributes:
        name: a figure of the catalogue, or `image:ID`, `heatmap:ID`, `masks:ID`.
        where: the images that a figure is of, as the text of a slice; "" for the whole study.
        caption: stands below it; "" for none.
        of: folder of the study that it shows instead of the study of the sheet; "" for that one. Folders are
            named as seen from the folder that holds the study of the sheet: `second` lies beside it.
        beside: folders of the studies that it is compared with.
        span: how many columns of the sheet it takes.
    """

    name: str
    options: FigureOptions = FigureOptions()  # noqa: RUF009  (frozen)
    where: str = ""
    caption: str = ""
    of: str = ""
    beside: tuple[str, ...] = ()
    span: int = 1

    @property
    def others(self) -> tuple[str, ...]:
        """Folders of all studies that it needs besides the study of the sheet."""
        return (*filter(None, [self.of]), *self.beside)

    @property
    def is_picture(self) -> bool:
        """True for a single image, which is no figure of the catalogue."""
        kind, colon, _ = self.name.partition(":")
        return bool(colon) and kind in PICTURES

    @property
    def chart(self) -> Chart:
        """The figure of the catalogue; SettingsError, naming the closest, if there is none."""
        from core.figures.catalogue import chart_named  # here: it loads all charts, and pages read cells

        return chart_named(self.name)

    @property
    def slice(self) -> Slice | None:
        """The images that a figure is of; None for the whole study. Raises SliceError."""
        return Slice.parse(self.where) if self.where else None

    def __str__(self) -> str:
        """
        >>> str(CellRequest("roc", FigureOptions(score="norm"), where="label=bird"))
        'roc?score=norm&where=label=bird'
        """
        usual, pairs = FigureOptions(), []
        for name in KEPT:
            value = getattr(self.options, name)
            if value != getattr(usual, name):
                pairs += [(name, _text(one)) for one in (value if isinstance(value, tuple) else (value,))]
        besides = [(OF, self.of), *((WITH, one) for one in self.beside)]
        besides += [(WHERE, self.where), (CAPTION, self.caption)]
        besides += [(SPAN, str(self.span))] if self.span > 1 else []
        pairs += [(key, text) for key, text in besides if text]
        query = urlencode(pairs, quote_via=quote, safe="=,:/ ")
        return f"{self.name}?{query}" if query or "?" in self.name else self.name


def parse_cell(text: str, plain: FigureOptions | None = None) -> CellRequest:
    """Read the text form of a cell.

    Args:
        plain: options for what the text does not name.

    Raises:
        SettingsError: unknown figure, option or value, or a text that is too long.
    """
    if len(text) > LONGEST_TEXT:
        raise SettingsError(f"'{text[:40]}…' is too long for a cell of a figure sheet")
    plain = plain or FigureOptions()
    picture = CellRequest(text.partition("?")[0]).is_picture
    head, mark, tail = text.rpartition("?") if picture else text.partition("?")  # an image's id may hold one
    pairs = parse_qsl(tail, keep_blank_values=True) if mark else []
    if not mark or (tail and not all(key in (*KEPT, *BESIDES) for key, _ in pairs)):
        head, pairs = text, []
        if mark and not picture:
            raise SettingsError(
                f"'{text[:60]}' has an unknown option. Options: {', '.join((*KEPT, *BESIDES))}"
            )
    given: dict[str, list[str]] = {}
    for key, value in pairs:
        given.setdefault(key, []).append(value)
    beside = tuple(given.pop(WITH, ()))
    of, where, caption, span = (given.pop(key, [""])[-1] for key in (OF, WHERE, CAPTION, SPAN))
    if span and span not in map(str, range(1, MOST_SPANNED + 1)):
        raise SettingsError(f"a cell spans 1 to {MOST_SPANNED} columns, not '{span[:20]}'")
    caption = " ".join(caption.split())[:LONGEST_CAPTION]
    cell = CellRequest(head, _options(plain, given), where, caption, of, beside, int(span or 1))
    _check(cell)
    return cell


def _options(plain: FigureOptions, given: dict[str, list[str]]) -> FigureOptions:
    kinds = get_type_hints(FigureOptions)
    try:
        return replace(plain, **{name: _value(kinds[name], texts) for name, texts in given.items()})
    except ValueError as error:
        raise SettingsError(f"an option of a cell cannot be read: {error}") from None


def _value(kind: Any, texts: list[str]) -> Any:
    if get_origin(kind) is tuple:
        one = get_args(kind)[0]
        return tuple(map(one, texts if one is str else ",".join(texts).split(",")))
    if kind is bool:
        return texts[-1] == "1"
    convert = next((number for number in (int, float) if number in (kind, *get_args(kind))), str)
    return convert(texts[-1])


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def _check(cell: CellRequest) -> None:
    _check_studies(cell)
    for name, allowed in CHOICES.items():
        if getattr(cell.options, name) not in allowed:
            raise SettingsError(f"'{name}' of a cell is {', '.join(allowed)}")
    try:
        _ = cell.slice, Slice.parse(cell.options.versus)
    except SliceError as error:
        raise SettingsError(f"the images of '{cell.name}' cannot be read: {error}") from None


def _check_studies(cell: CellRequest) -> None:
    """Raise SettingsError for a wrong number of studies, or a folder that no study can have."""
    if odd := next((name for name in cell.others if not is_beside(name)), None):
        raise SettingsError(f"'{odd[:60]}' is not the folder of a study as seen from the one beside it")
    if cell.is_picture:
        if cell.others:
            raise SettingsError(f"'{cell.name}' is one picture of one study: leave out {OF} and {WITH}")
        return
    least, most = cell.chart.studies
    if len(cell.beside) + 1 < least:
        raise SettingsError(f"'{cell.name}' compares two studies; name the other: {cell.name}?{WITH}=STUDY2")
    if len(cell.beside) + 1 > most:
        number = "one study" if most == 1 else f"at most {most} studies"
        raise SettingsError(f"'{cell.name}' shows {number}: leave out {WITH}")


CHOICES = {
    part.name: tuple(part.metadata["choices"])
    for part in fields(FigureOptions)
    if part.metadata.get("choices")
}


def title_of(cell: CellRequest) -> str:
    """Return what a cell shows, in a few words.

    >>> title_of(CellRequest("roc", FigureOptions(score="norm"))), title_of(CellRequest("heatmap:val/7.jpg"))
    ('ROC of Raw norm', 'Heatmap of 7.jpg')
    """
    if cell.is_picture:
        kind, _, image = cell.name.partition(":")
        return f"{PICTURE_NAMES[kind]} {image.rpartition('/')[2]}"
    title = cell.chart.title.partition(";")[0]
    if cell.name == "map":
        title = "every image on the map"
    versus = cell.options.versus
    title = title.replace("the others (--versus)", Slice.parse(versus).describe() if versus else "all others")
    title = title.replace("Q (--score)", score_label(cell.options.score))
    title = title.replace(" (--mask)", f" with the {cell.options.mask} mask")
    if cell.options.features and cell.name in OF_FEATURES:
        title += f", {', '.join(f'#{feature}' for feature in cell.options.features)}"
    title += f", in {study_name(cell.of)}" if cell.of else ""
    title += f", compared with {', '.join(map(study_name, cell.beside))}" if cell.beside else ""
    return title if title[1:2].isupper() else title[:1].upper() + title[1:]


def usual_caption(cell: CellRequest) -> str:
    """Return a caption for a cell without one: what it shows, and of which images.

    >>> usual_caption(CellRequest("roc", FigureOptions(score="norm"), "label=bird split=val"))
    'ROC of Raw norm; evaluation images of bird.'
    """
    about = f"; {cell.slice.describe()}" if cell.slice else ""
    return f"{title_of(cell)}{about}."[:LONGEST_CAPTION]
