# SPDX-License-Identifier: Apache-2.0
"""The compiled loops of `scenes.render`: ray casting, shading, and distances to surfaces.

Primitives come as the arrays of `scenes.rooms.Room`; everything is in the room's frame, in metres.
"""

import math

import numpy as np
from numba import njit, prange

from scenes.rooms import BOX, CEILING, CYLINDER, FLOOR, SKIRTING, SKIRTING_HEIGHT, WALLS
from scenes.textures import albedo


@njit(cache=True, fastmath=True, inline='always')
def _hit(kind, s, ox, oy, oz, dx, dy, dz, nearest):
    """Return the distance along a ray to a primitive (inf: not before `nearest`), and its face."""
    px, py, pz = ox - s[0], oy - s[1], oz - s[2]
    if kind == BOX:  # slabs, in its own frame
        c, q = s[6], s[7]
        px, py = c * px + q * py, c * py - q * px
        dx, dy = c * dx + q * dy, c * dy - q * dx
        ix, iy, iz = 1.0 / (dx + 1e-12), 1.0 / (dy + 1e-12), 1.0 / (dz + 1e-12)
        hx, hy, hz = abs(s[3] * ix), abs(s[4] * iy), abs(s[5] * iz)
        ax, ay, az = -px * ix - hx, -py * iy - hy, -pz * iz - hz
        t = max(ax, ay, az)
        far = min(ax + 2 * hx, ay + 2 * hy, az + 2 * hz)
        if t <= 1e-4 or t > far or t >= nearest:
            return math.inf, 0
        return t, (0 if t == ax else (1 if t == ay else 2))
    if kind == CYLINDER:  # its side, then its end
        a = dx * dx + dy * dy
        b = px * dx + py * dy
        e = b * b - a * (px * px + py * py - s[3] * s[3])
        if e <= 0.0:
            return math.inf, 0
        root = math.sqrt(e)
        t = (-b - root) / (a + 1e-12)
        if 1e-4 < t < nearest and abs(pz + t * dz) <= s[5]:
            return t, 0
        iz = 1.0 / (dz + 1e-12)
        t = -pz * iz - abs(s[5] * iz)
        x, y = px + t * dx, py + t * dy
        if 1e-4 < t < nearest and x * x + y * y <= s[3] * s[3]:
            return t, 2
        return math.inf, 0
    a = dx * dx + dy * dy + dz * dz
    b = px * dx + py * dy + pz * dz
    e = b * b - a * (px * px + py * py + pz * pz - s[3] * s[3])
    if e <= 0.0:
        return math.inf, 0
    t = (-b - math.sqrt(e)) / a
    if 1e-4 < t < nearest:
        return t, 0
    return math.inf, 0


@njit(cache=True, fastmath=True)
def _blocked(lit, kinds, shapes, bounds, order, x, y, z, lx, ly, lz):
    """Find the primitive between a point and a lamp, or -1; `lit` is a guess to try first."""
    dx, dy, dz = lx - x, ly - y, lz - z
    if lit >= 0 and _hit(kinds[lit], shapes[lit], x, y, z, dx, dy, dz, 1.0)[0] < 1.0:
        return lit
    inverse = 1.0 / (dx * dx + dy * dy + dz * dz)
    for j in range(len(order)):
        i = order[j]
        px, py, pz = shapes[i, 0] - x, shapes[i, 1] - y, shapes[i, 2] - z
        k = min(1.0, max(0.0, (px * dx + py * dy + pz * dz) * inverse))
        ex, ey, ez = px - k * dx, py - k * dy, pz - k * dz
        if ex * ex + ey * ey + ez * ez > bounds[i]:
            continue
        if _hit(kinds[i], shapes[i], x, y, z, dx, dy, dz, 1.0)[0] < 1.0:
            return i
    return -1


@njit(cache=True, fastmath=True)
def _wall(size, ox, oy, oz, dx, dy, dz):
    """Return the distance along a ray in the room to its shell, and the axis of that plane."""
    tx = ((size[0] if dx > 0 else 0.0) - ox) / (dx if dx != 0.0 else -1e-12)
    ty = ((size[1] if dy > 0 else 0.0) - oy) / (dy if dy != 0.0 else -1e-12)
    tz = ((size[2] if dz > 0 else 0.0) - oz) / (dz if dz != 0.0 else -1e-12)
    if tz < tx and tz < ty:
        return tz, 2
    return (tx, 0) if tx < ty else (ty, 1)


@njit(cache=True, parallel=True, fastmath=True)
def cast(
    width, height, camera, position, turn, size, kinds, shapes, bounds, spans, materials_of,
    materials, lights, ambient, samples, pixel, rgb, depth,
):  # fmt: skip
    """Fill rgb (H, W, 3), linear, and depth (H, W); without colour where rgb is empty."""
    fx, fy, cx, cy = camera
    ox, oy, oz = position
    every = np.arange(len(kinds))
    for row in prange(height):
        active = np.empty(len(kinds), np.int64)
        n = 0
        for i in range(len(kinds)):
            if spans[i, 2] <= row <= spans[i, 3]:
                active[n] = i
                n += 1
        guesses = np.full(len(lights), -1, np.int64)
        for column in range(width):
            for sample in range(samples * samples + (samples > 1)):
                # With supersampling the depth has a ray of its own, through the pixel's centre.
                u, v = float(column), float(row)
                if samples > 1 and sample > 0:
                    u += ((sample - 1) % samples + 0.5) / samples - 0.5
                    v += ((sample - 1) // samples + 0.5) / samples - 0.5
                a, b = (u - cx) / fx, (v - cy) / fy
                dx = turn[0, 0] * a + turn[0, 1] * b + turn[0, 2]
                dy = turn[1, 0] * a + turn[1, 1] * b + turn[1, 2]
                dz = turn[2, 0] * a + turn[2, 1] * b + turn[2, 2]
                t, face = _wall(size, ox, oy, oz, dx, dy, dz)
                what = -1
                for j in range(n):
                    i = active[j]
                    if column < spans[i, 0] or column > spans[i, 1]:
                        continue
                    near, side = _hit(kinds[i], shapes[i], ox, oy, oz, dx, dy, dz, t)
                    if near < t:
                        t, face, what = near, side, i
                if sample == 0:
                    depth[row, column] = t
                if rgb.shape[0] == 0 or (samples > 1 and sample == 0):
                    continue
                x, y, z = ox + t * dx, oy + t * dy, oz + t * dz
                nx, ny, nz = 0.0, 0.0, 0.0
                if what < 0:
                    if face == 0:
                        nx = -1.0 if dx > 0 else 1.0
                        p, q = y, z
                    elif face == 1:
                        ny = -1.0 if dy > 0 else 1.0
                        p, q = x, z
                    else:
                        nz = -1.0 if dz > 0 else 1.0
                        p, q = x, y
                    if face == 2:
                        mat = FLOOR if dz < 0 else CEILING
                    else:
                        mat = SKIRTING if z < SKIRTING_HEIGHT else WALLS
                else:
                    mat = materials_of[what]
                    s = shapes[what]
                    lx, ly, lz = x - s[0], y - s[1], z - s[2]
                    c, r = s[6], s[7]
                    if kinds[what] == BOX:
                        bx, by = c * lx + r * ly, c * ly - r * lx
                        if face == 0:
                            sign = 1.0 if bx > 0 else -1.0
                            nx, ny = c * sign, r * sign
                            p, q = by, lz
                        elif face == 1:
                            sign = 1.0 if by > 0 else -1.0
                            nx, ny = -r * sign, c * sign
                            p, q = bx, lz
                        else:
                            nz = 1.0 if lz > 0 else -1.0
                            p, q = bx, by
                    elif kinds[what] == CYLINDER:
                        if face == 0:
                            nx, ny = lx / s[3], ly / s[3]
                            p, q = math.atan2(ly, lx) * s[3], lz
                        else:
                            nz = 1.0 if lz > 0 else -1.0
                            p, q = lx, ly
                    else:
                        nx, ny, nz = lx / s[3], ly / s[3], lz / s[3]
                        p = math.atan2(ly, lx) * s[3]
                        q = math.asin(min(1.0, max(-1.0, nz))) * s[3]
                length = math.sqrt(dx * dx + dy * dy + dz * dz)
                slant = max(0.1, -(nx * dx + ny * dy + nz * dz) / length)
                colour = albedo(materials[mat], p, q, t * pixel / slant)
                # The ambient light comes rather from above and from one side.
                light = ambient * (0.85 + 0.15 * nz + 0.1 * nx)
                x, y, z = x + 1e-3 * nx, y + 1e-3 * ny, z + 1e-3 * nz
                for k in range(len(lights)):
                    ex, ey, ez = lights[k, 0] - x, lights[k, 1] - y, lights[k, 2] - z
                    far = ex * ex + ey * ey + ez * ez
                    facing = (ex * nx + ey * ny + ez * nz) / math.sqrt(far)
                    if facing <= 0:
                        continue
                    guesses[k] = _blocked(
                        guesses[k], kinds, shapes, bounds, every, x, y, z,
                        lights[k, 0], lights[k, 1], lights[k, 2],
                    )  # fmt: skip
                    if guesses[k] < 0:
                        light += lights[k, 3] * facing / (0.5 + far / 9.0)
                share = light / (samples * samples)
                rgb[row, column, 0] += colour[0] * share
                rgb[row, column, 1] += colour[1] * share
                rgb[row, column, 2] += colour[2] * share


@njit(cache=True, parallel=True)
def nearest_surface(points, size, kinds, shapes):
    """Measure how far points (N, 3) are from the nearest of shell and primitives; NaN of NaN."""
    distances = np.empty(len(points))
    for n in prange(len(points)):
        x, y, z = points[n]
        hx, hy, hz = size[0] / 2, size[1] / 2, size[2] / 2
        nearest = abs(_box_distance(x - hx, y - hy, z - hz, hx, hy, hz))
        for i in range(len(kinds)):
            s = shapes[i]
            px, py, pz = x - s[0], y - s[1], z - s[2]
            if kinds[i] == BOX:
                a, b = s[6] * px + s[7] * py, s[6] * py - s[7] * px
                d = _box_distance(a, b, pz, s[3], s[4], s[5])
            elif kinds[i] == CYLINDER:
                d = _box_distance(math.sqrt(px * px + py * py), 0.0, pz, s[3], math.inf, s[5])
            else:
                d = math.sqrt(px * px + py * py + pz * pz) - s[3]
            if abs(d) < nearest:
                nearest = abs(d)
        distances[n] = nearest
    return distances


@njit(cache=True, inline='always')
def _box_distance(x, y, z, hx, hy, hz):
    """Return the signed distance of a point to a box around the origin (see `scenes.render`)."""
    x, y, z = abs(x) - hx, abs(y) - hy, abs(z) - hz
    ox, oy, oz = max(x, 0.0), max(y, 0.0), max(z, 0.0)
    return math.sqrt(ox * ox + oy * oy + oz * oz) + min(max(x, y, z), 0.0)
