"""The figures of several runs of suite.py: what changed since the run before, and a plot over time.

    python benchmarks/history.py docs/benchmarks/*.json --plot history.svg

The newest run is compared with the run before of the same size on the same machine. The plot has a panel for
each figure and a line for each machine and size.
"""

import argparse
import json
import sys
from pathlib import Path

COLUMNS = 4
SHOWN_CHANGE = 0.1  # smaller ones are within what equal runs lie apart


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="+", help="that suite.py wrote")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="an SVG or PNG")
    options = parser.parse_args()
    runs = sorted((read(file) for file in options.files), key=lambda each: each["day"])
    for line in changes(runs):
        print(line)
    if options.plot:
        draw(runs, options.plot)
        print(f"plot: {options.plot}")


def read(file: Path) -> dict:
    try:
        found = json.loads(file.read_text("utf-8"))
        found["by_name"] = {(each["benchmark"], each["figure"]): each for each in found["figures"]}
        found["day"], found["commit"], found["size"], found["machine"]
    except (OSError, ValueError, KeyError, TypeError):
        sys.exit(f"{file}: holds no results of suite.py")
    return found


def changes(runs: list[dict]) -> list[str]:
    """The newest run beside the one before it of the same size and machine."""
    newest = runs[-1]
    like = [
        each for each in runs[:-1] if (each["size"], each["machine"]) == (newest["size"], newest["machine"])
    ]
    lines = [f"{newest['commit']} of {newest['day']}, {newest['size']}, {newest['machine']}"]
    if not like:
        return [*lines, "no earlier run of this size on such a machine to compare with"]
    before = like[-1]
    lines += [f"beside {before['commit']} of {before['day']}; changes of {SHOWN_CHANGE:.0%} and more:"]
    for name, each in newest["by_name"].items():
        if (known := before["by_name"].get(name)) and known["median"]:
            ratio = each["median"] / known["median"]
            if abs(ratio - 1) >= SHOWN_CHANGE:
                values = f"{known['median']:,.4g} to {each['median']:,.4g} {each['unit']}"
                lines.append(f"  {' '.join(name)}: {values}, {ratio:.2f} times")
    return lines


def draw(runs: list[dict], file: Path) -> None:
    """A panel for each figure: its median by day, a line for each machine and size."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.hashsalt"] = "history"  # the same file for the same figures
    names = list(dict.fromkeys(name for each in runs for name in each["by_name"]))
    rows = -(-len(names) // COLUMNS)
    figure = Figure(figsize=(3.6 * COLUMNS, 2.2 * rows + 1), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, squeeze=False).flat
    origins = list(dict.fromkeys((each["machine"], each["size"]) for each in runs))
    colours = matplotlib.colormaps["tab10"].colors
    for axes, name in zip(panels, names, strict=False):
        for number, origin in enumerate(origins):
            found = [
                each for each in runs if (each["machine"], each["size"]) == origin and name in each["by_name"]
            ]
            labels = [f"{each['day'][2:]}\n{each['commit'][:7]}" for each in found]
            values = [each["by_name"][name]["median"] for each in found]
            axes.plot(labels, values, "o-", color=colours[number % len(colours)])
        unit = next(each["by_name"][name]["unit"] for each in runs if name in each["by_name"])
        axes.set_title(" ".join(name), fontsize=8)
        axes.set_ylabel(unit, fontsize=8)
        axes.set_ylim(bottom=0)
        axes.tick_params(labelsize=7)
    for axes in figure.axes[len(names) :]:
        axes.remove()
    lines = [
        matplotlib.lines.Line2D([], [], color=colours[number % len(colours)])
        for number in range(len(origins))
    ]
    figure.legend(
        lines, [f"{machine}, {size}" for machine, size in origins], loc="outside lower center", fontsize=8
    )
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


if __name__ == "__main__":
    main()
