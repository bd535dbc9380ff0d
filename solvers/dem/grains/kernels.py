"""Forces and motion, compiled: every grain of one rank, one step after the other.

A grain is a row of `S`, (grains and ghosts, 12): x y z r | vx vy vz m | wx wy wz material. Velocities and spins live
half a step behind positions (leapfrog). A pair of the Verlet list has a row of history: tangential spring [m], torque of
the rolling spring [N m] if anything rolls, energy lost in this contact [J] if a spectrum is kept. Ghosts are copies of
other ranks' grains; a pair with one of them is computed on both ranks, so that no force travels.

Serial on purpose: one rank a core is faster than threads that share lists.
"""

from __future__ import annotations

import math

from numba import njit

#: No NaN is assumed away: they are how a run that blows up is found.
FAST = {"nsz", "arcp", "contract", "afn", "reassoc"}
KERNEL = {"cache": True, "fastmath": FAST, "error_model": "numpy"}
INLINE = {"inline": "always", "fastmath": FAST, "error_model": "numpy"}

#: Wall contacts that one grain can have, and the columns of one: 1 + body, normal, spring, torque, lost, overlap.
SLOTS, SLOT = 4, 12
#: Facets of a wall that one grain can touch at a time, before those that are one contact are found.
TOUCHED = 32
#: Facets whose normals differ by less are one contact: cos 15 degrees.
SAME = 0.9659258262890683
#: Columns of a body's pose: rotation (9), its centre at time zero (3) and now (3), velocity (3), angular velocity (3).
POSE = 21


@njit(**INLINE)
def contact(delta, reff, meff, nx, ny, nz, vx, vy, vz, wx, wy, wz, ux, uy, uz, inertia,
            hx, hy, hz, qx, qy, qz, law, k, linear, rolls, sticks, dt):  # fmt: skip
    """Forces on the first of two bodies; `n` points to it.

    v : velocity of the first as the second sees it; w : r1 w1 + r2 w2, what spins add at the contact; u : w1 - w2
    h, q : tangential spring [m] and torque of the rolling spring [N m] before the step
    law[k] : row of ``materials.Laws.table``
    Returns normal force, tangential force (3), new h (3), rolling torque (3), new q (3), power lost.
    Hertz and Mindlin as in K. L. Johnson, Contact Mechanics (1985); rolling: elastic-plastic spring and dashpot of
    J. Ai et al., Powder Technol. 206 (2011) 269; cohesion: force of JKR on Hertz's contact radius, whose largest pull
    is JKR's 3/2 pi w R.
    """
    a = math.sqrt(reff * delta)
    if linear:
        secant = law[k, 0]
        tangent = secant
        shear = law[k, 2]
    else:
        secant = law[k, 0] * a
        tangent = law[k, 1] * a
        shear = law[k, 2] * a
    vn = vx * nx + vy * ny + vz * nz
    root = math.sqrt(tangent * meff)
    dashpot = law[k, 3] * root
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
    gt = law[k, 4] * root
    fx = -shear * hx - gt * tx
    fy = -shear * hy - gt * ty
    fz = -shear * hz - gt * tz
    f2 = fx * fx + fy * fy + fz * fz
    most = law[k, 5] * fn
    if f2 > most * most:
        s = most / math.sqrt(f2)
        fx *= s
        fy *= s
        fz *= s
        compliance = 1.0 / shear
        hx = -(fx + gt * tx) * compliance
        hy = -(fy + gt * ty) * compliance
        hz = -(fz + gt * tz) * compliance
        slip = -(fx * tx + fy * ty + fz * tz)
    else:
        slip = gt * (tx * tx + ty * ty + tz * tz)
    mx = 0.0
    my = 0.0
    mz = 0.0
    if rolls:
        un = ux * nx + uy * ny + uz * nz
        ux -= un * nx
        uy -= un * ny
        uz -= un * nz
        along = qx * nx + qy * ny + qz * nz
        arm = law[k, 6] * reff
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
            c = 2.0 * law[k, 7] * math.sqrt(inertia * spring)
            mx = qx - c * ux
            my = qy - c * uy
            mz = qz - c * uz
    lost = dashpot * vn * vn + slip
    if sticks:
        fn -= law[k, 8] * a * math.sqrt(a)
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


# --- walls --------------------------------------------------------------------------------------------------------


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
            delta = r - d
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
            fn, tx, ty, tz, hx, hy, hz, mx, my, mz, qx, qy, qz, lost = contact(
                delta, r, m, nx, ny, nz, vx, vy, vz, d * S[i, 8], d * S[i, 9], d * S[i, 10],
                S[i, 8] - P[b, 18], S[i, 9] - P[b, 19], S[i, 10] - P[b, 20], 1.4 * m * r * r,
                hx, hy, hz, qx, qy, qz,
                law, int(S[i, 11]) * materials + made_of[b], linear, rolls, sticks, dt)  # fmt: skip
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


# --- motion -------------------------------------------------------------------------------------------------------


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
