"""What the intake costs, and what it finds: `python -m benchmarks.intake [speed | stage | copies | broken | size]`.

    speed    images a second: bare Pillow decoding on all cores, the scan of `validate`, and its second run
    stage    the same for the whole stage, from the start of its process to the last report, on 5,000 photographs
    copies   how many copies of photographs are found, and how many different photographs are taken for copies
    broken   how many JPEG files whose pixels were overwritten, cut out or lost are named: by the intake, and by Pillow
    size     25,000 small images through `validate` and `split`: seconds and memory

The photographs are those of GRAFT_REAL_DATA (default ../shared/data).
"""

import io
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import psutil
from PIL import Image

from graft.images import UnreadableImage
from pipeline.intake.duplicates import find_near_pairs
from pipeline.intake.fingerprint import take_fingerprint
from pipeline.intake.listing import list_files
from pipeline.intake.scan import CHUNK, scan
from pipeline.intake.scan_cache import ScanCache

PHOTOGRAPHS = Path(os.environ.get("GRAFT_REAL_DATA", "../shared/data")) / "cats_dogs"
ROUNDS = 5          # the best of so many counts: others use the machine, too


def main() -> None:
    parts = {"speed": speed, "stage": stage, "copies": copies, "broken": broken, "size": size}
    for name in sys.argv[1:] or parts:
        parts[name]()


def decode_only(path: Path) -> tuple[int, int]:
    """What any program must do at least: open the file, decode all pixels."""
    with Image.open(path) as image:
        image.load()
        return image.size


def speed() -> None:
    listing = list_files(PHOTOGRAPHS)
    paths = [PHOTOGRAPHS / file.path for file in listing.files]
    bare, read, again = [], [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            bare.append(_seconds(lambda: _decode_all(paths)))
            read.append(_seconds(lambda: scan(PHOTOGRAPHS, listing, ScanCache(Path(folder), PHOTOGRAPHS))))
            again.append(_seconds(lambda: scan(PHOTOGRAPHS, listing, ScanCache(Path(folder), PHOTOGRAPHS))))
    print(f"{len(paths)} photographs on {len(os.sched_getaffinity(0))} cores, the best of {ROUNDS} rounds each:")
    for name, seconds in (("bare Pillow", bare), ("scan", read), ("scan again", again)):
        print(f"  {name:<12} {len(paths) / min(seconds):8.0f} images a second, {min(bare) / min(seconds):6.2f} of bare")


def _decode_all(paths: list[Path]) -> None:
    context = get_context("forkserver")
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), mp_context=context) as pool:
        list(pool.map(decode_only, paths, chunksize=CHUNK))


def _seconds(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def stage() -> None:
    """Each photograph, and its four quarters at full size: as much to decode, and other pictures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in sorted(PHOTOGRAPHS.rglob("*.jpg")):
            _write_quarters(path, folder / "images" / path.parent.name)
        _write_params(folder)
        paths = list((folder / "images").rglob("*.jpg"))
        bare = _seconds(lambda: _decode_all(paths))
        print(f"{len(paths)} photographs on {len(os.sched_getaffinity(0))} cores:")
        runs = [("bare Pillow", bare)] + [(what, _run("validate", folder)[0]) for what in ("validate", "again")]
        for what, seconds in runs:
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


def _write_params(folder: Path) -> None:
    params = Path("params.yaml").read_text().replace("images: data/sample", f"images: {folder}/images")
    (folder / "params.yaml").write_text(params)


def crop(image: Image.Image, share: float) -> Image.Image:
    """Anywhere in the picture, `share` of its width and height."""
    width, height = int(image.width * share), int(image.height * share)
    left, top = random.randint(0, image.width - width), random.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))


def cut_side(image: Image.Image, share: float) -> Image.Image:
    """`share` of the width or height cut off at one side."""
    dx, dy = int(image.width * share), int(image.height * share)
    box = [0, 0, image.width, image.height]
    side = random.randrange(4)
    box[side] += (dx, dy, -dx, -dy)[side]
    return image.crop(box)


def _halved(image: Image.Image) -> Image.Image:
    return image.resize((max(1, image.width // 2), max(1, image.height // 2)), Image.Resampling.BICUBIC)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


KINDS = {       # how a copy is made: the change, and the quality of its JPEG
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
    paths = [PHOTOGRAPHS / file.path for file in list_files(PHOTOGRAPHS).files]
    originals = [take_fingerprint(path) for path in paths]
    alone = find_near_pairs(originals)
    print(f"{len(paths)} photographs, no copies made: {len(alone)} pairs found")
    for first, second in alone:
        print(f"  {paths[first].name} = {paths[second].name}")
    with tempfile.TemporaryDirectory() as folder:
        for kind, (change, quality) in KINDS.items():
            random.seed(1)
            made = [_fingerprint_of(change(Image.open(path).convert("RGB")), quality, Path(folder)) for path in paths]
            pairs = set(find_near_pairs(originals + made))
            found = sum((index, len(paths) + index) in pairs for index in range(len(paths)))
            wrong = {(a, b) for a, b in pairs if a % len(paths) != b % len(paths)} - _expected(alone, len(paths))
            print(f"  {kind:<46} recall {found / len(paths):7.2%}, wrong pairs {len(wrong)}")


def _fingerprint_of(image: Image.Image, quality: int, folder: Path):
    path = folder / "copy.jpg"
    path.write_bytes(_jpeg(image, quality))
    return take_fingerprint(path)


def _expected(alone: list[tuple[int, int]], count: int) -> set[tuple[int, int]]:
    """A pair among the originals is one among their copies, and between both."""
    return {tuple(sorted((a + da, b + db))) for a, b in alone for da in (0, count) for db in (0, count)}


DAMAGES = {     # what becomes of the bytes in the middle
    "half is missing, with an end": lambda data, at: data[:at] + b"\xff\xd9",
    "1,000 bytes cut out": lambda data, at: data[:at] + data[at + 1000:],
    "4,096 zeros": lambda data, at: data[:at] + bytes(4096) + data[at + 4096:],
    "1,000 random bytes": lambda data, at: data[:at] + random.randbytes(1000) + data[at + 1000:],
    "100 random bytes": lambda data, at: data[:at] + random.randbytes(100) + data[at + 100:],
    "one bit": lambda data, at: data[:at] + bytes([data[at] ^ 4]) + data[at + 1:],
}


def broken() -> None:
    files = [path.read_bytes() for path in sorted(PHOTOGRAPHS.rglob("*.jpg"))]
    print(f"{len(files)} photographs: {sum(map(_intake_refuses, files))} named although nothing was done to them")
    for damage, change in DAMAGES.items():
        random.seed(1)
        damaged = [change(data, len(data) // 2) for data in files]
        shares = [sum(map(refuses, damaged)) / len(files) for refuses in (_intake_refuses, _pillow_refuses)]
        print(f"  {damage:<30} named by the intake {shares[0]:7.1%}, by Pillow alone {shares[1]:7.1%}")


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


def size(count: int = 25_000, classes: int = 10) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_small_images(folder / "images", count, classes)
        _write_params(folder)
        for stage in ("validate", "split", "validate"):
            seconds, most = _run(stage, folder)
            print(f"  {stage:<10} {seconds:6.1f} s, at most {most / 1e6:.0f} MB in all its processes")


def _write_small_images(folder: Path, count: int, classes: int) -> None:
    """Crops of the photographs, 64 × 64: each other than the others, as small photographs are."""
    random.seed(1)
    photographs = [Image.open(path).convert("RGB") for path in sorted(PHOTOGRAPHS.rglob("*.jpg"))]
    for number in range(count):
        path = folder / str(number % classes) / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        source = photographs[number % len(photographs)]
        side = min(source.size) // 3
        left, top = random.randint(0, source.width - side), random.randint(0, source.height - side)
        source.crop((left, top, left + side, top + side)).resize((64, 64)).save(path, quality=90)


def _run(stage: str, folder: Path) -> tuple[float, int]:
    """Seconds, and the most bytes that the stage and its workers held together: shared pages counted once."""
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    start, most = time.perf_counter(), 0
    command = [sys.executable, "-m", f"tasks.{stage}"]
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE)
    threading.Thread(target=process.stdout.read, daemon=True).start()
    while process.poll() is None:
        most = max(most, _memory(process.pid))
        time.sleep(0.1)
    return time.perf_counter() - start, most


def _memory(pid: int) -> int:
    try:
        processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        return sum(each.memory_full_info().pss for each in processes)
    except psutil.Error:        # one has just ended
        return 0


if __name__ == "__main__":
    main()
