"""`graft serve --reports`: the pages of published versions at addresses of their own, and nothing else."""

import json

import pytest
from live_server import serving
from tiny_bundle import make_bundle

from graft import registry
from graft.errors import GraftError
from graft.server.app import serve_reports
from graft.server.reports import create_reports_app

HOSTILE = "<script>fetch('/')</script><p>the report"
FACTS = {"commit": "0123456789abcdef", "metrics": {"accuracy": {"value": 0.5, "low": 0.4, "high": 0.6, "images": 9}},
         "gate": {"verdict": "HOLD<b>"}}


@pytest.fixture
def client(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path / "home"))
    pages = {name: tmp_path / name for name in ("report.html", "gate.html", "notes.txt")}
    for path in pages.values():
        path.write_text(HOSTILE)
    published = registry.publish(make_bundle(tmp_path / "bundle"), "colours", str(tmp_path / "registry"),
                                 attachments=pages, facts=json.loads(json.dumps(FACTS)))
    registry.promote(published.address)
    with serving(create_reports_app(str(tmp_path / "registry"))) as client:
        yield client


def test_the_list_names_each_version_and_links_to_its_pages(client):
    page = client.get("/").text
    for shown in ("colours@1", "champion", "50.0%", "0123456<", "HOLD&lt;b&gt;"):
        assert shown in page
    assert 'href="/colours@1/report.html">report<' in page and 'href="/colours@1/gate.html">gate<' in page
    assert "notes.txt" not in page


@pytest.mark.parametrize("model", ["colours", "colours@1", "colours@champion"])
def test_a_page_is_shown_and_its_scripts_reach_nothing(client, model):
    answer = client.get(f"/{model}/report.html")
    assert answer.text == HOSTILE and answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert "sandbox allow-scripts" in policy and policy.startswith("default-src 'none'; img-src data:;")
    assert "connect-src" not in policy and "same-origin" not in policy


@pytest.mark.parametrize("path, status", [
    ("/colours@1/notes.txt", 404), ("/colours@2/report.html", 404), ("/other/report.html", 404),
    ("/colours/..%2F..%2Fgate.html", 404), ("/Colours/report.html", 422), ("/s3:bucket/report.html", 422)])
def test_there_is_nothing_else(client, path, status):
    assert client.get(path).status_code == status


def test_another_name_is_refused(client):
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 421


def test_a_registry_that_is_none_is_refused_before_anything_listens(tmp_path):
    with pytest.raises(GraftError, match="there are no models"):
        serve_reports(str(tmp_path / "none"), "127.0.0.1", 0)
