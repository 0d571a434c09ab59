"""What a file is by its first bytes and its name; the oracle is who wrote it, or its format's specification."""

import struct

import pytest
from intake_faults import ODD, encode
from intake_images import picture
from PIL import Image

from graft.decoding import heif
from graft.decoding.kinds import FORMATS, is_named_as_image, kind_of, why_ignored, why_no_image
from graft.images import UnreadableImage, decode


def boxed(major: bytes, *compatible: bytes, size: int | None = None) -> bytes:
    """The beginning of a file of ISO's base media format."""
    brands = b"".join(compatible)
    return struct.pack(">I", size or 16 + len(brands)) + b"ftyp" + major + bytes(4) + brands + b"\0\0\0\x08free" * 9


@pytest.mark.parametrize("data, name", [
    (boxed(b"heic", b"mif1", b"heic"), "HEIF (HEIC)"),              # a photograph of an iPhone
    (boxed(b"heix", b"mif1", b"heix"), "HEIF (HEIC)"), (boxed(b"heim"), "HEIF (HEIC)"), (boxed(b"heis"), "HEIF (HEIC)"),
    (boxed(b"hevc", b"msf1", b"hevc"), "HEIF (HEIC)"), (boxed(b"hevx"), "HEIF (HEIC)"),     # a burst
    (boxed(b"mif1", b"mif1", b"heic"), "HEIF (HEIC)"), (boxed(b"msf1", b"hevc"), "HEIF (HEIC)"),
    (boxed(b"mif1", b"miaf"), "HEIF"), (boxed(b"avci"), "HEIF"), (boxed(b"j2ki", b"mif1"), "HEIF"),
    (boxed(b"avif", b"mif1", b"miaf", b"MA1B"), "AVIF"), (boxed(b"mif1", b"avif", b"miaf"), "AVIF"),
    (boxed(b"avis", b"msf1", b"iso8", b"mif1", b"avif"), "AVIF"), (boxed(b"msf1", b"avis"), "AVIF"),
    (boxed(b"zzzz", b"avif"), "AVIF"), (boxed(b"crx ", b"isom"), "CR3"),
    (boxed(b"isom", b"iso2", b"avc1", b"mp41"), "a video"), (boxed(b"qt  "), "a video"), (boxed(b"mp42"), "a video"),
    (boxed(b"3gp5", b"isom"), "a video"), (boxed(b"isom", b"heic", size=16), "a video"),     # behind the box
    (boxed(b"heic", size=1), "HEIF (HEIC)"), (boxed(b"mif1", size=2**32 - 1), "HEIF"), (b"\0\0\0\x14ftyp", "a video"),
])
def test_brands_tell_photographs_from_videos(data, name, monkeypatch):
    monkeypatch.setattr(heif, "_library", lambda: None)         # what is said where pillow-heif is not installed
    kind = kind_of(data)
    assert kind.name == name and kind.is_image == (name != "a video")
    said = r"convert it to JPEG or PNG, for example with `magick" if kind.is_image else "^not an image, but a video$"
    with pytest.raises(UnreadableImage, match=said) as error:
        decode(data)
    assert not kind.is_image or f"unsupported format {name};" in str(error.value)


def test_avif_as_pillow_writes_it_is_named():
    frames = [picture(seed, 64, 48) for seed in range(3)]
    for options in ({}, {"save_all": True, "append_images": frames[1:]}):
        assert kind_of(encode(frames[0], "AVIF", **options)).name == "AVIF"


@pytest.mark.parametrize("form", [*FORMATS, "ICO", "JPEG2000", "PPM", "DDS", "ICNS", "PDF"])
def test_files_are_what_pillow_wrote(form):
    kind = kind_of(encode(picture(1, 64, 64), form))
    other = {"MPO": "JPEG", "JPEG2000": "JPEG 2000", "PPM": "PNM", "PDF": "a PDF document"}
    assert kind.name == other.get(form, form)
    assert (kind.is_supported, kind.is_image) == (form in FORMATS, form != "PDF")


def test_every_odd_image_is_an_image():
    assert not [name for name, (data, _) in ODD.items() if why_no_image(data[:4096])]


@pytest.mark.parametrize("start, reason", [
    (b"", "empty file"), (b"BM, a text", "not an image"), (b"path,label\n", "not an image"),
    (b"P4 is a road", "not an image"),
    (b"<?xml version='1.0'?><annotation/>", "not an image, but an XML document"),
    (b"\xef\xbb\xbf <?xml version='1.0'?>\n<svg/>", None), (b"<SVG/>", None),
    (b" <HTML>", "not an image, but a web page"),
    (bytes(128) + b"DICM", None), (b"RIFF\0\0\0\0AVI LIST", "not an image, but a video"),
])
def test_text_and_other_files_are_no_images(start, reason):
    assert why_no_image(start) == reason


def test_names_decide_only_what_they_can():
    assert why_ignored("a/.git/b.png") == why_ignored(".a.png") == "hidden"
    assert why_ignored("@eaDir/a.jpg") == why_ignored("a/Thumbs.db") == "created by the operating system"
    assert why_ignored("a/b.png") is None and why_ignored("a.b/c") is None
    assert is_named_as_image("a.HEIC") and is_named_as_image("a.jpeg") and not is_named_as_image("jpg")


@pytest.mark.parametrize("tags", [{50706: b"\1\4\0\0"}, {254: 1, 330: 8}])
def test_the_thumbnail_of_a_camera_raw_is_not_taken_for_its_picture(tags):
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    directory = ImageFileDirectory_v2()
    for tag, value in tags.items():
        directory.tagtype[tag] = 1 if isinstance(value, bytes) else 4
        directory[tag] = value
    with pytest.raises(UnreadableImage, match="unsupported format camera raw; convert it"):
        decode(encode(Image.new("RGB", (16, 12), "red"), "TIFF", tiffinfo=directory))
