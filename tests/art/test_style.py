"""Style transfer: the losses are those written down, each falls, and sizes and starts are as asked for."""

import dataclasses

import keras
import numpy as np
import pytest

from pigeonhole.art import colours, optimizing, recipes, style
from pigeonhole.art.layered import KerasNetwork
from pigeonhole.art.recipes import LITE, TUTORIAL, Recipe
from pigeonhole.errors import PigeonholeError, UsageError
from tests.support.saved_runs import picture

CHANNELS = (6, 10)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """Two 3x3 convolutions, each with its ReLU."""
    keras.utils.set_random_seed(0)
    hidden = pixels = keras.Input((None, None, 3), name="x")
    hidden = keras.layers.Rescaling(1 / 128, -1, name="scale")(hidden)
    for number, channels in enumerate(CHANNELS, 1):
        hidden = keras.layers.Conv2D(channels, 3, padding="same", name=f"conv{number}")(hidden)
        hidden = keras.layers.ReLU(name=f"relu{number}")(hidden)
    return keras.Model(pixels, hidden)


@pytest.fixture(scope="module")
def network(model) -> KerasNetwork:
    return KerasNetwork(model, "small")


RECIPE = Recipe({"relu1": 0.25, "conv2": 0.75}, {"relu1": 0.4, "relu2": 0.6}, shift=0, sizes=1, steps=30)
CONTENT, STYLE, OTHER = picture(1, 20, 26), picture(2, 20, 26), picture(3, 18, 22)


def of(*styles: np.ndarray, shares=(1.0,)) -> style.Pictures:
    return style.Pictures(CONTENT, styles or (STYLE,), shares)


def outputs(model: keras.Model, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Every layer's output by NumPy alone, in double precision; pixels [H, W, 3]."""
    hidden, found = pixels.astype(float) / 128 - 1, {}
    for number in range(1, len(CHANNELS) + 1):
        kernel, bias = model.get_layer(f"conv{number}").get_weights()
        padded = np.pad(hidden, [(1, 1), (1, 1), (0, 0)])
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))
        hidden = np.einsum("hwcij,ijco->hwo", windows, kernel.astype(float)) + bias
        found[f"conv{number}"] = hidden
        hidden = np.maximum(hidden, 0)
        found[f"relu{number}"] = hidden
    return found


def gram(maps: np.ndarray) -> np.ndarray:
    flat = maps.reshape(-1, maps.shape[-1])
    return flat.T @ flat / maps.size


def l2_loss(values: np.ndarray) -> float:
    """TensorFlow's: half the sum of squares."""
    return np.sum(np.square(values)) / 2


def expected(model, recipe: Recipe, pictures: style.Pictures, seen: np.ndarray) -> tuple[float, float, float]:
    """The three losses as the tutorials write them down, a term after the other."""
    own, target = outputs(model, seen), outputs(model, pictures.content)
    content = style_loss = 0.0
    for name, weight in recipe.content_layers.items():
        term = 2 * l2_loss(own[name] - target[name]) / target[name].size
        content += weight * term / (np.var(target[name]) if recipe.relative else 1)
    for share, each in zip(pictures.shares, pictures.styles, strict=True):
        theirs = outputs(model, each)
        for name, weight in recipe.style_layers.items():
            matrix = gram(theirs[name])
            term = 2 * l2_loss(gram(own[name]) - matrix) / matrix.size
            scale = np.mean(np.square(matrix)) if recipe.relative else 1
            style_loss += share / sum(pictures.shares) * weight * term / scale
    rows, columns = seen[1:] - seen[:-1], seen[:, 1:] - seen[:, :-1]
    variation = 2 * (l2_loss(rows) / rows.size + l2_loss(columns) / columns.size)
    weights = recipe.content_weight, recipe.style_weight, recipe.variation_weight
    return tuple(np.multiply(weights, (content, style_loss, variation)))


@pytest.mark.parametrize("relative", [False, True])
def test_the_losses_are_those_written_down(model, network, relative):
    recipe = dataclasses.replace(
        RECIPE, relative=relative, content_weight=5, style_weight=500, variation_weight=100
    )
    pictures = of(STYLE, OTHER, shares=(2.0, 3.0))
    seen = picture(5, 20, 26).astype(np.float32)
    losses = style.Objective(network, recipe, pictures).plainly(seen[np.newaxis])
    assert min(losses) > 0
    np.testing.assert_allclose(losses, expected(model, recipe, pictures, seen.astype(float)), rtol=1e-5)


def test_the_gradient_is_that_of_the_sum(network):
    objective = style.Objective(network, RECIPE, of())
    seen = picture(5, 20, 26).astype(np.float32)[np.newaxis]
    found = objective(seen)
    length = float(np.linalg.norm(found.gradient))
    step = 2 * found.gradient / length
    risen = objective.plainly(seen + step).total - objective.plainly(seen - step).total
    assert length == pytest.approx(risen / 4, rel=0.02)


def test_the_content_is_its_own_content_wherever_it_is_moved_to(network):
    recipe = dataclasses.replace(RECIPE, shift=6)
    objective = style.Objective(network, recipe, of())
    looks = [objective(CONTENT[np.newaxis].astype(np.float32)).parts for _ in range(5)]
    assert max(content for content, _, _ in looks) < 1e-9
    assert len({style_loss for _, style_loss, _ in looks}) > 1  # it was moved
    assert len({variation for _, _, variation in looks}) == 1


ALONE = {"content": ("noise", 0), "style": ("content", 1), "variation": ("content", 2)}


@pytest.mark.parametrize("optimizer", recipes.OPTIMIZERS)
@pytest.mark.parametrize("alone", ALONE)
def test_each_loss_falls(network, optimizer, alone):
    start, place = ALONE[alone]
    weights = {f"{name}_weight": float(name == alone) for name in ALONE}
    recipe = dataclasses.replace(RECIPE, optimizer=optimizer, start=start, **weights)
    steps = list(style.Stylizer(network, recipe, of()).steps())
    first, last = (step.losses[place] for step in (steps[0], steps[-1]))
    assert 0 < last < 0.3 * first


@pytest.mark.parametrize("optimizer", recipes.OPTIMIZERS)
def test_all_losses_together_fall_and_the_losses_are_of_the_picture(network, optimizer):
    recipe = dataclasses.replace(RECIPE, optimizer=optimizer, steps=12)
    steps = list(style.Stylizer(network, recipe, of()).steps())
    assert [step.number for step in steps] == [*range(13)]
    assert steps[-1].losses.total < 0.6 * steps[0].losses.total
    assert np.array_equal(steps[0].picture, CONTENT)
    objective = style.Objective(network, recipe, of())
    for step in steps[::4]:
        np.testing.assert_allclose(step.losses, objective.plainly(step.picture[np.newaxis]), rtol=1e-4)
    if recipe.clipped:
        assert min(step.picture.min() for step in steps) >= 0
        assert max(step.picture.max() for step in steps) <= 255


def test_coarse_to_fine(network):
    recipe = dataclasses.replace(RECIPE, sizes=4, steps=2)
    content = picture(1, 150, 301)
    steps = list(style.Stylizer(network, recipe, style.Pictures(content, [OTHER], [1.0])).steps())
    assert [step.picture.shape[:2] for step in steps] == [(75, 150)] * 3 + [(150, 301)] * 3
    assert [step.number for step in steps] == [0, 1, 2, 2, 3, 4]
    assert {step.steps for step in steps} == {4}


def test_a_generator_that_is_closed_leaves_no_thread(network):
    import threading

    recipe = dataclasses.replace(RECIPE, optimizer="lbfgs")
    steps = style.Stylizer(network, recipe, of()).steps()
    assert [next(steps).number for _ in range(3)] == [0, 1, 2]
    steps.close()
    assert "l-bfgs" not in {thread.name for thread in threading.enumerate()}


def test_an_error_inside_lbfgs_is_raised_where_the_steps_are_asked_for():
    answers = iter([1.0])

    def failing(values: np.ndarray) -> optimizing.Evaluated:
        if (value := next(answers, None)) is None:
            raise PigeonholeError("broken")
        return optimizing.Evaluated(value, values, (0.0,))

    with pytest.raises(PigeonholeError, match="broken"):
        list(optimizing.LBFGS().points(failing, np.ones((1, 2, 2, 3)), 5))


def test_the_published_start_is_all_but_the_mean_colour(network):
    recipe = dataclasses.replace(
        TUTORIAL, content_layers={"relu2": 1.0}, style_layers={"relu1": 1.0}, steps=2
    )
    first, second, _ = style.Stylizer(network, recipe, of(OTHER)).steps()
    deviation = first.picture - np.array([123.68, 116.779, 103.939])
    assert deviation.std() == pytest.approx(0.256, rel=0.05)
    assert abs(deviation.mean()) < 0.02
    # Adam's first step is the rate itself
    np.testing.assert_allclose(np.abs(second.picture - first.picture), 10, rtol=1e-2)


def test_the_same_seed_gives_the_same_picture(network):
    recipe = dataclasses.replace(RECIPE, steps=3, shift=4, start="noise")
    *_, one = style.Stylizer(network, recipe, of(), seed=5).steps()
    *_, same = style.Stylizer(network, recipe, of(), seed=5).steps()
    *_, other = style.Stylizer(network, recipe, of(), seed=6).steps()
    np.testing.assert_allclose(one.picture, same.picture, atol=1e-3)
    assert np.abs(one.picture - other.picture).max() > 1


def test_what_is_not_there_or_too_small_is_told(network):
    recipe = dataclasses.replace(RECIPE, style_layers={"relu9": 1.0})
    with pytest.raises(UsageError, match="--style-layers relu9: small has no such layer"):
        style.Objective(network, recipe, of())
    with pytest.raises(UsageError, match="1 x 1 pixels is too small"):
        style.Stylizer(network, RECIPE, of(picture(0, 1, 1)))


def test_losses_that_are_no_numbers_are_told(network):
    with pytest.raises(PigeonholeError, match="losses are no numbers"):
        style.Objective(network, RECIPE, of())(np.full((1, 20, 26, 3), np.nan, np.float32))


LAYERS = [
    ("conv1_1", 64),
    ("relu1_1", 64),
    ("conv2_1", 128),
    ("conv3_1", 256),
    ("conv4_1", 512),
    ("fc", 4096),
]


def test_each_network_has_a_recipe():
    published = [(name, 64) for name in recipes.needed(TUTORIAL)]
    assert recipes.choose(recipes.AUTO, published) is TUTORIAL
    assert recipes.choose(recipes.AUTO, [(name, 64) for name in recipes.needed(LITE)]) is LITE
    made = recipes.choose(recipes.AUTO, LAYERS)
    assert list(made.style_layers) == ["conv1_1", "conv2_1", "conv3_1", "conv4_1"]
    assert list(made.content_layers) == ["conv4_1"]
    deep = recipes.choose("spread", [(f"conv{number}", 64) for number in range(12)])
    assert list(deep.style_layers) == ["conv0", "conv2", "conv5", "conv7"]
    with pytest.raises(UsageError, match="--recipe tutorial: the network has no layer relu2_1"):
        recipes.choose("tutorial", LAYERS)
    with pytest.raises(UsageError, match="no layer with 4 to 512 channels"):
        recipes.choose("spread", [("scale", 3)])


def test_colours_are_kept():
    painted, content = np.random.default_rng(0).integers(60, 190, (2, 30, 40, 3)).astype(np.uint8)
    content = content // 4 + 100
    kept = colours.with_colours_of(painted, content.astype(np.uint8))
    inside = (kept.min(axis=2) > 0) & (kept.max(axis=2) < 255)
    assert inside.mean() > 0.5
    np.testing.assert_allclose(colours.luma(kept)[inside], colours.luma(painted)[inside], atol=1)
    chroma, wanted = (each.astype(float) - colours.luma(each) for each in (kept, content))
    np.testing.assert_allclose(chroma[inside], wanted[inside], atol=1.5)


def test_the_styles_brightness_is_matched_to_the_contents():
    dark, light = STYLE // 4, CONTENT // 3 + 120
    matched = colours.matched(dark, light)
    assert np.ptp(matched.astype(int), axis=2).max() == 0
    assert matched.mean() == pytest.approx(colours.luma(light).mean(), abs=1)
    assert matched.std() == pytest.approx(colours.luma(light).std(), rel=0.1)
