"""The command on the small project: it measures what `transfer` measured."""

import json

import pandas as pd
from ruamel.yaml import YAML

from tasks.params import read_sections
from tasks.rank_backbones import images_to_probe


def test_the_probe_of_the_projects_own_backbone_is_what_transfer_found(project):
    said = project.run("python", "-m", "tasks.rank_backbones", "MobileNetV2").stdout
    transfer = json.loads((project.folder / "outputs/transfer/summary.json").read_text())
    assert f"MobileNetV2 {transfer['log_loss']:18.4f}  {transfer['accuracy']:.1%} (" in said
    assert f"Held-out answers to {transfer['images']} images" in said
    lines = said.partition("  backbone:\n")[2]
    assert YAML(typ="safe").load(lines) == read_sections(project.folder / "params.yaml")["extract"]["backbone"]


def test_a_misspelt_backbone_is_refused_before_anything_is_computed(project):
    done = project.run("python", "-m", "tasks.rank_backbones", "MobileNetV2", "MobilNet", "Resnet50", check=False)
    assert done.returncode == 2
    assert "'MobilNet'. Did you mean 'MobileNet'?" in done.stderr
    assert "'Resnet50'. Did you mean 'ResNet50'?" in done.stderr
    assert "Traceback" not in done.stderr


def test_of_many_images_each_class_gives_its_share_and_none_comes_from_test():
    splits = pd.DataFrame({"sha256": [f"{number * 7919 % 4000:04}" for number in range(4000)]})
    splits["path"], splits["split"] = splits["sha256"] + ".jpg", "train"
    splits["label"] = ["a" if number % 4 else "b" for number in range(4000)]
    splits.loc[splits.index % 10 == 0, "split"] = "test"
    chosen = images_to_probe(splits)
    assert chosen["label"].value_counts().to_dict() == {"a": 778, "b": 223}
    assert set(chosen["split"]) == {"train"}
