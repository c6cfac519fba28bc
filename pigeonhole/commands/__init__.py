"""One thin module a command: flags to configuration, one call, words.

May import every other room.
"""
