"""The run whose report is tested, made once for each file of tests."""

import keras
import pytest

from tests.support import report_runs


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    keras.utils.set_random_seed(0)
    made = report_runs.make(tmp_path_factory.mktemp("report"))
    yield made
    made.classifier.close()
