"""Class folders in, batches out; as a program the pre-flight check: `python dataset.py training_data`."""

from pigeonhole import cli
from pigeonhole.commands import check
from pigeonhole.data.dataset import DataSet, DataSets, read_train_sets

__all__ = ["DataSet", "DataSets", "read_train_sets"]

if __name__ == "__main__":
    cli.run(check.main)
