"""The law of one contact, compiled into the kernels of pairs and of walls."""

from __future__ import annotations

import hashlib
import math
import os
from pathlib import Path

import numba
from numba import njit

if not numba.config.CACHE_DIR:
    # numba looks only at a function's own file for changes, and kernels are inlined across files
    _here = Path(__file__).parent
    _digest = hashlib.sha256(b"".join(f.read_bytes() for f in sorted(_here.glob("*.py")) if "njit" in f.read_text()))
    _cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    numba.config.CACHE_DIR = str(_cache / "officina" / "kernels" / _digest.hexdigest()[:16])

#: No NaN is assumed away: they are how a run that blows up is found.
FAST = {"nsz", "arcp", "contract", "afn", "reassoc"}
KERNEL = {"cache": True, "fastmath": FAST, "error_model": "numpy"}
INLINE = {"inline": "always", "fastmath": FAST, "error_model": "numpy"}


@njit(**INLINE)
def contact(delta, reff, meff, nx, ny, nz, vx, vy, vz, wx, wy, wz, ux, uy, uz, inertia,
            hx, hy, hz, qx, qy, qz, law, linear, rolls, sticks, dt):  # fmt: skip
    """Forces on the first of two bodies; `n` points to it.

    v : velocity of the first as the second sees it; w : r1 w1 + r2 w2, what spins add at the contact; u : w1 - w2
    h, q : tangential spring [m] and torque of the rolling spring [N m] before the step
    law : row of ``materials.Laws.table``, as a tuple
    No branch has an effect outside, so that a loop over many contacts becomes vector instructions.
    Returns normal force, tangential force (3), new h (3), rolling torque (3), new q (3), power lost.
    Hertz and Mindlin as in K. L. Johnson, Contact Mechanics (1985); rolling: elastic-plastic spring and dashpot of
    J. Ai et al., Powder Technol. 206 (2011) 269; cohesion: force of JKR on Hertz's contact radius, whose largest pull
    is JKR's 3/2 pi w R.
    """
    a = math.sqrt(reff * delta)
    if linear:
        secant = law[0]
        tangent = secant
        shear = law[2]
    else:
        secant = law[0] * a
        tangent = law[1] * a
        shear = law[2] * a
    vn = vx * nx + vy * ny + vz * nz
    root = math.sqrt(tangent * meff)
    dashpot = law[3] * root
    fn = secant * delta - dashpot * vn
    if fn < 0.0:
        fn = 0.0
    tx = vx - vn * nx - (wy * nz - wz * ny)
    ty = vy - vn * ny - (wz * nx - wx * nz)
    tz = vz - vn * nz - (wx * ny - wy * nx)
    # the spring turns with the contact plane and keeps its length (to second order in the angle of a step)
    along = hx * nx + hy * ny + hz * nz
    hx -= along * nx
    hy -= along * ny
    hz -= along * nz
    h2 = hx * hx + hy * hy + hz * hz
    if h2 > 0.0:
        s = 1.0 + 0.5 * along * along / h2
        hx *= s
        hy *= s
        hz *= s
    hx += tx * dt
    hy += ty * dt
    hz += tz * dt
    fx = -shear * hx
    fy = -shear * hy
    fz = -shear * hz
    f2 = fx * fx + fy * fy + fz * fz
    most = law[5] * fn
    if f2 > most * most:  # it slides: the spring is as long as friction can hold it, and the dashpot has no say
        s = most / math.sqrt(f2)
        fx *= s
        fy *= s
        fz *= s
        hx *= s
        hy *= s
        hz *= s
    else:
        gt = law[4] * root
        fx -= gt * tx
        fy -= gt * ty
        fz -= gt * tz
        f2 = fx * fx + fy * fy + fz * fz
        if f2 > most * most:
            s = most / math.sqrt(f2)
            fx *= s
            fy *= s
            fz *= s
    mx = 0.0
    my = 0.0
    mz = 0.0
    if rolls:
        un = ux * nx + uy * ny + uz * nz
        ux -= un * nx
        uy -= un * ny
        uz -= un * nz
        along = qx * nx + qy * ny + qz * nz
        arm = law[6] * reff
        spring = 2.25 * secant * arm * arm
        turn = spring * dt
        qx += -along * nx - turn * ux
        qy += -along * ny - turn * uy
        qz += -along * nz - turn * uz
        q2 = qx * qx + qy * qy + qz * qz
        limit = arm * fn
        if q2 > limit * limit:
            s = limit / math.sqrt(q2)
            qx *= s
            qy *= s
            qz *= s
            mx = qx
            my = qy
            mz = qz
        else:
            c = 2.0 * law[7] * math.sqrt(inertia * spring)
            mx = qx - c * ux
            my = qy - c * uy
            mz = qz - c * uz
    # the tangential work counts as lost as it is done; what the spring gives back comes off again
    lost = dashpot * vn * vn - (fx * tx + fy * ty + fz * tz)
    if sticks:
        fn -= law[8] * a * math.sqrt(a)
    return fn, fx, fy, fz, hx, hy, hz, mx, my, mz, qx, qy, qz, lost


@njit(**INLINE)
def collided(energy, edges, spectrum, weight):
    """Count an ended contact in its bin."""
    lo = 0
    hi = edges.shape[0]
    while lo < hi:
        mid = (lo + hi) // 2
        if edges[mid] <= energy:
            lo = mid + 1
        else:
            hi = mid
    spectrum[lo] += weight
