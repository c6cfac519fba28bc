"""The table of a network's layers."""

import keras

MOST_LINES = 40


def rows(model: keras.Model) -> list[tuple[str, str, str, int]]:
    """(layer, input shape, output shape, parameters) of each layer that computes something, in order."""
    found = []
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        source = layer.input[0] if isinstance(layer.input, list) else layer.input
        found.append((layer.name, _shape(source.shape), _shape(layer.output.shape), layer.count_params()))
    return found


def lines(model: keras.Model) -> list[str]:
    """The table as aligned lines, with a heading; of a deep network its beginning and its end."""
    table = rows(model)
    if len(table) > MOST_LINES:
        inner = table[3:-3]
        within = (f"{len(inner)} more", inner[0][1], inner[-1][2], sum(count for *_, count in inner))
        table = [*table[:3], within, *table[-3:]]
    cells = [("layer", "input", "output", "parameters")]
    cells += [(name, before, after, f"{count:,}") for name, before, after, count in table]
    return [f"{name:<12} {before:>15} {after:>15} {count:>12}" for name, before, after, count in cells]


def _shape(shape: tuple) -> str:
    return " x ".join(str(side) for side in shape[1:])
