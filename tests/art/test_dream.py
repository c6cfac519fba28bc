"""Deep dream: octaves, tiles and steps by themselves, and that a real network answers more and more."""

import keras
import numpy as np
import pytest

from pigeonhole.art import dream, objectives, opening, zoom
from pigeonhole.art.dream import Settings
from pigeonhole.art.layered import KerasNetwork
from pigeonhole.art.objectives import Goal, MeanOfChannels
from pigeonhole.errors import PigeonholeError, UsageError


def picture(height: int = 40, width: int = 56) -> np.ndarray:
    """Smooth colours with some noise, float32 [height, width, 3] 0..255."""
    random = np.random.default_rng(3)
    slopes = np.linspace(40, 200, height)[:, None, None] + np.linspace(0, 30, width)[None, :, None]
    return (slopes + random.normal(0, 8, (height, width, 3))).astype(np.float32)


def brightness(part: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean square and its gradient: each pixel's own, whatever lies around it."""
    return float(np.square(part).mean()), 2 * part / np.float32(part.size)


@pytest.fixture(scope="module")
def small() -> MeanOfChannels:
    keras.utils.set_random_seed(1)
    pixels = keras.Input((None, None, 3))
    hidden = keras.layers.Conv2D(6, 5, 2, "same", name="conv1")(pixels)
    hidden = keras.layers.ReLU(name="relu1")(hidden)
    hidden = keras.layers.Conv2D(4, 3, padding="same", name="conv2")(hidden)
    return MeanOfChannels(KerasNetwork(keras.Model(pixels, hidden), "small"), [Goal("conv2", (1, 3))])


# --- tiles ---


def test_one_tile_gives_the_untiled_gradient(small):
    value, gradient = dream.tiled(small, picture(), 64, (0, 0))
    untiled, expected = small(picture())
    assert value == untiled and np.array_equal(gradient, expected)


def test_a_rolled_tile_gives_the_gradient_of_the_rolled_picture(small):
    value, gradient = dream.tiled(small, picture(), 64, (7, 51))
    untiled, expected = small(np.roll(picture(), (7, 51), (0, 1)))
    assert value == pytest.approx(untiled) and np.allclose(np.roll(gradient, (7, 51), (0, 1)), expected)
    assert not np.allclose(gradient, small(picture())[1])  # the edges lie elsewhere


@pytest.mark.parametrize("tile", [16, 39, 40, 512])
def test_tiles_cover_each_pixel_once_and_none_is_larger_than_allowed(tile):
    shapes = []

    def watched(part):
        shapes.append(part.shape)
        return brightness(part)

    value, gradient = dream.tiled(watched, picture(), tile, (5, 9))
    assert all(max(shape) <= tile for shape in shapes)
    assert sum(map(np.prod, shapes)) == picture().size
    untiled, expected = brightness(picture())
    assert value == pytest.approx(untiled, rel=1e-5)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)


# --- octaves and steps ---


def test_octaves_shrink_as_published_and_lose_nothing():
    smallest, details = dream.split(picture(100, 150), Settings())
    shapes = [smallest.shape[:2], *(detail.shape[:2] for detail in details)]
    assert shapes == [(35, 54), (50, 76), (71, 107), (100, 150)]
    step = dream.Step(1, 4, 0, 10, 0.0, smallest, details)
    assert np.array_equal(step.whole(), np.rint(picture(100, 150)).astype(np.uint8))


def test_octaves_that_would_be_too_small_are_left_out():
    smallest, details = dream.split(picture(30, 30), Settings(octaves=9))
    assert [smallest.shape[0], *map(len, details)] == [21, 30]


def test_a_step_changes_values_by_one_and_a_half_levels_in_the_mean(small):
    first, second, *_ = dream.dream(picture(), small, Settings(octaves=1))
    assert np.abs(second.picture - first.picture).mean() == pytest.approx(1.5, rel=1e-3)
    gradient = dream.tiled(small, picture(), 512, np.random.default_rng(0).integers(512, size=2))[1]
    np.testing.assert_allclose(
        second.picture - first.picture, gradient * 1.5 / (np.abs(gradient).mean() + 1e-7), atol=1e-3
    )


def test_each_octave_has_its_steps_and_every_one_can_be_shown_whole(small):
    steps = list(dream.dream(picture(), small, Settings(steps=2, octaves=3)))
    assert [(each.octave, each.number) for each in steps] == [(o, n) for o in (1, 2, 3) for n in (0, 1, 2)]
    assert {each.whole().shape for each in steps} == {(40, 56, 3)}
    assert [each.is_last for each in steps] == [False] * 8 + [True]


def test_the_same_seed_gives_the_same_dream(small):
    def end(seed):
        *_, last = dream.dream(picture(), small, Settings(steps=2, octaves=2, seed=seed))
        return last.whole()

    assert np.array_equal(end(4), end(4)) and not np.array_equal(end(4), end(5))


def test_levels_of_detail_count_alike():
    """Of a fine pattern and a slope a hundred times as faint, both are seen."""
    rows, columns = np.mgrid[:64, :64].astype(np.float32)
    fine, slope = np.cos(np.pi * (rows + columns)), (columns - 31.5) / 18.5  # each of mean square 1
    found = dream.evened((fine + slope / 100)[..., None].repeat(3, axis=2), 3)[..., 0]
    inner = np.s_[16:-16, 16:-16]
    assert np.corrcoef(found[inner].ravel(), slope[inner].ravel())[0, 1] > 0.3
    assert (found * fine).mean() == pytest.approx(1, abs=0.1)
    assert np.isfinite(dream.evened(np.zeros((20, 20, 3), np.float32), 3)).all()


def test_a_step_by_levels_changes_values_as_much(small):
    first, second, *_ = dream.dream(picture(), small, Settings(octaves=1, levels=2))
    assert np.abs(second.picture - first.picture).mean() == pytest.approx(1.5, rel=1e-3)


def test_noise_is_as_published():
    noise = dream.noise()
    assert noise.shape == (224, 224, 3) and noise.dtype == np.float32
    assert noise.min() >= 100 and noise.max() <= 101 and noise.std() == pytest.approx(12**-0.5, rel=0.01)


def test_a_zoom_begins_each_picture_with_the_middle_of_the_last(small):
    steps = list(zoom.zoom(picture(), small, Settings(octaves=1), 3))
    ends = [step for step in steps if step.is_last]
    assert [end.steps for end in ends] == [10, 4, 4]
    begins = [step.picture for step in steps if step.number == 0]
    np.testing.assert_array_equal(begins[2], zoom.nearer(ends[1].whole().astype(np.float32)))


def test_the_middle_is_enlarged_by_five_percent():
    slope = np.broadcast_to(np.arange(210, dtype=np.float32)[None, :, None], (210, 210, 3))
    closer = zoom.nearer(np.ascontiguousarray(slope))
    assert closer.shape == slope.shape
    np.testing.assert_allclose(closer[5:-5, 5:-5].mean(), 104.5, atol=0.1)  # the middle stays
    np.testing.assert_allclose(np.diff(closer[100, 10:-10, 0]), 1 / 1.05, atol=1e-3)


# --- what is asked for ---


def test_several_layers_and_channels():
    assert objectives.goals(["a"], []) == [Goal("a")]
    assert objectives.goals(["a"], [3, 5]) == [Goal("a", (3, 5))]
    assert objectives.goals(["a", "b"], [3, 5]) == [Goal("a", (3,)), Goal("b", (5,))]
    assert objectives.goals(["a", "b"], []) == [Goal("a"), Goal("b")]
    with pytest.raises(UsageError, match="3 given for 2 layers"):
        objectives.goals(["a", "b"], [1, 2, 3])


# --- what cannot be ---


def test_a_picture_of_one_pixel_is_refused(small):
    with pytest.raises(UsageError, match="1 x 1 pixels; it needs 16"):
        next(dream.dream(picture(1, 1), small))


@pytest.mark.parametrize(
    ("number", "told"), [(np.nan, "no number"), (np.inf, "no number"), (0.0, "zero everywhere")]
)
def test_a_gradient_that_leads_nowhere_is_told(number, told):
    def objective(part):
        return number, np.full_like(part, number)

    with pytest.raises(PigeonholeError, match=told):
        list(dream.dream(picture(), objective))


# --- the bundled network ---


@pytest.mark.slow
@pytest.mark.parametrize("levels", [0, 4])
@pytest.mark.parametrize("goal", [Goal("block8_project_bn"), Goal("block8_project_bn", (30,))])
@pytest.mark.parametrize("start", [dream.noise(size=128), picture(128, 160)], ids=["noise", "picture"])
def test_the_bundled_network_answers_five_times_as_much_as_to_noise_of_that_norm(start, goal, levels):
    """As printed by the command, with its usual settings."""
    objective = MeanOfChannels(opening.open_network(), [goal])
    steps = list(dream.dream(start, objective, Settings(levels=levels)))
    for octave in range(1, 5):
        first, *_, last = (step.objective for step in steps if step.octave == octave)
        assert last > first + 0.1
    change = steps[-1].picture - start
    noise = np.random.default_rng(0).normal(size=change.shape).astype(np.float32)
    noise *= np.linalg.norm(change) / np.linalg.norm(noise)
    before, noisy = objective(start)[0], objective(start + noise)[0]
    assert steps[-1].objective > 5 * abs(noisy)
    assert steps[-1].objective - before > 5 * abs(noisy - before)
