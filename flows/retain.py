"""Results on clusters leave them by rule: owners are warned, then what is past its days is removed."""

from __future__ import annotations

import logging

from hub.anywhere import Anywhere
from hub.clusters import load
from hub.retention import leaving, purge, warn
from hub.store import Notices
from hub.transport import Unreachable

log = logging.getLogger("officina.orchestration")


def retain(executor: Anywhere, notices: Notices) -> None:
    """Warn and remove on every cluster that keeps results for some days only; one that is away is tried again later."""
    for name, cluster in load(executor.home).items():
        far = executor.cluster(name)
        if cluster.retention is None or far is None:
            continue
        # before it is noted that they are warned: this process may be killed between the two
        for each in leaving(cluster, executor.home):
            notices.leaving(each.name.rsplit("-", 2)[0])
        for each in warn(cluster, executor.home):
            log.warning("%s: %s leaves in %.1f days", name, each.name, each.days)
        try:
            gone = purge(cluster, executor.home, executor=far)
        except (Unreachable, OSError) as error:
            log.warning("%s: what is past its days stays for now: %s", name, error)
        else:
            if gone:
                log.info("%s: %d results are past their days and were removed", name, len(gone))
