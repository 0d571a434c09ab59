from graft.errors import GraftError
from graft.images import UnreadableImage
from graft.model.classifier import Classifier, Prediction
from graft.predict.find import load
from graft.registry import history, promote, publish, pull, rollback

__all__ = ["Classifier", "GraftError", "Prediction", "UnreadableImage", "history", "load", "promote", "publish", "pull",
           "rollback"]
