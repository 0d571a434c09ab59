"""Signed versions: a pull that asks for a key's signature gets just what that key's owner signed."""

import subprocess
import sys

import pytest
from registries import bundle, objects, overwrite

import graft
from graft.errors import GraftError
from graft.registry import promote, publish, pull, rollback, verify
from tasks.gate import pull_champion

pytest.importorskip("model_signing.signing", reason="needs the extra `sign`: pip install 'graft[sign]'")
SIGNATURE = "models/colours/versions/000001/manifest.sig"


@pytest.fixture(scope="session")
def keys(tmp_path_factory):
    """`keys("ann")`: the files of her private and her public key."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder = tmp_path_factory.mktemp("keys")

    def pair(name: str):
        private, public = folder / f"{name}.key.pem", folder / f"{name}.pub.pem"
        if not private.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            private.write_bytes(key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
            public.write_bytes(key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
        return private, public

    return pair


def test_signed_and_asked_for(real, keys):
    private, public = keys("ann")
    publish(bundle(), "colours", real, signing_key=private)
    assert pull(f"{real}/colours@1", public_key=public).version == 1
    assert pull(f"{real}/colours@1", public_key=public, offline=True).version == 1
    assert pull(f"{real}/colours@1").version == 1


def test_another_key_is_refused(real, keys, tmp_path):
    publish(bundle(), "colours", real, signing_key=keys("ann")[0])
    with pytest.raises(GraftError, match="was not signed with the key"):
        pull(f"{real}/colours@1", tmp_path / "model", public_key=keys("bob")[1])
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("change", [
    lambda registry: overwrite(registry, SIGNATURE, None),
    lambda registry: overwrite(registry, SIGNATURE, b""),
    lambda registry: overwrite(registry, SIGNATURE, b"{}"),
    lambda registry: overwrite(registry, SIGNATURE, b"x" * 5_000_000),
    lambda registry: overwrite(registry, SIGNATURE, objects(registry)[SIGNATURE].replace(b"a", b"b", 20)),
    lambda registry: overwrite(registry, SIGNATURE, objects(registry)[SIGNATURE.replace("1", "2")]),
], ids=["gone", "empty", "no signature", "large", "changed", "of another version"])
def test_a_signature_that_does_not_fit_is_refused(change, tmp_path, keys, monkeypatch):
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    registry = str(tmp_path / "registry")
    private, public = keys("ann")
    for seed in (1, 2):
        publish(bundle(seed), "colours", registry, signing_key=private)
    change(registry)
    with pytest.raises(GraftError):
        pull(f"{registry}/colours@1", tmp_path / "model", public_key=public)
    assert not (tmp_path / "model").exists()
    assert pull(f"{registry}/colours@2", public_key=public).version == 2


def test_a_forged_version_is_refused_although_the_log_agrees(tmp_path, keys, monkeypatch):
    """Who may write to the registry can forge all of it but the signature."""
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    registry, forged = str(tmp_path / "registry"), str(tmp_path / "forged")
    private, public = keys("ann")
    publish(bundle(1), "colours", registry, signing_key=private)
    publish(bundle(2), "colours", forged)
    promote(f"{forged}/colours@1")
    for key, data in objects(forged).items():
        overwrite(registry, key, data)
    assert pull(f"{registry}/colours").version == 1
    with pytest.raises(GraftError, match="was not signed with the key"):
        pull(f"{registry}/colours", public_key=public)


def test_publish_again_signs_what_was_not_signed(tmp_path, keys, monkeypatch):
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    registry = str(tmp_path / "registry")
    private, public = keys("ann")
    publish(bundle(), "colours", registry)
    with pytest.raises(GraftError, match="is not signed"):
        pull(f"{registry}/colours@1", public_key=public)
    assert not publish(bundle(), "colours", registry, signing_key=private).is_new
    assert pull(f"{registry}/colours@1", public_key=public).version == 1


def test_keys_that_cannot_be_used_are_named(tmp_path, keys, monkeypatch):
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    registry = str(tmp_path / "registry")
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("no key")
    for key in (rubbish, tmp_path / "nothing.pem", keys("ann")[1]):
        with pytest.raises(GraftError, match=f"{key.name} cannot be used as a key"):
            publish(bundle(), "colours", registry, signing_key=key)
    assert not (tmp_path / "registry").exists()
    publish(bundle(), "colours", registry, signing_key=keys("ann")[0])
    for key in (rubbish, tmp_path / "nothing.pem"):
        with pytest.raises(GraftError, match=f"{key.name} cannot be used as a key"):
            pull(f"{registry}/colours@1", public_key=key)


def test_the_librarys_own_command_reads_the_signature(tmp_path, keys, monkeypatch):
    """What is pulled can be checked without us."""
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    private, public = keys("ann")
    publish(bundle(), "colours", str(tmp_path / "registry"), signing_key=private)
    folder = pull(f"{tmp_path}/registry/colours@1", tmp_path / "model").folder
    command = [sys.executable, "-m", "model_signing", "verify", "key", "--public_key", str(public), "--signature",
               str(folder / "manifest.sig"), "--ignore_unsigned_files", str(folder)]
    assert subprocess.run(command, capture_output=True).returncode == 0
    (folder / "manifest.json").write_text("{}")
    assert subprocess.run(command, capture_output=True).returncode != 0


@pytest.fixture
def local(tmp_path, monkeypatch) -> str:
    """An empty registry in a folder, which is the default one."""
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GRAFT_REGISTRY", str(tmp_path / "registry"))
    monkeypatch.chdir(tmp_path)
    return str(tmp_path / "registry")


def served(local: str) -> str:
    from graft.server.served_model import ServedModel

    return ServedModel("colours").now.name


WAYS = {
    "pull": lambda local: pull("colours"),
    "offline": lambda local: pull("colours", offline=True),
    "predict": lambda local: graft.load("colours@1"),
    "serve": served,
    "gate": lambda local: pull_champion("colours"),
    "promote": lambda local: promote("colours@1", alias="other"),
    "roll back": lambda local: rollback("colours"),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_environment_demands_a_signature_of_every_way_to_use_a_version(local, keys, monkeypatch, way):
    private, public = keys("ann")
    for seed in (1, 2):
        publish(bundle(seed), "colours", local)
        promote(f"colours@{seed}")
        pull(f"colours@{seed}")
    promote("colours@1")
    monkeypatch.setenv("GRAFT_PUBLIC_KEY", str(public))
    with pytest.raises(GraftError, match="is not signed, but a signature with the key of .*ann.pub.pem is demanded"):
        WAYS[way](local)
    for seed in (1, 2):
        publish(bundle(seed), "colours", local, signing_key=private)
        pull(f"colours@{seed}")
    monkeypatch.setenv("GRAFT_PUBLIC_KEY", str(keys("bob")[1]))
    with pytest.raises(GraftError, match="was not signed with the key of .*bob.pub.pem"):
        WAYS[way](local)
    monkeypatch.setenv("GRAFT_PUBLIC_KEY", "nothing.pem")
    with pytest.raises(GraftError, match="GRAFT_PUBLIC_KEY: nothing.pem cannot be used as a key: No such file"):
        WAYS[way](local)
    monkeypatch.setenv("GRAFT_PUBLIC_KEY", str(public))
    assert WAYS[way](local)


def test_the_environment_signs_what_is_published(local, keys, monkeypatch):
    private, public = keys("ann")
    monkeypatch.setenv("GRAFT_SIGNING_KEY", str(private))
    monkeypatch.setenv("GRAFT_PUBLIC_KEY", str(public))
    publish(bundle(), "colours", local)
    promote("colours@1")
    assert pull("colours").version == 1


@pytest.mark.parametrize("theirs", ["another key", "rubbish"])
def test_a_signature_in_the_place_of_ours_is_told(local, keys, theirs):
    private, public = keys("ann")
    if theirs == "rubbish":
        overwrite(local, SIGNATURE, b"{}")              # before the version is there
    else:
        publish(bundle(), "colours", local, signing_key=keys("bob")[0])
    before = objects(local)[SIGNATURE]
    with pytest.raises(GraftError, match=f"published, but not signed with .*: .*/{SIGNATURE} holds another signature"):
        publish(bundle(), "colours", local, signing_key=private)
    assert objects(local)[SIGNATURE] == before
    overwrite(local, SIGNATURE, None)
    for _ in range(2):                                  # signing again with the same key changes nothing
        publish(bundle(), "colours", local, signing_key=private)
        assert pull("colours@1", public_key=public).version == 1


def test_verify_reads_signatures(local, keys):
    private, public = keys("ann")
    publish(bundle(1), "colours", local, signing_key=private)
    publish(bundle(2), "colours", local)
    assert verify(local).findings == []
    [unsigned] = verify(local, public).findings
    assert (unsigned.where, "is not signed" in unsigned.what) == ("colours@2", True)
    overwrite(local, SIGNATURE.replace("1", "2"), objects(local)[SIGNATURE])
    assert [(each.where, each.what) for each in verify(local).findings] == [
        ("colours@2", "its signature is not one of its manifest")]
    overwrite(local, SIGNATURE.replace("1", "2"), None)
    overwrite(local, SIGNATURE.replace("1", "3"), b"{}")
    assert [each.where for each in verify(local).findings] == [SIGNATURE.replace("1", "3")]
    assert {each.where for each in verify(local, keys("bob")[1]).findings} == {
        "colours@1", "colours@2", SIGNATURE.replace("1", "3")}
