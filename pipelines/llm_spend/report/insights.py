"""What the report says about what to do: forecasts, anomalies, savings, value, tags. The dearest of each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from llm_spend.answers import insights as asked
from llm_spend.answers.insights import (
    Anomaly,
    Candidate,
    CandidateKind,
    Coverage,
    Design,
    Feature,
    Finding,
    Forecast,
    Kpi,
    ModelCost,
    Switch,
)
from llm_spend.answers.marts import Marts
from llm_spend.bi.glossary import Seeds, read_seeds
from llm_spend.months import next_month

TABLES = frozenset(
    {
        asked.FORECAST,
        asked.ANOMALIES,
        asked.MODELS,
        asked.CANDIDATES,
        asked.SWITCHES,
        asked.ECONOMICS,
        asked.DESIGNS,
        asked.TAG_AUDIT,
        asked.TAG_COVERAGE,
        asked.FEATURES,
    }
)
"""What it reads."""

_FORECASTS, _ANOMALIES, _MODELS, _CANDIDATES, _SWITCHES, _FINDINGS = 5, 15, 15, 15, 12, 15
_FEATURES, _CUSTOMERS = 12, 8
_WORDS = 100


@dataclass(frozen=True)
class Insights:
    """Of the month, but for forecasts, findings and words, which are of now. Lists are cut.

    `anomalies_in_all` counts each once, `has_own_seeds` says whether a folder of seeds was given.
    """

    forecasts: tuple[Forecast, ...]
    anomalies: tuple[Anomaly, ...]
    anomalies_in_all: int
    model_costs: tuple[ModelCost, ...]
    candidate_kinds: tuple[CandidateKind, ...]
    candidates: tuple[Candidate, ...]
    switches: tuple[Switch, ...]
    kpis: tuple[Kpi, ...]
    designs: tuple[Design, ...]
    coverage: tuple[Coverage, ...]
    findings: tuple[Finding, ...]
    features: tuple[Feature, ...]
    seeds: Seeds
    has_own_seeds: bool


def read_insights(marts: Marts, month: date, seeds: Path | None) -> Insights:
    """Those of the month that begins on this day; what words mean is read from a folder of seeds."""
    end = next_month(month)
    models = [ModelCost(*row) for row in marts.ask(asked.model_costs(month, end))]
    members = (("total", 1), ("feature", _FEATURES), ("customer", _CUSTOMERS))
    return Insights(
        forecasts=tuple(Forecast(*row) for row in marts.ask(asked.forecasts(_FORECASTS))),
        anomalies=tuple(Anomaly(*row) for row in marts.ask(asked.anomalies(month, end, _ANOMALIES, only_widest=True))),
        anomalies_in_all=sum(number for _, number in marts.ask(asked.anomaly_counts(month, end))),
        model_costs=tuple(asked.with_total(models, _MODELS)),
        candidate_kinds=tuple(CandidateKind(*row) for row in marts.ask(asked.candidate_kinds(month))),
        candidates=tuple(Candidate(*row) for row in marts.ask(asked.candidates(month, _CANDIDATES))),
        switches=tuple(Switch(*row) for row in marts.ask(asked.switches(month, _SWITCHES))),
        kpis=tuple(Kpi(*row) for kind, most in members for row in marts.ask(asked.kpis(month, kind, most))),
        designs=tuple(Design(*row) for row in marts.ask(asked.designs(month))),
        coverage=tuple(Coverage(*row) for row in marts.ask(asked.tag_coverage(month))),
        findings=tuple(Finding(*row) for row in marts.ask(asked.tag_findings(_FINDINGS))),
        features=tuple(Feature(*row) for row in marts.ask(asked.features(_WORDS))),
        seeds=read_seeds(seeds),
        has_own_seeds=seeds is not None,
    )
