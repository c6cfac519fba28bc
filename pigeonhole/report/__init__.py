"""Figures of a run, and the one-file HTML report that holds them."""
