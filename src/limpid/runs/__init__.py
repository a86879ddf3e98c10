"""Runs: from typed overrides to stored results."""
