"""The studies of the charts' tests."""

from tests.charts.conftest import other_images as other_images
from tests.charts.conftest import pictured as pictured
