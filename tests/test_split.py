"""The stage `split`: which image goes where, that none moves, and what the errors say."""

import hashlib
import random

import pandas as pd
import pytest

from graft.errors import GraftError
from pipeline.intake.splitting import count_by_class, find_leaks, split_images
from tasks import artifacts, split


def table(count=1000, classes=2, seed=0, **columns):
    """Distinct images, their bytes' hash made of the seed and their number."""
    rows = pd.DataFrame({"path": [f"c{i % classes}/{seed}-{i}.jpg" for i in range(count)]})
    rows["label"] = [f"c{i % classes}" for i in range(count)]
    rows["sha256"] = [hashlib.sha256(f"{seed} {i}".encode()).hexdigest() for i in range(count)]
    rows["duplicate_group"] = rows["sha256"]
    rows["group"] = rows["given_split"] = ""
    return rows.assign(**columns)


def with_copies(images, pairs, seed):
    """`pairs` of randomly chosen images become copies of each other, as `find_groups` names them."""
    images = images.copy()
    draw = random.Random(seed)
    for _ in range(pairs):
        a, b = draw.sample(range(len(images)), 2)
        if images.at[a, "label"] == images.at[b, "label"]:
            both = images["duplicate_group"].isin([images.at[a, "duplicate_group"], images.at[b, "duplicate_group"]])
            images.loc[both, "duplicate_group"] = images.loc[both, "duplicate_group"].min()
    return images


def test_shares_are_those_asked_for():
    counts = split_images(table(20_000), 0.15, 0.2, "graft")["split"].value_counts(normalize=True)
    # four standard deviations of a share of 20,000 draws
    assert counts["val"] == pytest.approx(0.15, abs=0.010)
    assert counts["test"] == pytest.approx(0.2, abs=0.0115)


def test_the_place_is_the_salted_hash_of_the_bytes():
    images = table(50)
    splits = split_images(images, 0.15, 0.2, "graft")
    for sha256, name in zip(splits["sha256"], splits["split"]):
        number = int(hashlib.sha256(b"graft\n" + sha256.encode()).hexdigest(), 16) / 2**256
        assert name == ("test" if number < 0.2 else "val" if number < 0.35 else "train")


@pytest.mark.parametrize("seed", range(5))
def test_ten_percent_more_images_move_none_across_splits(seed):
    """Also when they are copies of those that are there, and even when they join two of them to one group."""
    everything = with_copies(pd.concat([table(1000), table(100, seed=seed + 1)], ignore_index=True), 200, seed)
    # the old table has the same copies among its own images, each group named by its own smallest hash
    old = everything[:1000].copy()
    old["duplicate_group"] = old.groupby("duplicate_group")["sha256"].transform("min")
    before = split_images(old, 0.15, 0.15, "graft").set_index("path")["split"]
    after = split_images(everything, 0.15, 0.15, "graft").set_index("path")["split"].loc[before.index]
    stayed = (after == before) | (after == "") | (before == "")
    assert stayed.all()
    assert (after == before).mean() > 0.9


@pytest.mark.parametrize("seed", range(5))
def test_no_copies_and_no_group_straddle_two_splits(seed):
    images = with_copies(table(1000, group=[f"p{i // 7}" if i % 3 else "" for i in range(1000)]), 300, seed)
    splits = split_images(images, 0.15, 0.15, "graft")
    used = splits[splits["split"] != ""]
    assert used.groupby("duplicate_group")["split"].nunique().max() == 1
    assert used[used["group"] != ""].groupby("group")["split"].nunique().max() == 1
    assert used["duplicate_group"].nunique() == images["duplicate_group"].nunique()  # of each picture one copy is left
    assert (splits.loc[splits["split"] == "", "left_out"] != "").all()


def test_exact_copies_with_different_labels_are_in_no_split():
    images = table(100)
    images.loc[1, ["sha256", "duplicate_group"]] = images["sha256"][0]  # images 0 and 1 have different labels
    images.loc[2, "duplicate_group"] = images["sha256"][0]              # a near-duplicate of both
    splits = split_images(images, 0.15, 0.15, "graft")
    assert list(splits["split"][:2]) == ["", ""] and splits["split"][2] != ""
    assert set(splits["left_out"][:2]) == {"an exact copy has another label"}


@pytest.mark.parametrize("seed", range(5))
def test_near_copies_with_different_labels_are_all_used_in_one_split(seed):
    """Also if the user has given the images groups, which then stay together."""
    images = table(1000, group=[f"p{i // 7}" if i % 3 else "" for i in range(1000)])
    draw = random.Random(seed)
    for _ in range(40):
        members = draw.sample(range(1000), 3)
        images.loc[members, "duplicate_group"] = images["duplicate_group"][members].min()
    splits = split_images(images, 0.15, 0.15, "graft")
    mixed = splits.groupby("duplicate_group")["label"].transform("nunique") > 1
    assert mixed.sum() > 50 and splits["split"][mixed].ne("").all()
    used = splits[splits["split"] != ""]
    assert used.groupby("duplicate_group")["split"].nunique().max() == 1
    assert used[used["group"] != ""].groupby("group")["split"].nunique().max() == 1


def test_given_val_and_test_are_kept_and_val_is_drawn_where_it_is_missing():
    given = ["test" if i % 5 == 0 else "train" for i in range(1000)]
    splits = split_images(table(1000, given_split=given), 0.15, 0.15, "graft")
    assert set(splits["split"][::5]) == {"test"}
    rest = splits.drop(splits.index[::5])
    assert set(rest["split"]) == {"train", "val"}
    full = [artifacts.SPLIT_NAMES[i % 3] for i in range(1000)]
    assert list(split_images(table(1000, given_split=full), 0.15, 0.15, "graft")["split"]) == full


@pytest.mark.parametrize("given", [["train"] * 10, ["val", *["train"] * 9], ["val", "test", *["train"] * 8]])
def test_copies_that_the_user_has_put_into_train_straddle_no_split_that_is_drawn_or_filled(given):
    images = table(1000, given_split=given * 100)
    images.loc[(images.index < 30) & (images["given_split"] == "train"), "label"] = "only in train"
    images["duplicate_group"] = images.groupby([images.index // 10, "label", "given_split"])["sha256"].transform("min")
    splits = split_images(images, 0.15, 0.15, "graft")
    used = splits[splits["split"] != ""]
    assert not find_leaks(images) and used.groupby("duplicate_group")["split"].nunique().max() == 1
    assert used["duplicate_group"].nunique() == images["duplicate_group"].nunique()
    assert set(used["split"][used["label"] == "only in train"]) == {"train", "val", "test"}
    kept = splits[splits["given_split"].isin(["val", "test"])]
    assert kept["split"].equals(kept["given_split"])


def test_a_leak_of_the_users_stays_in_both_splits():
    images = table(100, given_split=[("train", "test")[i % 2] for i in range(100)], classes=1)
    images.loc[[2, 5], "duplicate_group"] = images["sha256"][[2, 5]].min()
    assert list(split_images(images, 0.15, 0.15, "graft")["split"][[2, 5]].replace("val", "train")) == ["train", "test"]


def test_leaks_between_given_splits_are_found():
    images = table(100, given_split=[("train", "test")[i % 2] for i in range(100)], classes=1)
    images.loc[[2, 5], "duplicate_group"] = images["sha256"][[2, 5]].min()
    images.loc[[10, 11, 12], "group"] = "patient 1"
    leaks = find_leaks(images)
    assert [(leak["what"], [image["path"][5:] for image in leak["images"]]) for leak in leaks] == [
        ("duplicates", ["2.jpg", "5.jpg"]),
        ("one group", ["10.jpg", "11.jpg", "12.jpg"]),
    ]


def write_images(images):
    filled = {
        name: 1 if kind is not str else "x" for name, kind in artifacts.IMAGE_COLUMNS.items() if name not in images
    }
    artifacts.write_table(artifacts.IMAGES, images.assign(**filled), artifacts.IMAGE_COLUMNS)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("split: {val_share: 0.15, test_share: 0.15, salt: graft, max_leaks: 0}\n")
    return tmp_path


def test_the_stage_writes_each_used_image_once_and_the_same_bytes_again(project, capsys):
    write_images(with_copies(table(300), 30, 0))
    split.main()
    first = artifacts.SPLITS.read_bytes()
    written = artifacts.read_table(artifacts.SPLITS, artifacts.SPLIT_COLUMNS)
    assert written["path"].is_unique
    findings = artifacts.read_json(artifacts.SPLIT_FINDINGS)
    assert len(written) + len(findings["left_out"]) == 300
    assert count_by_class(written).loc["c0"].to_dict() == findings["classes"]["c0"]
    split.main()
    assert artifacts.SPLITS.read_bytes() == first
    assert "asked for 70%" in capsys.readouterr().out


def test_a_class_of_fewer_than_three_groups_stops_the_run(project):
    """Copies count once, and so does a group; the smallest classes are named first, and then only counted."""
    images = table(460, classes=2)
    for number in range(12):        # the last two of them have one image only
        images.loc[400 + 2 * number:401 + 2 * number, "label"] = f"rare {number:02}"
    images.loc[[420, 422], "label"] = "c0"
    images.loc[424:429, ["label", "group"]] = ["patients", "p1"]
    images.loc[430:433, "label"] = "copies"
    images.loc[430:433, "duplicate_group"] = images["sha256"][430:434].min()
    write_images(images)
    with pytest.raises(GraftError) as raised:
        split.main()
    message = str(raised.value)
    assert not artifacts.SPLITS.exists()
    for part in ("class 'copies' has 1 group: ", "class 'patients' has 1 group: ", "class 'rare 11' has 1 group: ",
                 "class 'rare 00' has 2 groups: ", "… and 4 more classes", "A class needs 3 groups or more"):
        assert part in message
    assert message.index("rare 11") < message.index("rare 00") and "c0" not in message and "salt" not in message
    write_images(images[images["label"].isin(["c0", "c1"])])
    split.main()


def test_a_class_whose_images_are_all_in_conflict_is_named_with_the_reason(project):
    images = table(60)
    images["sha256"] = images["duplicate_group"] = images["sha256"].iloc[::2].repeat(2).to_numpy()
    write_images(images)
    with pytest.raises(GraftError) as raised:
        split.main()
    assert "'c1' has 0 groups: 0 in train, 0 in val, 0 in test; an exact copy has another label for 30 images" in str(
        raised.value)


def test_a_given_split_gets_the_classes_that_it_lacks_from_train_and_keeps_its_images(project, capsys):
    images = table(60, given_split=[("train", "val", "test")[i % 3] for i in range(60)])
    images.loc[0:9:3, "label"] = "only in train"
    write_images(images)
    split.main()
    splits = artifacts.read_table(artifacts.SPLITS, artifacts.SPLIT_COLUMNS).set_index("path")
    assert (splits["split"] == images.set_index("path")["given_split"]).sum() == 58
    assert sorted(splits["split"][splits["label"] == "only in train"]) == ["test", "train", "train", "val"]
    findings = artifacts.read_json(artifacts.SPLIT_FINDINGS)
    assert findings["completed"] == {"val": ["only in train"], "test": ["only in train"]}
    out = capsys.readouterr().out
    assert "2 images moved" in out and "1 class that your val lacked got images of train: only in train" in out


def test_it_says_how_many_images_given_train_are_drawn_into_splits_that_are_not_given(project, capsys):
    images = table(60, given_split=[("train", "", "test")[i % 3] for i in range(60)])
    write_images(images)
    split.main()
    splits = artifacts.read_table(artifacts.SPLITS, artifacts.SPLIT_COLUMNS).merge(images[["path", "given_split"]])
    drawn = ((splits["given_split"] == "train") & (splits["split"] == "val")).sum()
    assert drawn and f"you have given no val: {drawn} images of your train drawn into it" in capsys.readouterr().out


def test_a_class_too_small_for_a_given_val_does_not_stop_the_run(project, capsys):
    images = table(60, given_split=[("train", "val", "test")[i % 3] for i in range(60)])
    images.loc[0, "label"] = "rare"
    write_images(images)
    split.main()
    assert "1 class without images in val: rare\n1 class without images in test: rare" in capsys.readouterr().out


def test_a_val_split_without_any_image_stops_the_run_before_it_learns(project):
    """Of each class there are two films: one is given to test, so that train or val gets none."""
    films = [f"film {i % 2}-{i // 30}" for i in range(60)]
    write_images(table(60, group=films, given_split=["test" if i < 30 else "" for i in range(60)]))
    with pytest.raises(GraftError, match="val has no images: beside the test that you have given"):
        split.main()


def test_a_class_that_train_lacks_is_named_with_the_class_that_it_may_be(project):
    images = table(60, given_split=[("train", "val", "test")[i % 3] for i in range(60)])
    images.loc[0:9:3, "label"] = "Fruit/Red-Apple"
    images.loc[1:10:3, "label"] = "Fruits/red apple"
    write_images(images)
    with pytest.raises(GraftError) as raised:
        split.main()
    assert "1 class without images in train; 1 or more are needed:" in str(raised.value)
    assert ("class 'Fruits/red apple' has 4 groups: 0 in train, 4 in val, 0 in test; 'Fruit/Red-Apple' has the same "
            "name and 2 in train: if it is one class, move it") in str(raised.value)
    assert "You have given val and test" in str(raised.value)


def test_leaks_and_small_classes_are_named_together(project):
    images = table(60, given_split=[artifacts.SPLIT_NAMES[i % 3] for i in range(60)])
    images.loc[[0, 2], "duplicate_group"] = images["sha256"][[0, 2]].min()
    images.loc[58:, "label"] = "rare"
    write_images(images)
    with pytest.raises(GraftError) as raised:
        split.main()
    message = str(raised.value)
    assert "1 leak between the given splits" in message and "c0/0-0.jpg (train) = c0/0-2.jpg (test)" in message
    assert "class 'rare' has 2 groups: 0 in train" in message
