"""Whoever wants to be told of a training as it goes: objects or functions of a notebook, trackers."""

from collections.abc import Callable, Iterable, Sequence

from pigeonhole.errors import UsageError
from pigeonhole.runs.records import Progress, Validation

EVENTS = ("on_step", "on_validation")


class Callback:
    """What is told of a training; a subclass overrides what it wants to know.

    `network`: the name of the network that is trained; with `--network auto` one candidate comes after the
    other, each with steps from 1. An error in a callback ends the training, which can be resumed.
    """

    def on_step(self, network: str, progress: Progress) -> None:
        """After each step. It holds up the training."""

    def on_validation(self, network: str, validation: Validation) -> None:
        """After each validation."""


# An object with at least one method of `Callback`, or a function that is told of both.
Listener = Callback | Callable[[str, Progress | Validation], object]


class Told:
    """Those who are told of the training of one network."""

    def __init__(self, listeners: Sequence[Listener] = (), network: str = ""):
        self._network = network
        self._steps, self._validations = ([_method(each, event) for each in listeners] for event in EVENTS)

    def step(self, progress: Progress) -> None:
        for tell in self._steps:
            tell(self._network, progress)

    def validation(self, validation: Validation) -> None:
        for tell in self._validations:
            tell(self._network, validation)


NOBODY = Told()


def require(listeners: Sequence[Listener]) -> None:
    """Raise UsageError for what is neither an object with a method of `Callback` nor a function."""
    if not isinstance(listeners, Iterable):
        raise UsageError(
            f"callbacks: {listeners!r} is no list; give [{getattr(listeners, '__name__', '...')}]"
        )
    for each in listeners:
        if isinstance(each, type) or not (callable(each) or any(hasattr(each, event) for event in EVENTS)):
            raise UsageError(
                f"callbacks: {each!r} has neither {' nor '.join(EVENTS)}, and is no function; "
                "give an object of a subclass of Callback"
            )


def _method(listener: Listener, event: str) -> Callable[[str, Progress | Validation], object]:
    """What to call at an event; of an object that has another method only, what does nothing."""
    if any(hasattr(listener, each) for each in EVENTS):
        return getattr(listener, event, lambda network, happened: None)
    return listener
