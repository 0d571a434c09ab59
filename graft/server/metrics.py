"""What Prometheus may ask a server. Nothing is registered at import: each server has its own counters."""

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32)


class Metrics:
    """Every series begins with `graft_`."""

    def __init__(self):
        self._all = CollectorRegistry()
        named = {"namespace": "graft", "registry": self._all}
        self.requests = Counter("requests", "Requests for predictions, by HTTP status.", ["status"], **named)
        self.seconds = Histogram("request_seconds", "From a request's head to its answer.", buckets=_SECONDS, **named)
        self.images = Counter("images", "Images: known, unknown or unreadable.", ["outcome"], **named)
        self.batch_size = Histogram("batch_size", "Images that were predicted together.", buckets=_SIZES, **named)
        self.in_flight = Gauge("requests_in_flight", "Requests that are being read or answered.", **named)
        self.reloads = Counter("reloads", "Looks for another version: loaded or failed.", ["outcome"], **named)
        self.model = Gauge("model_info", "1 for the model that answers.", ["model"], **named)

    def count_images(self, rows: list[dict]) -> None:
        for each in rows:
            outcome = "unreadable" if "error" in each else "unknown" if each["is_unknown"] else "known"
            self.images.labels(outcome).inc()

    def name_model(self, name: str) -> None:
        self.model.clear()
        self.model.labels(name).set(1)

    def as_text(self) -> bytes:
        return generate_latest(self._all)
