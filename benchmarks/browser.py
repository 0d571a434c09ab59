"""Headless Chromium, spoken to over its DevTools protocol: no driver to install."""

import base64
import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from websockets.sync.client import connect

LIMIT_S = 120       # for whatever a browser does; only one that hangs takes so long
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-quic",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",    # a page that waits for another host never completes
)


def executable() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Tab:
    """One page. `requests` are the URLs that it asked for, `complaints` what it wrote on its console or threw."""

    def __init__(self, socket):
        self._socket, self._numbers = socket, itertools.count(1)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params) -> dict:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=LIMIT_S))
            if message.get("id") == number:
                assert "error" not in message, (method, message["error"])
                return message["result"]
            self._note(message)

    def open(self, url: str, width_px: int, height_px: int, is_phone: bool = False, scale: float = 1) -> None:
        """Load a page and wait until it is complete. `scale` is the number of the screen's pixels per CSS pixel."""
        self.send("Emulation.setDeviceMetricsOverride", width=width_px, height=height_px, mobile=is_phone,
                  deviceScaleFactor=2 if is_phone else scale)
        self.requests.clear()
        self.complaints.clear()
        self.send("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete'")

    def run(self, script: str):
        """The value of a JavaScript expression."""
        result = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait_for(self, script: str) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not self.run(f"Boolean({script})"):
            assert time.monotonic() < deadline, f"waited in vain for {script}"
            time.sleep(0.05)

    def choose_files(self, selector: str, paths: list[Path]) -> None:
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])

    def drop_files(self, selector: str, paths: list[Path]) -> None:
        """Drag files from outside onto the middle of an element."""
        box = self.run(f"(({{x, y, width, height}}) => ({{x: x + width / 2, y: y + height / 2}}))"
                       f"(document.querySelector('{selector}').getBoundingClientRect())")
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.send("Input.dispatchDragEvent", type=kind, data=data, **box)

    def screenshot(self, path: Path, whole_page: bool = True) -> None:
        """Save the page as PNG; without `whole_page`, the part that a window shows."""
        image = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole_page)["data"]
        path.write_bytes(base64.b64decode(image))

    def _note(self, message: dict) -> None:
        params = message.get("params", {})
        if message["method"] == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif message["method"] in ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"):
            self.complaints.append(json.dumps(params)[:500])


@contextlib.contextmanager
def tab():
    """A tab of a browser with an empty profile, which ends with the block."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [executable(), *FLAGS, "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            env=os.environ | {"TMPDIR": profile},       # where it would leave folders of its own
        )
        try:
            with connect(_address(Path(profile, "DevToolsActivePort")), max_size=None, proxy=None) as socket:
                yield Tab(socket)
        finally:
            _end(process)


def _end(process: subprocess.Popen) -> None:
    """End the browser, and wait for its children too, which would still write into the profile while it is removed."""
    process.terminate()
    with contextlib.suppress(ProcessLookupError):       # all of the group have ended
        for _ in range(200):
            process.poll()
            os.killpg(process.pid, 0)
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _address(file: Path) -> str:
    """The page's WebSocket, once the browser has written where it listens."""
    import httpx

    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError, IndexError, httpx.TransportError, StopIteration):
            port = int(file.read_text().splitlines()[0])
            pages = httpx.get(f"http://127.0.0.1:{port}/json/list", trust_env=False).json()
            return next(each["webSocketDebuggerUrl"] for each in pages if each["type"] == "page")
        time.sleep(0.05)
    raise TimeoutError("the browser did not start")
