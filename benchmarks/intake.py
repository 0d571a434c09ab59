"""Speed of the intake, and what it finds: `python -m benchmarks.intake [speed] [stage] [copies] [broken]`.

    speed    images a second: bare Pillow decoding on all cores, the scan of `validate`, and a second scan
    stage    the same for the whole stage, from process start to the last report, on 5,000 photographs
    copies   recall for near-duplicates of photographs, and how many different photographs are mistaken for them
    broken   share of JPEG files with overwritten, removed or lost pixels that the intake reports, beside Pillow

The photographs are those of cats and dogs in `benchmarks.inputs`.
"""

import io
import random
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from PIL import Image

from benchmarks.command import run_parts
from benchmarks.inputs import CATS_DOGS
from benchmarks.scratch import Project
from benchmarks.timeline import seconds_of
from graft.errors import reported
from graft.images import UnreadableImage
from graft.machine.cores import cpu_count
from pipeline.intake.duplicates import find_near_pairs
from pipeline.intake.fingerprint import take_fingerprint
from pipeline.intake.listing import list_files
from pipeline.intake.scan import CHUNK, scan
from pipeline.intake.scan_cache import ScanCache

ROUNDS = 5          # the fastest counts: other work may slow down some


def main() -> None:
    run_parts(__doc__, speed=speed, stage=stage, copies=copies, broken=broken)


def decode_only(path: Path) -> tuple[int, int]:
    """The least that any program must do: open the file and decode all pixels."""
    with Image.open(path) as image:
        image.load()
        return image.size


def speed() -> None:
    listing = list_files(CATS_DOGS)
    paths = [CATS_DOGS / file.path for file in listing.files]
    bare, read, again = [], [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            bare.append(seconds_of(lambda: _decode_all(paths)))
            read.append(seconds_of(lambda: scan(CATS_DOGS, listing, ScanCache(Path(folder), CATS_DOGS))))
            again.append(seconds_of(lambda: scan(CATS_DOGS, listing, ScanCache(Path(folder), CATS_DOGS))))
    print(f"{len(paths)} photographs on {cpu_count()} cores, fastest of {ROUNDS} rounds:")
    for name, seconds in (("bare Pillow", bare), ("scan", read), ("scan again", again)):
        print(f"  {name:<12} {len(paths) / min(seconds):8.0f} images a second, {min(bare) / min(seconds):6.2f} of bare")


def _decode_all(paths: list[Path]) -> None:
    context = get_context("forkserver")
    with ProcessPoolExecutor(cpu_count(), mp_context=context) as pool:
        list(pool.map(decode_only, paths, chunksize=CHUNK))


def stage() -> None:
    """Each photograph, and its four quarters enlarged to its size: different pictures, and as much to decode."""
    with tempfile.TemporaryDirectory() as name:
        images = Path(name, "images")
        for path in sorted(CATS_DOGS.rglob("*.jpg")):
            _write_quarters(path, images / path.parent.name)
        project = Project(Path(name, "project"), **{"data.images": str(images)})
        paths = list(images.rglob("*.jpg"))

        def validate() -> float:
            return seconds_of(lambda: project.run("python", "-m", "tasks.validate"))

        bare = seconds_of(lambda: _decode_all(paths))
        print(f"{len(paths)} photographs on {cpu_count()} cores:")
        for what, seconds in {"bare Pillow": bare, "validate": validate(), "again": validate()}.items():
            speed = f"{len(paths) / seconds:7.0f} images a second, {bare / seconds:5.2f} of bare"
            print(f"  {what:<12} {seconds:6.1f} s, {speed}")


def _write_quarters(path: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / path.name).write_bytes(path.read_bytes())
    with Image.open(path) as image:
        width, height = image.width // 2, image.height // 2
        for number, corner in enumerate([(0, 0), (width, 0), (0, height), (width, height)]):
            quarter = image.convert("RGB").crop((*corner, corner[0] + width, corner[1] + height)).resize(image.size)
            quarter.save(folder / f"{path.stem}.{number}.jpg", quality=88)


def crop(image: Image.Image, share: float) -> Image.Image:
    """A random part of the image with `share` of its width and height."""
    width, height = int(image.width * share), int(image.height * share)
    left, top = random.randint(0, image.width - width), random.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))


def cut_side(image: Image.Image, share: float) -> Image.Image:
    """The image without `share` of its width or height at one random side."""
    dx, dy = int(image.width * share), int(image.height * share)
    box = [0, 0, image.width, image.height]
    side = random.randrange(4)
    box[side] += (dx, dy, -dx, -dy)[side]
    return image.crop(box)


def _halved(image: Image.Image) -> Image.Image:
    return image.resize((max(1, image.width // 2), max(1, image.height // 2)), Image.Resampling.BICUBIC)


KINDS = {       # name of a near-duplicate -> how to make it, and its JPEG quality
    "resized to 50 %": (_halved, 90),
    "JPEG quality 50": (lambda image: image, 50),
    "crop to 90 % of each side": (lambda image: crop(image, 0.9), 90),
    "crop to 95 % of each side": (lambda image: crop(image, 0.95), 90),
    "a tenth cut off one side": (lambda image: cut_side(image, 0.1), 90),
    "mirrored": (lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 90),
    "turned by 90°": (lambda image: image.transpose(Image.Transpose.ROTATE_90), 90),
    "turned by 180°": (lambda image: image.transpose(Image.Transpose.ROTATE_180), 90),
    "turned by 270°": (lambda image: image.transpose(Image.Transpose.ROTATE_270), 90),
    "all: 50 %, crop, mirrored, turned, quality 50": (
        lambda image: crop(_halved(image), 0.9).transpose(Image.Transpose.TRANSVERSE), 50),
}


def copies() -> None:
    paths = [CATS_DOGS / file.path for file in list_files(CATS_DOGS).files]
    originals = [take_fingerprint(path) for path in paths]
    alone = find_near_pairs(originals)
    print(f"{len(paths)} photographs without added copies: {len(alone)} pairs found")
    for first, second in alone:
        print(f"  {paths[first].name} = {paths[second].name}")
    for kind, (change, quality) in KINDS.items():
        random.seed(1)
        made = [_fingerprint_of(change(Image.open(path).convert("RGB")), quality) for path in paths]
        pairs = set(find_near_pairs(originals + made))
        found = sum((index, len(paths) + index) in pairs for index in range(len(paths)))
        wrong = {(a, b) for a, b in pairs if a % len(paths) != b % len(paths)} - _expected(alone, len(paths))
        print(f"  {kind:<46} recall {found / len(paths):7.2%}, wrong pairs {len(wrong)}")


def _fingerprint_of(image: Image.Image, quality: int):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return take_fingerprint(buffer.getvalue())


def _expected(alone: list[tuple[int, int]], count: int) -> set[tuple[int, int]]:
    """A pair of originals is also a pair of their copies, and of an original and a copy."""
    return {tuple(sorted((a + da, b + db))) for a, b in alone for da in (0, count) for db in (0, count)}


DAMAGES = {     # name -> what happens to the bytes in the middle
    "second half missing, ends properly": lambda data, at: data[:at] + b"\xff\xd9",
    "1,000 bytes cut out": lambda data, at: data[:at] + data[at + 1000:],
    "4,096 zeros": lambda data, at: data[:at] + bytes(4096) + data[at + 4096:],
    "1,000 random bytes": lambda data, at: data[:at] + random.randbytes(1000) + data[at + 1000:],
    "100 random bytes": lambda data, at: data[:at] + random.randbytes(100) + data[at + 100:],
    "one bit": lambda data, at: data[:at] + bytes([data[at] ^ 4]) + data[at + 1:],
}


def broken() -> None:
    files = [path.read_bytes() for path in sorted(CATS_DOGS.rglob("*.jpg"))]
    print(f"{len(files)} undamaged photographs: the intake reports {sum(map(_intake_refuses, files))}")
    for damage, change in DAMAGES.items():
        random.seed(1)
        damaged = [change(data, len(data) // 2) for data in files]
        shares = [sum(map(refuses, damaged)) / len(files) for refuses in (_intake_refuses, _pillow_refuses)]
        print(f"  {damage:<35} reported by the intake {shares[0]:7.1%}, by Pillow alone {shares[1]:7.1%}")


def _intake_refuses(data: bytes) -> bool:
    try:
        take_fingerprint(data)
        return False
    except UnreadableImage:
        return True


def _pillow_refuses(data: bytes) -> bool:
    try:
        Image.open(io.BytesIO(data)).load()
        return False
    except (OSError, SyntaxError):
        return True


if __name__ == "__main__":
    with reported():
        main()
