"""Reading a whole folder: every file is accounted for, and none is read twice."""

import errno
import io
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import fresh
import numpy as np
import pytest
from intake_faults import BROKEN_PIXELS, FAULTS, ODD, WHITE, encode
from intake_images import jpeg, picture, write_classes
from PIL import Image
from test_decoding_budget import grey_png

from graft.errors import GraftError
from graft.images import UnreadableImage
from graft.predict.decoders import ENDED
from pipeline.intake.fingerprint import Fingerprint, take_fingerprint
from pipeline.intake.listing import list_files
from pipeline.intake.scan import scan
from pipeline.intake.scan_cache import ScanCache


def read(folder: Path, cache: Path):
    return scan(folder, list_files(folder), ScanCache(cache, folder))


def same(a: Fingerprint, b: Fingerprint) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in Fingerprint.__slots__)


def test_every_fault_is_reported_by_path_and_every_odd_file_is_read(tmp_path):
    """More files than one process reads alone, so that the workers are tried, too."""
    images = tmp_path / "images"
    write_classes(images, {"good": 30})
    faults = FAULTS | BROKEN_PIXELS
    for kind, files in (("fault", faults), ("odd", ODD)):
        (images / kind).mkdir()
        for name, (data, _) in files.items():
            (images / kind / name).write_bytes(data)
    found = read(images, tmp_path / "cache")
    reasons = {file.path: reason for file, reason in found.unreadable.items()} | found.stray
    empty = {f"odd/{name}" for name, (_, colour) in ODD.items() if colour == WHITE}
    assert all(re.search("every pixel is (white|transparent)", reasons.pop(path)) for path in empty)
    assert reasons.keys() == {f"fault/{name}" for name in faults}
    for name, (_, reason) in faults.items():
        assert reason in reasons[f"fault/{name}"], name
    assert {file.path for file in found.fingerprints} == {f"good/{n}.jpg" for n in range(30)} | {
        f"odd/{name}" for name in ODD
    } - empty
    again = read(images, tmp_path / "cache")
    assert again.read == 0
    assert again.unreadable == found.unreadable
    assert all(same(found.fingerprints[file], again.fingerprints[file]) for file in found.fingerprints)


@pytest.mark.parametrize("image, shown", [
    (Image.new("RGB", (200, 90)), "black"), (Image.new("L", (200, 90), 255), "white"),
    (Image.new("RGB", (200, 90), (2, 0, 3)), "black"), (Image.new("P", (200, 90)), "black"),
    (Image.new("RGBA", (200, 90), (9, 99, 9, 0)), "transparent"), (Image.new("LA", (200, 90), (99, 0)), "transparent"),
    (Image.new("RGBA", (200, 90), (255, 255, 255, 9)), "white"),
    (Image.fromarray(np.ones((90, 200), np.uint16)), "black in the range of its values, 8 bits"),
    (Image.fromarray(np.full((90, 200), 1.5, np.float32)), "black in the range of its values, 8 bits"),
])
def test_pictures_on_which_nothing_is_seen_are_refused(image, shown):
    forms = ["TIFF"] + ["PNG"] * (image.mode != "F") + ["JPEG"] * (image.mode in ("L", "RGB"))
    for form in forms:
        with pytest.raises(UnreadableImage, match=f"^every pixel is {shown}"):
            take_fingerprint(encode(image, form, **({"quality": 95} if form == "JPEG" else {})))


@pytest.mark.parametrize("ground, dot", [(0, 255), (255, 0), (0, 30)])
def test_one_dot_is_something_to_see(ground, dot):
    """Also where the reduced decoding of a JPEG no longer shows it."""
    image = Image.new("L", (2000, 1000), ground)
    image.paste(dot, (1000, 500, 1008, 508))
    for form in ("PNG", "JPEG"):
        assert take_fingerprint(encode(image, form)).width_px == 2000


def test_only_what_changed_is_read_again(tmp_path):
    images = tmp_path / "images"
    write_classes(images, {"cat": 5})
    assert read(images, tmp_path / "cache").read == 5
    changed = images / "cat" / "2.jpg"
    before = changed.stat()
    data = bytearray(changed.read_bytes())
    data[-20] ^= 1
    changed.write_bytes(bytes(data))  # the same size …
    os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns))  # … and the same time of modification
    (images / "cat" / "new.jpg").write_bytes(jpeg(picture(77)))
    (images / "cat" / "0.jpg").unlink()
    found = read(images, tmp_path / "cache")
    assert found.read == 2
    assert same(found.fingerprints[list_files(images).files[1]], take_fingerprint(changed))


def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path):
    """As one does whose copy is not complete yet."""
    write_classes(tmp_path / "images", {"cat": 2})
    cache = ScanCache(tmp_path / "cache", tmp_path / "images")
    cache.look_up(["cat/0.jpg", "cat/1.jpg"])
    (tmp_path / "images/cat/0.jpg").write_bytes(jpeg(picture(77)))
    for path in ("cat/0.jpg", "cat/1.jpg"):
        cache.store(path, "truncated")
    assert cache.look_up(["cat/0.jpg", "cat/1.jpg"]) == {"cat/1.jpg": "truncated"}


def test_a_damaged_cache_is_made_again(tmp_path):
    images = tmp_path / "images"
    write_classes(images, {"cat": 3})
    read(images, tmp_path / "cache")
    [file] = (tmp_path / "cache").glob("*.sqlite")
    file.write_bytes(b"SQLite format 3\0" + os.urandom(5000))
    assert read(images, tmp_path / "cache").read == 3
    assert read(images, tmp_path / "cache").read == 0


def test_a_damaged_row_or_page_is_said_and_measured_again(tmp_path, capsys):
    images = tmp_path / "images"
    write_classes(images, {"cat": 30})
    whole = read(images, tmp_path / "cache").fingerprints
    cache = ScanCache(tmp_path / "cache", images)
    small = cache.thumbnail("cat/0.jpg")
    cache.connection.execute("UPDATE scans SET grey = zeroblob(length(grey)) WHERE path = 'cat/3.jpg'")
    cache.connection.execute("UPDATE thumbnails SET jpeg = x'00'")
    cache.commit()
    again = ScanCache(tmp_path / "cache", images)
    assert again.thumbnail("cat/0.jpg") == small
    again.commit()
    found = read(images, tmp_path / "cache")
    assert found.read == 1
    assert all(same(one, found.fingerprints[file]) for file, one in whole.items())
    assert "measurements of 1 files are damaged" in capsys.readouterr().out
    [file] = (tmp_path / "cache").glob("*.sqlite")
    content = file.read_bytes()
    for start in [page * len(content) // 5 // 4096 * 4096 for page in range(1, 5)]:     # a page of SQLite's
        file.write_bytes(content[:start] + os.urandom(4096) + content[start + 4096 :])
        found = read(images, tmp_path / "cache")
        assert all(same(one, found.fingerprints[file]) for file, one in whole.items())


def test_two_folders_share_one_cache(tmp_path):
    for name in ("a", "b"):
        write_classes(tmp_path / name, {"cat": 2}, seed=ord(name))
        assert read(tmp_path / name, tmp_path / "cache").read == 2
    assert read(tmp_path / "a", tmp_path / "cache").read == 0


def test_a_reason_that_may_pass_is_not_kept(tmp_path):
    write_classes(tmp_path / "images", {"cat": 3})
    cache = ScanCache(tmp_path / "cache", tmp_path / "images")
    assert not cache.look_up(["cat/0.jpg", "cat/1.jpg"])
    cache.store("cat/0.jpg", os.strerror(errno.EIO).lower())
    cache.store("cat/1.jpg", "not an image")
    assert cache.look_up(["cat/0.jpg", "cat/1.jpg"]) == {"cat/1.jpg": "not an image"}


class KillsReaders(ScanCache):
    """Kills the processes that read, as a system without memory does, when the first result has come."""

    def store(self, path, result):
        super().store(path, result)
        for reader in multiprocessing.active_children():
            reader.kill()


def test_a_killed_reader_is_told_and_what_was_read_is_kept(tmp_path):
    images = tmp_path / "images"
    write_classes(images, {"cat": 300})
    listing = list_files(images)
    with pytest.raises(GraftError, match="was killed.*at 'cat/") as error:
        scan(images, listing, KillsReaders(tmp_path / "cache", images))
    first = re.search(r"at '(.*?)'", str(error.value))[1]
    kept = [file.path for file in listing.files].index(first)
    assert kept > 0
    assert read(images, tmp_path / "cache").read == 300 - kept


SCAN = """
import sys, time
from pathlib import Path
from pipeline.intake.listing import list_files
from pipeline.intake.scan import scan
from pipeline.intake.scan_cache import ScanCache

class Cache(ScanCache):
    def store(self, path, result):
        left.pop()
        if not left:            # the readers wait for more
            print("read", flush=True)
            time.sleep(600)

images, left = Path(sys.argv[1]), list(range(100))
scan(images, list_files(images), Cache(images.with_name("cache"), images))
"""


def test_a_killed_scan_leaves_no_process_behind(tmp_path):
    write_classes(tmp_path / "images", {"cat": 100})
    killed = fresh.start(SCAN, tmp_path / "images", TMPDIR=str(tmp_path))
    assert killed.stdout.readline() == "read\n"
    killed.kill()
    killed.communicate(timeout=fresh.LIMIT_S)      # ends when nobody holds its standard output any more


def test_other_files_are_stray_and_broken_pictures_are_not(tmp_path):
    write_classes(tmp_path / "images", {"cat": 2})
    for name in ("notes.txt", "README", "photo.heic", "photo.jpg"):
        (tmp_path / "images" / "cat" / name).write_bytes(b"no picture at all")
    (tmp_path / "images" / "cat" / "DONE").write_bytes(b"")
    found = read(tmp_path / "images", tmp_path / "cache")
    assert found.stray.keys() == {"cat/notes.txt", "cat/README", "cat/DONE"}
    assert {file.path for file in found.unreadable} == {"cat/photo.heic", "cat/photo.jpg"}


WITHOUT_PRIVILEGE = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]       # of root, to read everything


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="drops root's privilege by setpriv")
def test_a_file_without_permission_is_named_and_tried_again(tmp_path):
    code = """
from pathlib import Path
from test_intake_scan import read
found = read(Path("images"), Path("cache"))
print(*[f"{file.path} ({file.label}): {reason}," for file, reason in found.unreadable.items()], found.read)
"""
    write_classes(tmp_path / "images", {"cat": 3, "locked": 1, "listed": 1})
    (tmp_path / "images" / "cat" / "1.jpg").chmod(0)
    (tmp_path / "images" / "locked").chmod(0)
    (tmp_path / "images" / "listed").chmod(0o444)       # its names may be read, its files not
    forbidden = ("cat/1.jpg (cat)", "listed/0.jpg (listed)", "locked/ (locked)")
    denied = " ".join(f"{file}: permission denied," for file in forbidden)
    for expected in ("5", "3"):  # the second time only the forbidden ones
        run = subprocess.run([*WITHOUT_PRIVILEGE, sys.executable, "-c", code], cwd=tmp_path, capture_output=True,
                             text=True, check=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
        assert run.stdout.strip() == f"{denied} {expected}"


def test_a_file_whose_decoding_does_not_end_is_named_and_the_others_are_read(tmp_path, monkeypatch):
    images = tmp_path / "images"
    write_classes(images, {"cat": 3})
    (images / "cat" / "1.jpg").write_bytes(grey_png(10_000, 10_000))        # takes a second, as another takes for ever
    monkeypatch.setattr("pipeline.intake.scan.PROCESSOR_S", 0.3)
    found = read(images, tmp_path / "cache")
    assert {file.path: reason for file, reason in found.unreadable.items()} == {"cat/1.jpg": ENDED}
    assert [file.path for file in found.fingerprints] == ["cat/0.jpg", "cat/2.jpg"]


def test_a_vanished_file_is_named(tmp_path):
    write_classes(tmp_path / "images", {"cat": 3})
    listing = list_files(tmp_path / "images")
    (tmp_path / "images" / "cat" / "1.jpg").unlink()
    found = scan(tmp_path / "images", listing, ScanCache(tmp_path / "cache", tmp_path / "images"))
    assert {file.path: reason for file, reason in found.unreadable.items()} == {
        "cat/1.jpg": "no such file or directory"
    }


def test_a_text_beside_class_folders_makes_no_class(tmp_path):
    write_classes(tmp_path / "Fruit", {"Apple": 2, "Pear": 2})
    (tmp_path / "Fruit" / "notes.txt").write_text("picked in May")
    assert read(tmp_path, tmp_path.parent / "cache").class_names == {"Fruit/Apple", "Fruit/Pear"}


def test_what_is_left_of_a_broken_picture_is_shown(tmp_path):
    write_classes(tmp_path / "images", {"cat": 1})
    whole = jpeg(Image.new("RGB", (160, 120), (255, 0, 0)), quality=90, restart_marker_rows=1)
    (tmp_path / "images" / "cat" / "half.jpg").write_bytes(whole[: len(whole) * 3 // 4])
    (tmp_path / "images" / "cat" / "text.jpg").write_bytes(b"text")
    cache = ScanCache(tmp_path / "cache", tmp_path / "images")
    with Image.open(io.BytesIO(cache.thumbnail("cat/half.jpg", is_broken=True))) as image:
        red, _, blue = image.getpixel((5, 5))
        assert red > 200 and blue < 60
    assert cache.thumbnail("cat/text.jpg", is_broken=True) == b""


def test_thumbnails_are_kept(tmp_path):
    write_classes(tmp_path / "images", {"cat": 1})
    cache = ScanCache(tmp_path / "cache", tmp_path / "images")
    small = cache.thumbnail("cat/0.jpg")
    cache.commit()
    with Image.open(io.BytesIO(small)) as image:
        assert image.format == "JPEG" and max(image.size) == 96
    statement = []
    again = ScanCache(tmp_path / "cache", tmp_path / "images")
    again.connection.set_trace_callback(statement.append)
    assert again.thumbnail("cat/0.jpg") == small
    assert [each.split()[0] for each in statement] == ["SELECT"]  # nothing was made, nothing stored


def test_a_picture_that_goes_before_its_thumbnail_is_made_is_told(tmp_path):
    write_classes(tmp_path / "images", {"cat": 2})
    cache = ScanCache(tmp_path / "cache", tmp_path / "images")
    (tmp_path / "images/cat/0.jpg").unlink()
    for make in (lambda: cache.thumbnail("cat/0.jpg"), lambda: cache.make_thumbnails(["cat/1.jpg", "cat/0.jpg"])):
        with pytest.raises(GraftError, match="cat/0.jpg: no such file or directory. It could be read before"):
            make()
