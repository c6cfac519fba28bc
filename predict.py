"""Say what is in pictures: `python predict.py dog.jpg`."""

from pigeonhole import cli
from pigeonhole.commands import predict

if __name__ == "__main__":
    cli.run(predict.main)
