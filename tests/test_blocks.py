import keras
import pytest
from keras import layers
from networks import network

from pipeline.training import backbones, blocks
from pipeline.training.backbones import BACKBONES


def reaches_the_images(model, without) -> bool:
    """Whether a path leads from the output back to the input that does not pass through the layer `without`."""
    made_by = {id(tensor): node for depth in model._nodes_by_depth.values() for node in depth
               for tensor in node.outputs}
    waiting, seen = [model.output], set()
    while waiting:
        node = made_by[id(waiting.pop())]
        if node.operation is without or id(node) in seen:
            continue
        if isinstance(node.operation, layers.InputLayer):
            return True
        seen.add(id(node))
        waiting += node.input_tensors
    return False


@pytest.mark.parametrize("name", BACKBONES)
def test_each_end_of_a_block_cuts_the_network_in_two(name):
    found, ends = blocks.cuts(network(name)), blocks.block_ends(network(name))
    assert BACKBONES[name].cut in ends
    assert reaches_the_images(network(name), without=None)
    assert not any(reaches_the_images(network(name), without=found[end]) for end in ends)
    assert 4 <= len(ends) <= blocks.MOST_ENDS + 2
    assert ends == [end for end in found if end in ends]        # from first to last
    assert found[ends[-1]].output is network(name).output
    assert not {backbones.IMAGES, "pixels"} & set(ends)


def test_the_blocks_of_a_network_are_those_that_its_paper_counts():
    """A stem and 17 inverted residual blocks, with and without an addition, and the last convolution."""
    ends = blocks.block_ends(network("MobileNetV2"))
    with_addition = {2, 4, 5, 7, 8, 9, 11, 12, 14, 15}
    inner = [f"block_{block}_{'add' if block in with_addition else 'project_BN'}" for block in range(1, 17)]
    assert ends == ["expanded_conv_project_BN", *inner, "out_relu"]


def test_the_scaling_of_channels_within_a_block_ends_none():
    assert not any("se_" in end for end in blocks.block_ends(network("EfficientNetB0")))


def test_a_block_ends_after_what_belongs_to_it():
    ends = blocks.block_ends(network("ResNet50"))
    assert ends[-3:] == [f"conv5_block{block}_out" for block in (1, 2, 3)]      # the activation after the addition
    assert "mixed8" in blocks.block_ends(network("InceptionV3"))


def test_of_a_hundred_blocks_those_around_a_smaller_map_stay():
    inputs = hidden = keras.Input((64, 64, 4))
    for number in range(100):
        hidden = layers.Conv2D(4, 3, padding="same", strides=1 + (number in (30, 60)), name=f"c{number}")(hidden)
    ends = blocks.block_ends(keras.Model(inputs, hidden))
    assert len(ends) <= blocks.MOST_ENDS + 2
    assert {"c28", "c30", "c58", "c60", "c99"} <= set(ends)


def test_cuts_have_the_same_names_whatever_was_built_before():
    first = list(blocks.cuts(network("Xception")))
    assert "add_10" in first
    assert list(blocks.cuts(backbones.build("Xception", (96, 96)))) == first


def test_inception_falls_in_two_after_its_blocks_and_not_within():
    found = list(blocks.cuts(network("InceptionV3")))
    assert [name for name in found if name.startswith("mixed")] == [f"mixed{i}" for i in range(11)]      # no mixed9_0
    assert list(blocks.cuts(backbones.build("InceptionV3", (96, 96)))) == found     # it has pooling without a name
