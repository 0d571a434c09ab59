"""Graft: what a published image classifier is, and how it is used.

`load` gives a classifier from a folder or a registry address. The pipeline that makes one stands in `tasks/`.
"""


def load(model: str, format: str = "onnx", **options):
    """A `graft.model.classifier.Classifier` from a folder or an address. See `graft.predict.find.find_model`.

    `format` is another of the formats that it was published in: litert, litert_int8 or openvino.
    """
    from graft.model.classifier import Classifier
    from graft.predict.find import find_model

    return Classifier(find_model(str(model), **options)[1], format=format)
