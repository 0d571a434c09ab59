"""Which machines a command speaks to, as strace sees it: a look-up of a name is a connection to a name server."""

import re
import shutil
from pathlib import Path

import pytest

ADDRESS = re.compile(r'inet_(?:addr\(|pton\(AF_INET6, )"([^"]+)"')
is_traced = shutil.which("strace") is not None
needs_strace = pytest.mark.skipif(not is_traced, reason="strace is not installed")


def traced(log: Path) -> list[str]:
    """What to put in front of a command; nothing without strace. Some libraries are silent where CI is set."""
    options = ["-f", "-qq", "--seccomp-bpf", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", str(log)]
    return ["env", "--unset=CI", "strace", *options] if is_traced else []


def foreign(log: Path) -> set[str]:
    """The addresses beyond this machine."""
    text = log.read_text(encoding="utf-8", errors="replace")
    return {address for address in ADDRESS.findall(text) if not address.startswith(("127.", "::1", "::ffff:127."))}
