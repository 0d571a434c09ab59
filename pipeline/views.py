"""The views of an image, and their keys in a cache."""

from dataclasses import dataclass

PLAIN, MIRRORED = 0, -1


@dataclass(frozen=True)
class View:
    """One view of one image: `PLAIN` is the picture itself, `MIRRORED` its mirror image, 1 and above are augmented."""

    path: str
    sha256: str
    number: int = PLAIN

    def key(self, augmentation: str) -> str:
        """Its name in a cache; `augmentation` tells one way of augmenting from another."""
        names = {PLAIN: "plain", MIRRORED: "mirrored"}
        return f"{self.sha256}:{names.get(self.number) or f'{augmentation}:{self.number}'}"
