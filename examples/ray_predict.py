"""Answers for pictures on several machines by Ray Data, into Parquet.

    python examples/ray_predict.py PICTURES RUN ANSWERS     # on one machine, or on a cluster that is running

PICTURES and ANSWERS are folders that every worker can reach, also addresses such as s3://...; the run must
lie at the same path on each of them.
"""

import sys

import ray

from pigeonhole import Classifier


class Answers:
    """Answers for one block after the other, with a model that is loaded once in each worker."""

    def __init__(self, run: str):
        self.classifier = Classifier.load(run, engine="onnx", threads=1)

    def __call__(self, block: dict) -> dict:
        answers = self.classifier.answers(list(block["bytes"]))
        return {
            "file": block["path"],
            "prediction": [answer.class_name for answer in answers],
            "confidence": [answer.confidence for answer in answers],
            "unsure": [answer.unsure for answer in answers],
            "error": [answer.error for answer in answers],
        }


def main(pictures: str, run: str, answers: str) -> None:
    found = ray.data.read_binary_files(pictures, include_paths=True)
    workers = int(ray.cluster_resources()["CPU"])
    given = found.map_batches(
        Answers, fn_constructor_args=[run], batch_size=32, num_cpus=1, concurrency=(1, workers)
    )
    given.write_parquet(answers)


if __name__ == "__main__":
    ray.init()  # on a cluster: the one that `ray start` or RAY_ADDRESS names
    main(*sys.argv[1:])
