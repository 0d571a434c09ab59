"""Runs a command once when AWS announces that it will take this spot host away.

EC2 gives two minutes' notice in the instance metadata (`spot/instance-action`, 404 until then). An auto scaling group
announces the termination of a host in `autoscaling/target-lifecycle-state`. Both mean: stop the work now.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
Standard library only: it runs on the host, outside the worker's container.
"""

import argparse
import subprocess
import sys
import time
import urllib.error
import urllib.request

METADATA = "http://169.254.169.254"
POLL_S = 5          # AWS's advice
TIMEOUT_S = 2
TOKEN_SECONDS = 60  # each poll requests a new token, so none can have expired


def metadata(base: str, path: str) -> str | None:
    """One entry of the instance metadata (IMDSv2), None if it is missing. Raises `OSError` if AWS does not answer."""
    lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_SECONDS)}
    asked = urllib.request.Request(f"{base}/latest/api/token", method="PUT", headers=lifetime)
    with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as reply:
        token = reply.read().decode()
    read = urllib.request.Request(f"{base}/latest/meta-data/{path}", headers={"X-aws-ec2-metadata-token": token})
    try:
        with urllib.request.urlopen(read, timeout=TIMEOUT_S) as reply:
            return reply.read().decode().strip()
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise


def notice(base: str) -> str | None:
    """Why AWS will take this host away; None if it will not."""
    action = metadata(base, "spot/instance-action")
    if action is not None:
        return f"spot notice {action}"
    if metadata(base, "autoscaling/target-lifecycle-state") == "Terminated":
        return "the auto scaling group terminates this host"
    return None


def wait(base: str, poll_s: float = POLL_S) -> str:
    """Wait for the first notice and return it. Errors of the metadata service are printed and do not end the wait."""
    while True:
        try:
            reason = notice(base)
        except OSError as error:
            print(f"instance metadata at {base}: {error}", file=sys.stderr, flush=True)
        else:
            if reason:
                return reason
        time.sleep(poll_s)


def main() -> int:
    parser = argparse.ArgumentParser(description="Run a command once when AWS is about to take this host away.")
    parser.add_argument("--metadata", default=METADATA, help="address of the instance metadata (default: %(default)s)")
    parser.add_argument("--poll", type=float, default=POLL_S, help="seconds between two polls (default: %(default)s)")
    parser.add_argument("command", nargs="+", help="what to run, after --")
    arguments = parser.parse_args()
    reason = wait(arguments.metadata, arguments.poll)
    print(f"{reason}; running {' '.join(arguments.command)}", file=sys.stderr, flush=True)
    return subprocess.call(arguments.command)


if __name__ == "__main__":
    sys.exit(main())
