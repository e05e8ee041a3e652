"""Parts of the pages of features: the list and its forms, and what is known of a single feature."""
