"""The process that becomes Prefect's server: see `flows.embedded`.

It imports the server at once, then reads the port to listen on from standard input. Where that ends, this process ends:
nobody needs the server, or its run was killed.
"""

import gc
import os
import signal
import sys
import threading


def main() -> None:
    """Serve on the port that standard input names; end without one, or if Prefect's settings name another server."""
    gc.disable()                # imports leave no garbage, and looking for it takes a fifth of their time
    from prefect.settings import get_current_settings

    if get_current_settings().api.url:
        return
    import uvicorn
    from prefect.server.api.server import create_app

    from graft.machine.files import lock

    class Server(uvicorn.Server):
        async def startup(self, sockets=None):
            with open(get_current_settings().home / "start.lock", "w") as file:
                lock(file)          # of two at once, each would create the tables of the one database
                await super().startup(sockets)

    gc.freeze()
    gc.enable()
    app = create_app()
    if port := sys.stdin.readline():
        threading.Thread(target=_end_with_the_run, daemon=True).start()
        Server(uvicorn.Config(app, host="127.0.0.1", port=int(port), log_level="error", lifespan="on")).run()


def _end_with_the_run() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
