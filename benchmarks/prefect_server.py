"""A private Prefect server with workers, on loopback, for benchmarks and tests."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError

from benchmarks.processes import ENDS_WITH_PARENT, end, free_port, wait_for
from infra import gpu_scaling

BIN = Path(sys.executable).parent
BUSY = 503
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


class Server:
    """A running server: the environment of its clients, its commands and its API."""

    def __init__(self, home: Path, **settings: str):
        """Start the server. `settings` are Prefect's environment variables."""
        self._port = free_port()
        address = f"http://127.0.0.1:{self._port}"
        clean = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
        self.environment = {
            **clean, "GRAFT_HOME": str(home / "graft"), "PREFECT_HOME": str(home),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1",
            "PREFECT_API_URL": f"{address}/api", "PREFECT_SERVER_UI_API_URL": f"{address}/api",
            "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **settings,
        }
        self.api = self.environment["PREFECT_API_URL"]
        self.start_process()

    def start_process(self) -> None:
        """Start the server, or restart it after it was killed, and wait until it answers."""
        command = [BIN / "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self._port)]
        self.process = self._popen(command)
        wait_for(lambda: self.is_healthy() or self.process.poll() is not None)
        if self.process.poll() is not None:
            raise RuntimeError(f"the server ended with exit code {self.process.returncode}")

    def stop(self) -> None:
        end(self.process)

    def is_healthy(self) -> bool:
        try:
            return bool(self.ask("health"))
        except OSError:
            return False

    def ask(self, path: str, body: dict | None = None):
        """The API's reply to a GET, or to a POST of `body`. A busy server, which answers 503, is asked again."""
        password = self.environment.get("PREFECT_API_AUTH_STRING", "")
        for pause_s in (1, 2, 4, 8):
            try:
                return gpu_scaling.ask(self.api, path, body, password)
            except HTTPError as error:
                if error.code != BUSY or path == "health":
                    raise
            time.sleep(pause_s)
        return gpu_scaling.ask(self.api, path, body, password)

    def prefect(self, folder: Path, *arguments: str) -> str:
        """Run the command `prefect` in a folder and return its output; it imports that folder's code."""
        environment = {**self.environment, "PYTHONPATH": str(folder)}
        done = subprocess.run([BIN / "prefect", "--no-prompt", *arguments], cwd=folder, env=environment,
                              capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)
        return done.stdout

    def start_worker(self, pool: str, **environment: str) -> subprocess.Popen:
        """Start a worker of a process pool; the worker creates a missing pool."""
        command = [BIN / "prefect", "worker", "start", "--pool", pool, "--type", "process"]
        command += ["--limit", "1"] if pool == "gpu" else []
        return self._popen(command, **environment)

    @contextmanager
    def worker(self, pool: str, **environment: str):
        """A worker that looks for runs each second, until the block ends."""
        worker = self.start_worker(pool, PREFECT_WORKER_QUERY_SECONDS="1", **environment)
        try:
            yield worker
        finally:
            end(worker, seconds=10)

    def create_pool(self, name: str) -> None:
        if not self.ask("work_pools/filter", {"work_pools": {"name": {"any_": [name]}}}):
            self.ask("work_pools/", {"name": name, "type": "process"})

    def start(self, deployment: str, **parameters) -> str:
        """Schedule a run now. Returns its id."""
        identity = self.ask(f"deployments/name/{deployment}")["id"]
        return self.ask(f"deployments/{identity}/create_flow_run", {"parameters": parameters})["id"]

    def state(self, run: str) -> str:
        return self.ask(f"flow_runs/{run}")["state_type"]

    def wait_for_end(self, run: str, seconds: float = 600) -> dict:
        """Wait until the run's state is final. Returns the run."""
        wait_for(lambda: self.is_healthy() and self.state(run) in FINAL, seconds)
        return self.ask(f"flow_runs/{run}")

    def cancel(self, run: str) -> None:
        self.ask(f"flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})

    def log(self, run: str) -> str:
        wanted = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC"}
        return "\n".join(entry["message"] for entry in self.ask("logs/filter", wanted))

    def artifacts(self, run: str) -> dict[str, dict]:
        """key -> the newest artifact of a run."""
        found = self.ask("artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run]}}, "sort": "UPDATED_DESC"})
        return {each["key"]: each for each in reversed(found)}

    def _popen(self, command: list, **environment: str) -> subprocess.Popen:
        return subprocess.Popen([*ENDS_WITH_PARENT, *command], env={**self.environment, **environment},
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
