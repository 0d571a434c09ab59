"""A data set of three colours, a model of it, and a place where pictures were collected, a new colour among them."""

import random
from collections.abc import Iterator
from pathlib import Path

from intake_images import jpeg, picture
from PIL import Image
from test_validate import set_params
from tiny_bundle import COLOURS, make_bundle
from watched import NOON

from graft.model.classifier import Classifier
from graft.store import LocalStore
from graft.watch.collection import Collection
from tasks import artifacts, validate

PURPLE, CYAN = (255, 0, 255), (40, 125, 130)        # CYAN is between blue and green


def tinted(seed: int, colour: tuple[int, int, int], share: float = 0.7) -> Image.Image:
    """One of `intake_images`' photographs with the mean of a colour."""
    noise = picture(seed)
    return Image.blend(noise, Image.new("RGB", noise.size, colour), share)


def make_project(folder: Path, images: int = 12) -> None:
    """In the present folder: images/COLOUR, params.yaml, and what `validate` and `export` would write."""
    for place, (name, colour) in enumerate(COLOURS.items()):
        (folder / "images" / name).mkdir(parents=True)
        for number in range(images):
            tinted(100 * place + number, colour).save(folder / f"images/{name}/{number}.jpg", quality=95)
    set_params()
    validate.main()
    make_bundle(artifacts.BUNDLE)


def collect(place: Path, pictures: Iterator[bytes]) -> list[str]:
    """Collect pictures as `graft serve` does; their sha256 in the order of the pictures."""
    classifier, told = Classifier(artifacts.BUNDLE), []
    store = LocalStore(place)
    collection = Collection(store, lambda *each: told.append(each[1:]), 1000, now=lambda: NOON, rng=random.Random(1))
    found = []
    for data in pictures:
        before = {each.key for each in store.scan("")}
        collection.keep("colours@3", classifier.predict(data), data, "unknown")
        found += sorted(each.key[:64] for each in store.scan("") if each.key not in before)[:1]
    assert {each[0] for each in told} == {"kept"}, told
    return found


def some_pictures() -> list[bytes]:
    """Five of a new colour, a near-copy of the first, two between known colours, and a copy of a known image."""
    new = [tinted(seed, PURPLE) for seed in range(500, 505)]
    between = [tinted(seed, CYAN) for seed in (600, 601)]
    return [*[jpeg(each, quality=95) for each in new], jpeg(new[0].resize((120, 90)), quality=80),
            *[jpeg(each, quality=95) for each in between], jpeg(Image.open("images/blue/3.jpg"), quality=85)]
