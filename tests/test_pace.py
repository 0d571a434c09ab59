import pytest

from pipeline.training import pace


class Clock:
    """A clock that only the test turns on."""

    now_s = 100.0

    def perf_counter(self) -> float:
        return self.now_s

    def slowly(self, items, seconds):
        for item in items:
            self.now_s += seconds
            yield item


def test_it_tells_which_side_is_the_slower(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(pace, "time", clock)
    watch = pace.Pace()
    assert list(clock.slowly(watch.inputs(clock.slowly(range(5), 0.02)), 0.1)) == list(range(5))
    said = watch.report(1234, "views")
    assert said.startswith("1,234 views in 0.6 s, 2,057 per second, 17% waiting: input-bound")
    watch = pace.Pace()
    list(clock.slowly(watch.inputs(clock.slowly(range(5), 0.01)), 0.1))
    assert "9% waiting: compute-bound" in watch.report(5, "views")


@pytest.mark.parametrize(("seconds", "said"), [(4.21, "4.2 s"), (31, "31 s"), (720, "12 min"), (12600, "3.5 h")])
def test_durations_are_said_as_people_say_them(seconds, said):
    assert pace.duration(seconds) == said
