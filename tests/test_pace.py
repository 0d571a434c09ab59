import time

import pytest

from pipeline.training import pace


def slowly(items, seconds):
    for item in items:
        time.sleep(seconds)
        yield item


def test_it_tells_which_side_is_the_slower():
    watch = pace.Pace()
    assert list(watch.inputs(slowly(range(5), 0.02))) == list(range(5))
    assert "input-bound" in watch.report(5, "views")
    watch = pace.Pace()
    for _ in watch.inputs(range(5)):
        time.sleep(0.02)
    assert "compute-bound" in watch.report(5, "views")
    assert watch.report(1234, "views").startswith("1,234 views in 0.")


@pytest.mark.parametrize(("seconds", "said"), [(4.21, "4.2 s"), (31, "31 s"), (720, "12 min"), (12600, "3.5 h")])
def test_durations_are_said_as_people_say_them(seconds, said):
    assert pace.duration(seconds) == said
