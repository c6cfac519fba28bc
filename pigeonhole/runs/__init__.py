"""The run folder: the names of its files, and their readers and writers.

Imports `networks`, `data` and `pictures`.
"""
