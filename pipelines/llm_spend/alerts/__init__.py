"""Alerts: what reached a threshold of its quota or budget, and anomalies, said once to each target; gauges beside."""

from llm_spend.alerts.metrics import write_metrics
from llm_spend.alerts.report import render, to_json
from llm_spend.alerts.send import Report, Rules, send, utc_now
from llm_spend.alerts.targets import targets

__all__ = ["Report", "Rules", "render", "send", "targets", "to_json", "utc_now", "write_metrics"]
