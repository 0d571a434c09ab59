"""Runs a command once when AWS says that this spot host will be taken away.

EC2 gives two minutes' notice in the instance metadata (`spot/instance-action`, 404 until then). When an auto scaling
group takes a host down it says so in `autoscaling/target-lifecycle-state`. Both mean the same here: let the work stop
in good time.
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
TOKEN_SECONDS = 60  # a token is asked for at each poll, so that none can have run out


def metadata(base: str, path: str) -> str | None:
    """One entry of the instance metadata (IMDSv2), None where it is not there. Raises `OSError` when out of reach."""
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
    """Why this host will go away, None while it may stay."""
    action = metadata(base, "spot/instance-action")
    if action is not None:
        return f"spot notice {action}"
    if metadata(base, "autoscaling/target-lifecycle-state") == "Terminated":
        return "the auto scaling group takes this host down"
    return None


def wait(base: str, poll_s: float = POLL_S) -> str:
    """Returns the first notice. Metadata out of reach for a moment is no notice and no reason to stop watching."""
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
    parser = argparse.ArgumentParser(description="Run a command once when this host is about to be taken away.")
    parser.add_argument("--metadata", default=METADATA, help="address of the instance metadata (default: %(default)s)")
    parser.add_argument("--poll", type=float, default=POLL_S, help="seconds between two looks (default: %(default)s)")
    parser.add_argument("command", nargs="+", help="what to run, after --")
    arguments = parser.parse_args()
    reason = wait(arguments.metadata, arguments.poll)
    print(f"{reason}; running {' '.join(arguments.command)}", file=sys.stderr, flush=True)
    return subprocess.call(arguments.command)


if __name__ == "__main__":
    sys.exit(main())
