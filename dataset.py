"""Class folders in, batches out; as a program the pre-flight check: `python dataset.py training_data`."""

from pigeonhole import cli
from pigeonhole.commands import check

if __name__ == "__main__":  # the help need not wait for NumPy
    cli.run(check.main)
else:
    from pigeonhole.data.dataset import DataSet, DataSets, read_train_sets

    __all__ = ["DataSet", "DataSets", "read_train_sets"]
