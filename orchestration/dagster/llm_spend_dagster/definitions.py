"""What Dagster loads: `dagster dev -m llm_spend_dagster.definitions`, in the folder with `.dlt/config.toml`."""

import dagster as dg

from llm_spend.settings import Settings, read_settings

from .alerts import alerts_of
from .loads import days_of, load_assets, writers
from .place import Place, told
from .tables import table_assets

DAILY = "30 4 * * *"


def definitions(settings: Settings) -> dg.Definitions:
    """The sources of the settings, the tables of the project, a run of all of them every day, and alerts after it."""
    place = Place(settings)
    with told():
        loads = load_assets(place)
    tables = table_assets(place, writers(loads))
    days = days_of(settings.sources)
    daily = dg.define_asset_job(
        "daily", dg.AssetSelection.assets(*loads, tables), partitions_def=days, description="llm-spend run"
    )

    @dg.schedule(job=daily, cron_schedule=DAILY, execution_timezone="UTC")
    def every_day(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        """A missed day needs no run of its own: the next one loads what is not there yet."""
        day = f"{context.scheduled_execution_time:%Y-%m-%d}"
        return dg.RunRequest(run_key=day, partition_key=day if days else None)

    alerts, after_quotas = alerts_of(place)
    return dg.Definitions(
        assets=[*loads, tables],
        jobs=[daily, alerts],
        schedules=[every_day],
        sensors=[after_quotas],
        # One step after the other: there is one writer, and a process for each would only take its time to start.
        executor=dg.in_process_executor,
    )


defs = definitions(read_settings())
