"""The objects as MuJoCo geometry: XML of each shape, and the turned (lathed) meshes they use."""

import itertools

import numpy as np

from vljepa_ros.training.tabletop.layout import Rgb, Thing

SIDES = 28  # of a turned mesh

# Outlines (radius, height) in m, from the axis at the bottom round to the axis at the top.
OUTLINES: dict[str, list[tuple[float, float]]] = {
    "mug": [
        (0, 0),
        (0.056, 0),
        (0.062, 0.006),
        (0.062, 0.130),
        (0.054, 0.130),
        (0.054, 0.030),
        (0, 0.030),
    ],
    "bottle": [
        (0, 0),
        (0.048, 0),
        (0.050, 0.004),
        (0.050, 0.140),
        (0.042, 0.166),
        (0.024, 0.190),
        (0.019, 0.200),
        (0.019, 0.235),
        (0, 0.235),
    ],
    "can": [(0, 0), (0.042, 0), (0.048, 0.010), (0.048, 0.138), (0.041, 0.148), (0, 0.148)],
    "plate": [
        (0, 0),
        (0.066, 0),
        (0.120, 0.026),
        (0.120, 0.030),
        (0.112, 0.030),
        (0.072, 0.010),
        (0, 0.010),
    ],
    "shade": [(0, 0), (0.105, 0), (0.060, 0.120), (0, 0.120)],
}


def turned_mesh(name: str, scale: float) -> str:
    """A `<mesh>` asset called `name`_`scale`: its outline turned round the z axis."""
    outline = OUTLINES[name]
    angles = np.linspace(0, 2 * np.pi, SIDES, endpoint=False)
    vertices = [(0.0, 0.0, outline[0][1]), (0.0, 0.0, outline[-1][1])]
    for radius, height in outline[1:-1]:
        vertices += [(radius * np.cos(a), radius * np.sin(a), height) for a in angles]
    faces: list[tuple[int, int, int]] = []
    rings = len(outline) - 2
    for side in range(SIDES):
        after = (side + 1) % SIDES
        faces.append((0, 2 + after, 2 + side))
        for ring in range(rings - 1):
            low, high = 2 + ring * SIDES, 2 + (ring + 1) * SIDES
            faces.append((low + side, low + after, high + after))
            faces.append((low + side, high + after, high + side))
        top = 2 + (rings - 1) * SIDES
        faces.append((1, top + side, top + after))
    points = " ".join(f"{scale * value:.5f}" for vertex in vertices for value in vertex)
    indices = " ".join(str(index) for face in faces for index in face)
    return (
        f'<mesh name="{mesh_name(name, scale)}" inertia="shell" vertex="{points}" '
        f'face="{indices}"/>'
    )


def mesh_name(name: str, scale: float) -> str:
    """Name of the asset that `turned_mesh` makes."""
    return f"{name}_{scale:.4f}"


def rgba(color: Rgb, factor: float = 1.0) -> str:
    """An `rgba` attribute, `factor` times as bright."""
    red, green, blue = np.clip(np.array(color) * factor, 0, 1)
    return f'rgba="{red:.3f} {green:.3f} {blue:.3f} 1"'


def box(size: tuple[float, float, float], pos: tuple[float, float, float], look: str) -> str:
    """A `<geom>` box of half sizes `size` at `pos`, m; `look` holds its other attributes."""
    return (
        f'<geom type="box" size="{size[0]:.4f} {size[1]:.4f} {size[2]:.4f}" '
        f'pos="{pos[0]:.4f} {pos[1]:.4f} {pos[2]:.4f}" {look}/>'
    )


def cylinder(radius: float, low: float, high: float, look: str) -> str:
    """A `<geom>` cylinder on the z axis between two heights, m."""
    return (
        f'<geom type="cylinder" size="{radius:.4f} {(high - low) / 2:.4f}" '
        f'pos="0 0 {(high + low) / 2:.4f}" {look}/>'
    )


def _rod(points: list[tuple[float, float, float]], radius: float, look: str) -> str:
    return "".join(
        f'<geom type="capsule" size="{radius:.4f}" fromto="{a[0]:.4f} {a[1]:.4f} {a[2]:.4f} '
        f'{b[0]:.4f} {b[1]:.4f} {b[2]:.4f}" {look}/>'
        for a, b in itertools.pairwise(points)
    )


def _mug(thing: Thing, look: str) -> str:
    scale = thing.scale
    handle = [
        (0.055 * scale, 0.0, 0.105 * scale),
        (0.088 * scale, 0.0, 0.103 * scale),
        (0.103 * scale, 0.0, 0.084 * scale),
        (0.103 * scale, 0.0, 0.056 * scale),
        (0.088 * scale, 0.0, 0.036 * scale),
        (0.055 * scale, 0.0, 0.030 * scale),
    ]
    inside = cylinder(0.0535 * scale, 0.029 * scale, 0.034 * scale, rgba(thing.rgb, 0.35))
    return _rod(handle, 0.0095 * scale, look) + inside


def _bottle(thing: Thing, look: str) -> str:
    scale = thing.scale
    cap = (0.9, 0.9, 0.88) if thing.color != "white" else (0.25, 0.25, 0.28)
    label = cylinder(0.0508 * scale, 0.05 * scale, 0.11 * scale, rgba(_paler(thing)))
    return cylinder(0.022 * scale, 0.232 * scale, 0.26 * scale, rgba(cap)) + label


def _can(thing: Thing, look: str) -> str:
    scale = thing.scale
    metal = 'material="gloss" rgba="0.75 0.76 0.78 1"'
    tab = box((0.006 * scale, 0.014 * scale, 0.002), (0, 0, 0.153 * scale), metal)
    rims = cylinder(0.0425 * scale, 0.140 * scale, 0.150 * scale, metal) + cylinder(
        0.0435 * scale, 0.0, 0.008 * scale, metal
    )
    return rims + tab + cylinder(0.0487 * scale, 0.062 * scale, 0.092 * scale, rgba(_paler(thing)))


def _paler(thing: Thing) -> Rgb:
    shade = 0.55 if thing.color == "white" else 0.75
    red, green, blue = (0.55 * value + 0.45 * shade for value in thing.rgb)
    return (red, green, blue)


def _book(thing: Thing, look: str) -> str:
    scale = thing.scale
    wide, deep, thick = 0.105 * scale, 0.08 * scale, 0.0225 * scale
    cover = 0.004 * scale
    paper = 'rgba="0.93 0.91 0.84 1"'
    ink = rgba((0.95, 0.93, 0.85)) if thing.color not in ("white", "yellow") else rgba((0.2,) * 3)
    parts = [
        box((wide, deep, cover), (0, 0, thick * 2 - cover), look),
        box((wide, deep, cover), (0, 0, cover), look),
        box((cover, deep, thick), (-wide + cover, 0, thick), look),
        box((wide - 0.008, deep - 0.006, thick - 2 * cover), (0, 0, thick), paper),
        box((wide * 0.5, deep * 0.16, 0.001), (0, deep * 0.4, thick * 2), ink),
        box((wide * 0.35, deep * 0.06, 0.001), (0, -deep * 0.1, thick * 2), ink),
    ]
    if not thing.upright:
        return "".join(parts)
    # Stand it up, cover to the front and leaning back a little, still centred on its foot.
    lean = f"{thick * 0.9:.4f} {deep:.4f}"
    return f'<body pos="0 {lean}" euler="80 0 0">' + "".join(parts) + "</body>"


def thing_body(index: int, thing: Thing) -> tuple[str, str]:
    """(assets, body) in XML of object number `index`: a mocap body called obj`index`."""
    look = rgba(thing.rgb) + ' material="gloss"'
    assets = ""
    parts = ""
    if thing.name == "ball":
        radius = 0.066 * thing.scale
        parts = f'<geom type="sphere" size="{radius:.4f}" pos="0 0 {radius:.4f}" {look}/>'
    elif thing.name == "cube":
        half = 0.06 * thing.scale
        parts = box((half, half, half), (0, 0, half), look)
    elif thing.name == "book":
        parts = _book(thing, look)
    else:
        assets = turned_mesh(thing.name, thing.scale).replace(
            '<mesh name="', f'<mesh name="{index}_'
        )
        parts = f'<geom type="mesh" mesh="{index}_{mesh_name(thing.name, thing.scale)}" {look}/>'
        extras = {"mug": _mug, "bottle": _bottle, "can": _can}
        if thing.name in extras:
            parts += extras[thing.name](thing, look)
        else:
            parts += cylinder(0.07 * thing.scale, 0.009, 0.0108 * thing.scale, rgba(_paler(thing)))
    return assets, f'<body name="obj{index}" mocap="true">{parts}</body>'
