"""How far training pictures may be varied; cheap to import, unlike what does it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Augmentation:
    """How far a picture may be varied. The defaults change nothing.

    `flip`: mirror left and right, every second time. `shift`: largest shift, as a fraction of the side.
    `crop`: smallest fraction of the area that a random crop keeps (1: no crop); the crop is stretched back to
    the full size. `aspect`: largest relative stretch of one side against the other. `rotate`: degrees.
    `colour`: strength of random contrast, brightness and white balance (0 none, 0.1 mild, 0.3 strong).
    `in_network`: whether the network's own layers (`distortion.Distort`) vary the pictures.
    """

    flip: bool = False
    shift: float = 0.0
    crop: float = 1.0
    aspect: float = 0.0
    rotate: float = 0.0
    colour: float = 0.0
    in_network: bool = False

    @property
    def mirrors(self) -> bool:
        """Whether training shows mirrored pictures; networks that vary them by themselves all do that."""
        return self.flip or self.in_network

    def describe(self) -> str:
        """In words, such as `varied by flip, shift 0.125, colour 0.1`."""
        if self.in_network:
            return "varied by the network's first layers"
        usual = Augmentation()
        changed = [name for name in self.__dataclass_fields__ if getattr(self, name) != getattr(usual, name)]
        words = [
            name if getattr(self, name) is True else f"{name} {getattr(self, name):g}" for name in changed
        ]
        return f"varied by {', '.join(words)}" if words else "pictures as they are"


NONE = Augmentation()
IN_NETWORK = Augmentation(in_network=True)
