"""Draw each image, and what its answer rests on, beside a bar chart of its most probable classes, with Pillow alone."""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from graft.errors import GraftError, printable
from graft.images import decode, read_bytes
from graft.machine.files import whole
from graft.predict.writers import hedge

MAX_PANELS = 20                     # in one file, below each other
_PICTURE_PX, _BARS_PX, _MARGIN_PX, _LINE_PX = 320, 480, 24, 40
_BLUE, _ORANGE, _PALE, _INK, _RED = "#2b6cb0", "#c05621", "#e2e8f0", "#1a202c", "#9b2c2c"


def check(path: str, sources: list[str], option: str = "--plot") -> None:
    """Raises `GraftError`, which names the option, if the plot cannot be written to `path`, or has too many images."""
    if Path(path).suffix.lower() != ".png":
        raise GraftError(f"{option} {path}: expected a file name that ends in .png")
    if not Path(path).absolute().parent.is_dir():
        raise GraftError(f"{option} {path}: the folder {Path(path).absolute().parent} does not exist")
    if len(sources) > MAX_PANELS:
        raise GraftError(f"{option} {path}: expected at most {MAX_PANELS} images, received {len(sources)}")


def thumbnail(source: str | bytes) -> Image.Image:
    """The image, scaled to fit its panel. Raises `UnreadableImage`."""
    image = decode(read_bytes(source), at_least=(_PICTURE_PX, _PICTURE_PX))
    return ImageOps.contain(image, (_PICTURE_PX, _PICTURE_PX))


def save(path: str, rows: list[dict], pictures: list[list[Image.Image]], option: str = "--plot") -> None:
    """Draw one panel a row, with its pictures beside each other, and write the PNG whole or not at all."""
    columns = max(1, *map(len, pictures))
    panels = [_panel(row, shown, columns) for row, shown in zip(rows, pictures)]
    sheet = Image.new("RGB", (panels[0].width, sum(panel.height for panel in panels)), "white")
    top = 0
    for panel in panels:
        sheet.paste(panel, (0, top))
        top += panel.height
    try:
        with whole(path) as unfinished:
            sheet.save(unfinished, "PNG")
    except OSError as error:
        raise GraftError(f"{option} {path} cannot be written: {error.strerror or error}") from error


def _panel(row: dict, pictures: list[Image.Image], columns: int) -> Image.Image:
    shares = row.get("probabilities", {})
    height = max(_PICTURE_PX, _LINE_PX * (len(shares) + 2)) + 2 * _MARGIN_PX
    left = columns * (_PICTURE_PX + _MARGIN_PX) + _MARGIN_PX
    panel = Image.new("RGB", (left + _BARS_PX + _MARGIN_PX, height), "white")
    for number, picture in enumerate(pictures):
        centre = _MARGIN_PX + number * (_PICTURE_PX + _MARGIN_PX) + _PICTURE_PX // 2
        panel.paste(picture, (centre - picture.width // 2, (height - picture.height) // 2))
    draw = ImageDraw.Draw(panel)
    _write(draw, (left, _MARGIN_PX), Path(row["source"]).name or row["source"], 18, _INK)
    verdict, colour = _verdict(row)
    _write(draw, (left, _MARGIN_PX + 26), verdict, 16, colour)
    for number, (name, share) in enumerate(shares.items()):
        _bar(draw, left, _MARGIN_PX + _LINE_PX * (number + 2) - 12, name, share, colour)
    return panel


def _verdict(row: dict) -> tuple[str, str]:
    """The verdict as text, and its colour."""
    if "error" in row:
        return row["error"], _RED
    return hedge(row) + row["label"], _ORANGE if hedge(row) else _BLUE


def _bar(draw: ImageDraw.ImageDraw, left: int, top: int, name: str, share: float, colour: str) -> None:
    label_px, percent_px = 170, 70
    bar_px = _BARS_PX - label_px - percent_px
    _write(draw, (left, top + 4), name, 16, _INK, label_px - 10)
    draw.rectangle((left + label_px, top + 4, left + label_px + bar_px, top + 24), fill=_PALE)
    draw.rectangle((left + label_px, top + 4, left + label_px + round(bar_px * share), top + 24), fill=colour)
    _write(draw, (left + label_px + bar_px + 8, top + 4), f"{share:.1%}", 16, _INK)


def _write(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, size_px: int, colour: str, width_px: int = _BARS_PX,
) -> None:
    """Draw one line of text, shortened with an ellipsis if it is wider than `width_px`."""
    text = printable(text)
    font, shown = _font(size_px), text
    while shown and draw.textlength(shown + ("" if shown == text else "…"), font) > width_px:
        shown = shown[:-1]
    draw.text(place, shown + ("" if shown == text else "…"), colour, font)


def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    for name in ("DejaVuSans.ttf", "Arial.ttf", "Arial Unicode.ttf"):      # cover more scripts than Pillow's font
        try:
            return ImageFont.truetype(name, size_px)
        except OSError:
            continue
    return ImageFont.load_default(size_px)
