"""Default settings of a fine-tuning. Free of torch."""

# Kalibhat 2024: LARS, warm-up and cosine, lr 1e-5, 50 epochs. timm's LARS multiplies the rate by a trust
# ratio of 1e-3, so that weights move by about 1e-4 of themselves and mostly BatchNorm's statistics change:
# the log says so.
PAPER = {"optimizer": "lars", "lr": 1e-5, "epochs": 50}
WARMUP = 0.1  # of the epochs
PRACTICAL = 0.1  # of the rate, and with the optimiser, that the method is trained with from scratch
