"""A run names everything that is missing around it before it starts, all at once."""

import shutil

import pytest

from benchmarks.scratch import Project
from flows import preflight, surroundings
from graft.errors import GraftError
from tasks import choices


@pytest.fixture
def project(tmp_path, monkeypatch) -> Project:
    project = Project(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GRAFT_REGISTRY", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / ".prefect"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(choices, "IMAGENET_URL", "http://127.0.0.1:9/weights.h5")
    return project


def test_the_project_as_shipped_has_what_it_needs_and_nothing_is_written(project):
    assert surroundings.find_problems() == []
    assert not (project.folder / "registry").exists()


def test_everything_is_told_at_once(project, monkeypatch):
    (project.folder / "registry").write_text("a file")
    project.change({"extract.backbone.weights": "nowhere.h5"})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 2 * 10**6))
    (project.folder / "meminfo").write_text("MemTotal: 900 kB\nMemAvailable:   500000 kB\n")
    monkeypatch.setattr(surroundings, "MEMINFO", project.folder / "meminfo")
    with pytest.raises(GraftError) as caught:
        preflight.check_all()
    for part in ("extract.backbone.weights: there is no file 'nowhere.h5'. Expected starter, imagenet",
                 "2 MB of the disk are free; a run needs 500 MB or more",
                 "0.5 GB of memory are free; a run needs 1.0 GB or more",
                 "the registry 'registry' cannot be written", "it is no folder. Set GRAFT_REGISTRY"):
        assert part in str(caught.value)
    assert not any("registry" in each for each in surroundings.find_problems(publish=False))


def test_a_containers_limit_counts(project, monkeypatch):
    for limit, is_enough in (("max", True), ("8000000000", True), ("300000000", False)):
        (project.folder / "memory.max").write_text(limit + "\n")
        monkeypatch.setattr(surroundings, "LIMIT", project.folder / "memory.max")
        assert (surroundings.find_problems() == []) is is_enough


def test_imagenets_weights_must_be_cached_or_within_reach(project):
    project.change({"extract.backbone.weights": "imagenet"})
    [problem] = surroundings.find_problems()
    assert "ImageNet's weights are not in" in problem and "Connection refused" in problem
    cached = project.folder / "keras/models" / choices.IMAGENET_FILE
    cached.parent.mkdir(parents=True)
    cached.touch()
    assert surroundings.find_problems() == []


@pytest.mark.parametrize("network, file", [
    ("ResNet50", "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"), ("EfficientNetB0", "efficientnetb0_notop.h5"),
    ("ConvNeXtTiny", "convnext_tiny_notop.h5"), ("MobileNet", "mobilenet_1_0_224_tf_no_top.h5"),
    ("MobileNetV3Small", "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5")])
def test_kerass_files_are_known_by_their_names(project, network, file):
    (project.folder / "keras/models").mkdir(parents=True)
    (project.folder / "keras/models" / file).touch()
    assert surroundings._is_cached(network) and not surroundings._is_cached("Xception")


def test_weights_that_an_earlier_run_has_loaded_are_not_needed_again(project):
    project.change({"extract.backbone.weights": "gone.h5"})
    (project.folder / "outputs/extract").mkdir(parents=True)
    (project.folder / "outputs/extract/backbone.weights.h5").touch()
    assert surroundings.find_problems() == []


@pytest.mark.parametrize("address, message", [
    ("gs://bucket/models", "'gs' is not supported"), ("s3://no-such-bucket/models", "credentials")])
def test_a_registry_that_cannot_be_used_is_told(project, monkeypatch, address, message):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("GRAFT_REGISTRY", address)
    [problem] = surroundings.find_problems()
    assert message in problem
