"""``python -m deploy.bench.transfer [--megabytes N] [--cluster NAME]``: a file up and down, by the hub and by `scp`.

On the same link, one after the other, the fastest of some tries: bytes that cannot be compressed, to the sshd of a
one-machine cluster made for this, or to a cluster of the hub. The hub's times hold its check of what arrived. Then the
connection is shut in the middle of either way and the transfer asked for again.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from deploy.cluster import running
from hub.clusters import Cluster, find
from hub.runfolder import sha256
from hub.settings import load
from hub.transport import Ssh, Unreachable


def seconds(work: Callable[[], object]) -> float:
    """What `work` takes [s]."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def scp(cluster: Cluster, folder: Path, secrets: Path) -> Callable[[str, str], None]:
    """``copy(source, target)`` by scp, with the key and the host key that the hub uses; ``there:`` is the cluster."""
    known = folder / "known-hosts"
    known.write_text(f"[{cluster.host}]:{cluster.port} {cluster.host_key}\n{cluster.host} {cluster.host_key}\n")
    argv = ["scp", "-q", "-P", str(cluster.port), "-i", str(cluster.key_file(secrets)), "-o", "BatchMode=yes"]
    argv += ["-o", f"UserKnownHostsFile={known}", "-o", "IdentitiesOnly=yes"]

    def copy(source: str, target: str) -> None:
        words = [w.replace("there:", f"{cluster.user}@{cluster.host}:") for w in (source, target)]
        subprocess.run([*argv, *words], check=True)

    return copy


def cut(way: Ssh, after: float, work: Callable[[], object]) -> None:
    """Begin `work` and shut the connection's socket after so many seconds. Raises RuntimeError if it was too late."""
    plug: Any = way.connect().sock
    timer = threading.Timer(after, lambda: plug.shutdown(socket.SHUT_RDWR))
    timer.start()
    try:
        work()
    except Unreachable:
        return
    finally:
        timer.cancel()
    raise RuntimeError("the transfer was over before the cut")


def measure(cluster: Cluster, folder: Path, secrets: Path, megabytes: int, tries: int) -> dict[str, float]:
    """Transfer, print and return the figures. Raises Unreachable, OSError, CalledProcessError."""
    sample, back = folder / "sample", folder / "back"
    sample.write_bytes(os.urandom(megabytes * 1_000_000))
    digest, size = sha256(sample), megabytes * 1_000_000
    way, copy = Ssh(cluster, secrets), scp(cluster, folder, secrets)
    place = way.run(["mktemp", "-d"]).out.decode().strip()
    there = f"{place}/sample"
    times: dict[str, list[float]] = {"scp up": [], "up": [], "scp down": [], "down": []}
    figures: dict[str, float] = {}
    try:
        for _ in range(tries):
            times["scp up"].append(seconds(lambda: copy(str(sample), f"there:{place}/scp")))
            times["up"].append(seconds(lambda: way.put(sample, there)))
            times["scp down"].append(seconds(lambda: copy(f"there:{place}/scp", str(folder / "scp"))))
            times["down"].append(seconds(lambda: way.get(there, back, digest)))
        for name in ("up", "down"):
            ours, theirs = min(times[name]), min(times[f"scp {name}"])
            figures |= {name: size / ours / 1e6, f"scp_{name}": size / theirs / 1e6, f"{name}_ratio": theirs / ours}
            print(f"{name:5} {size / ours / 1e6:7.0f} MB/s   scp {size / theirs / 1e6:7.0f} MB/s   "
                  f"ratio {theirs / ours:.2f} (asked: at least 0.6)", flush=True)  # fmt: skip
        way.run(["rm", there])
        back.unlink()
        part = folder / ".back.part"
        kept: dict[str, Callable[[], float]] = {
            "up": lambda: float(way.run(["stat", "-c", "%s", f"{there}.part"]).out),
            "down": lambda: part.stat().st_size,
        }
        again: dict[str, Callable[[], object]] = {
            "up": lambda: way.put(sample, there),
            "down": lambda: way.get(there, back, digest),
        }
        for name, work in again.items():
            cut(way, 0.5 * min(times[name]), work)
            share = kept[name]() / size
            rest = seconds(work)
            figures |= {f"{name}_kept": share, f"{name}_rest": rest / min(times[name])}
            part_of = 100 * rest / min(times[name])
            print(f"{name:5} cut at {100 * share:.0f} %; the rest took {rest:.2f} s, {part_of:.0f} % of the whole")
        if sha256(back) != digest:
            raise RuntimeError("what came back is another file")
    finally:
        way.run(["rm", "-rf", place])
        way.close()
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(prog="officina bench transfer", description="A file up and down, beside scp.")
    parser.add_argument("--megabytes", type=int, default=200, metavar="N")
    parser.add_argument("--tries", type=int, default=4, help="the fastest counts")
    parser.add_argument("--cluster", metavar="NAME", help="one of the hub; left out: a one-machine cluster for this")
    given = parser.parse_args()
    settings = load()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="officina-bench-")))
        if given.cluster:
            cluster = find(settings.home, given.cluster)
        else:
            cluster = stack.enter_context(running(folder / "cluster"))
        figures = measure(cluster, folder, settings.secrets, given.megabytes, given.tries)
    print(json.dumps({"cores": os.cpu_count(), "megabytes": given.megabytes, **figures}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
