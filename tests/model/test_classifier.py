import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pigeonhole import Classifier
from pigeonhole.errors import PigeonholeError, UsageError
from pigeonhole.model.interface import ForeignCheckpoint
from pigeonhole.pictures import images
from pigeonhole.pictures.images import ImageError
from tests.support import saved_runs

v1 = tf.compat.v1


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return saved_runs.ready(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def classifier(run):
    with Classifier.load(run) as classifier:
        yield classifier


@pytest.fixture
def pictures(tmp_path):
    suffixes = (".png", ".jpg", ".webp")
    return [saved_runs.write_picture(tmp_path / f"{seed}{suffixes[seed % 3]}", seed) for seed in range(7)]


def test_answers_equal_a_raw_restore_by_name(run, classifier, pictures):
    with tf.Graph().as_default(), v1.Session() as session:
        v1.train.import_meta_graph(str(run / "model.meta")).restore(session, str(run / "model"))
        batch = [images.preprocess(path.read_bytes(), images.Preprocessing(16)) for path in pictures]
        expected = session.run("y_pred:0", {"x:0": batch})
    answers = classifier.predict(pictures)
    np.testing.assert_allclose(answers, expected, atol=1e-6)
    assert answers.dtype == np.float32 and answers.std(axis=0).max() > 1e-4
    assert classifier.classes == saved_runs.CLASSES
    assert classifier.preprocessing == images.Preprocessing(16)


def test_every_form_of_a_picture_gives_the_same(classifier, pictures):
    path = pictures[0]  # a PNG: exact
    image = cv2.imread(str(path))[..., ::-1]
    forms = [path, str(path), path.read_bytes(), np.ascontiguousarray(image)]
    answers = classifier.predict(forms)
    assert np.array_equal(classifier.predict(each for each in forms), answers)
    np.testing.assert_allclose(answers, answers[:1].repeat(4, axis=0), atol=1e-6)


def test_one_picture_needs_no_list(classifier, pictures):
    expected = classifier.predict(pictures[:1])
    one, data = pictures[0], pictures[0].read_bytes()
    for picture in (
        one,
        str(one),
        data,
        bytearray(data),
        memoryview(data),
        cv2.imread(str(one))[..., ::-1],
        Image.open(one),
    ):
        assert np.array_equal(classifier.predict(picture), expected)


def test_pictures_of_pillow_are_taken_in_every_mode(classifier, pictures, tmp_path):
    with Image.open(pictures[0]) as picture:
        for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F", "I;16"):
            assert classifier.predict(
                [picture.convert("I").convert(mode) if mode == "I;16" else picture.convert(mode)]
            ).shape == (1, 3)
        turned = Image.Exif()
        turned[0x0112] = 6
        picture.save(tmp_path / "turned.png", exif=turned)
    with Image.open(tmp_path / "turned.png") as picture:
        assert np.array_equal(classifier.predict(picture), classifier.predict(tmp_path / "turned.png"))
    with pytest.raises(ImageError, match=r"picture 0: "):
        classifier.predict(Image.new("L", (0, 4)))


def test_answers_say_where_the_model_is_unsure(tmp_path, pictures):
    model = saved_runs.network()
    run = saved_runs.save(tmp_path / "run", model, rejection=saved_runs.rule(model))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    noise = [np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8) for seed in range(20)]
    with Classifier.load(run) as classifier:
        answers = list(classifier.answer_each([*noise, *pictures, tmp_path / "broken.png"]))
        pixels = np.stack(
            [images.preprocess(Path(path).read_bytes(), images.Preprocessing(16)) for path in pictures]
        )
        expected = classifier.fetch(np.concatenate([noise, pixels]), ["y_pred", "unsure"])
    assert isinstance(answers.pop(), ImageError)
    np.testing.assert_allclose([answer.probabilities for answer in answers], expected[0], atol=1e-6)
    unsure = [answer.unsure for answer in answers]
    assert unsure == expected[1].tolist() and True in unsure and False in unsure


def test_a_model_without_a_rule_is_never_unsure(classifier, pictures):
    assert not any(answer.unsure for answer in classifier.answer_each(pictures))
    assert not classifier.has("unsure") and classifier.has("logits") and classifier.has("conv1/output")


def test_many_pictures_stay_in_order_across_batches(classifier, pictures):
    chosen = np.random.default_rng(0).integers(0, len(pictures), 150)
    answers = classifier.predict([pictures[index] for index in chosen])
    np.testing.assert_allclose(answers, classifier.predict(pictures)[chosen], atol=1e-6)


def test_nothing_in_nothing_out(classifier):
    assert classifier.predict([]).shape == (0, 3)
    assert classifier.predict_pixels(np.zeros((0, 16, 16, 3))).shape == (0, 3)


def test_predict_pixels(classifier, pictures):
    pixels = np.stack([images.preprocess(path.read_bytes(), classifier.preprocessing) for path in pictures])
    np.testing.assert_allclose(classifier.predict_pixels(pixels), classifier.predict(pictures), atol=1e-6)
    with pytest.raises(ValueError, match=r"\[N, 16, 16, 3\]"):
        classifier.predict_pixels(pixels[:, :8])


def test_unreadable_picture_is_named_or_handed_back(classifier, pictures, tmp_path):
    empty, missing = tmp_path / "empty.jpg", tmp_path / "missing.jpg"
    empty.touch()
    answers = list(classifier.predict_each([pictures[0], empty, missing, pictures[1]]))
    assert [type(answer) for answer in answers] == [np.ndarray, ImageError, ImageError, np.ndarray]
    assert str(answers[1]) == "empty" and "no such file" in str(answers[2])
    with pytest.raises(ImageError, match=r"empty.jpg: empty"):
        classifier.predict([pictures[0], empty])
    with pytest.raises(ImageError, match="picture 0: not a picture"):
        classifier.predict([b"plain text that is no picture"])
    with pytest.raises(ImageError, match="picture 0: empty"):
        classifier.predict(np.zeros((0, 4, 3), np.uint8))
    with pytest.raises(TypeError, match=r"a picture is a path, .* not int"):
        classifier.predict([5])
    with pytest.raises(ValueError, match="uint8"):
        classifier.predict([np.zeros((4, 4, 3))])


def test_predict_each_reads_ahead_by_one_batch_only(classifier, pictures):
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield pictures[0]

    answers = classifier.predict_each(endless())
    for _ in range(10):
        next(answers)
    assert len(taken) <= 128
    answers.close()


def test_many_threads_at_once(classifier, pictures):
    expected = classifier.predict(pictures)
    results = {}

    def ask(number):
        results[number] = classifier.predict(pictures)

    threads = [threading.Thread(target=ask, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    for answer in results.values():
        np.testing.assert_allclose(answer, expected, atol=1e-6)


def test_thread_count_does_not_change_the_answer(run, classifier, pictures):
    with Classifier.load(run, threads=1) as other:
        np.testing.assert_allclose(other.predict(pictures), classifier.predict(pictures), atol=1e-6)


def test_closed_classifier_answers_nothing(run, pictures):
    classifier = Classifier.load(run)
    classifier.close()
    with pytest.raises(RuntimeError):
        classifier.predict(pictures[:1])


def test_grey_model(tmp_path, pictures):
    run = saved_runs.save(tmp_path / "grey", saved_runs.network(channels=1))
    with Classifier.load(run) as classifier:
        assert classifier.preprocessing.channels == 1
        assert classifier.predict(pictures).shape == (7, 3)


def test_model_with_a_contract_takes_no_other_word(run):
    with pytest.raises(UsageError, match=r"--labels, --colour-order: only for checkpoints of other programs"):
        Classifier.load(run, foreign=ForeignCheckpoint(labels=["a", "b", "c"], colour_order="bgr"))


def test_missing_model():
    with pytest.raises(PigeonholeError, match="no such run"):
        Classifier.load("nowhere")


def test_tensorflow_is_imported_only_to_load_a_model():
    program = (
        "import sys; from pigeonhole import Classifier\n"
        "try: Classifier.load('nowhere')\n"
        "except Exception as error: print(error)\n"
        "print('tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[2], capture_output=True, text=True
    )
    assert "no such run" in done.stdout and done.stdout.endswith("False\n"), done.stderr
