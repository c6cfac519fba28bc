"""The parts of a report: galleries, matrices, filters, drawings, headings and numbers."""

import base64
import re

import cv2
import numpy as np
import pytest

from pigeonhole.data.augmentation import IN_NETWORK, NONE, Augmentation
from pigeonhole.evaluation.studies.audit import AuditResult
from pigeonhole.report import answers, confusion, data, network, page, pictures, training
from pigeonhole.report.pictures import GENEROSITY
from pigeonhole.runs.run import Run
from tests.support import report_runs
from tests.support.report_runs import CLASSES, SIZE


def test_mistakes_come_by_confidence(case):
    rows = answers.most_confident_mistakes(case.evaluation)
    assert not case.evaluation.right[rows].any()
    assert len(rows) == (~case.evaluation.right).sum()
    assert (np.diff(case.evaluation.confidence[rows]) <= 0).all()
    hits = answers.least_confident_hits(case.evaluation)
    assert case.evaluation.right[hits].all()
    assert (np.diff(case.evaluation.confidence[hits]) >= 0).all()


def test_behind_a_cell_are_its_own_pictures(case):
    told, matrix = case.evaluation, case.measures.confusion
    behind = confusion.rows_behind(told, matrix, GENEROSITY[0], with_hits=True)
    assert behind.keys() == {(i, j) for i, j in np.argwhere(matrix).tolist()}
    for (true, predicted), rows in behind.items():
        assert len(rows) == min(matrix[true, predicted], GENEROSITY[0].pile)
        assert (told.labels[rows] == true).all()
        assert (told.predicted[rows] == predicted).all()
        rising = np.diff(told.confidence[rows]) * (1 if true == predicted else -1)
        assert (rising >= 0).all()


def test_confusions_come_by_number():
    matrix = np.array([[9, 2, 0], [5, 9, 1], [0, 0, 9]])
    assert confusion.confusions(matrix) == [(1, 0), (0, 1), (1, 2)]
    assert confusion.confusions(np.eye(3, dtype=int)) == []


def test_shades_tell_hits_by_row_and_mistakes_by_the_worst():
    shades = confusion.shade(np.array([[8, 2, 0], [4, 6, 0], [0, 0, 0]]))
    np.testing.assert_allclose(shades, [[0.8, 0.5, 0], [1, 0.6, 0], [0, 0, 0]])


def test_a_large_matrix_is_drawn():
    sheet = confusion.drawing(np.array([[1.0, 0.0], [0.25, 0.0]]))
    assert sheet[0, 0].tolist() == [0x00, 0x63, 0xA8, 255]
    assert sheet[1, 0].tolist() == [0xB8, 0x50, 0x0A, 128]
    assert sheet[0, 1, 3] == 0


def test_filters_are_coloured_by_sign_and_strength():
    colours = network.diverging(np.array([-1.0, 0.0, 1.0, 0.5]))
    assert colours[0].tolist() == [0xB8, 0x50, 0x0A, 255]
    assert colours[1].tolist() == [255, 255, 255, 255]
    assert colours[2].tolist() == [0x00, 0x63, 0xA8, 255]
    assert colours[3].tolist() == [128, 177, 212, 255]


def test_filters_come_with_their_statistics():
    weights = np.random.default_rng(0).normal(size=(3, 5, 3, 7)).astype(np.float32)
    drawn = network.filters("conv1", weights, channels=2)
    assert (drawn.size, drawn.inputs, drawn.outputs) == ("3×5", 3, 7)  # noqa: RUF001
    assert drawn.peak == pytest.approx(np.abs(weights).max())
    assert [channel.name for channel in drawn.channels] == ["red", "green"]
    green = weights[:, :, 1]
    measured = [getattr(drawn.channels[1], name) for name in ("minimum", "maximum", "mean", "deviation")]
    np.testing.assert_allclose(measured, [green.min(), green.max(), green.mean(), green.std()], rtol=1e-5)


def test_small_pictures_are_laid_side_by_side():
    maps = np.arange(1, 6, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 3, 4), np.uint8)
    sheet = pictures.tiled(maps, columns=3)
    assert sheet.shape == (5, 11, 4)
    assert sheet[:2, :3].min() == sheet[:2, :3].max() == 1
    assert (sheet[3:, 4:7] == 5).all()
    assert not sheet[2].any()
    assert not sheet[:, 3].any()


def test_a_drawing_keeps_every_pixel():
    sheet = np.random.default_rng(0).integers(0, 256, (5, 4, 4), np.uint8)
    uri = pictures.lossless_uri(sheet)
    encoded = np.frombuffer(base64.b64decode(uri.partition(",")[2]), np.uint8)
    np.testing.assert_array_equal(
        cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED), cv2.COLOR_BGRA2RGBA), sheet
    )


def test_the_drawing_of_the_network_has_its_shapes(case):
    layers = case.classifier.layers
    drawn = network.blocks(layers, (SIZE, SIZE, 3))
    assert [block.shape.replace("\N{MULTIPLICATION SIGN}", "x") for block in drawn][:3] == [
        "16x16x3",
        "16x16x32",
        "8x8x32",
    ]
    assert drawn[0].layers == ["picture", "standardise"]
    assert sum(block.parameters for block in drawn) == sum(layer.parameters for layer in layers)
    assert [block.left for block in drawn] == sorted(block.left for block in drawn)


def shown_varied(case, augmentation: Augmentation, network: str) -> tuple[str, str, list[str]]:
    """The section's title, its words, and the pictures in it."""
    section = data._augmentation(case.sets.train, augmentation, network, GENEROSITY[0])
    return section.title, section.html, re.findall('src="(data:[^"]+)"', section.html)


def test_the_variations_are_the_trainings_own(case):
    title, html, sources = shown_varied(case, Augmentation(shift=0.4, colour=0.3), "standard")
    assert "varied by shift 0.4, colour 0.3" in html
    assert title == "One picture, varied" and len(sources) == 10 and len(set(sources)) > 5


def test_what_the_networks_own_layers_make_of_a_picture_is_shown(case):
    title, html, sources = shown_varied(case, IN_NETWORK, "classic_augmented")
    crop = round(SIZE * 24 / 32)
    told = (
        f"random crop {crop} x {crop}, flip, hue 0.05, contrast 0.3 to 1, brightness 0.2, saturation 0 to 2"
    )
    assert told in html and title == "One picture, varied" and len(set(sources)) == 10
    widths = [
        cv2.imdecode(np.frombuffer(base64.b64decode(each.partition(",")[2]), np.uint8), 1).shape[1]
        for each in sources
    ]
    assert widths == [SIZE] + 9 * [crop]


@pytest.mark.parametrize("network", ["standard", "classic_augmented"])
def test_no_variations_are_told_of_where_there_are_none(case, network):
    title, html, sources = shown_varied(case, NONE, network)
    assert title == "Pictures as they are" and "without variations" in html
    assert "changed" not in html and not sources


@pytest.mark.parametrize(
    "augmentation, mix, told", [(NONE, 0.0, False), (Augmentation(flip=True), 0.0, True), (NONE, 0.5, True)]
)
def test_the_curves_are_said_to_be_of_varied_pictures_only_where_they_are(case, augmentation, mix, told):
    settings = case.run.settings()
    settings["recipe"] |= {"augmentation": augmentation.__dict__, "mix": mix}
    run = Run(case.run.folder.parent / f"varied {augmentation.flip} {mix}")
    run.folder.mkdir()
    run.write_settings(settings)
    run.history_file.write_text(case.run.history_file.read_text("utf-8"), "utf-8")
    (curves,) = (
        each for each in training.sections(run, case.sets, 1, 0, AuditResult()) if each.id == "curves"
    )
    assert ("Training pictures are varied" in curves.html) == told


def test_the_sample_takes_the_classes_in_turn(case):
    html = data._sample(case.sets.train, GENEROSITY[0]).html
    named = [parsed.strip() for parsed in re.findall(r'<figcaption><span class="name">(.*?)</span>', html)]
    turns = min(np.bincount(case.sets.train.label_indices))
    assert turns > 4
    assert [len(set(named[3 * turn : 3 * turn + 3])) for turn in range(turns)] == [len(CLASSES)] * turns


@pytest.mark.parametrize(
    ("classes", "question"),
    [
        (["cats", "dogs"], "cats or dogs?"),
        (["a", "b", "c"], "a, b or c?"),
        (list("abcdefghij"), "a, b, c or 7 more?"),
    ],
)
def test_the_heading_is_a_question(classes, question):
    assert training.heading(classes) == question


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(42.4, "42 seconds"), (231, "3 min 51 s"), (7512, "2 h 5 min"), (5399.8, "1 h 30 min")],
)
def test_durations_are_read_easily(seconds, words):
    assert training.duration(seconds) == words


def test_settings_are_flattened():
    values = {"a_b": 1, "c": {"d": True, "e": None, "f": [1, 2]}, "g": 0.25}
    assert list(training.flat(values)) == [("a b", "1"), ("c: d", "yes"), ("c: f", "1, 2"), ("g", "0.25")]


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.8164, "81.6 %"), (0, "0.0 %"), (1, "100.0 %"), (0.00012, "0.01 %"), (0.99987, "99.99 %")],
)
def test_percentages_keep_what_matters(share, text):
    assert page.percent(share) == text.replace(" ", "\N{NO-BREAK SPACE}")


def test_history_is_read_by_column(tmp_path):
    report_runs.write_facts(tmp_path, list(CLASSES))
    history = Run(tmp_path).history()
    np.testing.assert_array_equal(history["epoch"], [1, 2, 3])
    np.testing.assert_array_equal(history["valid_accuracy"], [0.5, 0.75, 0.75])
