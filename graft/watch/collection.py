"""Images that are kept for people to look at: unknown ones, unsure ones, and a random share of all.

    PLACE/SHA256.jpg        the image, without metadata unless they are asked for; its name is the hash of its bytes
    PLACE/SHA256.json       its answer, the version that gave it, the time, and why it is kept

The random share is what the accuracy in use can be estimated on; the others are what a model learns most from.
"""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from graft.decoding.kinds import kind_of
from graft.model.classifier import Prediction
from graft.predict.rows import row
from graft.store import Store
from graft.watch.metadata import without_metadata
from graft.watch.windows import Tell

SHARE = 0.01            # of all images, chosen at random
UNKNOWN, UNSURE, RANDOM = "unknown", "unsure", "random"
SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "BMP": ".bmp", "GIF": ".gif", "TIFF": ".tif"}
OUTCOMES = KEPT, THERE, OVER_QUOTA, REFUSED, LOST = "kept", "there", "over_quota", "refused", "lost"


class Collection:
    """Chooses images and stores them, within a quota for each day. `keep` is for one thread."""

    def __init__(self, store: Store, tell: Tell, per_day: int, keep_metadata: bool = False,
                 now: Callable[[], datetime] = lambda: datetime.now(UTC), rng: random.Random | None = None):
        """Collect into a store.

        Args:
            tell: is called with `image`, one of `OUTCOMES`, and the reason, for each that was chosen.
            per_day: how many images a day of UTC, of which at most half are random, and at most half are not.
            keep_metadata: store each file as it came, and those from which metadata cannot be taken.
            now: the present time, with its zone.
            rng: chooses the random share.
        """
        self._store, self._most, self._keep_metadata = store, per_day // 2, keep_metadata
        self._tell, self._now, self._rng = tell, now, rng or random.Random()
        self._day, self._taken = "", Counter[bool]()        # whether at random -> images of this day

    def why(self, prediction: Prediction) -> str | None:
        """Why the image of an answer is to be kept; None if it is not."""
        if self._rng.random() < SHARE:
            return RANDOM
        if prediction.is_unknown:
            return UNKNOWN
        return UNSURE if prediction.is_unsure else None

    def keep(self, model: str, prediction: Prediction, data: bytes, why: str) -> None:
        """Store an image and its answer, unless it is there or the day's quota is used up.

        Args:
            model: the version, as NAME@NUMBER.
            data: the file, as it came.
            why: see `Collection.why`.
        """
        try:
            self._tell("image", self._keep(model, prediction, data, why), None)
        except Exception as error:      # whatever the error, it must not disturb the answers
            self._tell("image", LOST, error)

    def _keep(self, model: str, prediction: Prediction, data: bytes, why: str) -> str:
        now = self._now()
        if (day := f"{now:%Y-%m-%d}") != self._day:
            self._day, self._taken = day, Counter()
        if self._taken[why == RANDOM] >= self._most:
            return OVER_QUOTA
        kept, kind = data if self._keep_metadata else _stripped(data), kind_of(data)
        if kept is None or kind is None or kind.name not in SUFFIXES:
            return REFUSED
        name = hashlib.sha256(kept).hexdigest()
        about = {"model": model, "time": now.isoformat(timespec="seconds"), "why": why}
        answer = {key: value for key, value in row("", prediction).items() if key != "source"}
        is_new = self._store.create(name + SUFFIXES[kind.name], kept)
        self._store.create(f"{name}.json", json.dumps(about | answer, indent=2, ensure_ascii=False).encode())
        self._taken[why == RANDOM] += is_new
        return KEPT if is_new else THERE


def _stripped(data: bytes) -> bytes | None:
    try:
        return without_metadata(data)
    except Exception:           # whatever a stranger's file makes Pillow raise
        return None
