"""The examples for clusters, on this machine alone: each picture has one row with the classifier's answer."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pigeonhole.model.classifier import Classifier
from tests.support import bulk_jobs, saved_runs

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "needed"), [("ray", "ray"), ("spark", "pyspark")])
def test_every_picture_has_its_row(tmp_path, name, needed):
    pytest.importorskip(needed, reason=f"{needed}, some hundred megabytes, is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    if name == "spark" and not shutil.which("java"):
        pytest.skip("Spark needs Java")
    run = saved_runs.ready(tmp_path / "run", onnx=True)
    names = bulk_jobs.write_pictures(tmp_path / "photos")
    done = subprocess.run(
        [sys.executable, f"examples/{name}_predict.py", tmp_path / "photos", run, tmp_path / "answers"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    rows = parquet.read_table(tmp_path / "answers").to_pylist()
    assert sorted(row["file"].removeprefix("file:") for row in rows) == names
    with Classifier.load(run, engine="onnx") as classifier:
        for row in rows:
            (answer,) = classifier.answer_here([Path(row["file"].removeprefix("file:"))])
            if isinstance(answer, Exception):
                assert row["error"] == str(answer) and row["prediction"] is None
                continue
            best = answer.probabilities.argmax()
            assert (row["prediction"], row["unsure"]) == (classifier.classes[best], answer.unsure)
            assert row["confidence"] == pytest.approx(answer.probabilities[best], abs=1e-5)
