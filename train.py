"""Train a classifier on a folder of class folders: `python train.py --data training_data`."""

from pigeonhole import cli
from pigeonhole.commands import train

if __name__ == "__main__":
    cli.run(train.main)
