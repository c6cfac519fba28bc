"""Test a trained model on a folder of class folders: `python evaluate.py --data testing_data`."""

from pigeonhole import cli
from pigeonhole.commands import evaluate

if __name__ == "__main__":
    cli.run(evaluate.main)
