"""Friction and rolling friction of grains from their measured angle of repose and bulk density.

``officina calibrate RUN --angle "28 deg" --density "720 kg/m3" --out FOLDER``

RUN is the folder of a run (``officina run ... --out RUN``) or of its solve attempt, whose case stands for the
measurement (a heap poured, a drum turned) and asks for ``repose_angle`` and ``bulk_density``. It is run again with
other coefficients, each a task of a Dask cluster on this machine; a quadratic response is fitted through what comes
out, and the coefficients that explain the measurements are weighed by how well they do. ``calibration.json`` and
``calibration.png`` show the fit.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hub.case import read
from hub.figures import Figures
from hub.meshfile import MeshFile
from hub.runfolder import Attempt, Job
from hub.units import to_si
from solvers.dem.grains.conditions import Reals

#: What is measured, and the units.
MEASURED = {"repose_angle": "rad", "bulk_density": "kg/m**3"}
#: Friction at which half of what more of it does is done: between grains that slide less, the more they roll.
HALF = 0.3
#: Places of a grid over the coefficients on which the weights are summed.
FINE = 161


@dataclass(frozen=True)
class Response:
    """A quadratic through samples: value(x) = c . (1, x, y, x2, xy, y2), x and y scaled to -1 ... 1.

    x is f / (f + HALF) of the friction f: angles and densities hardly change any more where friction is large, which a
    quadratic of f itself would turn down again.
    scatter : standard deviation of what the samples leave [unit of the value]
    """

    low: Reals
    high: Reals
    c: Reals
    scatter: float

    @classmethod
    def fit(cls, at: Reals, values: Reals, low: Reals, high: Reals) -> Response:
        """Through values (n,) at places (n, 2). Raises ValueError for fewer than eight samples."""
        if len(values) < 8:
            raise ValueError(f"{len(values)} samples; a quadratic of two coefficients with its scatter needs eight")
        terms = cls._terms(at, low, high)
        c = np.linalg.lstsq(terms, values, rcond=None)[0]
        left = values - terms @ c
        return cls(low, high, c, float(np.sqrt((left**2).sum() / (len(values) - 6))))

    @staticmethod
    def _terms(at: Reals, low: Reals, high: Reals) -> Reals:
        at, low, high = (np.stack([p[..., 0] / (p[..., 0] + HALF), p[..., 1]], axis=-1) for p in (at, low, high))
        x, y = (2 * (at - low) / (high - low) - 1).T
        return np.column_stack([np.ones_like(x), x, y, x * x, x * y, y * y])

    def __call__(self, at: Reals) -> Reals:
        return np.asarray(self._terms(at, self.low, self.high) @ self.c)


@dataclass(frozen=True)
class Calibration:
    """Friction and rolling friction: mean (2,) and spread (2,) as one standard deviation, and how they go together.

    misfit : distance of the best explanation from the measurements, in standard deviations
    at_edge : the best explanation lies at the edge of what was swept, so that the sweep has to go on there
    """

    mean: Reals
    spread: Reals
    correlation: float
    misfit: float
    at_edge: bool


def infer(responses: dict[str, Response], measured: dict[str, tuple[float, float]]) -> Calibration:
    """The coefficients that explain measurements, name -> (value, standard deviation), with a flat prior over the
    range swept: each place weighs exp(-chi2 / 2), the scatter of the samples counting as an error of measurement."""
    first = next(iter(responses.values()))
    axes = [np.linspace(a, b, FINE) for a, b in zip(first.low, first.high, strict=True)]
    at = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    chi2 = np.zeros(len(at))
    for name, (value, deviation) in measured.items():
        r = responses[name]
        chi2 += (r(at) - value) ** 2 / (deviation**2 + r.scatter**2)
    best = int(chi2.argmin())
    weight = np.exp(-(chi2 - chi2[best]) / 2)
    weight /= weight.sum()
    mean = weight @ at
    covariance = (at - mean).T @ ((at - mean) * weight[:, None])
    spread = np.sqrt(np.diag(covariance))
    edge = (np.abs(at[best] - first.low) < 1e-12) | (np.abs(at[best] - first.high) < 1e-12)
    return Calibration(
        mean=mean,
        spread=spread,
        correlation=float(covariance[0, 1] / max(spread.prod(), 1e-300)),
        misfit=float(np.sqrt(chi2[best])),
        at_edge=bool(edge.any()),
    )


def places(count: int, low: Reals, high: Reals) -> Reals:
    """(count, 2) places of a sweep that fill the range evenly: the R2 sequence of M. Roberts (2018)."""
    step = 1.32471795724474602596 ** -np.array([1.0, 2.0])
    return np.asarray(low + (high - low) * ((0.5 + np.arange(1, count + 1)[:, None] * step) % 1))


def with_friction(case: dict[str, Any], friction: float, rolling: float) -> dict[str, Any]:
    """A case in SI with other coefficients between grains; what they meet at walls stays as it is."""
    species = {c["name"] for c in case["conditions"] if c["kind"] == "grains"}
    conditions = [
        {**c, "friction": friction, "rolling_friction": rolling}
        if c["kind"] == "contact" and set(c["between"]) <= species
        else c
        for c in case["conditions"]
    ]
    return {**case, "conditions": conditions}


def tried(case: dict[str, Any], mesh: Path, friction: float, rolling: float) -> dict[str, float]:
    """What a case measures with these coefficients. Runs in a process of its own. Raises StageError."""
    from mpi4py import MPI

    from solvers.dem.grains.__main__ import Grains
    from solvers.dem.grains.answer import make

    solver = Grains()
    bound = solver.bind(read(with_friction(case, friction, rolling), si=True), si=True)
    with tempfile.TemporaryDirectory() as folder:
        job = Job(name="calibration", argv=("calibrate",))
        attempt = Attempt.create(Path(folder) / "1", {"case.json": solver.in_si(bound)}, {}, job)
        answer = make(bound, MeshFile.read(mesh), attempt, MPI.COMM_SELF)
    assert answer is not None
    kinds = {w.name: w.kind for w in bound.case.quantities}
    return {kinds[name]: q.value for name, q in answer.quantities.items() if kinds.get(name) in MEASURED}


def sweep(case: dict[str, Any], mesh: Path, at: Reals, workers: int) -> list[dict[str, float]]:
    """What a case measures at places (n, 2), each a task of a Dask cluster on this machine.

    Whoever reaches such a cluster may run what they like on it: both sides show a certificate that is made for this
    once, and there are no status pages.
    """
    import dask
    from dask.distributed import Client, LocalCluster, Security

    sealed = {"protocol": "tls", "security": Security.temporary(), "scheduler_kwargs": {"dashboard": False}}
    pages = {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}
    with (
        dask.config.set(pages),
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0", **sealed) as cluster,
        Client(cluster) as client,
    ):
        tasks = [client.submit(tried, case, mesh, float(x), float(y), pure=False) for x, y in at]
        return client.gather(tasks)


def draw(at: Reals, found: dict[str, Reals], responses: dict[str, Response], measured: dict[str, tuple[float, float]],
         result: Calibration, file: Path) -> None:  # fmt: skip
    """The fit: samples and response of each measurement over the coefficients, and where it is met."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.4 * len(responses), 4.6), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    for k, (name, r) in enumerate(responses.items()):
        axes = figure.add_subplot(1, len(responses), k + 1)
        x, y = (np.linspace(a, b, 60) for a, b in zip(r.low, r.high, strict=True))
        grid = np.stack(np.meshgrid(x, y), axis=-1)
        scale = 180 / np.pi if MEASURED[name] == "rad" else 1.0
        shown = r(grid.reshape(-1, 2)).reshape(60, 60) * scale
        values = np.concatenate([shown.ravel(), found[name] * scale])
        levels = np.linspace(values.min(), values.max(), 13)
        colours = axes.contourf(x, y, shown, levels)
        axes.scatter(*at.T, c=found[name] * scale, vmin=levels[0], vmax=levels[-1], edgecolors="white", s=60)
        axes.contour(x, y, shown, [measured[name][0] * scale], colors="white", linewidths=2)
        axes.errorbar(*result.mean[:, None], xerr=result.spread[:1], yerr=result.spread[1:], fmt="o", color="#d55e00")
        axes.set_xlabel("friction")
        axes.set_ylabel("rolling friction")
        label = f"{name.replace('_', ' ')} [{'deg' if scale != 1 else 'kg/m3'}]"
        figure.colorbar(colours, ax=axes, label=label)
        axes.set_title("white: as measured; dot: found")
    figure.savefig(file)


def _attempt(run: Path) -> Path | None:
    """The solve attempt of a run's folder, or the folder itself if it is one."""
    tried = [run, *sorted(run.glob("solve/*"), reverse=True)]
    return next((folder for folder in tried if (folder / "in" / "case.json").is_file()), None)


def main(argv: Sequence[str] | None = None) -> None:
    """The command line; see the head of this module."""
    options = argparse.ArgumentParser(
        prog="officina calibrate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("run", type=Path)
    options.add_argument("--angle", help="angle of repose that was measured")
    options.add_argument("--angle-spread", default="1 deg", help="standard deviation of its measurement")
    options.add_argument("--density", help="bulk density that was measured")
    options.add_argument("--density-spread", default="10 kg/m3", help="standard deviation of its measurement")
    options.add_argument("--friction", type=float, nargs=2, default=(0.1, 0.9), help="range swept")
    options.add_argument("--rolling", type=float, nargs=2, default=(0.0, 0.3), help="range swept")
    options.add_argument("--samples", type=int, default=16)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--out", type=Path, default=Path())
    given = options.parse_args(argv)
    measured = {}
    if given.angle:
        measured["repose_angle"] = (to_si(given.angle, "rad"), to_si(given.angle_spread, "rad"))
    if given.density:
        measured["bulk_density"] = (to_si(given.density, "kg/m**3"), to_si(given.density_spread, "kg/m**3"))
    if not measured:
        options.error("give what was measured: --angle, --density or both")
    low, high = np.array([given.friction[0], given.rolling[0]]), np.array([given.friction[1], given.rolling[1]])
    at = places(given.samples, low, high)
    solved = _attempt(given.run)
    if solved is None:
        options.error(f"{given.run} is no folder of a run: it has neither in/case.json nor solve/1/in/case.json")
    case = json.loads((solved / "in" / "case.json").read_bytes())
    missing = set(measured) - {w["kind"] for w in case.get("quantities", ())}
    if missing:
        options.error(f"the case of the run does not ask for {' and '.join(sorted(missing))}")
    rows = sweep(case, (solved / "in").absolute(), at, given.workers)
    if any(name not in row for row in rows for name in measured):
        options.error("some runs had too few grains for a surface or an inside: take more")
    found = {name: np.array([row[name] for row in rows]) for name in measured}
    responses = {name: Response.fit(at, values, low, high) for name, values in found.items()}
    result = infer(responses, measured)
    given.out.mkdir(parents=True, exist_ok=True)
    draw(at, found, responses, measured, result, given.out / "calibration.png")
    document = {
        "friction": {"value": result.mean[0], "spread": result.spread[0]},
        "rolling_friction": {"value": result.mean[1], "spread": result.spread[1]},
        "correlation": result.correlation,
        "misfit": result.misfit,
        "at_edge": result.at_edge,
        "samples": [
            {"friction": x, "rolling_friction": y, **row} for (x, y), row in zip(at.tolist(), rows, strict=True)
        ],
        "scatter": {name: r.scatter for name, r in responses.items()},
    }
    (given.out / "calibration.json").write_text(json.dumps(document, indent=1))
    write = Figures("en").quantity
    print(f"friction {write(result.mean[0], '', result.spread[0])}, rolling friction "
          f"{write(result.mean[1], '', result.spread[1])} (one standard deviation)")  # fmt: skip
    if result.at_edge or result.misfit > 2:
        print("The measurements are not met inside the range swept: widen it, or look whether the case fits them.")


if __name__ == "__main__":
    main()
