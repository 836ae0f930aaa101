"""The page of what features, tags and KPIs mean: as the seeds of the organisation say it."""

from __future__ import annotations

import streamlit as st

from llm_spend.answers import insights
from llm_spend.answers.insights import Feature
from llm_spend.bi.glossary import read_seeds
from llm_spend.dashboard.show import table
from llm_spend.dashboard.view import View
from llm_spend.settings import read_settings

_MOST = 1_000


def glossary(view: View) -> None:
    """What words mean."""
    st.title("What words mean")
    st.caption("As your seeds name it. What every number of a table is made of: docs/glossary.md and docs/marts.md.")
    (features,) = view.ask(insights.features(_MOST))
    folder = read_settings().seeds
    seeds = read_seeds(folder)
    st.subheader("Features")
    table(
        [
            (row.feature_id, row.feature_name or "", row.description or "", row.owner or "")
            for row in (Feature(*each) for each in features)
        ],
        {"Feature": "text", "Name": "text", "What it does": "prose", "Owner": "text"},
        empty="No request names a feature, and seeds/mapping/features.csv has none.",
    )
    st.subheader("Tags")
    table(
        [(row["tag_key"], row["meaning"], row["owner"]) for row in seeds.tag_registry],
        {"Tag": "text", "What it says": "prose", "Owner": "text"},
        empty="seeds/mapping/tag_registry.csv has none yet: `llm-spend tags suggest` writes a first one."
        if folder
        else "No folder of seeds was given: name yours by the setting `seeds`.",
    )
    st.subheader("KPIs")
    table(
        [
            (
                row["kpi_name"] or row["kpi_id"], row["meaning"], row["unit"],
                f"{row['numerator']} / {row['denominator']}".replace("_", " "), row["owner"],
            )
            for row in seeds.kpis
        ],
        {"KPI": "text", "What it says": "prose", "Unit": "text", "Made of": "text", "Owner": "text"},
        empty="seeds/mapping/kpis.csv has none.",
    )  # fmt: skip
