"""One short module per verb; what the composed ones share is in `compose` and `prepare`."""
