"""Cabinet, box, lamp and arm as MuJoCo XML; joints are posed, never simulated."""

from vljepa_ros.training.tabletop.arm import FORE, GRIPPER, SHOULDER, UPPER
from vljepa_ros.training.tabletop.layout import BACK_Y, Layout, Rgb
from vljepa_ros.training.tabletop.shapes import box, cylinder, mesh_name, rgba, turned_mesh

DRAWER_TRAVEL = 0.17  # m
LID_ANGLE = 1.85  # rad
SHADE_HEIGHT = 0.34  # m, underside of the lamp's shade


def cabinet(x: float, color: Rgb) -> str:
    """A low cabinet with one drawer; joint `drawer`, metres towards the camera."""
    wood, dark = rgba(color), rgba(color, 0.35)
    wide, deep, high, wall = 0.155, 0.13, 0.12, 0.010
    front = -deep
    shell = [
        box((wide, deep, wall), (0, 0, 2 * high), wood),
        box((wide, deep, wall), (0, 0, wall), wood),
        box((wall, deep, high), (-wide + wall, 0, high), wood),
        box((wall, deep, high), (wide - wall, 0, high), wood),
        box((wide, wall, high), (0, deep - wall, high), dark),
    ]
    inner = wide - 2 * wall - 0.004
    tray = [
        box((inner, 0.010, high - 2 * wall - 0.003), (0, front + 0.006, high), rgba(color, 1.12)),
        box((inner - 0.01, deep - 0.02, 0.005), (0, 0, 0.035), dark),
        box((0.006, deep - 0.02, 0.06), (-inner + 0.012, 0, 0.09), rgba(color, 0.75)),
        box((0.006, deep - 0.02, 0.06), (inner - 0.012, 0, 0.09), rgba(color, 0.75)),
        box((inner - 0.01, 0.006, 0.06), (0, deep - 0.03, 0.09), rgba(color, 0.6)),
        box((0.055, 0.008, 0.010), (0, front - 0.022, high + 0.02), 'rgba="0.2 0.2 0.22 1"'),
        box((0.006, 0.012, 0.008), (-0.045, front - 0.01, high + 0.02), 'rgba="0.2 0.2 0.22 1"'),
        box((0.006, 0.012, 0.008), (0.045, front - 0.01, high + 0.02), 'rgba="0.2 0.2 0.22 1"'),
    ]
    return (
        f'<body pos="{x} {BACK_Y} 0">{"".join(shell)}<body>'
        '<joint name="drawer" type="slide" axis="0 -1 0"/>'
        f"{''.join(tray)}</body></body>"
    )


def lidded_box(x: float, color: Rgb) -> str:
    """An open box whose lid turns on its back edge; joint `lid`, rad."""
    paint, dark = rgba(color), rgba(color, 0.3)
    wide, deep, high, wall = 0.145, 0.105, 0.075, 0.008
    walls = [
        box((wide, deep, 0.006), (0, 0, 0.006), dark),
        box((wide, wall, high), (0, -deep + wall, high), paint),
        box((wide, wall, high), (0, deep - wall, high), rgba(color, 0.6)),
        box((wall, deep, high), (-wide + wall, 0, high), paint),
        box((wall, deep, high), (wide - wall, 0, high), paint),
        box((wide - 2 * wall, deep - 2 * wall, 0.002), (0, 0, 0.016), 'rgba="0.06 0.05 0.05 1"'),
    ]
    lid = [
        box((wide + 0.008, deep + 0.008, 0.009), (0, -deep, 0.009), rgba(color, 1.15)),
        box((0.022, 0.008, 0.014), (0, -2 * deep - 0.012, 0.0), 'rgba="0.85 0.72 0.3 1"'),
        box((wide, deep, 0.002), (0, -deep, -0.001), rgba(color, 0.45)),
    ]
    return (
        f'<body pos="{x} {BACK_Y - 0.02} 0">{"".join(walls)}'
        f'<body pos="0 {deep} {2 * high}"><joint name="lid" type="hinge" axis="-1 0 0"/>'
        f"{''.join(lid)}</body></body>"
    )


def lamp(x: float, color: Rgb) -> tuple[str, str]:
    """(assets, body) of a table lamp: material `shade`, light `lamp`."""
    metal = 'rgba="0.25 0.25 0.27 1"'
    red, green, blue = color
    assets = turned_mesh("shade", 1.0) + (
        f'<material name="shade" rgba="{red:.3f} {green:.3f} {blue:.3f} 1"/>'
    )
    body = (
        f'<body pos="{x} {BACK_Y} 0">{cylinder(0.075, 0, 0.018, metal)}'
        f"{cylinder(0.010, 0.018, SHADE_HEIGHT + 0.02, metal)}"
        f'<geom type="mesh" mesh="{mesh_name("shade", 1.0)}" material="shade" '
        f'pos="0 0 {SHADE_HEIGHT}"/>'
        f'<light name="lamp" pos="0 -0.06 {SHADE_HEIGHT + 0.25}" dir="0 -0.35 -1" cutoff="85" '
        'exponent="1" attenuation="1 0 0.6" castshadow="false" diffuse="0.75 0.66 0.45" '
        'specular="0.2 0.2 0.15" active="false"/></body>'
    )
    return assets, body


def robot_arm(layout: Layout) -> str:
    """The arm; joints yaw, shoulder, elbow, wrist, roll, then one per finger."""
    shell, trim = (rgba(color) + ' material="gloss"' for color in layout.room.arm_colors)
    x, y = layout.arm_base

    def link(length: float, radius: float, look: str) -> str:
        return (
            f'<geom type="capsule" size="{radius}" fromto="0 0 0 {length} 0 0" {look}/>'
            f'<geom type="cylinder" size="{radius * 1.35} {radius * 1.2}" euler="90 0 0" {trim}/>'
        )

    finger = GRIPPER - 0.085

    def one_finger(side: int) -> str:
        return (
            f'<body><joint type="slide" axis="0 {side} 0"/>'
            + box((0.012, 0.008, 0.012), (0.085, side * 0.008, 0), trim)
            + box((finger / 2, 0.008, 0.015), (0.085 + finger / 2, side * 0.009, 0), trim)
            + "</body>"
        )

    hinge = '<joint type="hinge" axis="0 1 0"/>'
    hand = (
        f'<body pos="{FORE} 0 0">{hinge}<body><joint type="hinge" axis="1 0 0"/>'
        f'<geom type="cylinder" size="0.034 0.035" pos="0.035 0 0" euler="0 90 0" {shell}/>'
        + box((0.012, 0.085, 0.026), (0.075, 0, 0), trim)
        + one_finger(1)
        + one_finger(-1)
        + "</body></body>"
    )
    return (
        f'<body pos="{x} {y} 0">{cylinder(0.085, 0, 0.05, trim)}'
        f"{cylinder(0.062, 0.05, SHOULDER - 0.03, shell)}"
        f'<body pos="0 0 {SHOULDER}"><joint type="hinge" axis="0 0 1"/>'
        f"<body>{hinge}{link(UPPER, 0.046, shell)}"
        f'<body pos="{UPPER} 0 0">{hinge}{link(FORE, 0.038, shell)}{hand}</body>'
        "</body></body></body>"
    )
