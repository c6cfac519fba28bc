"""The compiled step and the loop around it. Imports `model` and what stands above it."""
