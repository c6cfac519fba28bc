"""Let a network see more in a picture than is there: `python dream.py photo.jpg --layer block8_expand_bn`."""

from pigeonhole import cli
from pigeonhole.commands import dream

if __name__ == "__main__":
    cli.run(dream.main)
