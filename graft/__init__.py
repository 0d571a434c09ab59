"""Use and publish image classifiers.

    import graft

    model = graft.load("pets@champion", registry="s3://bucket/models")      # or a folder: graft.load("./pets")
    prediction = model.predict("photo.jpg")
    print(prediction.label, prediction.probability, prediction.is_unknown)

    version = graft.publish("bundle", "pets", "s3://bucket/models")
    graft.promote(version.address)

`import graft` takes milliseconds: each name below is imported on first use. `__init__.pyi` declares them to type
checkers and editors.
"""

import importlib

_MODULES = {
    "Classifier": "graft.model.classifier",
    "GraftError": "graft.errors",
    "Prediction": "graft.model.classifier",
    "UnreadableImage": "graft.images",
    "history": "graft.registry",
    "load": "graft.predict.find",
    "promote": "graft.registry",
    "publish": "graft.registry",
    "pull": "graft.registry",
    "rollback": "graft.registry",
}
__all__ = [*_MODULES]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'graft' has no attribute '{name}'")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
