"""Start a program with limits and without network: ``python launch.py LIMITS_JSON ARGV...``.

Runs in the process that becomes the program, so that no code runs between fork and exec in a hub with threads.
Prints one line of JSON that says what was reached (``{"network": "none", ...}``), then becomes the program.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38


def without_network() -> str:
    """Leave the network: ``none`` where the kernel allows it, else the reason why the network is still there."""
    user, group = os.getuid(), os.getgid()
    try:
        os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET)
    except OSError as first:
        try:
            os.unshare(os.CLONE_NEWNET)
        except OSError:
            return f"still there: {first.strerror}"
        return "none"
    with contextlib.suppress(OSError):  # only who we appear to be depends on these
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    return "none"


def main(limits: dict[str, int], argv: list[str]) -> None:
    """Set the limits, drop what is not needed, become `argv`. Raises OSError."""
    network = without_network()
    libc = ctypes.CDLL(None, use_errno=True)
    privileges = "no new ones" if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 else "as the hub"
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    for name, value in {"RLIMIT_CORE": 0, **limits}.items():
        kind = getattr(resource, name)
        given = resource.getrlimit(kind)[1]
        value = value if given == resource.RLIM_INFINITY else min(value, given)
        # a little room above the limit of time: at the soft limit comes SIGXCPU, which tells why; at the hard SIGKILL
        room = 5 if name == "RLIMIT_CPU" and given == resource.RLIM_INFINITY else 0
        resource.setrlimit(kind, (value, value + room))
    print(json.dumps({"network": network, "privileges": privileges}), flush=True)
    os.execv(argv[0], argv)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2:])
