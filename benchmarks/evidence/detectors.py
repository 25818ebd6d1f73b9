"""When to decode a stream of embeddings, and what: evenly, by clustering, or at changes.

Embeddings are (T, D) of unit length, one each `period` s. Offline ways look at all of them first;
causal ones take them as they come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import ruptures
import torch
from bayesian_changepoint_detection import constant_hazard
from bayesian_changepoint_detection.online_likelihoods import MultivariateT
from bayesian_changepoint_detection.streaming import OnlineChangepointDetector
from numpy.typing import NDArray
from scipy.sparse import diags_array
from sklearn.cluster import AgglomerativeClustering
from sklearn.decomposition import PCA

from vljepa_ros.streaming import ChangeGate, GateConfig, Memory, Trigger
from vljepa_ros.streaming.segment import distance

Embeddings = NDArray[np.float32]  # (T, D)
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Decode:
    """An embedding that is to become text.

    Attributes:
        time: s, stamp of the embedding at which it is decoded; offline, of the segment's middle.
        start: s, stamp of the first of the embeddings that it averages.
        end: s, stamp of the last.
        embedding: (D,).
        change: whether it stands for a change, and not for a stream's opening, a silence or a
            clock.
        decoded: whether it costs a decode; if not, the text of the embedding is known.
    """

    time: float
    start: float
    end: float
    embedding: Embeddings
    change: bool = False
    decoded: bool = True


def uniform(embeddings: Embeddings, period: float, number: int, pooled: bool) -> list[Decode]:
    """`number` segments of equal length, each told by its middle embedding or its mean."""
    edges = np.linspace(0, len(embeddings), min(number, len(embeddings)) + 1).round().astype(int)
    return _of_segments(embeddings, period, edges, pooled)


def ward(embeddings: Embeddings, period: float, number: int, pooled: bool) -> list[Decode]:
    """The paper's way (section 4.6): Ward clustering into `number` segments of neighbours."""
    if number >= len(embeddings):
        return uniform(embeddings, period, number, pooled)
    return _ward(embeddings, period, pooled, n_clusters=number)


def ward_by_height(
    embeddings: Embeddings, period: float, height: float, pooled: bool
) -> list[Decode]:
    """The same, but cut at one height of the tree: as many segments as a stream has content."""
    return _ward(embeddings, period, pooled, n_clusters=None, distance_threshold=height)


def _ward(
    embeddings: Embeddings, period: float, pooled: bool, **cut: float | None
) -> list[Decode]:
    total = len(embeddings)
    chain = diags_array([np.ones(total - 1)] * 2, offsets=[-1, 1])
    clustering = AgglomerativeClustering(linkage="ward", connectivity=chain, **cut)
    labels = clustering.fit_predict(embeddings)
    edges = np.concatenate([[0], np.flatnonzero(np.diff(labels)) + 1, [total]])
    return _of_segments(embeddings, period, edges, pooled)


def kernel_segments(
    embeddings: Embeddings, period: float, penalty: float, pooled: bool
) -> list[Decode]:
    """Offline bound: the segmentation of least squared deviation plus `penalty` for each.

    Exact by dynamic programming with pruning (Arlot et al. 2019, Killick et al. 2012).
    """
    search = ruptures.KernelCPD(kernel="linear", min_size=1)
    ends = search.fit(embeddings.astype(np.float64)).predict(pen=penalty)
    return _of_segments(embeddings, period, np.array([0, *ends]), pooled)


def gate(embeddings: Embeddings, period: float, config: GateConfig) -> list[Decode]:
    """Our causal gate, fed as its node feeds it; each shift is decoded, as by the decoder."""
    watching, decodes = ChangeGate(config), []
    for number, embedding in enumerate(embeddings):
        stamp = round(number * period * 1e9)
        shift = watching.update(stamp, embedding)
        if shift is not None:
            times = (stamp / 1e9, shift.segment_start / 1e9, shift.segment_end / 1e9)
            change = shift.trigger == Trigger.SHIFT
            decodes.append(Decode(*times, shift.embedding, change))
    return decodes


def remembered(decodes: Sequence[Decode], within: float) -> list[Decode]:
    """The same, but what means the same as something decoded earlier gets the text of that."""
    memory, found = Memory[Embeddings](within), []
    for decode in decodes:
        known = memory.recall(decode.embedding)
        if known is None:
            memory.keep(decode.embedding, decode.embedding)
            found.append(decode)
        else:
            found.append(replace(decode, embedding=known, decoded=False))
    return found


def ewma(
    embeddings: Embeddings, period: float, threshold: float, rate: float, wait: int
) -> list[Decode]:
    """Control chart of the exponentially weighted mean distance (Roberts 1959).

    Args:
        embeddings: (T, D).
        period: s.
        threshold: of the chart.
        rate: weight of the newest distance, in (0, 1].
        wait: embeddings that are averaged from the alarm on, and then decoded.
    """
    return _chart(embeddings, period, lambda z, d: z + rate * (d - z), threshold, wait)


def cusum(
    embeddings: Embeddings, period: float, threshold: float, slack: float, wait: int
) -> list[Decode]:
    """One-sided cumulative sum of the distance above `slack` (Page 1954); else as `ewma`."""
    return _chart(embeddings, period, lambda z, d: max(0.0, z + d - slack), threshold, wait)


def _chart(
    embeddings: Embeddings,
    period: float,
    follow: Callable[[float, float], float],
    threshold: float,
    wait: int,
) -> list[Decode]:
    """Watch a statistic of the distance 1 - cosine to the mean of the running segment."""
    rows = embeddings.astype(np.float64)
    starts, begun, statistic = [0], 0, 0.0
    total = rows[0].copy()
    for number, row in enumerate(rows):
        if number >= begun + wait:
            statistic = follow(statistic, distance(row, total))
            if statistic > threshold:
                starts.append(number)
                begun, statistic, total = number, 0.0, np.zeros_like(row)
        total += row
    return _from_starts(embeddings, period, [(s, s + wait - 1) for s in starts])


@dataclass(frozen=True)
class RunLengths:
    """Bayesian online change-point detection (Adams & MacKay 2007) of the projected embeddings.

    Attributes:
        pca: fitted on other streams.
        noise: (K, K) covariance of what changes from one embedding to the next, projected.
    """

    pca: PCA
    noise: Array

    @classmethod
    def fit(cls, streams: Iterable[Embeddings], dims: int) -> RunLengths:
        """Fit the projection on streams of embeddings."""
        rows = list(streams)
        pca = PCA(dims).fit(np.concatenate(rows))
        steps = np.concatenate([np.diff(pca.transform(row), axis=0) for row in rows])
        return cls(pca, np.cov(steps.T) / 2 + 1e-6 * np.eye(dims))

    def posterior(
        self, embeddings: Embeddings, hazard: float, noise: float = 1.0
    ) -> NDArray[np.float32]:
        """(T, T + 1) probability after each embedding that the segment has r of them so far.

        Args:
            embeddings: (T, D).
            hazard: share of the embeddings that begin a segment, a priori.
            noise: times the covariance, which is too small where windows of embeddings that
                follow each other share frames.
        """
        dims = self.pca.n_components
        precision = torch.from_numpy(np.linalg.inv(noise * self.noise) / (dims + 2)).float()
        model = MultivariateT(dims, dof=dims + 2, kappa=0.05, scale=precision)
        detector = OnlineChangepointDetector(partial(constant_hazard, 1 / hazard), model)
        rows = np.zeros((len(embeddings), len(embeddings) + 1), np.float32)
        for number, projected in enumerate(self.pca.transform(embeddings)):
            found = detector.update(torch.from_numpy(projected).float())
            rows[number, : len(found)] = found.numpy()
        return rows


def bayesian(
    embeddings: Embeddings, period: float, posterior: NDArray[np.float32], wait: int
) -> list[Decode]:
    """Decode when a newer segment has more likely begun than not, and is not too young.

    Args:
        embeddings: (T, D).
        period: s.
        posterior: of `RunLengths`, whose hazard says how readily.
        wait: embeddings that a segment must have.
    """
    segments = [(0, wait - 1)]
    begun = 0
    for number in range(wait, len(embeddings)):
        # A segment that has r embeddings began at number + 1 - r.
        new = posterior[number, wait : number + 1 - begun]
        if new.sum() > 0.5:
            begun = number + 1 - (wait + int(new.argmax()))
            segments.append((begun, number))
    return _from_starts(embeddings, period, segments)


def _of_segments(
    embeddings: Embeddings, period: float, edges: NDArray[np.int64], pooled: bool
) -> list[Decode]:
    """Decodes at the middle of each segment from one edge to before the next."""
    decodes = []
    for first, after in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        middle = (first + after - 1) / 2
        exact = int(middle)
        if pooled:
            mean = _mean(embeddings[first:after])
            times = (middle * period, first * period, (after - 1) * period)
            decodes.append(Decode(*times, mean))
        else:
            decodes.append(Decode(*[exact * period] * 3, embeddings[exact]))
    return decodes


def _from_starts(
    embeddings: Embeddings, period: float, segments: list[tuple[int, int]]
) -> list[Decode]:
    """Decodes of the means from `first` to `last`, at `last`; all but the opening are changes."""
    return [
        Decode(
            last * period,
            first * period,
            last * period,
            _mean(embeddings[first : last + 1]),
            change=place > 0,
        )
        for place, (first, last) in enumerate(segments)
        if last < len(embeddings)
    ]


def _mean(embeddings: Embeddings) -> Embeddings:
    mean = embeddings.mean(0)
    return (mean / np.linalg.norm(mean)).astype(np.float32)
