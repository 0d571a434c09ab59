import numpy as np
import pytest

from pipeline.training.augmentation import RGB_TO_YIQ, augment, contact_sheet, generator


def picture(height=60, width=80):
    """A smooth picture without symmetry."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 / width, y * 255 / height, 127 + 100 * np.sin(x / 9)], axis=2).astype(np.uint8)


class Fixed:
    """A generator whose every draw is at one place of its range, 0 to 1."""

    def __init__(self, place):
        self.place = place

    def uniform(self, low, high, size=None):
        value = low + (high - low) * self.place
        return value if size is None else np.full(size, value)

    def random(self):
        return self.place


def test_nothing_asked_for_changes_nothing():
    assert np.array_equal(augment(picture(), generator(1, "a", 1)), picture())


def test_a_view_depends_on_seed_image_and_number_alone():
    options = {"rotation_degrees": 30, "shift": 0.2, "zoom": 0.2, "brightness": 0.2, "lens_distortion": 0.1}
    views = [augment(picture(), generator(*key), **options) for key in
             [(1, "a", 1), (1, "a", 1), (2, "a", 1), (1, "b", 1), (1, "a", 2)]]
    assert np.array_equal(views[0], views[1])
    for other in views[2:]:
        assert not np.array_equal(views[0], other)


def test_half_a_turn_is_the_picture_turned_by_numpy():
    turned = augment(picture(), Fixed(1), rotation_degrees=180)
    assert np.abs(turned.astype(int) - picture()[::-1, ::-1]).max() <= 1


def test_a_flip_is_the_mirror_image():
    assert np.array_equal(augment(picture(), Fixed(0.0), horizontal_flip=True), picture()[:, ::-1])


def test_a_shift_moves_by_its_share_of_each_side():
    moved = augment(picture(), Fixed(1), shift=0.25)          # by 20 and 15 pixels
    assert np.array_equal(moved[:45, :60], picture()[15:, 20:])


def test_a_zoom_enlarges_about_the_centre():
    large = augment(picture(61, 81), Fixed(1), zoom=0.5)      # by 1.5
    expected = picture(61, 81)[10:51:2, 13:67:2]
    assert np.abs(large[::3, ::3][:21, :27].astype(int) - expected[:21, :27]).mean() < 3


def test_the_fused_map_is_its_steps_one_after_the_other():
    """One resample of the product against two resamples, up to what the second interpolation blurs."""
    once = augment(picture(), Fixed(0.9), rotation_degrees=20, zoom=0.2)
    twice = augment(augment(picture(), Fixed(0.9), zoom=0.2), Fixed(0.9), rotation_degrees=20)
    inner = np.s_[15:45, 20:60]
    assert np.abs(once[inner].astype(int) - twice[inner]).mean() < 2.5


def test_distortion_moves_the_edge_and_not_the_centre():
    bent = augment(picture(), Fixed(1), lens_distortion=0.3)
    assert np.abs(bent[29:31, 39:41].astype(int) - picture()[29:31, 39:41]).max() <= 2
    assert np.abs(bent[:, :5].astype(int) - picture()[:, :5]).mean() > 5


@pytest.mark.parametrize(("option", "expected"), [
    ({"brightness": 0.2}, lambda image: image * 1.2),
    ({"contrast": 0.2}, lambda image: image * 1.2 - 0.2 * (image @ [0.299, 0.587, 0.114]).mean()),
    ({"saturation": 0.5}, lambda image: 1.5 * image - 0.5 * (image @ [0.299, 0.587, 0.114])[..., None]),
])
def test_colours_follow_their_formula(option, expected):
    image = picture().clip(60, 180)
    assert np.abs(augment(image, Fixed(1), **option) - expected(image.astype(float)).clip(0, 255)).max() <= 1.5


def test_a_full_turn_of_the_hue_comes_back_and_keeps_luma():
    image = picture().clip(90, 160)
    assert np.abs(augment(image, Fixed(1), hue_degrees=360).astype(int) - image).max() <= 1
    turned = augment(image, Fixed(1), hue_degrees=40)
    assert np.abs((turned - image.astype(float)) @ RGB_TO_YIQ[0]).max() <= 1


def test_the_ranges_are_kept():
    options = {"rotation_degrees": 45, "shear": 0.3, "stretch": 0.3, "crop": 0.5, "contrast": 0.5, "hue_degrees": 90}
    for number in range(50):
        view = augment(picture(), generator(1, "a", number), **options)
        assert view.shape == picture().shape
        assert view.dtype == np.uint8


def test_a_contact_sheet_shows_every_view():
    sheet = contact_sheet([[np.full((9, 9, 3), 10, np.uint8), np.full((9, 9, 3), 200, np.uint8)]], cell_px=16)
    assert sheet.size == (32, 16)
    assert [sheet.getpixel((8, 8))[0], sheet.getpixel((24, 8))[0]] == [10, 200]
