"""Columns of the pictures themselves (docs/method.md 1.8), as the table `pictures` of a study has them."""

NUMBERS = (
    *("brightness", "dark", "light", "contrast", "sharpness", "saturation"),
    *("width", "height", "aspect", "transparent"),
)
DUPLICATE, NEAR_DUPLICATE = "duplicate_of", "near_duplicate_of"
COLUMNS = (*NUMBERS, "turned", DUPLICATE, NEAR_DUPLICATE)
