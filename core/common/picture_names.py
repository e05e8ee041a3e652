"""Names of the columns of the pictures themselves (docs/method.md 1.8), as the table `pictures` has them."""

NUMBERS = (
    *("brightness", "dark", "light", "contrast", "sharpness", "saturation"),
    *("width", "height", "aspect", "transparent"),
)
DUPLICATE_OF, NEAR_DUPLICATE_OF = "duplicate_of", "near_duplicate_of"
COLUMNS = (*NUMBERS, "turned", DUPLICATE_OF, NEAR_DUPLICATE_OF)
