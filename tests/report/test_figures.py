"""The figures show the numbers that they are given, and become clean parts of a page."""

import re
import warnings
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.colors import to_hex

from pigeonhole.model.calibration import Bin
from pigeonhole.model.interface import Layer
from pigeonhole.report import figures, rendering, sheets, theme

HISTORY = {
    "epoch": np.array([1.0, 2.0, 3.0]),
    "learning_rate": np.array([0.001, 0.004, 0.0]),
    "train_loss": np.array([1.5, 1.0, 0.75]),
    "train_accuracy": np.array([0.4, 0.6, 0.7]),
    "valid_loss": np.array([1.25, 0.875, 0.5]),
    "valid_accuracy": np.array([0.5, 0.7, 0.845]),
}
CLASSES = ("cat", "a$b$_{c}", "été 北 & <i>")
MATRIX = np.array([[1200, 3, 0], [40, 50, 10], [0, 0, 0]])
LAYERS = [
    Layer("conv1", (16, 16, 32), 2400, (5, 5, 3, 32)),
    Layer("relu1", (16, 16, 32), 0, None),
    Layer("fc1", (3,), 24579, (8192, 3)),
]


def texts(drawn) -> list[str]:
    """Every piece of text that the figure shows, tick labels included."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        drawn.draw_without_rendering()
    found = drawn.findobj(lambda artist: hasattr(artist, "get_text") and artist.get_visible())
    return [text.get_text() for text in found if text.get_text()]


def shape(*sides: int) -> str:
    return "\N{MULTIPLICATION SIGN}".join(map(str, sides))


def lines(axes) -> dict[str, tuple[list[float], list[float]]]:
    """Colour -> (x, y) of each line."""
    return {
        to_hex(line.get_color()): (list(line.get_xdata()), list(line.get_ydata()))
        for line in axes.get_lines()
    }


def bins(accuracies: list[float | None]) -> list[Bin]:
    """Bins of a fifth each; None: an empty one."""
    return [
        Bin(k / 5, k / 5 + 0.2, 0, None, None)
        if accuracy is None
        else Bin(k / 5, k / 5 + 0.2, 10 * k, k / 5 + 0.1, accuracy)
        for k, accuracy in enumerate(accuracies)
    ]


def test_curves_are_the_history():
    drawn = figures.curves(HISTORY)
    loss, accuracy = drawn.axes
    epochs = [1, 2, 3]
    assert lines(loss) == {
        theme.ACCENT: (epochs, [1.25, 0.875, 0.5]),
        theme.ACCENT_2: (epochs, [1.5, 1.0, 0.75]),
    }
    assert lines(accuracy)[theme.ACCENT] == (epochs, [50, 70, 84.5])
    assert {"validation\n0.50", "training\n0.75", "validation\n84.5 %", "training\n70.0 %"} <= {*texts(drawn)}


def test_a_batch_with_a_great_loss_leaves_the_curves_their_room():
    steps = np.arange(200)
    losses = np.where(steps == 3, 1e4, 1.5)
    logged = {"epoch": steps / 60, "step": steps, "train_loss": losses, "train_accuracy": steps / 200}
    low, high = figures.curves(HISTORY, logged).axes[0].get_ylim()
    assert low < 0.5 and 1.5 < high < 2, "of the validation, which is lower than any batch"


def test_names_of_curves_that_end_together_lie_apart():
    history = HISTORY | {"train_loss": HISTORY["valid_loss"]}
    places = [text.get_position()[1] for text in figures.curves(history).axes[0].texts]
    assert abs(places[0] - places[1]) >= 0.19 and 0.09 <= min(places) <= max(places) <= 0.91


def test_a_single_validation_is_seen():
    drawn = figures.curves({name: values[:1] for name, values in HISTORY.items()})
    assert all(line.get_marker() == "o" for line in drawn.axes[0].get_lines())


def test_the_learning_rate_is_that_of_the_history_and_its_top_is_named():
    drawn = figures.learning_rate(HISTORY)
    assert lines(drawn.axes[0]) == {theme.ACCENT: ([1, 2, 3], [0.001, 0.004, 0])}
    (top,) = drawn.axes[0].texts
    assert top.get_text() == "0.004" and tuple(top.xy) == (2, 0.004)


def test_a_confusion_matrix_tells_its_counts_and_shares():
    drawn = figures.confusion(MATRIX, CLASSES)
    cells: dict[tuple[int, int], list[str]] = {}
    for text in drawn.axes[0].texts:
        column, row = text.xy
        cells.setdefault((row, column), []).append(text.get_text())
    assert cells == {
        (0, 0): ["1,200", "100 %"],
        (0, 1): ["3", "<1 %"],
        (1, 0): ["40", "40 %"],
        (1, 1): ["50", "50 %"],
        (1, 2): ["10", "10 %"],
    }
    for axis in (drawn.axes[0].xaxis, drawn.axes[0].yaxis):
        assert [label.get_text() for label in axis.get_ticklabels()] == list(CLASSES)


def test_hits_are_blue_mistakes_orange_and_the_empty_clear():
    cells = figures.confusion(MATRIX, CLASSES).axes[0].images[0].get_array()
    assert to_hex(cells[0, 0, :3]) == to_hex(cells[1, 1, :3]) == theme.ACCENT
    assert to_hex(cells[1, 0, :3]) == theme.ACCENT_2
    assert cells[0, 2, 3] == cells[2, 2, 3] == 0
    assert cells[0, 0, 3] > cells[1, 1, 3] and cells[1, 0, 3] > cells[1, 2, 3] > cells[0, 1, 3] > 0


@pytest.mark.parametrize(("count", "numbers", "names"), [(20, True, 20), (21, False, 21), (120, False, 40)])
def test_large_matrices_keep_what_is_legible(count, numbers, names):
    drawn = figures.confusion(np.eye(count, dtype=int), [f"class {k}" for k in range(count)])
    assert len(drawn.axes[0].texts) == (count if numbers else 0)
    assert len(drawn.axes[0].get_yticks()) == names
    assert max(drawn.get_size_inches()) < 13


def test_reliability_shows_filled_bins_before_and_after():
    before, after = bins([None, 0.2, 0.3, 0.5, 0.7]), bins([None, 0.3, 0.5, None, 0.9])
    drawn = figures.reliability(before, after, 0.0834, 0.012)
    found = lines(drawn.axes[0])
    assert found[theme.ACCENT_2] == (pytest.approx([30, 50, 70, 90]), pytest.approx([20, 30, 50, 70]))
    assert found[theme.ACCENT] == (pytest.approx([30, 50, 90]), pytest.approx([30, 50, 90]))
    assert [bar.get_height() for bar in drawn.axes[1].patches] == [0, 10, 20, 0, 40]
    assert {"before scaling: error 8.3 %", "after scaling: error 1.2 %"} <= {*texts(drawn)}


def test_class_balance_stacks_the_sides():
    drawn = figures.class_balance(CLASSES, {"training": [10, 20, 1500], "validation": [2, 0, 300]})
    bars = [(bar.get_x(), bar.get_width()) for bar in drawn.axes[0].patches]
    assert bars == [(0, 10), (0, 20), (0, 1500), (10, 2), (20, 0), (1500, 300)]
    assert {"12", "20", "1,800", "training", "validation", *CLASSES} <= {*texts(drawn)}


def test_the_learning_curve_carries_on_as_forecast():
    drawn = figures.learning_curve(
        [500, 1000], [0.5, 0.6], lambda n: (0.6 + n / 1e5, 0.55, 0.6 + n / 5e4), 4000
    )
    found = lines(drawn.axes[0])
    assert found[theme.ACCENT] == ([500, 1000], [50, 60])
    sizes, expected = found[theme.ACCENT_2]
    assert (sizes[0], sizes[-1]) == (1000, 4000) and expected[-1] == pytest.approx(64)
    (band,) = drawn.axes[0].collections
    low, high = band.get_paths()[0].vertices[:, 1].min(), band.get_paths()[0].vertices[:, 1].max()
    assert (low, high) == (pytest.approx(55), pytest.approx(68))
    assert {"50.0 %", "60.0 %", "64.0 %\n55.0 to 68.0 %", "500", "1,000", "4,000"} <= {*texts(drawn)}


def test_the_network_shows_every_layer_its_shape_and_parameters():
    drawn = figures.network(LAYERS, (32, 32, 3))
    found = texts(drawn)
    assert "Network of 26,979 parameters" in found
    assert {"picture", "conv1", "relu1", "fc1", shape(32, 32, 3), shape(16, 16, 32), "2,400"} <= {*found}
    bars = [bar for bar in drawn.axes[0].patches if bar.get_x() > 0.5]
    assert bars[0].get_width() / bars[1].get_width() == pytest.approx(2400 / 24579)


def test_filters_have_one_scale_and_true_statistics():
    kernel = np.zeros((2, 2, 3, 2), np.float32)
    kernel[:, :, 1, 0] = [[-0.25, 0], [0.25, 0.5]]
    kernel[0, 0, 2, 1] = -1.0  # the largest of the layer, in another channel
    drawn = sheets.filters(kernel, "conv1", 1)
    sheet = drawn.axes[0].images[0].get_array()
    assert sheet.shape[:2] == (2, 5)  # two filters and the gap between them
    negative, positive, nothing = sheet[0, 0, :3].astype(int), sheet[1, 1, :3].astype(int), sheet[0, 1, :3]
    assert list(nothing) == [255] * 3 and negative[2] < 255 and positive[0] < 255
    assert list(positive) == [round((255 + int(theme.ACCENT[k : k + 2], 16)) / 2) for k in (1, 3, 5)]
    assert drawn.axes[1].get_ylim() == (-1, 1)
    assert (
        "input channel 1 (green) of 3: minimum \N{MINUS SIGN}0.250, maximum 0.500, mean 0.062"
        in drawn.axes[0].get_xlabel()
    )
    assert f"deviation {kernel[:, :, 1].std():.3f}" in drawn.axes[0].get_xlabel()
    assert drawn.axes[0].get_title(loc="left") == f"conv1: 2 filters of {shape(2, 2)}"


def test_feature_maps_have_one_scale():
    maps = np.zeros((2, 2, 2), np.float32)
    maps[:, :, 0], maps[:, :, 1] = [[-1, 0], [0, 0]], [[3, 1], [0, 0]]
    drawn = sheets.feature_maps(maps, "conv2")
    sheet = drawn.axes[0].images[0].get_array()
    assert (sheet[0, 0, 0], sheet[0, 3, 0], sheet[0, 4, 0], sheet[1, 0, 0]) == (0, 255, 128, 64)
    assert drawn.axes[1].get_ylim() == (-1, 3)
    assert drawn.axes[0].get_title(loc="left") == f"conv2: 2 feature maps of {shape(2, 2)}"


def test_smooth_maps_are_each_interpolated_by_itself():
    columns = np.arange(8, dtype=np.float32)
    maps = np.stack(np.broadcast_arrays(columns, np.float32(7), columns[:, None] ** 2 / 7), axis=-1)
    finer = sheets.smoothed(maps)
    factor = 3
    assert finer.shape == (8 * factor, 8 * factor, 3)
    ramp, plain, bowl = np.moveaxis(finer, -1, 0)
    np.testing.assert_allclose(plain, 7, atol=1e-5)
    inner = slice(2 * factor, -2 * factor)  # the edge is continued level
    places = (np.arange(8 * factor) - 1) / factor
    np.testing.assert_allclose(ramp[0, inner], places[inner], atol=0.05)
    np.testing.assert_allclose(bowl[inner, 0], places[inner] ** 2 / 7, atol=0.05)
    assert maps.min() <= finer.min() and finer.max() <= maps.max()


def test_smooth_sheets_keep_their_scale_and_smooth_pictures_their_values():
    maps = np.random.default_rng(0).normal(0, 1, (4, 4, 8)).astype(np.float32)
    sharp, smooth = (sheets.feature_maps(maps, "conv1", smooth).axes for smooth in (False, True))
    assert sharp[1].get_ylim() == smooth[1].get_ylim() == (maps.min(), maps.max())
    assert smooth[0].images[0].get_array().shape[1] == 4 * sheets.SMOOTH + 3
    pictures = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), np.uint8)
    drawn = sheets.augmented(pictures[0], pictures[1:], "varied", smooth=True)
    for axes, picture in zip(drawn.axes, pictures, strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), picture)
        assert axes.images[0].get_interpolation() == "spline16"


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (2, 2), (10, 5), (32, 8), (64, 8), (128, 16), (7, 4)])
def test_sheets_are_wide_with_full_rows_where_possible(count, columns):
    sheet = sheets.feature_maps(np.zeros((1, 1, count), np.float32), "conv").axes[0].images[0].get_array()
    assert sheet.shape[1] == 2 * columns - 1


@pytest.mark.parametrize("channels", [1, 3])
def test_predictions_show_each_picture_with_its_best_answers(channels):
    pictures = np.random.default_rng(0).integers(0, 256, (2, 4, 4, channels), np.uint8)
    probabilities = np.array([[0.7, 0.1, 0.2], [0.4, 0.35, 0.25]], np.float32)
    drawn = sheets.predictions("Some", pictures, np.array([0, 2]), probabilities, CLASSES)
    hit, hit_bars, miss, miss_bars = drawn.axes[:4]
    for axes, picture in ((hit, pictures[0]), (miss, pictures[1])):
        np.testing.assert_array_equal(axes.images[0].get_array().reshape(picture.shape), picture)
    assert (hit.get_title(loc="left"), to_hex(hit._left_title.get_color())) == ("cat", theme.ACCENT)
    assert miss.get_title(loc="left") == f"{CLASSES[2]}, taken for cat"
    assert to_hex(miss._left_title.get_color()) == theme.ACCENT_2
    assert [bar.get_width() for bar in hit_bars.patches] == pytest.approx([0.7, 0.2, 0.1])
    assert [text.get_text() for text in miss_bars.texts] == [
        "cat",
        "40 %",
        CLASSES[1],
        "35 %",
        CLASSES[2],
        "25 %",
    ]


def test_augmented_shows_the_picture_beside_a_grid_of_nine_variations():
    pictures = np.random.default_rng(0).integers(0, 256, (10, 4, 4, 3), np.uint8)
    drawn = sheets.augmented(pictures[0], pictures[1:], "varied by flip")
    for axes, picture in zip(drawn.axes, pictures, strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), picture)
    first, *grid = drawn.axes
    assert first.get_title(loc="left") == "as it is" and first.get_xlabel() == "varied by flip"
    places = [axes.get_subplotspec() for axes in grid]
    rows, columns = ([getattr(place, side).start for place in places] for side in ("rowspan", "colspan"))
    assert rows == [0, 0, 0, 1, 1, 1, 2, 2, 2] and columns == [2, 3, 4] * 3


def test_attention_shows_each_picture_beside_where_it_counts():
    pictures = np.full((2, 4, 4, 3), 200, np.uint8)
    heat = np.zeros((2, 4, 4), np.float32)
    heat[0, 1, 2] = 1
    drawn = sheets.attention(pictures, heat, ["one", "two"])
    lit = drawn.axes[1].images[0].get_array()
    assert np.unravel_index(np.ptp(lit.astype(int), axis=2).argmax(), (4, 4)) == (1, 2)
    assert drawn.axes[2].get_title(loc="left") == "two"


def all_figures() -> dict:
    return {
        "curves": figures.curves(HISTORY),
        "rate": figures.learning_rate(HISTORY),
        "matrix": figures.confusion(MATRIX, CLASSES),
        "reliability": figures.reliability(bins([None, 0.3]), bins([None, 0.2]), 0.1, 0.02),
        "balance": figures.class_balance(CLASSES, {"training": [3, 4, 5]}),
        "learning": figures.learning_curve([5, 9], [0.5, 0.6], lambda n: (0.6, 0.5, 0.7), 20),
        "network": figures.network(LAYERS, (32, 32, 3)),
    }


@pytest.fixture(scope="module")
def elements() -> dict[str, str]:
    return {title: rendering.svg(drawn, f'{title} & "more"') for title, drawn in all_figures().items()}


def test_svg_is_named_and_without_surroundings(elements):
    for title, text in elements.items():
        root = ElementTree.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg" and text.startswith("<svg ")
        assert (root.get("role"), root.get("aria-label")) == ("img", f'{title} & "more"')
        assert root.get("viewBox") and float(root.get("width")) > 200 and root.get("height") is None
        assert not {"metadata", "style", "a"} & {element.tag.rpartition("}")[2] for element in root.iter()}
        assert "xlink" not in text and "font-family" not in text and len(text) < 60_000
        assert not re.search(r'(?:\bd|x|y|width|transform)="[^"]*\d\.\d{3,}', text)


def test_svg_takes_every_colour_from_the_page(elements):
    fixed = {"none", theme.PALE_ACCENT, "#ffffff"}
    for title, text in elements.items():
        bare = re.sub(r"var\(--[a-z0-9-]+, #[0-9a-f]{6}\)", "", text)
        assert {*re.findall(r"#[0-9a-f]{6}\b(?!-)", bare)} - fixed == set(), title
        assert "var(--" in text
    assert f"var(--accent, {theme.ACCENT})" in elements["curves"]


def test_svg_identifiers_are_unique_on_a_page_and_all_found(elements):
    page = "".join(elements.values())
    names = re.findall(r' id="([^"]+)"', page)
    assert names and len(names) == len(set(names))
    assert {*re.findall(r"""(?:url\(|href=")#([^")]+)""", page)} == {*names}
    again = rendering.svg(figures.curves(HISTORY), "under another title")
    assert not {*re.findall(r' id="([^"]+)"', again)} & {*names}


def test_svg_keeps_text_as_text(elements):
    words = [element.text for element in ElementTree.fromstring(elements["matrix"]).iter() if element.text]
    assert {*CLASSES, "1,200", "<1 %", "true class"} <= {*words}


def test_a_saved_figure_is_known_again(tmp_path, capfd):
    rendering.save(figures.confusion(MATRIX, CLASSES), tmp_path / "own.png")
    data = (tmp_path / "own.png").read_bytes()
    width = int.from_bytes(data[16:20], "big")
    assert data.startswith(b"\x89PNG") and width == round(3.6 * rendering.DOTS_PER_INCH)
    assert rendering.is_own(tmp_path / "own.png")
    (tmp_path / "other.png").write_bytes(data.replace(b"Pigeonhole", b"Pigsonhole"))
    assert not rendering.is_own(tmp_path / "other.png")
    assert capfd.readouterr().err == ""  # nothing about letters that a font lacks


def test_the_users_own_settings_of_matplotlib_do_not_matter():
    import matplotlib

    with matplotlib.rc_context({"lines.linewidth": 9, "text.usetex": False, "figure.dpi": 33}):
        drawn = figures.curves(HISTORY)
    assert drawn.axes[0].get_lines()[0].get_linewidth() == 1.8
    assert matplotlib.rcParams["svg.fonttype"] == "path"
