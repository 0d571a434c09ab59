import importlib.util
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import keras
import numpy as np
import pytest

from pipeline.training import backend

PROGRAM = textwrap.dedent(f"""
    import json, sys; sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parent.parent)]}
    import keras, numpy as np
    from pathlib import Path
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * int(sys.argv[1]))
    from pipeline.training import backend, fitting, heads, scoring
    import test_fitting
    backend.make_deterministic(1)
    with backend.all_devices(16, "cpu"):
        head = heads.build_head(8, 2, hidden_units=8, dropout=0)
        options = {{**test_fitting.OPTIONS, "optimizer": sys.argv[2]}}
        progress, _ = fitting.fit(head, test_fitting.blobs(1), test_fitting.blobs(2, views=1), epochs=3,
                               checkpoint=Path(sys.argv[3]), **options)
        logits = scoring.predict(head, test_fitting.blobs(3, views=1))
    weights = [np.asarray(each).tolist() for each in head.get_weights()]
    print(json.dumps([weights, logits.tolist(), progress.history]))
""")


def trained(devices: int, optimizer: str, folder: Path):
    flags = f"--xla_force_host_platform_device_count={devices}"
    return subprocess.Popen([sys.executable, "-c", PROGRAM, str(devices), optimizer, str(folder / f"{devices}.npz")],
                            stdout=subprocess.PIPE, text=True, env={**os.environ, "XLA_FLAGS": flags})


def test_two_devices_learn_what_one_does(tmp_path):
    """Each computes half of every batch: the same sums in another order."""
    started = [trained(devices, "sgd", tmp_path) for devices in (1, 2)]
    one, two = (each.communicate()[0].splitlines() for each in started)
    assert "computing on 2 of 2 CPUs" in two
    assert not any("computing on" in line for line in one)
    for first, second in zip(*(json.loads(lines[-1])[:2] for lines in (one, two))):
        for a, b in zip(first, second):
            assert np.allclose(a, b, atol=1e-5)
    assert json.loads(one[-1])[2] == [
        {key: pytest.approx(value, abs=1e-5) for key, value in row.items()} for row in json.loads(two[-1])[2]]


def test_precision_holds_within_the_block_alone():
    with backend.precision("mixed_bfloat16"):
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_a_backend_that_cannot_be_used_is_one_message(name):
    if name == "jax" and importlib.util.find_spec("jax"):
        pytest.skip("JAX is installed here")
    code = "from graft.errors import reported\nwith reported():\n    import pipeline.training"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | {"KERAS_BACKEND": name},
                          capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith(f"error: KERAS_BACKEND is '{name}', which cannot be used")
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="TensorFlow, the default, is not installed")
def test_keras_settings_of_other_work_do_not_count(tmp_path):
    settings = {"floatx": "float16", "epsilon": 0.1, "backend": "torch", "image_data_format": "channels_first"}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    code = ("import pipeline.training; from keras import backend, config; "
            "print(backend.backend(), config.floatx(), config.image_data_format(), config.epsilon())")
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    done = subprocess.run([sys.executable, "-c", code], env=environment | {"KERAS_HOME": str(tmp_path)}, text=True,
                          capture_output=True, check=True)
    assert done.stdout.split() == ["tensorflow", "float32", "channels_last", "1e-07"]
