"""Inverse kinematics of the arm: a turning base, two links, a gripper that points down."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vljepa_ros.errors import InputError

UPPER = 0.56  # m, shoulder to elbow
FORE = 0.56  # m, elbow to wrist
SHOULDER = 0.24  # m, height of the shoulder over the table
GRIPPER = 0.20  # m, wrist to fingertips
OPEN_MAX = 0.125  # m, half the widest distance between the fingers


@dataclass(frozen=True)
class ArmPose:
    """Joint angles in rad, in the order of the model's joints; `opening` in m per finger."""

    yaw: float
    shoulder: float
    elbow: float
    wrist: float
    roll: float
    opening: float

    def qpos(self) -> NDArray[np.float64]:
        """(7,) joint positions as the model wants them; both fingers mirror each other."""
        joints = [self.yaw, self.shoulder, self.elbow, self.wrist, self.roll]
        return np.array([*joints, self.opening, self.opening])


def solve(base: tuple[float, float], tip: NDArray[np.float64], opening: float) -> ArmPose:
    """Pose that brings the point between the fingertips to `tip`, elbow up.

    The fingers open along the table's x. `base`: (x, y) of the arm in m; `tip`: (3,) in m.
    Raises InputError where the arm cannot reach.
    """
    out = np.hypot(tip[0] - base[0], tip[1] - base[1])
    yaw = float(np.arctan2(tip[1] - base[1], tip[0] - base[0]))
    rise = tip[2] + GRIPPER - SHOULDER
    reach = np.hypot(out, rise)
    if not abs(UPPER - FORE) < reach < UPPER + FORE:
        raise InputError(f"the arm at {base} cannot reach {tip.tolist()}: {reach:.2f} m away")
    lift = np.arccos((UPPER**2 + reach**2 - FORE**2) / (2 * UPPER * reach))
    upper = float(np.arctan2(rise, out) + lift)
    fore = float(np.arctan2(rise - UPPER * np.sin(upper), out - UPPER * np.cos(upper)))
    # A hinge about +y turns +x down, hence the signs; the gripper's own direction is -pi/2.
    roll = (yaw + np.pi / 2 + np.pi) % (2 * np.pi) - np.pi
    return ArmPose(
        yaw=yaw,
        shoulder=-upper,
        elbow=upper - fore,
        wrist=fore + np.pi / 2,
        roll=roll,
        opening=min(opening, OPEN_MAX),
    )
