"""A finished run of a small network, together with the folder of pictures that it says it was trained on."""

import csv
import hashlib
import json
from pathlib import Path

from pigeonhole.runs.run import Run
from tests.support import saved_runs

TRAINED, VALIDATED = 12, 18  # pictures


def make(folder: Path, **fitted) -> Run:
    """The run is `folder/run`, its pictures lie in `folder/pictures`; the labels are by chance.

    The network has random weights: whatever it answers, an export must answer too.
    """
    make = saved_runs.save if fitted else saved_runs.ready
    make(folder / "run", **fitted)
    run = Run(folder / "run")
    pictures = folder / "pictures"
    with run.split_file.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "class", "side", "digest"])
        for number in range(TRAINED + VALIDATED):
            name = saved_runs.CLASSES[number % len(saved_runs.CLASSES)]
            path = saved_runs.write_picture(pictures / name / f"{number}.png", number)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            side = "train" if number < TRAINED else "valid"
            table.writerow([path.relative_to(pictures).as_posix(), name, side, digest])
    run.settings_file.write_text(json.dumps({"options": {"data": str(pictures)}}))
    return run
