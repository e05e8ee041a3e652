"""Commands that clicks start: whether one may be started, and the one place that starts them."""
