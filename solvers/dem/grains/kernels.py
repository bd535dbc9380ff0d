"""Forces and motion, compiled: every grain of one rank, one step after the other.

A grain is a row of `S`, (grains and ghosts, 12): x y z r | vx vy vz m | wx wy wz material. Velocities and spins live
half a step behind positions (leapfrog). A pair of the Verlet list has a row of history: tangential spring [m], torque
of the rolling spring [N m] if anything rolls, energy lost in this contact [J] if a spectrum is kept. Ghosts are copies
of other ranks' grains; a pair with one of them is computed on both ranks, so that no force travels.

Serial on purpose: one rank a core is faster than threads that share lists.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from solvers.dem.grains.contact import KERNEL, collided, contact
from solvers.dem.grains.wallkernels import against_walls, pose

#: Contacts whose forces are found together, and numbers of each.
BLOCK, COLUMNS = 32, 49


@njit(**KERNEL)
def block(B, who, count, F, hist, linear, rolls, sticks, keep, dt):
    """Forces of a block of contacts, added to `F`; returns the largest overlap / (ri + rj).

    B : columns of BLOCK numbers each: way from the second to the first (3), its square, radii, masses, relative
    velocity (3), spins (6), spring (3), torque (3), row of the law (9); then force on the first (3), torques on both
    (6), new spring (3) and torque (3), power lost, overlap
    """
    for u in range(count):
        d2 = B[3 * BLOCK + u]
        ri = B[4 * BLOCK + u]
        rj = B[5 * BLOCK + u]
        mi = B[6 * BLOCK + u]
        mj = B[7 * BLOCK + u]
        inv = 1.0 / math.sqrt(d2)
        nx = B[u] * inv
        ny = B[BLOCK + u] * inv
        nz = B[2 * BLOCK + u] * inv
        rs = ri + rj
        delta = rs - d2 * inv
        irs = 1.0 / rs
        ci = ri - 0.5 * delta
        cj = rj - 0.5 * delta
        ii = mi * ri * ri
        jj = mj * rj * rj
        ax = B[11 * BLOCK + u]
        ay = B[12 * BLOCK + u]
        az = B[13 * BLOCK + u]
        bx = B[14 * BLOCK + u]
        by = B[15 * BLOCK + u]
        bz = B[16 * BLOCK + u]
        law = (B[23 * BLOCK + u], B[24 * BLOCK + u], B[25 * BLOCK + u], B[26 * BLOCK + u], B[27 * BLOCK + u],
               B[28 * BLOCK + u], B[29 * BLOCK + u], B[30 * BLOCK + u], B[31 * BLOCK + u])  # fmt: skip
        fn, tx, ty, tz, hx, hy, hz, mx, my, mz, qx, qy, qz, lost = contact(
            delta, ri * rj * irs, mi * mj / (mi + mj), nx, ny, nz,
            B[8 * BLOCK + u], B[9 * BLOCK + u], B[10 * BLOCK + u],
            ci * ax + cj * bx, ci * ay + cj * by, ci * az + cj * bz, ax - bx, ay - by, az - bz,
            1.4 * ii * jj / (ii + jj),
            B[17 * BLOCK + u], B[18 * BLOCK + u], B[19 * BLOCK + u],
            B[20 * BLOCK + u], B[21 * BLOCK + u], B[22 * BLOCK + u],
            law, linear, rolls, sticks, dt)  # fmt: skip
        cx = ny * tz - nz * ty
        cy = nz * tx - nx * tz
        cz = nx * ty - ny * tx
        B[32 * BLOCK + u] = fn * nx + tx
        B[33 * BLOCK + u] = fn * ny + ty
        B[34 * BLOCK + u] = fn * nz + tz
        B[35 * BLOCK + u] = mx - ci * cx
        B[36 * BLOCK + u] = my - ci * cy
        B[37 * BLOCK + u] = mz - ci * cz
        B[38 * BLOCK + u] = -mx - cj * cx
        B[39 * BLOCK + u] = -my - cj * cy
        B[40 * BLOCK + u] = -mz - cj * cz
        B[41 * BLOCK + u] = hx
        B[42 * BLOCK + u] = hy
        B[43 * BLOCK + u] = hz
        B[44 * BLOCK + u] = qx
        B[45 * BLOCK + u] = qy
        B[46 * BLOCK + u] = qz
        B[47 * BLOCK + u] = lost * dt
        B[48 * BLOCK + u] = delta * irs
    deepest = 0.0
    for u in range(count):
        i = who[0, u]
        j = who[1, u]
        p = who[2, u]
        deepest = max(deepest, B[48 * BLOCK + u])
        for c in range(3):
            F[i, c] += B[(32 + c) * BLOCK + u]
            F[j, c] -= B[(32 + c) * BLOCK + u]
            F[i, 3 + c] += B[(35 + c) * BLOCK + u]
            F[j, 3 + c] += B[(38 + c) * BLOCK + u]
            hist[p, c] = B[(41 + c) * BLOCK + u]
        if rolls:
            for c in range(3):
                hist[p, 3 + c] = B[(44 + c) * BLOCK + u]
        if keep:
            hist[p, 6] += B[47 * BLOCK + u]
    return deepest


@njit(**KERNEL)
def pairs(S, F, n, ptr, nbr, hist, law, materials, linear, rolls, sticks, edges, spectrum, dt):
    """Add forces and torques of all pairs to `F`, (grains and ghosts, 6); returns the largest overlap / (ri + rj).

    Contacts are gathered to blocks, whose forces are then found together.
    """
    deepest = 0.0
    keep = spectrum.shape[0] > 0
    width = hist.shape[1]
    B = np.empty(COLUMNS * BLOCK)
    who = np.empty((3, BLOCK), np.int32)
    u = 0
    for i in range(ptr.shape[0] - 1):
        p0 = ptr[i]
        p1 = ptr[i + 1]
        if p0 == p1:
            continue
        xi = S[i, 0]
        yi = S[i, 1]
        zi = S[i, 2]
        ri = S[i, 3]
        table = int(S[i, 11]) * materials
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
            B[u] = dx
            B[BLOCK + u] = dy
            B[2 * BLOCK + u] = dz
            B[3 * BLOCK + u] = d2
            B[4 * BLOCK + u] = ri
            B[5 * BLOCK + u] = rj
            B[6 * BLOCK + u] = S[i, 7]
            B[7 * BLOCK + u] = S[j, 7]
            for c in range(3):
                B[(8 + c) * BLOCK + u] = S[i, 4 + c] - S[j, 4 + c]
                B[(11 + c) * BLOCK + u] = S[i, 8 + c]
                B[(14 + c) * BLOCK + u] = S[j, 8 + c]
                B[(17 + c) * BLOCK + u] = hist[p, c]
            k = table + int(S[j, 11])
            for c in range(9):
                B[(23 + c) * BLOCK + u] = law[k, c]
            if rolls:
                for c in range(3):
                    B[(20 + c) * BLOCK + u] = hist[p, 3 + c]
            who[0, u] = i
            who[1, u] = j
            who[2, u] = p
            u += 1
            if u == BLOCK:
                deepest = max(deepest, block(B, who, u, F, hist, linear, rolls, sticks, keep, dt))
                u = 0
    return max(deepest, block(B, who, u, F, hist, linear, rolls, sticks, keep, dt))


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
