"""Between messages and plain values: the only place that knows both."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from std_msgs.msg import Header

from vljepa_ros.msg import Description, LabelScores, ModelInfo, SemanticEmbedding, SemanticShift
from vljepa_ros.runtime import Decoded, EngineInfo, Ranking
from vljepa_ros.streaming import Shift
from vljepa_ros.streaming.stamps import SECOND


def to_nanoseconds(stamp: Time) -> int:
    """Stamp in ns."""
    return int(stamp.sec) * SECOND + int(stamp.nanosec)


def to_time(nanoseconds: int) -> Time:
    """Inverse of `to_nanoseconds`."""
    return Time(sec=nanoseconds // SECOND, nanosec=nanoseconds % SECOND)


def to_header(header: Any) -> Header:
    """Header of a message that `read_image` has read."""
    stamp = Time(sec=int(header.stamp.sec), nanosec=int(header.stamp.nanosec))
    return Header(stamp=stamp, frame_id=header.frame_id)


def to_floats(values: NDArray[Any]) -> array[float]:
    """A float32[] field; the array module is what rclpy copies fastest."""
    return array("f", np.ascontiguousarray(values, dtype=np.float32).tobytes())


def to_vector(values: array[float]) -> NDArray[np.float32]:
    """(D,) view of a float32[] field."""
    return np.asarray(values, dtype=np.float32)


def to_model_info(info: EngineInfo) -> ModelInfo:
    """ModelInfo of an engine."""
    return ModelInfo(
        model_id=info.model_id,
        name=info.name,
        weights_sha256=info.weights_sha256,
        embedding_dim=info.embedding_dim,
        normalized=info.normalized,
        conditioned=info.conditioned,
        decodes=info.decodes,
        input_width=info.input_width,
        input_height=info.input_height,
        window_frames=info.window_frames,
        window_period=info.window_period,
        backend=info.backend,
        device=info.device,
        precision=info.precision,
        fallback=info.fallback,
    )


def to_embedding(
    header: Header, start: int, frames: int, model_id: str, query: str, data: NDArray[Any]
) -> SemanticEmbedding:
    """SemanticEmbedding of a window; `start` in ns, `data` (D,)."""
    return SemanticEmbedding(
        header=header,
        window_start=to_time(start),
        window_frames=frames,
        model_id=model_id,
        query=query,
        data=to_floats(data),
    )


def to_label_scores(
    header: Header, query: str, labels: tuple[str, ...], ranking: Ranking, model_id: str
) -> LabelScores:
    """LabelScores of a ranking."""
    return LabelScores(
        header=header,
        query=query,
        labels=list(labels),
        scores=to_floats(ranking.scores),
        similarities=to_floats(ranking.similarities),
        model_id=model_id,
    )


def to_shift(shift: Shift, newest: SemanticEmbedding) -> SemanticShift:
    """SemanticShift of a gate's segment.

    Args:
        shift: the segment.
        newest: embedding of the stream. A segment that is sent on request may have ended before.
    """
    header = Header(stamp=to_time(shift.segment_end), frame_id=newest.header.frame_id)
    embedding = to_embedding(
        header,
        shift.segment_start,
        newest.window_frames,
        newest.model_id,
        newest.query,
        shift.embedding,
    )
    return SemanticShift(
        header=header,
        segment_id=shift.segment_id,
        segment_start=embedding.window_start,
        segment_end=to_time(shift.segment_end),
        embeddings=shift.embeddings,
        trigger=int(shift.trigger),
        score=float(shift.score),
        threshold=float(shift.threshold),
        embedding=embedding,
    )


def to_description(shift: SemanticShift, decoded: Decoded) -> Description:
    """Description of a shift."""
    return Description(
        header=shift.header,
        segment_id=shift.segment_id,
        segment_start=shift.segment_start,
        segment_end=shift.segment_end,
        query=shift.embedding.query,
        text=decoded.text,
        confidence=decoded.confidence,
        model_id=shift.embedding.model_id,
    )
