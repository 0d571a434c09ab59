"""Which test files a process of pytest-xdist takes together, and in which order: none waits for another at the end.

Its own order begins with the files of many tests, which are the short ones.
"""

from pathlib import Path

UNITS = (           # the longest first; the first makes the small project while the second needs none
    ("test_end_to_end",), ("test_handover",), ("test_automations",), ("test_deployments",), ("test_choose",),
    ("test_circle",),
    ("test_backbones", "test_blocks", "test_onnx_layers"),       # each network is built once
    ("test_readme",), ("test_gate",), ("test_gpu_scaling",), ("test_export",), ("test_activations",),
    ("test_ray_cluster",), ("test_registry_races",), ("test_registry_kills",), ("test_fitting",), ("test_find",),
    ("test_batch",), ("test_finetune",), ("test_fuzz",), ("test_intake_scan",), ("test_code",), ("test_outcome",),
)
PLACES = {name: (number, place) for number, unit in enumerate(UNITS) for place, name in enumerate(unit)}


def place(name: str) -> tuple[int, int]:
    """Where a test file stands in the order; behind the units if it is in none."""
    return PLACES.get(name, (len(UNITS), 0))


def scheduler(config, log):
    """Hand out the files as they are collected, those of a unit to one process."""
    from xdist.scheduler import LoadFileScheduling

    class Units(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            number, _ = place(Path(file).stem)
            return UNITS[number][0] if number < len(UNITS) else file

    config.option.loadscopereorder = False
    return Units(config, log)
