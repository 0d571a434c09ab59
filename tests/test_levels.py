"""The levels of a network: computed in one pass, cached, and read again without Keras."""

import subprocess
import sys

import numpy as np
import pytest
from test_activations import data, weights  # noqa: F401

from graft.images import read_image
from pipeline.probing import levels
from pipeline.training import arithmetic, backbones, examples


@pytest.fixture
def views(data):  # noqa: F811
    train = data().splits["train"]
    return levels.views_of(train.paths, train.sha256s)


def test_a_level_is_the_mean_of_the_maps_at_the_end_of_a_block(data, views):  # noqa: F811
    dataset = data()
    found = examples.read_levels(dataset, views)
    network = dataset.part.network(dataset.weights)
    units = backbones.level_units(network)
    index = levels.Index("", list(units.items()))
    assert found.shape == (len(views) // 2, 2, sum(units.values()))
    image = read_image(dataset.splits["train"].activations.images / views[0].path, (32, 32))
    for place, picture in enumerate((image, image[:, ::-1])):
        for name in (index.names[0], index.names[-1]):
            frozen, _ = backbones.split(network, name)
            expected = np.asarray(frozen(picture[None]))[0].mean(axis=(0, 1))
            assert np.allclose(found[0, place, index.columns([name])], expected, atol=2e-2)


def test_they_are_read_from_the_cache_and_missing_ones_are_noticed(data, views, tmp_path):  # noqa: F811
    dataset = data()
    index = levels.Index(dataset.levels().shards.folder.name, [])
    assert levels.read_cached(tmp_path / "cache", index, views) is None
    computed = examples.read_levels(dataset, views)
    assert np.array_equal(levels.read_cached(tmp_path / "cache", index, views), computed)


def test_the_convex_head_needs_no_keras():
    code = ("import sys; import pipeline.probing.selection, pipeline.probing.levels, pipeline.probing.quadrant, "
            "tasks.transfer, tasks.features; print(sorted({'keras', 'tensorflow'} & set(sys.modules)))")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_the_share_of_the_arithmetic_above_a_cut_falls_from_1_to_0():
    network = backbones.build("MobileNetV2", (32, 32), 0.35)
    ends = [backbones.IMAGES, *backbones.level_units(network)]
    shares = [arithmetic.share_above(network, end) for end in ends]
    assert shares[0] == 1 and shares[-1] == 0
    assert shares == sorted(shares, reverse=True)
