"""Answers for any number of pictures in the same memory: streamed into files or class folders, resumable."""
