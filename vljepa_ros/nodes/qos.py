"""Quality-of-service profiles, by what they are for."""

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

# Results: none may be lost, and a slow reader must not hold up the camera. A frame has one for
# each standing query, all at once. So there may be no more queries than places: of more, a reader
# would lose the first ones of every frame without a word.
RESULTS = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=100, reliability=ReliabilityPolicy.RELIABLE
)

# Facts that do not change: whoever comes late still gets them.
LATCHED = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)


def newest_only(reliability: ReliabilityPolicy) -> QoSProfile:
    """For images: one place, so that an old frame never waits before a newer one."""
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=reliability)
