"""The report as a browser sees it."""

import pytest
from test_evaluation_report import make_sources

from benchmarks import browser
from pipeline.evaluation import report

pytestmark = pytest.mark.skipif(browser.executable() is None, reason="no Chromium here: apt-get install chromium")


def test_the_page_works_offline_and_asks_nobody(tmp_path):
    sources = make_sources(tmp_path, images=30)
    page = tmp_path / "report.html"
    page.write_text(report.write_report(sources), encoding="utf-8")
    with browser.tab() as tab:
        tab.open(page.as_uri(), 1200, 900)
        assert [url for url in tab.requests if not url.startswith("data:")] == [page.as_uri()]
        assert not tab.complaints
        unsure = tab.run("document.querySelectorAll('.gallery[data-pictures] figure').length")
        assert unsure >= 24
        cell = "document.querySelector('.matrix button')"
        count = int(tab.run(f"{cell}.dataset.count"))
        tab.run(f"{cell}.click()")
        tab.wait_for("document.querySelector('dialog').open")
        assert tab.run("document.querySelectorAll('dialog img').length") == count
        tab.wait_for("[...document.querySelectorAll('dialog img')].every(i => i.complete && i.naturalWidth)")
        assert not tab.complaints


def test_an_injected_script_does_not_run(tmp_path):
    names = ("<img src=x onerror='window.bad=1'>", "</script><script>window.bad=1</script>", "c")
    page = tmp_path / "report.html"
    page.write_text(report.write_report(make_sources(tmp_path, images=4, names=names)), encoding="utf-8")
    with browser.tab() as tab:
        tab.open(page.as_uri(), 1200, 900)
        tab.run("document.querySelectorAll('.matrix button').forEach(cell => { cell.click(); "
                "document.querySelector('dialog').close() })")
        assert tab.run("window.bad === undefined")
        assert not tab.complaints
