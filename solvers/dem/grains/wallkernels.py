"""Forces of walls on grains, compiled."""

from __future__ import annotations

import math

from numba import njit

from solvers.dem.grains.contact import INLINE, KERNEL, collided, contact

#: Wall contacts that one grain can have, and the columns of one: 1 + body, normal, spring, torque, lost, overlap.
SLOTS, SLOT = 4, 12
#: Facets of a wall that one grain can touch at a time, before those that are one contact are found.
TOUCHED = 32
#: Facets whose normals differ by less are one contact: cos 15 degrees.
SAME = 0.9659258262890683
#: Columns of a body's pose: rotation (9), its centre at time zero (3) and now (3), velocity (3), angular velocity (3).
POSE = 21


@njit(**KERNEL)
def pose(motion, t, P):
    """Fill `P`, (bodies, POSE), from the rows of ``walls.Motion`` for the time `t` [s]."""
    for b in range(motion.shape[0]):
        begin = motion[b, 15]
        end = motion[b, 16]
        moving = begin <= t < end
        s = min(max(t, begin), end) - begin
        x = motion[b, 3]
        y = motion[b, 4]
        z = motion[b, 5]
        angle = motion[b, 6] * s
        c = math.cos(angle)
        sn = math.sin(angle)
        o = 1.0 - c
        P[b, 0] = c + x * x * o
        P[b, 1] = x * y * o - z * sn
        P[b, 2] = x * z * o + y * sn
        P[b, 3] = y * x * o + z * sn
        P[b, 4] = c + y * y * o
        P[b, 5] = y * z * o - x * sn
        P[b, 6] = z * x * o - y * sn
        P[b, 7] = z * y * o + x * sn
        P[b, 8] = c + z * z * o
        turn = 2.0 * math.pi * motion[b, 13]
        for k in range(3):
            swing = math.sin(turn * s + motion[b, 14]) - math.sin(motion[b, 14])
            P[b, 9 + k] = motion[b, k]
            P[b, 12 + k] = motion[b, k] + motion[b, 7 + k] * s + motion[b, 10 + k] * swing
            P[b, 15 + k] = 0.0
            P[b, 18 + k] = 0.0
            if moving:
                P[b, 15 + k] = motion[b, 7 + k] + motion[b, 10 + k] * turn * math.cos(turn * s + motion[b, 14])
                P[b, 18 + k] = motion[b, 6] * motion[b, 3 + k]


@njit(**INLINE)
def nearest(px, py, pz, T, k):
    """Point of triangle k nearest to p, and whether it is inside (0) or on an edge or corner (1).

    C. Ericson, Real-Time Collision Detection (2005), 5.1.5.
    """
    ax = T[k, 0]
    ay = T[k, 1]
    az = T[k, 2]
    bx = T[k, 3] - ax
    by = T[k, 4] - ay
    bz = T[k, 5] - az
    cx = T[k, 6] - ax
    cy = T[k, 7] - ay
    cz = T[k, 8] - az
    qx = px - ax
    qy = py - ay
    qz = pz - az
    d1 = bx * qx + by * qy + bz * qz
    d2 = cx * qx + cy * qy + cz * qz
    bb = bx * bx + by * by + bz * bz
    bc = bx * cx + by * cy + bz * cz
    cc = cx * cx + cy * cy + cz * cz
    d3 = d1 - bb
    d4 = d2 - bc
    d5 = d1 - bc
    d6 = d2 - cc
    va = d3 * d6 - d5 * d4
    vb = d5 * d2 - d1 * d6
    vc = d1 * d4 - d3 * d2
    v = 0.0
    w = 0.0
    edge = 1
    if d1 <= 0.0 and d2 <= 0.0:
        v = 0.0
    elif d3 >= 0.0 and d4 <= d3:
        v = 1.0
    elif vc <= 0.0 and d1 >= 0.0 and d3 <= 0.0:
        v = d1 / (d1 - d3)
    elif d6 >= 0.0 and d5 <= d6:
        w = 1.0
    elif vb <= 0.0 and d2 >= 0.0 and d6 <= 0.0:
        w = d2 / (d2 - d6)
    elif va <= 0.0 and (d4 - d3) >= 0.0 and (d5 - d6) >= 0.0:
        w = (d4 - d3) / ((d4 - d3) + (d5 - d6))
        v = 1.0 - w
    else:
        s = 1.0 / (va + vb + vc)
        v = vb * s
        w = vc * s
        edge = 0
    return ax + bx * v + cx * w, ay + by * v + cy * w, az + bz * v + cz * w, edge


@njit(**KERNEL)
def against_walls(S, F, act, ptr, facet, slot, T, plane, body, P, made_of, law, materials, linear, rolls, sticks,
                  edges, spectrum, dt, near, new, on_body, on_facet):  # fmt: skip
    """Add the forces of the walls; returns the largest overlap over radius.

    act, ptr, facet : grains near walls and the facets near each of them
    slot : (len(act), SLOTS, SLOT) contacts and their history, found again by their normal, not by the facet: a grain
        that slides from one triangle to the next keeps its friction
    near, new : (TOUCHED, 8) and (SLOTS, SLOT) room to work in
    on_body : (bodies, 7) impulse, angular impulse, work; on_facet : (facets, 3) pressing, shearing, sliding
    """
    deepest = 0.0
    keep = spectrum.shape[0] > 0
    for q in range(act.shape[0]):
        i = act[q]
        x = S[i, 0]
        y = S[i, 1]
        z = S[i, 2]
        r = S[i, 3]
        found = 0
        for s in range(ptr[q], ptr[q + 1]):
            k = facet[s]
            b = body[k]
            # into the frame in which the facet has not moved
            ox = x - P[b, 12]
            oy = y - P[b, 13]
            oz = z - P[b, 14]
            ux = P[b, 0] * ox + P[b, 3] * oy + P[b, 6] * oz + P[b, 9]
            uy = P[b, 1] * ox + P[b, 4] * oy + P[b, 7] * oz + P[b, 10]
            uz = P[b, 2] * ox + P[b, 5] * oy + P[b, 8] * oz + P[b, 11]
            if plane[k]:
                d = (ux - T[k, 0]) * T[k, 3] + (uy - T[k, 1]) * T[k, 4] + (uz - T[k, 2]) * T[k, 5]
                if d >= r:
                    continue
                dx = T[k, 3]
                dy = T[k, 4]
                dz = T[k, 5]
                edge = 0
            else:
                cx, cy, cz, edge = nearest(ux, uy, uz, T, k)
                dx = ux - cx
                dy = uy - cy
                dz = uz - cz
                d2 = dx * dx + dy * dy + dz * dz
                if d2 >= r * r:
                    continue
                d = math.sqrt(d2)
                if d > 0.0:
                    inv = 1.0 / d
                    dx *= inv
                    dy *= inv
                    dz *= inv
                else:
                    dx = T[k, 9]
                    dy = T[k, 10]
                    dz = T[k, 11]
            if found < TOUCHED:
                near[found, 0] = d + edge * 1e-9 * r  # of two that are equally near, the one met by its face
                near[found, 1] = P[b, 0] * dx + P[b, 1] * dy + P[b, 2] * dz
                near[found, 2] = P[b, 3] * dx + P[b, 4] * dy + P[b, 5] * dz
                near[found, 3] = P[b, 6] * dx + P[b, 7] * dy + P[b, 8] * dz
                near[found, 4] = k
                found += 1
        if found == 0 and slot[q, 0, 0] == 0.0:
            continue
        taken = 0
        for _ in range(found):
            best = 0
            for u in range(1, found):
                if near[u, 0] < near[best, 0]:
                    best = u
            d = near[best, 0]
            nx = near[best, 1]
            ny = near[best, 2]
            nz = near[best, 3]
            k = int(near[best, 4])
            near[best, 0] = 1e300
            fresh = taken < SLOTS
            for u in range(taken):
                c = new[u, 1] * nx + new[u, 2] * ny + new[u, 3] * nz
                # the same patch: nearly the same normal, or the nearest point lies in the plane of the deeper contact
                if c > SAME or abs(d * c - (r - new[u, 11])) < 1e-6 * r:
                    fresh = False
            if not fresh:
                continue
            hx = 0.0
            hy = 0.0
            hz = 0.0
            qx = 0.0
            qy = 0.0
            qz = 0.0
            e = 0.0
            like = SAME
            old = -1
            for u in range(SLOTS):
                if slot[q, u, 0] > 0.0:
                    c = slot[q, u, 1] * nx + slot[q, u, 2] * ny + slot[q, u, 3] * nz
                    if c > like:
                        like = c
                        old = u
            if old >= 0:
                hx = slot[q, old, 4]
                hy = slot[q, old, 5]
                hz = slot[q, old, 6]
                qx = slot[q, old, 7]
                qy = slot[q, old, 8]
                qz = slot[q, old, 9]
                e = slot[q, old, 10]
                slot[q, old, 0] = 0.0
            b = body[k]
            delta = max(r - d, 0.0)  # an edge that is just touched lies beyond the surface by what ranks it
            deepest = max(deepest, delta / r)
            m = S[i, 7]
            ox = x - d * nx - P[b, 12]
            oy = y - d * ny - P[b, 13]
            oz = z - d * nz - P[b, 14]
            wx = P[b, 15] + P[b, 19] * oz - P[b, 20] * oy
            wy = P[b, 16] + P[b, 20] * ox - P[b, 18] * oz
            wz = P[b, 17] + P[b, 18] * oy - P[b, 19] * ox
            vx = S[i, 4] - wx
            vy = S[i, 5] - wy
            vz = S[i, 6] - wz
            row = int(S[i, 11]) * materials + made_of[b]
            pair = (law[row, 0], law[row, 1], law[row, 2], law[row, 3], law[row, 4], law[row, 5], law[row, 6],
                    law[row, 7], law[row, 8])  # fmt: skip
            fn, tx, ty, tz, hx, hy, hz, mx, my, mz, qx, qy, qz, lost = contact(
                delta, r, m, nx, ny, nz, vx, vy, vz, d * S[i, 8], d * S[i, 9], d * S[i, 10],
                S[i, 8] - P[b, 18], S[i, 9] - P[b, 19], S[i, 10] - P[b, 20], 1.4 * m * r * r,
                hx, hy, hz, qx, qy, qz, pair, linear, rolls, sticks, dt)  # fmt: skip
            gx = fn * nx + tx
            gy = fn * ny + ty
            gz = fn * nz + tz
            F[i, 0] += gx
            F[i, 1] += gy
            F[i, 2] += gz
            F[i, 3] += mx - d * (ny * tz - nz * ty)
            F[i, 4] += my - d * (nz * tx - nx * tz)
            F[i, 5] += mz - d * (nx * ty - ny * tx)
            on_body[b, 0] -= gx * dt
            on_body[b, 1] -= gy * dt
            on_body[b, 2] -= gz * dt
            lx = oy * gz - oz * gy + mx
            ly = oz * gx - ox * gz + my
            lz = ox * gy - oy * gx + mz
            on_body[b, 3] -= lx * dt
            on_body[b, 4] -= ly * dt
            on_body[b, 5] -= lz * dt
            on_body[b, 6] += dt * (gx * wx + gy * wy + gz * wz + mx * P[b, 18] + my * P[b, 19] + mz * P[b, 20])
            on_facet[k, 0] += fn * dt
            on_facet[k, 1] += math.sqrt(tx * tx + ty * ty + tz * tz) * dt
            vn = vx * nx + vy * ny + vz * nz
            vx += -vn * nx - d * (S[i, 9] * nz - S[i, 10] * ny)
            vy += -vn * ny - d * (S[i, 10] * nx - S[i, 8] * nz)
            vz += -vn * nz - d * (S[i, 8] * ny - S[i, 9] * nx)
            on_facet[k, 2] += max(fn, 0.0) * math.sqrt(vx * vx + vy * vy + vz * vz) * dt
            new[taken, 0] = 1.0 + b
            new[taken, 1] = nx
            new[taken, 2] = ny
            new[taken, 3] = nz
            new[taken, 4] = hx
            new[taken, 5] = hy
            new[taken, 6] = hz
            new[taken, 7] = qx
            new[taken, 8] = qy
            new[taken, 9] = qz
            new[taken, 10] = e + lost * dt
            new[taken, 11] = delta
            taken += 1
        for u in range(SLOTS):
            if keep and slot[q, u, 0] > 0.0:  # not found again: this contact has ended
                collided(slot[q, u, 10], edges, spectrum, 1.0)
            if u < taken:
                for c in range(SLOT):
                    slot[q, u, c] = new[u, c]
            else:
                slot[q, u, 0] = 0.0
    return deepest
