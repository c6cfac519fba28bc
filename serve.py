"""Serve a trained model as a web page and an API: `python serve.py`."""

from pigeonhole import cli
from pigeonhole.commands import serve

if __name__ == "__main__":
    cli.run(serve.main)
