"""Alerts: a job that is the command `llm-spend alerts`, and the sensor that starts it when quotas were computed."""

import subprocess
import sys

import dagster as dg

from .place import Place

BREACHES = "llm_quota_breaches"


def alerts_of(place: Place) -> tuple[dg.JobDefinition, dg.SensorDefinition]:
    """The job and its sensor. Who is told what, and what was told already, the command knows."""
    settings = place.settings

    @dg.op(name="send_alerts", retry_policy=dg.RetryPolicy(max_retries=2, delay=300))
    def send(context: dg.OpExecutionContext) -> None:
        where = ["--destination", settings.destination, "--database", str(settings.database)]
        command = [sys.executable, "-m", "llm_spend", "alerts", "--json", *where]
        done = subprocess.run(command, capture_output=True, text=True)
        context.log.info(done.stdout)
        if done.returncode:
            raise dg.Failure(f"llm-spend alerts ended with exit code {done.returncode}: {done.stderr.strip()}")

    @dg.job(name="alerts", description="Tell each target what reached a threshold and was not told yet.")
    def alerts() -> None:
        send()

    @dg.asset_sensor(
        asset_key=dg.AssetKey([place.destination.schemas.public, BREACHES]),
        job=alerts,
        name="alerts_after_quotas",
        description=f"Runs alerts when {BREACHES} was built.",
    )
    def after_quotas(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if not (settings.alert_urls or settings.metrics_file):
            return dg.SkipReason("Nobody is there to be alerted: see docs/alerts.md.")
        return dg.RunRequest(run_key=context.cursor)

    return alerts, after_quotas
