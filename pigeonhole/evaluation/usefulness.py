"""Whether a network has learnt anything that a rule without learning would not know."""

from pigeonhole.evaluation.measures import Measures
from pigeonhole.statistics import CorrectedAccuracy
from pigeonhole.terminal import shown

ADVICE = "look at the pictures in the report, then try another --network or more pictures"


def warning(corrected: CorrectedAccuracy, figures: Measures) -> list[str]:
    """Lines to put before all others where the accuracy is not surely above that of a baseline; else none.

    The accuracy is `corrected`, the baselines those of `figures`. A network that has every picture right is
    as good as pictures can show: only always giving one answer can then explain it.
    """
    name, majority = figures.majority
    low, thumbnail = corrected.interval[0], figures.nearest_thumbnail or 0.0
    if low <= majority:
        baseline, compared = majority, f"always answering {shown(name)!r} would get {100 * majority:.1f} %"
    elif low > thumbnail or figures.right == figures.total:
        return []
    else:
        baseline, compared = (
            thumbnail,
            f"the class of the most similar thumbnail would get {100 * thumbnail:.1f} %",
        )
    surely = "" if corrected.accuracy <= baseline else "surely "
    return [
        f"the network has learnt nothing useful: it is not {surely}better than a rule without learning",
        f"({compared}); {ADVICE}",
    ]
