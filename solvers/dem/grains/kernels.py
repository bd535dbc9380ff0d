"""Forces and motion, compiled: every grain of one rank, one step after the other.

A grain is a row of `S`, (grains and ghosts, 12): x y z r | vx vy vz m | wx wy wz material. Velocities and spins live
half a step behind positions (leapfrog). A pair of the Verlet list has a row of history: tangential spring [m], torque
of the rolling spring [N m] if anything rolls, energy lost in this contact [J] if a spectrum is kept. Ghosts are copies
of other ranks' grains; a pair with one of them is computed on both ranks, so that no force travels.

Serial on purpose: one rank a core is faster than threads that share lists.
"""

from __future__ import annotations

import math

from numba import njit

from solvers.dem.grains.contact import KERNEL, collided, contact
from solvers.dem.grains.wallkernels import against_walls, pose


@njit(**KERNEL)
def pairs(S, F, n, ptr, nbr, hist, law, materials, linear, rolls, sticks, edges, spectrum, dt):
    """Add forces and torques of all pairs to `F`, (grains and ghosts, 6); returns the largest overlap / (ri + rj)."""
    deepest = 0.0
    keep = spectrum.shape[0] > 0
    width = hist.shape[1]
    for i in range(ptr.shape[0] - 1):
        p0 = ptr[i]
        p1 = ptr[i + 1]
        if p0 == p1:
            continue
        xi = S[i, 0]
        yi = S[i, 1]
        zi = S[i, 2]
        ri = S[i, 3]
        mi = S[i, 7]
        table = int(S[i, 11]) * materials
        fx = 0.0
        fy = 0.0
        fz = 0.0
        ax = 0.0
        ay = 0.0
        az = 0.0
        for p in range(p0, p1):
            j = nbr[p]
            dx = xi - S[j, 0]
            dy = yi - S[j, 1]
            dz = zi - S[j, 2]
            rj = S[j, 3]
            rs = ri + rj
            d2 = dx * dx + dy * dy + dz * dz
            if d2 >= rs * rs:
                if keep and hist[p, 6] > 0.0:
                    collided(hist[p, 6], edges, spectrum, 1.0 if i < n and j < n else 0.5)
                for c in range(width):
                    hist[p, c] = 0.0
                continue
            d = math.sqrt(d2)
            inv = 1.0 / d
            nx = dx * inv
            ny = dy * inv
            nz = dz * inv
            delta = rs - d
            mj = S[j, 7]
            irs = 1.0 / rs
            deepest = max(deepest, delta * irs)
            ci = ri - 0.5 * delta
            cj = rj - 0.5 * delta
            qx = 0.0
            qy = 0.0
            qz = 0.0
            inertia = 0.0
            if rolls:
                qx = hist[p, 3]
                qy = hist[p, 4]
                qz = hist[p, 5]
                ii = mi * ri * ri
                jj = mj * rj * rj
                inertia = 1.4 * ii * jj / (ii + jj)
            fn, tx, ty, tz, hx, hy, hz, mx, my, mz, qx, qy, qz, lost = contact(
                delta, ri * rj * irs, mi * mj / (mi + mj), nx, ny, nz,
                S[i, 4] - S[j, 4], S[i, 5] - S[j, 5], S[i, 6] - S[j, 6],
                ci * S[i, 8] + cj * S[j, 8], ci * S[i, 9] + cj * S[j, 9], ci * S[i, 10] + cj * S[j, 10],
                S[i, 8] - S[j, 8], S[i, 9] - S[j, 9], S[i, 10] - S[j, 10], inertia,
                hist[p, 0], hist[p, 1], hist[p, 2], qx, qy, qz,
                law, table + int(S[j, 11]), linear, rolls, sticks, dt)  # fmt: skip
            hist[p, 0] = hx
            hist[p, 1] = hy
            hist[p, 2] = hz
            if rolls:
                hist[p, 3] = qx
                hist[p, 4] = qy
                hist[p, 5] = qz
                ax += mx
                ay += my
                az += mz
                F[j, 3] -= mx
                F[j, 4] -= my
                F[j, 5] -= mz
            if keep:
                hist[p, 6] += lost * dt
            gx = fn * nx + tx
            gy = fn * ny + ty
            gz = fn * nz + tz
            fx += gx
            fy += gy
            fz += gz
            F[j, 0] -= gx
            F[j, 1] -= gy
            F[j, 2] -= gz
            cx = ny * tz - nz * ty
            cy = nz * tx - nx * tz
            cz = nx * ty - ny * tx
            ax -= ci * cx
            ay -= ci * cy
            az -= ci * cz
            F[j, 3] -= cj * cx
            F[j, 4] -= cj * cy
            F[j, 5] -= cj * cz
        F[i, 0] += fx
        F[i, 1] += fy
        F[i, 2] += fz
        F[i, 3] += ax
        F[i, 4] += ay
        F[i, 5] += az
    return deepest


@njit(**KERNEL)
def drag(S, F, n, density, viscosity, ux, uy, uz, impulse, dt):
    """Add the drag of a gas; the law of L. Schiller, A. Naumann (1933), constant beyond Reynolds number 1000."""
    for i in range(n):
        vx = ux - S[i, 4]
        vy = uy - S[i, 5]
        vz = uz - S[i, 6]
        speed = math.sqrt(vx * vx + vy * vy + vz * vz)
        diameter = 2.0 * S[i, 3]
        re = density * speed * diameter / viscosity
        # Stokes' drag times what inertia adds
        c = 3.0 * math.pi * viscosity * diameter * (1.0 + 0.15 * re**0.687 if re < 1000.0 else 0.44 * re / 24.0)
        F[i, 0] += c * vx
        F[i, 1] += c * vy
        F[i, 2] += c * vz
        impulse[0] += c * vx * dt
        impulse[1] += c * vy * dt
        impulse[2] += c * vz * dt


@njit(**KERNEL)
def move(S, F, n, X0, gx, gy, gz, dt):
    """Kick and drift, and empty `F`; returns the largest squared way since the list was made, -1 if it is no number."""
    far = 0.0
    sound = True
    for i in range(n):
        im = dt / S[i, 7]
        ii = im / (0.4 * S[i, 3] * S[i, 3])
        S[i, 4] += F[i, 0] * im + dt * gx
        S[i, 5] += F[i, 1] * im + dt * gy
        S[i, 6] += F[i, 2] * im + dt * gz
        S[i, 8] += F[i, 3] * ii
        S[i, 9] += F[i, 4] * ii
        S[i, 10] += F[i, 5] * ii
        d2 = 0.0
        for k in range(3):
            S[i, k] += dt * S[i, 4 + k]
            e = S[i, k] - X0[i, k]
            d2 += e * e
        if not d2 < 1e30:
            sound = False
        far = max(far, d2)
    for i in range(F.shape[0]):
        for k in range(6):
            F[i, k] = 0.0
    return far if sound else -1.0


@njit(**KERNEL)
def copy_images(S, n, source, shift):
    """Bring the ghosts that are images of this rank's own grains up to date."""
    for g in range(source.shape[0]):
        i = source[g]
        for k in range(12):
            S[n + g, k] = S[i, k]
        for k in range(3):
            S[n + g, k] += shift[g, k]


@njit(**KERNEL)
def shift_ghosts(S, n, shift):
    """Put ghosts that came across a periodic border where they are seen from here."""
    for g in range(shift.shape[0]):
        for k in range(3):
            S[n + g, k] += shift[g, k]


@njit(**KERNEL)
def advance(S, F, n, ptr, nbr, hist, law, materials, linear, rolls, sticks, edges, spectrum,
            act, near_ptr, near_facet, slot, T, plane, body, motion, reach, P, made_of, near, new, on_body, on_facet,
            gas, gravity, impulse, X0, source, shift, images, dt, step, count, slack, state):  # fmt: skip
    """Up to `count` steps from number `step` on, until a grain or wall has gone half the skin `slack` [m].

    images : whether ghosts are this rank's own images, to be copied here
    state : largest overlap between grains, against walls, way of the walls since the list was made
    Returns steps done, and 1 if a new list is due, -1 if a position is no number any more, else 0.
    """
    limit = slack * slack
    for s in range(count):
        if images:
            copy_images(S, n, source, shift)
        over = pairs(S, F, n, ptr, nbr, hist, law, materials, linear, rolls, sticks, edges, spectrum, dt)
        state[0] = max(state[0], over)
        if motion.shape[0] > 0:
            pose(motion, (step + s) * dt, P)
            over = against_walls(S, F, act, near_ptr, near_facet, slot, T, plane, body, P, made_of, law, materials,
                                 linear, rolls, sticks, edges, spectrum, dt, near, new, on_body, on_facet)  # fmt: skip
            state[1] = max(state[1], over)
            fastest = 0.0
            for b in range(motion.shape[0]):
                v = math.sqrt(P[b, 15] ** 2 + P[b, 16] ** 2 + P[b, 17] ** 2)
                w = math.sqrt(P[b, 18] ** 2 + P[b, 19] ** 2 + P[b, 20] ** 2)
                fastest = max(fastest, v + w * reach[b])
            state[2] += fastest * dt
        if gas[0] > 0.0:
            drag(S, F, n, gas[0], gas[1], gas[2], gas[3], gas[4], impulse, dt)
        far = move(S, F, n, X0, gravity[0], gravity[1], gravity[2], dt)
        if far < 0.0:
            return s + 1, -1
        if far > limit or state[2] > slack:
            return s + 1, 1
    return count, 0
