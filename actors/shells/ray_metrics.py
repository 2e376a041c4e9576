"""Figures of a live system in Ray's metrics, which Prometheus reads at each node."""

from __future__ import annotations

from typing import Any

from ray.util.metrics import Gauge

from ..page.metrics import METRICS, Labels, labels_of, samples_of


class RayMetrics:
    """Takes states of a live system, in a process of Ray's, and sets a gauge for each figure.

    Prometheus finds them under Ray's prefix: `ray_headrace_live_orders`. Each has the label `system`: the instance's
    reference. A figure that is gone, such as that of a host that has ended, is set to 0: Ray forgets none.
    """

    def __init__(self) -> None:
        self._gauges = {
            name: Gauge(name, description=what, tag_keys=("system", *labels_of(name))) for name, what in METRICS.items()
        }
        self._known: dict[tuple[str, Labels, str], None] = {}

    def __call__(self, state: dict[str, Any]) -> None:
        system = str(state.get("reference") or "")
        gone = dict(self._known)
        for metric, labels, value in samples_of(state):
            key = metric, labels, system
            self._known[key] = None
            gone.pop(key, None)
            self._gauges[metric].set(value, {"system": system, **dict(labels)})
        for metric, labels, of in gone:
            self._gauges[metric].set(0.0, {"system": of, **dict(labels)})
            del self._known[metric, labels, of]
