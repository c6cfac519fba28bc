"""A complete training or evaluation, from the settings to the report.

Imports every room but `web` and `commands`.
"""
