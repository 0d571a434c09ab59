"""Pairs of classes that differ by a colour or in a small place, photographed by a fixed camera: made by formula.

The pictures of both classes of a pair agree but for that difference, for the camera's noise and for the light.
"""

import math
from collections.abc import Callable

import numpy as np
from intake_images import picture
from PIL import Image, ImageDraw

SIZE = (240, 180)
SEGMENTS = {"top": (0, 0, 2, 0), "left": (0, 0, 0, 2), "right": (2, 0, 2, 2), "middle": (0, 2, 2, 2),
            "lower left": (0, 2, 0, 4), "lower right": (2, 2, 2, 4), "bottom": (0, 4, 2, 4)}
DARK = {8: set(), 6: {"right"}, 9: {"lower left"}, 3: {"left", "lower left"}}       # of a seven-segment display


def lamp(draw: ImageDraw.ImageDraw, fill: str) -> None:
    draw.ellipse((150, 60, 164, 74), fill=fill)


def shirt(draw: ImageDraw.ImageDraw, fill: str) -> None:
    draw.rectangle((0, 0, *SIZE), fill="#f0f0f0")
    draw.polygon([(90, 30), (150, 30), (200, 70), (180, 90), (160, 75), (160, 165), (80, 165), (80, 75), (60, 90),
                  (40, 70)], fill=fill)
    draw.ellipse((105, 20, 135, 42), fill="#f0f0f0")


def parcel(draw: ImageDraw.ImageDraw, fill: str) -> None:
    """As bright in either colour."""
    draw.rectangle((60, 50, 110, 90), fill=fill)


def scratch(draw: ImageDraw.ImageDraw, is_scratched: bool) -> None:
    draw.rectangle((30, 30, 210, 150), fill="#8a8d90")
    if is_scratched:
        draw.line((90, 70, 106, 81, 118, 84), fill="#d8dadc", width=2)


def cars(draw: ImageDraw.ImageDraw, is_taken: bool) -> None:
    for place in range(6):
        left = 20 + 34 * place
        draw.rectangle((left, 60, left + 30, 120), outline="white")
        if place != 4 or is_taken:
            draw.rounded_rectangle((left + 7, 70, left + 23, 110), 5, fill=("#5060a0", "#303030", "#b0b0b8")[place % 3])


def form(draw: ImageDraw.ImageDraw, is_signed: bool) -> None:
    draw.rectangle((0, 0, *SIZE), fill="#f6f5f0")
    for line in range(10):
        draw.line((20, 20 + 11 * line, 90 + 37 * line % 120, 20 + 11 * line), fill="#404040", width=2)
    if is_signed:
        draw.line([(130 + x, 155 + 6 * math.sin(x / 3) - x / 9) for x in range(48)], fill="#20205a", width=2)


def display(draw: ImageDraw.ImageDraw, digit: int) -> None:
    draw.rectangle((90, 70, 150, 104), fill="#101810")
    for place, shown in enumerate((8, 3, digit)):
        left, top = 97 + 18 * place, 76
        for name, (x0, y0, x1, y1) in SEGMENTS.items():
            if name not in DARK[shown]:
                draw.line((left + 5 * x0, top + 5 * y0, left + 5 * x1, top + 5 * y1), fill="#60ff80", width=2)


def clock(draw: ImageDraw.ImageDraw, hour: int) -> None:
    draw.ellipse((70, 40, 170, 140), fill="white", outline="black", width=3)
    for length, turn, width in ((28, hour / 12, 4), (42, 1 / 6, 2)):
        x, y = 120 + length * math.sin(2 * math.pi * turn), 90 - length * math.cos(2 * math.pi * turn)
        draw.line((120, 90, x, y), fill="black", width=width)


def screw(draw: ImageDraw.ImageDraw, is_there: bool) -> None:
    draw.rectangle((40, 40, 200, 140), fill="#b5b8ba", outline="#505050")
    for x, y in ((52, 52), (188, 52), (52, 128), (188, 128)):
        if is_there or (x, y) != (188, 128):
            draw.ellipse((x - 6, y - 6, x + 6, y + 6), fill="#404448")


PAIRS: dict[str, tuple[Callable, tuple]] = {        # name -> what is drawn, and its state in each of the two classes
    "colour of a lamp": (lamp, ("#ff2828", "#28dc3c")),
    "lamp on or off": (lamp, ("#fff4d0", "#3a3430")),
    "colour of a shirt": (shirt, ("#be2828", "#287832")),
    "colour as bright": (parcel, ("#c86478", "#4f8cb4")),
    "scratch": (scratch, (False, True)),
    "parking place": (cars, (False, True)),
    "signature": (form, (False, True)),
    "counter": (display, (8, 6)),
    "hands of a clock": (clock, (2, 4)),
    "screw": (screw, (True, False)),
}


def photograph(name: str, state: int, seed: int) -> Image.Image:
    """One photograph of class `state`, 0 or 1, of a pair: RGB, with the noise of the sensor and a light of its own."""
    draw_state, states = PAIRS[name]
    scene = picture(7000 + list(PAIRS).index(name), *SIZE).point(lambda value: 64 + value // 2)
    draw_state(ImageDraw.Draw(scene), states[state])
    random = np.random.default_rng([seed, state, list(PAIRS).index(name)])
    pixels = np.asarray(scene, np.float32) * random.uniform(0.94, 1.06) + random.normal(0, 3, (*SIZE[::-1], 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
