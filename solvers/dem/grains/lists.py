"""Who may touch whom: cells, the Verlet list of pairs, the facets near each grain, and contacts carried between lists.

Compiled like the kernels. Everything is ordered by positions and ids alone, so that a run goes on from a checkpoint
with the same sums.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from solvers.dem.grains.contact import INLINE, KERNEL
from solvers.dem.grains.wallkernels import SLOT, SLOTS, nearest

#: Columns of a contact between lists: normal (walls only), spring, torque, energy lost.
KEPT = 10


@njit(**INLINE)
def cell_of(x, low, inverse, count):
    return min(max(int((x - low) * inverse), 0), count - 1)


@njit(**KERNEL)
def grid(S, low, high, size):
    """Cells of at least `size` [m] over a box: (3,) their number along each axis and (3,) their inverse sizes; never
    many more cells than grains."""
    count = np.empty(3, np.int64)
    inverse = np.empty(3)
    volume = 1.0
    for k in range(3):
        volume *= max(high[k] - low[k], size)
    size = max(size, (volume / (8.0 * S.shape[0] + 64.0)) ** (1.0 / 3.0))
    for k in range(3):
        count[k] = max(1, min(int((high[k] - low[k]) / size), 1 << 20))
        inverse[k] = count[k] / max(high[k] - low[k], 1e-300)
    return count, inverse


@njit(**KERNEL)
def sort_cells(S, low, count, inverse):
    """CSR of the rows in each cell: (cells + 1,) starts and (rows,) order."""
    n = S.shape[0]
    cell = np.empty(n, np.int32)
    start = np.zeros(count[0] * count[1] * count[2] + 1, np.int32)
    for i in range(n):
        a = cell_of(S[i, 0], low[0], inverse[0], count[0])
        b = cell_of(S[i, 1], low[1], inverse[1], count[1])
        c = cell_of(S[i, 2], low[2], inverse[2], count[2])
        k = (a * count[1] + b) * count[2] + c
        cell[i] = k
        start[k + 1] += 1
    for k in range(start.shape[0] - 1):
        start[k + 1] += start[k]
    fill = start[:-1].copy()
    order = np.empty(n, np.int32)
    for i in range(n):
        order[fill[cell[i]]] = i
        fill[cell[i]] += 1
    return start, order


@njit(**KERNEL)
def by_id(start, order, ids):
    """Sort the rows within each cell by their ids."""
    for k in range(start.shape[0] - 1):
        for s in range(start[k] + 1, start[k + 1]):
            i = order[s]
            u = s
            while u > start[k] and ids[order[u - 1]] > ids[i]:
                order[u] = order[u - 1]
                u -= 1
            order[u] = i


@njit(**KERNEL)
def pair_list(S, n, skin, low, count, inverse, start, order, room):
    """Verlet list: every pair with a grain of this rank that is nearer than the radii plus `skin`, once.

    The larger of two stands in front, of equal ones the lower row: it looks through cells as far as its own size
    demands, which serves wide distributions of sizes.
    Returns ptr (rows + 1,), nbr; nbr is empty where `room` was not enough.
    """
    N = S.shape[0]
    ptr = np.empty(N + 1, np.int32)
    nbr = np.empty(room, np.int32)
    q = 0
    for i in range(N):
        ptr[i] = q
        x = S[i, 0]
        y = S[i, 1]
        z = S[i, 2]
        r = S[i, 3]
        h = 2.0 * r + skin
        a0 = cell_of(x - h, low[0], inverse[0], count[0])
        a1 = cell_of(x + h, low[0], inverse[0], count[0])
        b0 = cell_of(y - h, low[1], inverse[1], count[1])
        b1 = cell_of(y + h, low[1], inverse[1], count[1])
        c0 = cell_of(z - h, low[2], inverse[2], count[2])
        c1 = cell_of(z + h, low[2], inverse[2], count[2])
        for a in range(a0, a1 + 1):
            for b in range(b0, b1 + 1):
                row = (a * count[1] + b) * count[2]
                for s in range(start[row + c0], start[row + c1 + 1]):
                    j = order[s]
                    rj = S[j, 3]
                    if rj > r or (rj == r and j <= i) or (i >= n and j >= n):
                        continue
                    dx = S[j, 0] - x
                    dy = S[j, 1] - y
                    dz = S[j, 2] - z
                    c = r + rj + skin
                    if dx * dx + dy * dy + dz * dz < c * c:
                        if q >= room:
                            return ptr, nbr[:0], False
                        nbr[q] = j
                        q += 1
    ptr[N] = q
    return ptr, nbr[:q].copy(), True


# --- contacts between lists ---------------------------------------------------------------------------------------


@njit(**KERNEL)
def pack(n, ids, ptr, nbr, hist, act, slot):
    """Contacts of each grain of this rank, seen from it: start (n + 1,), partner (q,) id or -1 - body, kept (q, KEPT).

    A pair of two grains of this rank stands with both.
    """
    width = hist.shape[1]
    size = np.zeros(n + 1, np.int64)
    for i in range(ptr.shape[0] - 1):
        for p in range(ptr[i], ptr[i + 1]):
            for c in range(width):
                if hist[p, c] != 0.0:
                    if i < n:
                        size[i + 1] += 1
                    if nbr[p] < n:
                        size[nbr[p] + 1] += 1
                    break
    for q in range(act.shape[0]):
        for u in range(SLOTS):
            if slot[q, u, 0] > 0.0:
                size[act[q] + 1] += 1
    for i in range(n):
        size[i + 1] += size[i]
    start = size
    fill = start[:-1].copy()
    partner = np.empty(start[n], np.int64)
    kept = np.zeros((start[n], KEPT))
    for i in range(ptr.shape[0] - 1):
        for p in range(ptr[i], ptr[i + 1]):
            touching = False
            for c in range(width):
                if hist[p, c] != 0.0:
                    touching = True
                    break
            if not touching:
                continue
            j = nbr[p]
            if i < n:
                s = fill[i]
                fill[i] += 1
                partner[s] = ids[j]
                for c in range(width):
                    kept[s, 3 + c] = hist[p, c]
            if j < n:
                s = fill[j]
                fill[j] += 1
                partner[s] = ids[i]
                for c in range(width):
                    kept[s, 3 + c] = hist[p, c] if c == 6 else -hist[p, c]
    for q in range(act.shape[0]):
        for u in range(SLOTS):
            if slot[q, u, 0] > 0.0:
                s = fill[act[q]]
                fill[act[q]] += 1
                partner[s] = -int(slot[q, u, 0])
                for c in range(KEPT):
                    kept[s, c] = slot[q, u, 1 + c]
    return start, partner, kept


@njit(**KERNEL)
def unpack(n, ids, ptr, nbr, hist, first, length, partner, kept):
    """Give the pairs of a new list their history; first, length : (n,) where the contacts of a grain stand."""
    width = hist.shape[1]
    for i in range(ptr.shape[0] - 1):
        for p in range(ptr[i], ptr[i + 1]):
            j = nbr[p]
            own, other, sign = (i, j, 1.0) if i < n else (j, i, -1.0)
            for s in range(first[own], first[own] + length[own]):
                if partner[s] == ids[other]:
                    for c in range(width):
                        hist[p, c] = kept[s, 3 + c] if c == 6 else sign * kept[s, 3 + c]
                    break


@njit(**KERNEL)
def unpack_walls(act, slot, first, length, partner, kept):
    """The same for grains near walls."""
    for q in range(act.shape[0]):
        i = act[q]
        u = 0
        for s in range(first[i], first[i] + length[i]):
            if partner[s] < 0 and u < SLOTS:
                slot[q, u, 0] = -float(partner[s])
                for c in range(KEPT):
                    slot[q, u, 1 + c] = kept[s, c]
                u += 1


@njit(**KERNEL)
def gather_contacts(rows, first, length, partner, kept):
    """The contacts of some grains one after the other: their numbers, partners and histories."""
    total = 0
    number = np.empty(rows.shape[0], np.int64)
    for k in range(rows.shape[0]):
        number[k] = length[rows[k]]
        total += number[k]
    who = np.empty(total, np.int64)
    what = np.empty((total, KEPT))
    q = 0
    for k in range(rows.shape[0]):
        for s in range(first[rows[k]], first[rows[k]] + length[rows[k]]):
            who[q] = partner[s]
            what[q] = kept[s]
            q += 1
    return number, who, what


# --- walls --------------------------------------------------------------------------------------------------------


@njit(**KERNEL)
def place(T, plane, body, P):
    """Facets where they are now, (facets, 12)."""
    out = np.empty_like(T)
    for k in range(T.shape[0]):
        b = body[k]
        for v in range(4):
            turn_only = v == 3 or (plane[k] and v == 1)  # a normal
            x = T[k, 3 * v]
            y = T[k, 3 * v + 1]
            z = T[k, 3 * v + 2]
            if not turn_only:
                x -= P[b, 9]
                y -= P[b, 10]
                z -= P[b, 11]
            for c in range(3):
                out[k, 3 * v + c] = P[b, 3 * c] * x + P[b, 3 * c + 1] * y + P[b, 3 * c + 2] * z
                if not turn_only:
                    out[k, 3 * v + c] += P[b, 12 + c]
    return out


@njit(**INLINE)
def distance_to(x, y, z, T, plane, k, reach):
    """Distance from a facet [m]; more than `reach` as soon as that is certain. Behind a plane it is negative."""
    if plane[k]:
        return (x - T[k, 0]) * T[k, 3] + (y - T[k, 1]) * T[k, 4] + (z - T[k, 2]) * T[k, 5]
    above = (x - T[k, 0]) * T[k, 9] + (y - T[k, 1]) * T[k, 10] + (z - T[k, 2]) * T[k, 11]
    if abs(above) >= reach:
        return 2.0 * reach
    cx, cy, cz, _ = nearest(x, y, z, T, k)
    return math.sqrt((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2)


@njit(**KERNEL)
def near_walls(S, n, T, plane, skin, largest, low, high, count, inverse, start, order, room):
    """Grains of this rank nearer than radius plus `skin` to facets as they are now: act (a,), ptr (a + 1,), facet.

    `room` is how many such encounters there is room for; False in the end if it was not enough.
    """
    row = np.empty(room, np.int32)
    met = np.empty(room, np.int32)
    size = np.zeros(n + 1, np.int32)
    q = 0
    lo = np.empty(3)
    hi = np.empty(3)
    for k in range(T.shape[0]):
        if plane[k]:
            for i in range(n):
                reach = S[i, 3] + skin
                if distance_to(S[i, 0], S[i, 1], S[i, 2], T, plane, k, reach) < reach:
                    if q >= room:
                        return size[:0], size[:0], size[:0], False
                    row[q] = i
                    met[q] = k
                    size[i + 1] += 1
                    q += 1
            continue
        pad = largest + skin
        outside = False
        for c in range(3):
            lo[c] = min(T[k, c], T[k, 3 + c], T[k, 6 + c]) - pad
            hi[c] = max(T[k, c], T[k, 3 + c], T[k, 6 + c]) + pad
            outside = outside or hi[c] < low[c] or lo[c] > high[c]
        if outside:
            continue
        c0 = cell_of(lo[2], low[2], inverse[2], count[2])
        c1 = cell_of(hi[2], low[2], inverse[2], count[2])
        for a in range(cell_of(lo[0], low[0], inverse[0], count[0]), cell_of(hi[0], low[0], inverse[0], count[0]) + 1):
            for b in range(
                cell_of(lo[1], low[1], inverse[1], count[1]), cell_of(hi[1], low[1], inverse[1], count[1]) + 1
            ):
                line = (a * count[1] + b) * count[2]
                for s in range(start[line + c0], start[line + c1 + 1]):
                    i = order[s]
                    if i >= n:
                        continue
                    reach = S[i, 3] + skin
                    if distance_to(S[i, 0], S[i, 1], S[i, 2], T, plane, k, reach) < reach:
                        if q >= room:
                            return size[:0], size[:0], size[:0], False
                        row[q] = i
                        met[q] = k
                        size[i + 1] += 1
                        q += 1
    number = 0
    for i in range(n):
        if size[i + 1] > 0:
            number += 1
    act = np.empty(number, np.int32)
    ptr = np.zeros(number + 1, np.int32)
    where = np.empty(n, np.int32)
    number = 0
    for i in range(n):
        if size[i + 1] > 0:
            act[number] = i
            ptr[number + 1] = ptr[number] + size[i + 1]
            where[i] = ptr[number]
            number += 1
    facet = np.empty(q, np.int32)
    for s in range(q):
        facet[where[row[s]]] = met[s]
        where[row[s]] += 1
    return act, ptr, facet, True


@njit(**KERNEL)
def blocked(S, low, count, inverse, start, order, largest, points, radii, T, plane):
    """(m,) True where a grain of this radius [m] would touch a grain or a wall, or be behind a plane."""
    out = np.zeros(points.shape[0], np.bool_)
    for i in range(points.shape[0]):
        x = points[i, 0]
        y = points[i, 1]
        z = points[i, 2]
        r = radii[i]
        for k in range(T.shape[0]):
            if distance_to(x, y, z, T, plane, k, r) < r:
                out[i] = True
                break
        if out[i] or S.shape[0] == 0:
            continue
        h = r + largest
        for a in range(cell_of(x - h, low[0], inverse[0], count[0]), cell_of(x + h, low[0], inverse[0], count[0]) + 1):
            for b in range(
                cell_of(y - h, low[1], inverse[1], count[1]), cell_of(y + h, low[1], inverse[1], count[1]) + 1
            ):
                line = (a * count[1] + b) * count[2]
                c0 = cell_of(z - h, low[2], inverse[2], count[2])
                c1 = cell_of(z + h, low[2], inverse[2], count[2])
                for s in range(start[line + c0], start[line + c1 + 1]):
                    j = order[s]
                    c = r + S[j, 3]
                    if (S[j, 0] - x) ** 2 + (S[j, 1] - y) ** 2 + (S[j, 2] - z) ** 2 < c * c:
                        out[i] = True
    return out


@njit(**KERNEL)
def near_box(S, n, shift, low, high, reach):
    """Rows of the grains that, moved by `shift`, are nearer than their radius plus `reach` to a box."""
    out = np.empty(n, np.int64)
    q = 0
    for i in range(n):
        d2 = 0.0
        for k in range(3):
            x = S[i, k] + shift[k]
            d = max(low[k] - x, x - high[k], 0.0)
            d2 += d * d
        c = S[i, 3] + reach
        if d2 < c * c:
            out[q] = i
            q += 1
    return out[:q].copy()


# --- energy -------------------------------------------------------------------------------------------------------


@njit(**INLINE)
def stored(delta, reff, spring2, torque2, law, k, linear):
    """Elastic energy of a contact [J]; the pull of cohesion counts as its own potential."""
    a = math.sqrt(reff * delta)
    if linear:
        e = 0.5 * law[k, 0] * delta * delta + 0.5 * law[k, 2] * spring2
        secant = law[k, 0]
    else:
        e = 0.4 * law[k, 0] * a * delta * delta + 0.5 * law[k, 2] * a * spring2
        secant = law[k, 0] * a
    arm = law[k, 6] * reff
    if arm > 0.0:
        e += 0.5 * torque2 / (2.25 * secant * arm * arm)
    return e - law[k, 8] * a * math.sqrt(a) * delta / 1.75


@njit(**KERNEL)
def elastic_energy(S, n, ptr, nbr, hist, act, slot, made_of, law, materials, linear, back):
    """Energy in the springs of this rank's contacts, `back` seconds ago, where the velocities are [J]; a pair with a
    ghost counts half."""
    total = 0.0
    for i in range(ptr.shape[0] - 1):
        for p in range(ptr[i], ptr[i + 1]):
            j = nbr[p]
            d2 = 0.0
            for k in range(3):
                d = S[i, k] - S[j, k] - back * (S[i, 4 + k] - S[j, 4 + k])
                d2 += d * d
            rs = S[i, 3] + S[j, 3]
            if d2 < rs * rs:
                h2 = hist[p, 0] ** 2 + hist[p, 1] ** 2 + hist[p, 2] ** 2
                q2 = 0.0
                if hist.shape[1] > 3:
                    q2 = hist[p, 3] ** 2 + hist[p, 4] ** 2 + hist[p, 5] ** 2
                k = int(S[i, 11]) * materials + int(S[j, 11])
                e = stored(rs - math.sqrt(d2), S[i, 3] * S[j, 3] / rs, h2, q2, law, k, linear)
                total += e if i < n and j < n else 0.5 * e
    for q in range(act.shape[0]):
        for u in range(SLOTS):
            if slot[q, u, 0] > 0.0:
                i = act[q]
                # the overlap in the slot is that of one step before the positions
                away = slot[q, u, 1] * S[i, 4] + slot[q, u, 2] * S[i, 5] + slot[q, u, 3] * S[i, 6]
                delta = slot[q, u, 11] - back * away
                h2 = slot[q, u, 4] ** 2 + slot[q, u, 5] ** 2 + slot[q, u, 6] ** 2
                q2 = slot[q, u, 7] ** 2 + slot[q, u, 8] ** 2 + slot[q, u, 9] ** 2
                k = int(S[i, 11]) * materials + made_of[int(slot[q, u, 0]) - 1]
                if delta > 0.0:
                    total += stored(delta, S[i, 3], h2, q2, law, k, linear)
    return total


#: Room for the wall contacts of `count` grains.
def slots(count: int) -> np.ndarray:
    return np.zeros((count, SLOTS, SLOT))
