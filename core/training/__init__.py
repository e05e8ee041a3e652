"""Self-supervised training: methods, augmentations and the loop. `lightly` is imported only here."""
