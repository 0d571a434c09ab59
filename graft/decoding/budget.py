"""What decoding will cost, from the header alone: memory, and how often a decoder touches a pixel.

The size of a file tells neither: 417 bytes can declare a tile of 2 GB, and a JPEG can draw the same pixels a thousand
times. Every other cost grows with the file or with its pixels, which `graft.images` limits.
"""

from PIL import Image, ImageFile

from graft.errors import UnreadableImage

MEMORY_BYTES = 500_000_000      # for one image, besides its file: 100 megapixels are 400 MB in Pillow's RGB
MAX_VISITS = 2_000_000_000      # of pixels: 100 megapixels in 20 scans of a JPEG, 2 to 4 s of processor time
MAX_RLE_BYTES = 10_000_000      # of a compressed BMP, which Pillow decodes in Python: 2 s
SHRINK = "resize the image, for example with `magick FILE -resize 5000x5000 FILE`"
TOO_MUCH_WORK = f"decompression bomb: it draws its pixels too often; the limit is {MAX_VISITS:,} pixels in all"
BYTES_OF_MODE = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2, "I;16N": 2}     # in Pillow; others have 4
RGB_BYTES = 4
WEBP_BYTES = 12                 # its decoder keeps two frames, and Pillow copies one
RLE_BYTES, RLE_STEP = 2, 255    # Pillow's copies of a compressed BMP; the rows that it may skip at once
TIFF_NOT_COMPRESSED, TIFF_JPEG = 1, (6, 7)
BAND_PIXELS = 1_000_000         # an image is converted in bands of about so many: a conversion makes several copies
START_OF_SCAN = b"\xff\xda"
BITS_PER_SAMPLE, COMPRESSION, ROWS_PER_STRIP, PLANES, TILE_WIDTH, TILE_HEIGHT = 258, 259, 278, 284, 322, 323
STRIPS, TILES = (273, 279), (324, 325)      # the tags of their offsets and of their lengths


def memory_fault(size_bytes: int) -> str | None:
    """Why an image that takes so much memory to decode is refused, or None."""
    if size_bytes <= MEMORY_BYTES:
        return None
    return f"needs {size_bytes // 10**6:,} MB of memory, more than the limit of {MEMORY_BYTES // 10**6}: {SHRINK}"


def require_memory(image: Image.Image, bytes_per_pixel: int) -> None:
    """Refuse an image before its pixels take more memory than `MEMORY_BYTES`.

    Raises:
        UnreadableImage: with the memory that it needs, the limit, and what to do.
    """
    if fault := memory_fault(image.width * image.height * bytes_per_pixel):
        raise UnreadableImage(fault)


def bytes_as_rgb(image: Image.Image) -> int:
    """The bytes that a pixel of an image takes when it is loaded and then converted to RGB."""
    loaded = loaded_bytes(image)
    decoder = {"WEBP": WEBP_BYTES}.get(image.format or "", 0) if isinstance(image, ImageFile.ImageFile) else 0
    return loaded + max(decoder, 0 if image.mode == "RGB" else RGB_BYTES)


def loaded_bytes(image: Image.Image) -> int:
    """The bytes of a pixel in Pillow's memory."""
    return BYTES_OF_MODE.get(image.mode, 4)


def bands(size: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    """The boxes `(left, top, right, bottom)` in which an image of this `(width, height)` is converted, from the top."""
    width, height = size
    rows = max(1, BAND_PIXELS // max(1, width))
    return [(0, top, width, min(height, top + rows)) for top in range(0, height, rows)]


def bmp_fault(image: ImageFile.ImageFile, data: bytes) -> str | None:
    """Why a BMP costs too much to decode, or None."""
    if image.tile[0].codec_name != "bmp_rle":
        return None
    if len(data) > MAX_RLE_BYTES:
        return f"a compressed BMP of more than {MAX_RLE_BYTES // 10**6} MB: save the image as PNG"
    rows = image.height * (loaded_bytes(image) + RLE_BYTES) + RLE_STEP
    return memory_fault(image.width * rows)


def tiff_fault(image: Image.Image, data: bytes) -> str | None:
    """Why a TIFF costs too much to decode, or None: by its strips or tiles, which need not be as large as the image."""
    tags = image.tag_v2         # type: ignore[attr-defined]
    offsets, lengths = (_numbers(tags, tag) for tag in (TILES if TILES[0] in tags else STRIPS))
    pixels, compression, scans = _pixels_of_block(image), _number(tags, COMPRESSION, TIFF_NOT_COMPRESSED), 0
    if compression in TIFF_JPEG:
        scans = sum(data.count(START_OF_SCAN, start, start + length) for start, length in zip(offsets, lengths))
    if pixels * max(scans, len(offsets)) + sum(lengths) > MAX_VISITS:
        return TOO_MUCH_WORK
    loaded = image.width * image.height * loaded_bytes(image)
    return memory_fault(loaded + (compression != TIFF_NOT_COMPRESSED) * pixels * _bytes_of_sample(tags))


def _pixels_of_block(image: Image.Image) -> int:
    tags = image.tag_v2         # type: ignore[attr-defined]
    if TILES[0] in tags:
        return _number(tags, TILE_WIDTH, image.width) * _number(tags, TILE_HEIGHT, image.height)
    return image.width * min(image.height, _number(tags, ROWS_PER_STRIP, image.height))


def _bytes_of_sample(tags: dict) -> int:
    """The bytes of a pixel in a strip or tile, which has all channels or one."""
    bits = _numbers(tags, BITS_PER_SAMPLE) or (1,)
    return -(-(bits[0] if _number(tags, PLANES, 1) == 2 else sum(bits)) // 8)


def _number(tags: dict, tag: int, otherwise: int) -> int:
    return next(iter(_numbers(tags, tag)), otherwise)


def _numbers(tags: dict, tag: int) -> tuple[int, ...]:
    """The whole numbers of a tag; a file may have any other value there."""
    value = tags.get(tag, ())
    return tuple(each for each in (value if isinstance(value, tuple) else (value,)) if isinstance(each, int))
