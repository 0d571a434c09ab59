"""The whole circle: a server meets a class that its model does not know, and in the end answers with it.

Every part is real: the server is never restarted, the pictures are reviewed by keys in a browser, and the commands that
the page ends with are run.
"""

import contextlib
import io
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from test_collected import name_class
from test_review import DRAWN
from tiny_project import copied

from benchmarks import browser
from benchmarks.processes import ENDS_WITH_PARENT, wait_for

NEW = "stripes"


@contextlib.contextmanager
def started(project, pattern: str, *command: str) -> Iterator[str]:
    """A command of the project that serves until the block ends; yields what the pattern finds in its output."""
    process = subprocess.Popen([*ENDS_WITH_PARENT, "python", "-m", *command, "--port", "0"], cwd=project.folder,
                               env=project.environment(), stdout=subprocess.PIPE, text=True)
    try:
        while not (found := re.search(pattern, line := process.stdout.readline())):
            assert line, f"{command} has ended"
        yield found[0]
    finally:
        process.terminate()
        process.communicate()


def stranger(seed: int) -> bytes:
    """Coloured stripes, of which the model of three digits knows nothing."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:32, :32]
    waves = np.sin(rng.uniform(0.7, 1.3) * (x + 0.3 * y)[..., None] + rng.uniform(0, 6, 3))
    stream = io.BytesIO()
    pixels = 128 + 100 * waves + rng.normal(0, 12, (32, 32, 3))
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def answers(client: httpx.Client, images: list[bytes]) -> list[dict]:
    """The row of each image, with the model that answered."""
    png = {"Content-Type": "image/png"}
    replies = [client.post("/v1/predict", content=each, headers=png).json() for each in images]
    return [reply["predictions"][0] | {"model": reply["model"]} for reply in replies]


def commands_of_a_review(project) -> list[str]:
    """Give all collected pictures the new class, by keys; what the page says is to be run then."""
    with started(project, r"http://127\.0\.0\.1:\d+/[\w-]{20,}/", "tasks.review", "--inbox", "kept") as address, \
            browser.tab() as tab:
        tab.open(address, 1280, 900)
        for _ in range(20):
            tab.wait_for(f"{DRAWN} || document.querySelector('#says').textContent.startsWith('Nothing')")
            if tab.run("document.querySelector('#says').textContent === 'Nothing is open'"):
                break
            before = tab.run("document.querySelector('#count').textContent")
            name_class(tab, NEW)
            tab.wait_for(f"document.querySelector('#count').textContent !== '{before}'")
        assert tab.complaints == []
        return tab.run("document.querySelector('#commands').textContent").splitlines()


@pytest.mark.skipif(browser.executable() is None, reason="no Chromium here: apt-get install chromium")
def test_a_server_learns_a_class_that_it_has_met(project, tmp_path):
    own = copied(project, tmp_path / "project")
    own.change({"finetune.epochs": 0})          # transfer's model will do
    for name, value in (("name", "A"), ("email", "a@example.org")):
        own.run("git", "config", f"user.{name}", value)
    own.run("git", "add", ".")
    own.run("git", "commit", "--quiet", "--message", "Begin")
    serve = ("graft.cli", "serve", "tiny", "--collect", "kept", "--poll", "1")
    with started(own, r"http://127\.0\.0\.1:\d+", *serve) as address, \
            httpx.Client(base_url=address, trust_env=False, timeout=120) as client:
        met = answers(client, [stranger(seed) for seed in range(40)])
        unknown = sum(each["is_unknown"] for each in met)
        assert {each["model"] for each in met} == {"tiny@1"} and unknown == 40
        wait_for(lambda: len(list(Path(own.folder, "kept").glob("*.json"))) >= unknown)
        *commands, train = commands_of_a_review(own)
        assert commands == ["dvc add data/tiny", "git add data/tiny.dvc data/tiny.decisions.csv",
                            "git commit --message 'Review tiny'"] and train == "python -m flows.training"
        for command in (*commands, train):
            done = own.run("bash", "-c", command)
        assert "PROMOTE: better than the champion" in done.stdout
        wait_for(lambda: answers(client, [stranger(40)])[0]["model"] == "tiny@2")
        after = answers(client, [stranger(seed) for seed in range(40, 60)])
        assert sum(each["label"] == NEW and not each["is_unknown"] for each in after) >= 15
