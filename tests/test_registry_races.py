"""Many at once: one wins, every loser learns of it, and nobody sees a mix. On real stores only: moto does not lock."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from registries import bundle, objects, overwrite

from graft.registry import AliasMoved, history, manifest, promote, publish, pull, rollback, verify
from graft.registry.log import aliases_json, aliases_key
from graft.store import open_store

PROMOTERS = 100


def many_versions(address: str, count: int) -> None:
    """Versions whose files are those of the first one; only the numbers differ."""
    publish(bundle(), "colours", address)
    store = open_store(address)
    first = manifest.read(store, "colours", 1)
    for number in range(2, count + 1):
        data = manifest.encode(manifest.Manifest(**vars(first) | {"number": number}))
        assert store.create(manifest.key_of("colours", number), data)


def test_a_hundred_promoters(real, monkeypatch):
    """Each promotes a version of its own until it succeeds; whoever loses reads who won, and tries again."""
    many_versions(real, PROMOTERS)
    store = open_store(real)
    monkeypatch.setattr("graft.registry.promotion.open_store", lambda registry: store)     # saves a client for each try
    losses = []

    def promoter(number: int) -> int:
        while True:
            try:
                return promote(f"{real}/colours@{number}", by=f"promoter {number}").number
            except AliasMoved as told:
                losses.append(str(told))

    # each try on S3 costs ten requests, and the more there are at once, the more lose
    with ThreadPoolExecutor(4 if real.startswith("s3:") else 16) as pool:
        numbers = list(pool.map(promoter, random.Random(1).sample(range(1, PROMOTERS + 1), PROMOTERS)))
    entries = history(f"{real}/colours")        # checks the chain
    assert sorted(numbers) == list(range(1, PROMOTERS + 1)) == [entry.number for entry in entries]
    assert sorted(entry.version for entry in entries) == list(range(1, PROMOTERS + 1))
    assert [entry.replaced for entry in entries[1:]] == [entry.version for entry in entries[:-1]]
    assert [entry.by for entry in entries] == [f"promoter {entry.version}" for entry in entries]
    assert losses
    assert all("Last moved by promoter" in told for told in losses)
    assert verify(real).findings == []
    assert store.read_whole(aliases_key("colours"), 10_000) == aliases_json(entries[-1])


def test_of_those_who_expect_the_same_one_wins(real):
    for seed in (1, 2, 3):
        publish(bundle(seed), "colours", real)
    promote(f"{real}/colours@1")
    start = threading.Barrier(8)

    def promoter(number: int) -> bool:
        start.wait()
        try:
            promote(f"{real}/colours@{2 + number % 2}", expect=1, by=str(number))
            return True
        except AliasMoved:
            return False

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(promoter, range(8)))
    entries = history(f"{real}/colours")
    assert [entry.replaced for entry in entries] == [None, 1]
    winner = int(entries[1].by)
    # who asked for the winner's version finds it done; all others get an error
    assert won == [number % 2 == winner % 2 and (number == winner or won[number]) for number in range(8)]
    assert won[winner]


def test_of_two_rollbacks_one_wins(real):
    for seed in (1, 2, 3):
        publish(bundle(seed), "colours", real)
        promote(f"{real}/colours@{seed}")

    def roll(_) -> bool:
        try:
            return rollback(f"{real}/colours", expect=3).version == 2
        except AliasMoved:
            return False

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(roll, range(4))) == 1
    assert len(history(f"{real}/colours")) == 4


def test_publishers_at_once_share_the_same_bundle_and_number_the_others(real):
    def publisher(number: int):
        return publish(bundle(1 + number % 4), "colours", real)

    with ThreadPoolExecutor(8) as pool:
        published = list(pool.map(publisher, range(16)))
    assert sorted({each.version for each in published}) == [1, 2, 3, 4]
    for number in range(4):
        assert len({each.version for each in published[number::4]}) == 1
        assert sum(each.is_new for each in published[number::4]) == 1
    assert verify(real).findings == []


def test_many_pull_while_others_promote(real, tmp_path):
    for seed in (1, 2):
        publish(bundle(seed), "colours", real)
    promote(f"{real}/colours@1")
    stop = threading.Event()

    def flip() -> None:
        while not stop.is_set():
            for number in (2, 1):
                promote(f"{real}/colours@{number}")

    flipping = threading.Thread(target=flip)
    flipping.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            pulled = list(pool.map(lambda n: pull(f"{real}/colours", tmp_path / f"model{n % 2}"), range(24)))
    finally:
        stop.set()
        flipping.join()
    assert {each.version for each in pulled} <= {1, 2}
    for name in ("model0", "model1"):
        held = (tmp_path / name / "unknown.npz").read_bytes()
        assert held in [(bundle(seed) / "unknown.npz").read_bytes() for seed in (1, 2)]


def test_two_pulls_at_once_fetch_once(real, tmp_path):
    large = tmp_path / "large"
    large.write_bytes(random.Random(1).randbytes(20_000_000))
    publish(bundle(), "colours", real, attachments={"large": large})
    with ThreadPoolExecutor(4) as pool:
        pulled = list(pool.map(lambda _: pull(f"{real}/colours@1", attachments=True), range(4)))
    assert sorted(each.transferred_bytes > 0 for each in pulled) == [False, False, False, True]
    assert (pulled[0].folder / "attachments" / "large").read_bytes() == large.read_bytes()


@pytest.mark.parametrize("got", [0, 1, 8 << 20, (8 << 20) + 5, 19_999_999])
def test_a_pull_goes_on_where_it_was_stopped(real, tmp_path, got):
    large = tmp_path / "large"
    large.write_bytes(random.Random(1).randbytes(20_000_000))
    publish(bundle(), "colours", real, attachments={"large": large})
    folder = pull(f"{real}/colours@1").folder           # the model itself is here
    incoming = folder.parent.parent / "incoming" / manifest.describe(large).sha256
    incoming.write_bytes(large.read_bytes()[:got])
    assert pull(f"{real}/colours@1", attachments=True).transferred_bytes == 20_000_000 - got
    assert (folder / "attachments" / "large").read_bytes() == large.read_bytes()


def test_a_part_that_is_wrong_is_not_kept(real, tmp_path):
    large = tmp_path / "large"
    large.write_bytes(b"x" * 100_000)
    publish(bundle(), "colours", real, attachments={"large": large})
    folder = pull(f"{real}/colours@1").folder
    (folder.parent.parent / "incoming" / manifest.describe(large).sha256).write_bytes(b"y" * 50_000)
    with pytest.raises(Exception, match="is damaged"):
        pull(f"{real}/colours@1", attachments=True)
    assert pull(f"{real}/colours@1", attachments=True).transferred_bytes == 100_000


def test_a_blob_that_was_swept_while_it_was_being_published_is_stored_again(real, monkeypatch):
    """`gc` sees a blob that nobody needs just before the manifest that needs it is written."""
    publish(bundle(), "colours", real)
    blob = next(key for key in objects(real) if key.startswith("blobs/"))
    overwrite(real, "models/colours/versions/000001/manifest.json", None)
    real_create = manifest.encode

    def sweep_then_encode(wanted):
        if wanted.number:
            overwrite(real, blob, None)
        return real_create(wanted)

    monkeypatch.setattr("graft.registry.publication.manifest.encode", sweep_then_encode)
    assert publish(bundle(), "colours", real).version == 1
    assert verify(real).findings == []
