"""Metrics of a live system: the figures of its state, and where Prometheus reads them."""

from __future__ import annotations

import time
import urllib.request

import pytest

from headrace.actors.page.metrics import METRICS, Labels, labels_of, samples_of
from live_states import market, order, state


def test_each_figure_has_its_metric_and_labels() -> None:
    found = list(samples_of(state(orders=[order(1), order(2, in_doubt=True)])))
    assert {each.metric for each in found} == set(METRICS)
    for metric, labels, _ in found:
        assert tuple(name for name, _ in labels) == labels_of(metric)
    values = {(metric, *(value for _, value in labels)): value for metric, labels, value in found}
    assert len(values) == len(found)
    assert values["headrace_markets",] == 3
    assert values["headrace_live_orders",] == 2
    assert values["headrace_orders_in_doubt",] == 1
    assert values["headrace_strategy_exposure", "BackTheFavourite"] == 14.5
    assert values["headrace_strategy_profit", "BackTheFavourite"] == 2.25
    assert values["headrace_strategy_live_orders", "LayTheField"] == 1
    assert values["headrace_account_funds", "alice", "Betfair"] == 985.5
    assert values["headrace_stream_connected", "s1"] == 1
    assert values["headrace_host_behind", "h3"] == 3
    assert values["headrace_latency_ms", "0.99", "order"] == 120.9


def test_what_a_state_does_not_say_is_left_out() -> None:
    names: dict[str, Labels] = {each.metric: each.labels for each in samples_of({"clients": [{"funds": None}]})}
    assert set(names) == {
        f"headrace_{each}" for each in ("placing_allowed", "markets", "live_orders", "orders_in_doubt")
    }


@pytest.mark.slow
@pytest.mark.ray
def test_prometheus_reads_them_at_rays_node(ray_local: None) -> None:
    import ray

    from headrace.actors.shells.ray_metrics import RayMetrics

    metrics = RayMetrics()
    metrics(state(hosts=[{"name": "h9", "depth": 3}]))
    metrics(state(markets=[market(strategy="X", profit=7.25)], hosts=[]))
    here = ray.get_runtime_context().get_node_id()
    (node,) = (each for each in ray.nodes() if each["NodeID"] == here)
    address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    wanted = {
        "ray_headrace_strategy_profit{": 7.25,
        "ray_headrace_host_depth{": 0.0,
    }
    end = time.monotonic() + 60
    while wanted:
        assert time.monotonic() < end, wanted
        time.sleep(0.5)
        with urllib.request.urlopen(address, timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        for line in lines:
            for start, value in list(wanted.items()):
                ours = line.startswith(start) and 'system="trader1"' in line
                if ours and ('strategy="X"' in line or 'host="h9"' in line) and float(line.split()[-1]) == value:
                    del wanted[start]
