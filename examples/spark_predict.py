"""Answers for pictures on several machines by Spark: `mapInPandas` over binary files, into Parquet.

    spark-submit examples/spark_predict.py PICTURES RUN ANSWERS       # or python, on this machine alone

PICTURES and ANSWERS are folders that every worker can reach, also addresses such as s3a://...; the run must
lie at the same path on each of them.
"""

import os
import sys
from collections.abc import Iterator

import pandas
from pyspark.sql import SparkSession

COLUMNS = "file string, prediction string, confidence float, unsure boolean, error string"


def main(pictures: str, run: str, answers: str) -> None:
    def answer(blocks: Iterator[pandas.DataFrame]) -> Iterator[pandas.DataFrame]:
        """Answers for the blocks of one task, with a model that is loaded once."""
        from pigeonhole import Classifier

        with Classifier.load(run, engine="onnx", threads=1) as classifier:
            for block in blocks:
                answers = classifier.answers([bytes(content) for content in block["content"]])
                yield pandas.DataFrame(
                    {
                        "file": block["path"],
                        "prediction": [answer.class_name for answer in answers],
                        "confidence": [answer.confidence for answer in answers],
                        "unsure": [answer.unsure for answer in answers],
                        "error": [answer.error for answer in answers],
                    }
                )

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # of workers on this machine
    spark = SparkSession.builder.appName("pigeonhole").getOrCreate()
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "64")  # whole files: few at a time
    files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(pictures)
    files.select("path", "content").mapInPandas(answer, COLUMNS).write.mode("overwrite").parquet(answers)
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
