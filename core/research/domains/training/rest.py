"""A backbone without the domain prefix, as the method's own loss sees it."""

from torch import Tensor, nn

from core.errors import SettingsError

SHARE = 16  # one feature in 16 is in the prefix, as in Kalibhat's: 24 of 384


class Rest(nn.Module):
    """The features k ... r - 1 of a backbone."""

    def __init__(self, backbone: nn.Module, k: int):
        super().__init__()
        self.backbone, self.k = backbone, k

    def forward(self, views: Tensor) -> Tensor:
        """(n, 3, S, S) -> (n, r - k)."""
        return self.backbone(views)[:, self.k :]


def prefix_length(n_prefix: int | None, n_features: int) -> int:
    """Return the length of the prefix: `n_prefix`, or a sixteenth (at least one).

    Raises:
        SettingsError: no feature would be left for the method.
    """
    k = max(n_features // SHARE, 1) if n_prefix is None else n_prefix
    if k >= n_features:
        raise SettingsError(
            f"domains.prefix = {k} leaves nothing of the {n_features} features for the content: use at most "
            f"{n_features - 1}; Kalibhat's dissertation uses a sixteenth."
        )
    return k
