"""The model card on the page of `graft serve`: what a card says, and that nothing in it works but as text."""

import re

import pytest
from live_server import live_server
from tiny_bundle import make_bundle

from graft import registry
from graft.server.card import LONGEST, NO_CARD, as_html, as_page

CARD = """---
license: mit
---

# colours

For **paint**, not for \\*skies\\*.
Two lines.

```sh
graft predict photo.jpg --model FOLDER
```

## Where it fails
| class | recall |
|---|---|
| a \\| b | 90.0% |

- **First:** one
- second `code`
"""


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A registry with a version that was published without a card, and then one with it, which is the champion."""
    folder = tmp_path_factory.mktemp("card")
    (folder / "card.md").write_text(CARD)
    bundles = [make_bundle(folder / name, seed=seed) for seed, name in enumerate(("one", "two"))]
    for bundle, attachments in zip(bundles, ({}, {"card.md": folder / "card.md"})):
        registry.publish(bundle, "colours", str(folder / "registry"), facts={}, attachments=attachments)
    return str(folder / "registry")


def test_a_card_reads_as_its_markdown_says():
    assert as_html(CARD.split("---\n", 2)[2]) == """<h1>colours</h1>
<p>For <b>paint</b>, not for *skies*. Two lines.</p>
<pre><code>graft predict photo.jpg --model FOLDER</code></pre>
<h2>Where it fails</h2>
<div class="scroll"><table class="words"><tr><th>class</th><th>recall</th></tr><tr><td>a | b</td><td>90.0%</td></tr>\
</table></div>
<ul><li><b>First:</b> one</li><li>second <code>code</code></li></ul>"""


@pytest.mark.parametrize("text", [
    "<script>alert(1)</script>", "# <img src=x onerror=alert(1)>", "[click](javascript:alert(1))", "![](https://a.example/x)",
    "| <b onclick=x> |\n|---|\n| </td><script> |", "**<i>**`<u>`", "```\n</code><script>\n```", "- <svg onload=x>",
    "\\<script\\>", "# a\n" * 70_000, "**" * 99_999, "|" * 99_999, "<" * 300_000, "\x1b[2J\u202e"])
def test_nothing_in_a_card_works_but_as_text(text):
    page = as_page("<name>@1", text)
    tags = set(re.findall(r"<(\w+)", page.partition("</nav>")[2]))
    assert tags <= {"h1", "p", "b", "code", "pre", "ul", "li", "div", "table", "tr", "th", "td"}
    assert not re.search(r"<[^>]+ (on\w+|src|href)=", page.partition("</nav>")[2])
    assert "\x1b" not in page and "\u202e" not in page and len(page) < 20 * LONGEST


def test_the_page_of_the_server_leads_to_the_card_of_the_version_that_it_serves(published, tmp_path, monkeypatch):
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path))
    with live_server("colours@2", published) as client:
        assert 'href="card"' in client.get("/").text
        answer = client.get("/card")
        assert "<h1>colours</h1>" in answer.text and "not for *skies*" in answer.text and "license" not in answer.text
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none';")


@pytest.mark.parametrize("place", ["registry", "folder"])
def test_a_version_without_a_card_says_so(published, tmp_path, monkeypatch, place):
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path))
    address = f"{published}/colours@1" if place == "registry" else make_bundle(tmp_path / "colours")
    with live_server(address) as client:
        answer = client.get("/card")
        assert answer.status_code == 200 and NO_CARD in answer.text


def test_a_registry_that_is_gone_is_told_and_the_model_goes_on(published, tmp_path, monkeypatch):
    monkeypatch.setenv("GRAFT_HOME", str(tmp_path))
    link = tmp_path / "registry"
    link.symlink_to(published)
    with live_server("colours", str(link)) as client:
        link.unlink()
        answer = client.get("/card")
        assert answer.status_code == 503 and answer.text.startswith("the card cannot be fetched: ")
        assert client.get("/readyz").status_code == 200
