"""Where a case is solved: what each place would take and cost, and which one a rule chooses."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from hub.case import Rule
from hub.clusters import HERE, Cluster
from hub.forecast import expected
from hub.run import asked_for
from hub.runfolder import Job
from hub.scheduler import demand
from hub.settings import Settings
from hub.solver import Cost

#: Unknowns a rank at which more ranks still pay (PETSc's FAQ: at least 10 000, better 20 000).
PER_RANK = 20_000
#: What of a place's memory a job may take.
SHARE = 0.9


class Place(BaseModel):
    """What a case would take at one place. fits : whether it can run there at all; why : if not, what is missing

    seconds : solving; queue : waiting before that [s]; memory [byte]
    queue_by : who says so: the ``scheduler``, or this hub's ``runs``; ``unknown``: only those, though others may wait
    queue_said : words of a scheduler that gives no time
    cost : in `currency`; energy [kWh]; both None where the place says nothing about them
    """

    model_config = ConfigDict(frozen=True)

    cluster: str
    fits: bool
    why: str = ""
    ranks: int
    seconds: float
    queue: float = 0.0
    queue_by: Literal["scheduler", "runs", "unknown"] = "runs"
    queue_said: str = ""
    memory: float
    cost: float | None = None
    currency: str = "EUR"
    energy: float | None = None


def places(
    estimate: Mapping[str, Any],
    cost: Cost,
    clusters: Sequence[Cluster],
    settings: Settings,
    *,
    ranks: int | None = None,
    waiting: Mapping[str, float] = {},
) -> list[Place]:
    """Every place with what the case takes there, this machine first.

    estimate : of :class:`hub.check.Estimate`; ranks : if the case says how many
    waiting : core-seconds that this hub's other runs still want, by place
    """
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    here = Cluster.model_validate(
        {
            "name": "this-machine",
            "transport": "local",
            "scheduler": "none",
            "limits": {"cores": settings.ranks, "memory": f"{physical} B", "time": "8760 h"},
            "price": settings.price,
            "energy": settings.energy,
        }
    )
    found = [_place(each, estimate, cost, ranks, waiting.get(each.name, 0.0)) for each in clusters]
    return [_place(here, estimate, cost, ranks, waiting.get(HERE, 0.0)).model_copy(update={"cluster": HERE}), *found]


def _place(cluster: Cluster, estimate: Mapping[str, Any], cost: Cost, ranks: int | None, waiting: float) -> Place:
    limits, unknowns = cluster.limits, float(estimate["unknowns"])
    most = limits.ranks
    wanted = ranks or max(1, min(most, math.ceil(unknowns / PER_RANK)))
    seconds = float(estimate["seconds"]) * _speedup(cost, int(estimate["ranks"])) / _speedup(cost, wanted)
    memory = cost.bytes(unknowns, wanted)
    nodes = math.ceil(wanted / limits.cores)
    room = SHARE * limits.memory * nodes
    why = ""
    if wanted > most:
        why = f"{wanted} ranks, and there are {most}"
    elif memory > room:
        why = f"{memory / 1e9:.3g} GB, and there are {room / 1e9:.3g}"
    elif seconds > limits.time:
        why = f"{seconds / 3600:.3g} h, and a job may take {limits.time / 3600:.3g}"
    hours = wanted * seconds / 3600
    return Place(
        cluster=cluster.name,
        fits=not why,
        why=why,
        ranks=wanted,
        seconds=seconds,
        queue=waiting / most,
        memory=memory,
        cost=None if cluster.price is None else cluster.price * hours,
        currency=cluster.currency,
        energy=None if cluster.energy is None else cluster.energy * hours,
    )


def _speedup(cost: Cost, ranks: int) -> float:
    """Amdahl's law, as in :class:`hub.solver.Cost`."""
    return 1 / (1 - cost.parallel_fraction + cost.parallel_fraction / ranks)


def foreseen(
    found: Sequence[Place],
    clusters: Sequence[Cluster],
    home: Path,
    given: Mapping[str, Any],
    estimate: Mapping[str, Any],
) -> list[Place]:
    """The places with what their schedulers say of waiting there; those that have not said it lately are asked.

    given : what the case says under resources; estimate : of :class:`hub.check.Estimate`
    """
    described, heard = {c.name: c for c in clusters}, list[Place]()
    for place in found:
        cluster = described.get(place.cluster)
        if cluster is None or cluster.scheduler == "none" or not place.fits:
            heard.append(place)
            continue
        memory, seconds = asked_for(given, estimate)
        job = Job(name="thought-of", argv=("true",), ranks=place.ranks, memory=memory, time=seconds)
        wait = expected(home, cluster, demand(job, cluster))
        if wait is None or wait.seconds is None:
            said = wait.said if wait else ""
            heard.append(place.model_copy(update={"queue_by": "unknown", "queue_said": said}))
        else:
            heard.append(place.model_copy(update={"queue": wait.seconds, "queue_by": "scheduler"}))
    return heard


def choose(found: Sequence[Place], rule: Rule) -> Place | None:
    """The place the rule takes among those where the case fits; None if it fits nowhere.

    ``here``: this machine if it fits, else the place that is done soonest; ``cheaper``: places without a price count as
    free only on this machine. Where a scheduler has not said how long the wait is, this hub's own runs are what counts.
    """
    fitting = [p for p in found if p.fits]
    if not fitting:
        return None
    if rule == "here" and fitting[0].cluster == HERE:
        return fitting[0]
    if rule == "cheaper":
        priced = [p for p in fitting if p.cost is not None or p.cluster == HERE]
        if priced:
            return min(priced, key=lambda p: (p.cost or 0.0, p.seconds + p.queue))
    return min(fitting, key=lambda p: p.seconds + p.queue)


def spent(cluster: Cluster | None, settings: Settings, ranks: int, seconds: float) -> dict[str, float]:
    """What a solve cost where it ran: {cost, energy}, as far as the place says."""
    price = settings.price if cluster is None else cluster.price
    energy = settings.energy if cluster is None else cluster.energy
    hours = ranks * seconds / 3600
    given = {"cost": price, "energy": energy}
    return {name: rate * hours for name, rate in given.items() if rate is not None}
