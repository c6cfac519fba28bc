"""A heap of pictures to labels: decisions, groups, proposals, a head that learns along.

It knows no web and no command line; `jobs`, `web` and `commands` import it.
"""
