"""The commands, and what they say to a mistake: one message, exit code 2, no traceback."""

import os
import shutil
import socket
import subprocess
import sys
from datetime import timedelta

import pytest
import s3_server
from registries import bundle, objects, overwrite

from graft import registry, store
from graft.cli import main as cli


@pytest.fixture
def graft(capsys):
    """Run a subcommand: exit code, standard output, standard error."""
    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(list(arguments))
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    return run


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder, so that the default registry is there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GRAFT_REGISTRY", raising=False)
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    return tmp_path


def test_the_whole_way(graft, here):
    (here / "report.html").write_text("<p>good</p>")
    (here / "facts.json").write_text('{"accuracy": 0.97, "gate": {"verdict": "HOLD", "reasons": ["too few images"]}}')
    publish = ("publish", str(bundle()), "colours", "--attach", "report.html", "--facts", "facts.json")
    assert graft(*publish)[1] == "published registry/colours@1\n"
    _, out, err = graft(*publish)
    assert out == "already published as registry/colours@1\n" and "of its first publication" in err
    graft("publish", str(bundle(2)), "colours")
    code, out, err = graft("pull", "colours")
    assert (code, "never promoted" in err) == (0, True)
    assert out.startswith("colours@2: 0.0 MB fetched")
    _, out, err = graft("promote", "colours@1", "--expect", "0", "--reason", "first")
    assert "now names version 1 (entry 1" in out and "the gate had held this version: too few images" in err
    assert "before: version 1" in graft("promote", "colours@latest")[1]
    assert "champion already names this version" in graft("promote", "colours@2")[1]
    assert "champion now names version 1, before: version 2" in graft("rollback", "colours", "--reason", "slow")[1]
    assert "--to-none" in graft("rollback", "colours")[2]
    lines = graft("history", "colours")[1].splitlines()
    assert [line.split()[0] for line in lines] == ["entry", "3", "2", "1"]
    assert "2 -> 1" in lines[1]
    assert "first" in lines[3]
    assert "champion: version 1, since" in graft("history", "colours", "--at", "2999-01-01")[1]
    assert "there was no alias" in graft("history", "colours", "--at", "2001-01-01T00:00")[1]
    assert "nothing to fetch" in graft("pull", "colours@2", "--to", "model", "--offline")[1]
    assert sorted(path.name for path in (here / "model").iterdir()) == [
        "manifest.json", "model.json", "model.onnx", "unknown.npz"]
    assert graft("verify")[:2] == (0, f"1 models, 2 versions, 6 files ({size(here):.1f} MB) read: sound\n")


def size(folder) -> float:
    return sum(path.stat().st_size for path in (folder / "registry" / "blobs").rglob("*") if path.is_file()) / 1e6


def test_verify_tells_damage_by_its_exit_code(graft, here):
    registry.publish(bundle(), "colours", "registry")
    blob = next(key for key in objects("registry") if key.startswith("blobs/"))
    overwrite("registry", blob, b"other")
    code, out, _ = graft("verify")
    assert code == 1
    assert blob in out
    assert " DAMAGED" in out


def test_gc_only_tells_unless_it_is_told_to_delete(graft, here, monkeypatch):
    for seed in (1, 2, 3):
        registry.publish(bundle(seed), "colours", "registry")
    real_now = store.LocalStore.now
    monkeypatch.setattr(store.LocalStore, "now", lambda self: real_now(self) + timedelta(days=2))
    before = objects("registry")
    out = graft("gc", "--keep", "1", "--days", "0")[1]
    assert "version  colours@1\nversion  colours@2\n" in out
    assert objects("registry") == before
    assert "2 versions, 4 files" in graft("gc", "--keep", "1", "--days", "0", "--delete")[1]
    assert graft("verify")[0] == 0
    assert graft("pull", "colours@1")[0] == 2


MISTAKES = [
    (["pull", "colours"], "there is no model registry/colours: the registry is empty"),
    (["pull", "known/colour"], "no model 'colour'. Did you mean 'colours'? Its models are: colours."),
    (["pull", "known/colours@0"], "there is no version 0. Version numbers begin at 1"),
    (["pull", "known/colours@7"], "no version 7. Its versions are: 1, 2."),
    (["pull", "known/colours@champon"], "no alias 'champon'. Did you mean 'champion'? Its aliases are: champion"),
    (["pull", "known/Colours"], "'Colours' is not a valid model name"),
    (["pull", "gs://bucket/colours"], "'gs' is not supported"),
    (["pull", "s3://bucket"], "Expected s3://bucket/prefix or a local folder"),
    (["pull", "known/colours@2", "--offline"], "never pulled"),
    (["publish", "nothing", "colours"], "it has no model.json"),
    (["publish", "BROKEN", "colours"], "cannot open"),
    (["publish", "BUNDLE", "co lours"], "'co lours' is not a valid model name"),
    (["publish", "BUNDLE", "colours", "--attach", "nothing.html"], "nothing.html: the file does not exist"),
    (["publish", "BUNDLE", "colours", "--attach", "a/b.html", "--attach", "c/b.html"], "files of different names"),
    (["publish", "BUNDLE", "colours", "--facts", "nothing.json"], "--facts nothing.json cannot be read as JSON: No"),
    (["promote", "known/colours"], "which version?"),
    (["promote", "known/colours@5"], "no version 5"),
    (["promote", "known/colours@1", "--as", "latest"], "alias 'latest' cannot be set"),
    (["promote", "known/colours@1", "--as", "7"], "alias '7' cannot be set"),
    (["promote", "known/colours@2", "--expect", "3"], "names version 1, expected version 3"),
    (["rollback", "known/colours", "--as", "candidate"], "no alias 'candidate' to roll back. Its aliases are: champ"),
    (["rollback", "known/colours@1"], "known/colours@1: expected a model's name without @1"),
    (["withdraw", "known/colours", "--reason", "bad"], "which version?"),
    (["withdraw", "known/colours@1", "--reason", "bad"], "version 1 is the only champion of colours"),
    (["withdraw", "known/colours@5", "--reason", "bad"], "no version 5"),
    (["list", "known/nothing"], "no model 'nothing'"),
    (["list"], "there are no models in registry: the registry is empty or does not exist"),
    (["report", "known/colours@2"], "colours@2 carries no report: it was published without one"),
    (["history", "known/colours@1", "--at", "2026-05-01"], "expected a model's name without @1"),
    (["publish", "BUNDLE", "known/colours@3"], "expected a model's name without @3"),
    (["history", "known/nothing"], "no model 'nothing'"),
    (["history", "known/colours", "--at", "last week"], "'last week' is not a time"),
    (["verify", "nothing"], "no registry at nothing"),
    (["gc", "known", "--keep", "0"], "expected keep of at least 1"),
    (["gc", "known", "--days", "nan"], "days from 0 to 36,500, received 5 and nan"),
    (["gc", "known", "--days", "1000000"], "days from 0 to 36,500"),
    (["gc", "colours", "--delete"], "there is no registry at colours"),
    (["pull", "known/colours", "--to", "/"], "/ exists and is not a model"),
    (["pull", "known/colours", "--to", "known"], "known exists and is not a model"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[" ".join(each) for each, _ in MISTAKES])
def test_a_mistake_is_one_message(graft, here, arguments, message):
    registry.publish(bundle(1), "colours", "known")
    registry.publish(bundle(2), "colours", "known")
    registry.promote("known/colours@1")
    before = objects("known")
    broken = shutil.copytree(bundle(), here / "broken") / "model.onnx"
    broken.write_text("version https://git-lfs.github.com/spec/v1\n")
    named = {"BUNDLE": str(bundle()), "BROKEN": str(broken.parent)}
    code, out, err = graft(*[named.get(each, each) for each in arguments])
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert message in err
    assert objects("known") == before
    assert not (here / "registry").exists()


def run_graft(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """In a process of its own, without any AWS settings but these."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "GRAFT_"))}
    clean |= {"AWS_EC2_METADATA_DISABLED": "true"}
    clean |= dict.fromkeys(("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"), os.devnull)
    return subprocess.run([sys.executable, "-m", "graft.cli", *arguments], env=clean | environment, capture_output=True,
                          text=True)


def assert_one_message(done: subprocess.CompletedProcess, *words: str) -> None:
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: "), done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


def test_no_credentials(tmp_path):
    done = run_graft("pull", "s3://bucket/colours", GRAFT_HOME=str(tmp_path), AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert_one_message(done, "no credentials", "AWS_ACCESS_KEY_ID")


def test_a_profile_that_does_not_exist(tmp_path):
    done = run_graft("pull", "s3://bucket/colours", GRAFT_HOME=str(tmp_path), AWS_PROFILE="nobody")
    assert_one_message(done, "the profile that AWS_PROFILE names does not exist")


def test_nobody_listens(tmp_path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))       # and does not listen
        port = silent.getsockname()[1]
        settings = s3_server.settings(s3_server.Server(f"http://127.0.0.1:{port}", port))
        done = run_graft("pull", "s3://bucket/colours", GRAFT_HOME=str(tmp_path), **settings)
    assert_one_message(done, "no answer from the server", f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("endpoint", ["not an address", "http://[::1", "http://user:password@[::1"])
def test_an_endpoint_that_is_no_address(tmp_path, endpoint):
    settings = s3_server.settings(s3_server.Server(endpoint, 0))
    done = run_graft("pull", "s3://bucket/colours", GRAFT_HOME=str(tmp_path), **settings)
    assert_one_message(done, "AWS_ENDPOINT_URL is not a URL", f"(S3 at {endpoint.replace('user:password@', '')})")


def test_a_bucket_that_does_not_exist(ceph, tmp_path):
    for command in (["pull", "s3://no-such-bucket/colours"], ["verify", "s3://no-such-bucket"],
                    ["publish", str(bundle()), "s3://no-such-bucket/colours"],
                    ["promote", "s3://no-such-bucket/colours@1"]):
        done = run_graft(*command, GRAFT_HOME=str(tmp_path), **s3_server.settings(s3_server.radosgw()))
        assert_one_message(done, "the bucket does not exist", "no-such-bucket")


@pytest.mark.parametrize(("name", "words"), [
    ("AWS_ACCESS_KEY_ID", "does not know this access key"), ("AWS_SECRET_ACCESS_KEY", "the secret access key is wrong"),
])
def test_wrong_credentials_are_named_but_not_repeated(ceph, tmp_path, name, words):
    settings = s3_server.settings(s3_server.radosgw()) | {name: "topsecret123"}
    done = run_graft("pull", f"{ceph}/colours", GRAFT_HOME=str(tmp_path), **settings)
    assert_one_message(done, words)
    assert "topsecret123" not in done.stderr


def test_a_bucket_of_another_owner(ceph, tmp_path):
    server = s3_server.radosgw()
    other = {"AWS_ACCESS_KEY_ID": "other", "AWS_SECRET_ACCESS_KEY": "othersecret"}
    s3_server.add_user("other", "othersecret")
    done = run_graft("pull", f"{ceph}/colours", GRAFT_HOME=str(tmp_path), **(s3_server.settings(server) | other))
    assert_one_message(done, "these credentials do not allow this")
