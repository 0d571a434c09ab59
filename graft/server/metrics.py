"""Metrics for Prometheus. Nothing is registered at import: every server has its own metrics."""

from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from graft.errors import UnreadableImage, printable
from graft.model.classifier import Prediction

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32)


class Metrics:
    """The metrics of one server. The name of every series begins with `graft_`."""

    def __init__(self) -> None:
        self._all = CollectorRegistry()
        named: dict[str, Any] = {"namespace": "graft", "registry": self._all}
        self.requests = Counter("requests", "Requests for predictions, by HTTP status.", ["status"], **named)
        self.seconds = Histogram("request_seconds", "From a request's head to its answer.", buckets=_SECONDS, **named)
        self.images = Counter("images", "Images, by outcome: known, unknown or unreadable.", ["outcome"], **named)
        self.batch_size = Histogram("batch_size", "Images that were predicted in one batch.", buckets=_SIZES, **named)
        self.in_flight = Gauge("requests_in_flight", "Requests that are being read or answered.", **named)
        self.reloads = Counter("reloads", "Attempts to load a version: loaded or failed.", ["outcome"], **named)
        self.reload_error = Gauge("reload_error_info", "1 for why the last attempt failed.", ["reason"], **named)
        self.kept = Counter("kept", "Windows, images and answers to keep, by outcome.", ["what", "outcome"], **named)
        self.keep_error = Gauge("keep_error_info", "1 for why the last one was not kept.", ["reason"], **named)
        self.model = Gauge("model_info", "1 for the model that is being served.", ["model"], **named)

    def count_images(self, outcomes: list[Prediction | UnreadableImage]) -> None:
        """Count the images of an answer by outcome."""
        for each in outcomes:
            known = "unreadable" if isinstance(each, UnreadableImage) else "unknown" if each.is_unknown else "known"
            self.images.labels(known).inc()

    def count_reload(self, error: Exception | None) -> None:
        """Count an attempt to load another version, and show why the last one failed."""
        self.reloads.labels("failed" if error else "loaded").inc()
        self.reload_error.clear()
        if error:
            self.reload_error.labels(printable(error)).set(1)

    def count_kept(self, what: str, outcome: str, error: Exception | None) -> None:
        """Count what was kept, and show why something was lost until the next is kept; see `graft.watch.recorder`."""
        self.kept.labels(what, outcome).inc()
        if error or outcome in ("written", "kept"):
            self.keep_error.clear()
        if error:
            self.keep_error.labels(printable(error)).set(1)

    def name_model(self, name: str) -> None:
        """Record which model is being served."""
        self.model.clear()
        self.model.labels(name).set(1)

    def as_text(self) -> bytes:
        """All metrics in Prometheus's text format."""
        return generate_latest(self._all)
