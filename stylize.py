"""Paint a picture in the style of another: `python stylize.py photo.jpg painting.jpg --output out.png`."""

from pigeonhole import cli
from pigeonhole.commands import stylize

if __name__ == "__main__":
    cli.run(stylize.main)
