"""The command: reads flags, calls the modules that do the work, shows what they report.

Exit codes: 0 done; 1 it failed, the message says why; 2 wrong usage; 3 done, but some lines could not be read and are
in quarantine; 4 the tables were built, but a test says that their numbers can't be trusted; 5 done, but an alert could
not be sent, or the file of metrics or for readers not be written.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from llm_spend import log
from llm_spend.errors import UserError
from llm_spend.export import FocusFormat, FocusVersion, Format, Mode
from llm_spend.settings import Settings, SourceSettings, read_settings

if TYPE_CHECKING:
    from llm_spend.bi.write import Written
    from llm_spend.dbt_process import DbtProcess
    from llm_spend.destinations import Destination
    from llm_spend.export.write import Exported
    from llm_spend.load import LoadReport

FAILED, QUARANTINED, UNTRUSTED, NOT_ALERTED = 1, 3, 4, 5

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__.split("\n")[0]
)
prices_app = typer.Typer(no_args_is_help=True, help="The price seeds.")
quotas_app = typer.Typer(no_args_is_help=True, help="Quota rule files.")
app.add_typer(prices_app, name="prices")
app.add_typer(quotas_app, name="quotas")
tags_app = typer.Typer(no_args_is_help=True, help="Tags of LLM calls: in code and config, and the registry of them.")
app.add_typer(tags_app, name="tags")
export_app = typer.Typer(no_args_is_help=True, help="Statements as files, what BI tools read, and what was loaded.")
app.add_typer(export_app, name="export")

# Tables are made for 100 columns; into a file or a pipe there is no terminal to be narrower.
out = Console(width=None if sys.stdout.isatty() else 100)
err = Console(stderr=True)

Where = Annotated[str | None, typer.Option("--destination", help="duckdb, snowflake or bigquery.")]
Database = Annotated[Path | None, typer.Option("--database", "-d", help="The DuckDB file.")]
Seeds = Annotated[Path | None, typer.Option(help="A folder with your own seed files.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
FullRefresh = Annotated[bool, typer.Option("--full-refresh", help="Build everything again from the raw tables.")]
Source = Annotated[str | None, typer.Argument(help="As in docs/sources.md; none: all configured.")]
Paths = Annotated[str | None, typer.Option("--path", help="Files, wildcard or bucket URL (s3://, gs://, az://).")]
Instance = Annotated[str | None, typer.Option(help="Which workspace, tenant or proxy the logs are from.")]
ExportFolder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the export.")]
Period = Annotated[str, typer.Argument(help="YYYY-MM")]
FileFormat = Annotated[Format, typer.Option("--format", help="html is to read and to print.")]
Output = Annotated[Path, typer.Option(help="The folder for the files, which replace those of the same name.")]
Manifest = Annotated[
    Path | None, typer.Option(help="manifest.json of your own dbt project, if the package is installed there.")
]
Providers = Annotated[str | None, typer.Option(help="Some, as a,b, or all; those that make models if not given.")]
AsOf = Annotated[str | None, typer.Option(help="YYYY-MM-DD on which changes are seen; today if not given.")]
Api = Annotated[bool, typer.Option("--api", help="Ask the API of the source instead of reading files.")]
Since = Annotated[str | None, typer.Option(help="YYYY-MM-DD: with --api, the first day that is wanted.")]
Until = Annotated[str | None, typer.Option(help="YYYY-MM-DD: with --since, the last day that is wanted.")]
Again = Annotated[bool, typer.Option("--again", help="With --api, ask anew for what is loaded, from --since on.")]
MappingFile = Annotated[Path | None, typer.Option("--mapping", help="Mapping file of a generic log.")]


@app.callback()
def _main(verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False) -> None:
    log.configure(err, verbose=verbose)


@app.command()
def load(
    source: Source = None,
    path: Paths = None,
    api: Api = False,
    since: Since = None,
    until: Until = None,
    again: Again = False,
    instance: Instance = None,
    mapping: MappingFile = None,
    destination: Where = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Load log files, or ask an API; what was loaded and has not changed since is skipped."""
    settings = read_settings(destination=destination, database=database)
    first, last = _day(since), _day(until)
    if last and not (first and first <= last):
        raise UserError("--until ends what begins with --since.", "Give both, with --api, in their order.")
    sources = _sources(settings, source, path, instance, mapping, api=api, since=first, again=again)
    with _writing(settings):
        reports = _load(settings, sources, until=last, again=again, quiet=as_json)
    if as_json:
        _print_json(reports)
    raise typer.Exit(_load_code(reports))


@app.command()
def build(
    destination: Where = None,
    database: Database = None,
    seeds: Seeds = None,
    full_refresh: FullRefresh = False,
    as_json: Json = False,
) -> None:
    """Build and test all tables with dbt."""
    settings = read_settings(destination=destination, database=database, seeds=seeds)
    with _writing(settings):
        report = _build(settings, full_refresh, quiet=as_json)
        publish_code = _publish_after(settings, report, quiet=as_json)
    if as_json:
        _print_json(asdict(report))
    raise typer.Exit(_build_code(report) or publish_code)


@app.command()
def run(
    source: Source = None,
    path: Paths = None,
    api: Api = False,
    since: Since = None,
    again: Again = False,
    instance: Instance = None,
    mapping: MappingFile = None,
    destination: Where = None,
    database: Database = None,
    seeds: Seeds = None,
    full_refresh: FullRefresh = False,
    as_json: Json = False,
) -> None:
    """Load, build, and send alerts if targets are configured: what a scheduler calls."""
    from llm_spend.dbt_process import DbtProcess

    settings = read_settings(destination=destination, database=database, seeds=seeds)
    sources = _sources(settings, source, path, instance, mapping, api=api, since=_day(since), again=again)
    with _writing(settings):
        with DbtProcess(settings.destination) as dbt:
            loads = _load(settings, sources, again=again, quiet=as_json)
            report = _build(settings, full_refresh, quiet=as_json, dbt=dbt)
        publish_code = _publish_after(settings, report, quiet=as_json)
        alerted, alerts_code = _alert_after(settings, report, quiet=as_json)
    if as_json:
        _print_json({"loads": loads, "build": asdict(report), "alerts": alerted})
    raise typer.Exit(_build_code(report) or publish_code or alerts_code or _load_code(loads))


@app.command()
def alerts(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be sent; send and record nothing.")
    ] = False,
    prometheus: Annotated[Path | None, typer.Option(help="Write a file of metrics for Prometheus.")] = None,
    destination: Where = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Tell each target what reached a threshold of its quota or budget, and anomalies, that it was not told yet."""
    settings = read_settings(destination=destination, database=database, metrics_file=prometheus)
    if not (settings.alert_urls or settings.metrics_file or dry_run):
        raise UserError(
            "Nobody is there to be alerted.",
            "Name the targets in LLM_SPEND_ALERT_URLS, see docs/alerts.md; or look with --dry-run.",
        )
    with nullcontext() if dry_run else _writing(settings):
        alerted, code = _alert(settings, dry_run=dry_run, quiet=as_json)
    if as_json:
        _print_json(alerted)
    raise typer.Exit(code)


@app.command()
def answers(
    destination: Where = None,
    database: Database = None,
    month: Annotated[str | None, typer.Option(help="YYYY-MM; the latest with usage if not given.")] = None,
    as_json: Json = False,
) -> None:
    """Who used most, what costs most, who is over quota, what to charge: the month on one screen."""
    from llm_spend import answers as screen

    found = screen.answers(_destination(read_settings(destination=destination, database=database)), _month(month))
    _print_json(screen.to_json(found)) if as_json else out.print(screen.render(found))


@app.command()
def close(
    period: Annotated[str, typer.Argument(help="YYYY-MM")],
    force: Annotated[bool, typer.Option("--force", help="Close it with something missing; needs a reason.")] = False,
    reopen: Annotated[bool, typer.Option("--reopen", help="Open the last closed month again; needs a reason.")] = False,
    reason: Annotated[str | None, typer.Option(help="Why; it is recorded.")] = None,
    by: Annotated[str | None, typer.Option(help="Who; you, if not given.")] = None,
    build: Annotated[bool, typer.Option("--build", help="Build at once, which freezes the month.")] = False,
    destination: Where = None,
    database: Database = None,
    seeds: Seeds = None,
    as_json: Json = False,
) -> None:
    """Close a month, if all of it is there: its lines stay, what is learned later is restated in the first open one."""
    from llm_spend import close as closing

    settings = read_settings(destination=destination, database=database, seeds=seeds)
    folder, month = _seeds_folder(seeds), _month(period)
    assert month
    if reopen:
        outcome = closing.reopen(month, folder, by=by, reason=reason)
    else:
        outcome = closing.close(
            _destination(settings),
            month,
            folder,
            by=by,
            reason=reason,
            force=force,
            time_zone=settings.billing_timezone,
        )
    if not as_json:
        err.print(*closing.render(outcome), sep="\n", highlight=False)
    report, publish_code = None, 0
    if build and outcome.entry:
        with _writing(settings):
            report = _build(settings.model_copy(update={"seeds": folder}), full_refresh=False, quiet=as_json)
            publish_code = _publish_after(settings, report, quiet=as_json)
    if as_json:
        _print_json({**closing.to_json(outcome), "build": asdict(report) if report else None})
    raise typer.Exit(_build_code(report) or publish_code if report else 0 if outcome.entry else FAILED)


@app.command()
def report(
    month: Annotated[str | None, typer.Option(help="YYYY-MM; the latest with usage if not given.")] = None,
    output: Annotated[Path, typer.Option(help="The file, which replaces one of the same name.")] = Path("report.html"),
    destination: Where = None,
    database: Database = None,
    seeds: Seeds = None,
    as_json: Json = False,
) -> None:
    """Write a month as one HTML file with charts, tables and filters, to open in a browser: it needs nothing else."""
    from llm_spend.report.write import write_report

    settings = read_settings(destination=destination, database=database, seeds=seeds)
    written = write_report(
        _destination(settings),
        output,
        _month(month),
        seeds=settings.seeds,
        billing_timezone=settings.billing_timezone,
    )
    if as_json:
        _print_json({**asdict(written), "month": f"{written.month:%Y-%m}"})
    else:
        size = f"{written.size_bytes / 1e6:.1f} MB"
        lines = (f"{written.file}: {written.month:%Y-%m}, {size}. Open it in a browser.", *written.notes)
        out.print(*lines, sep="\n", highlight=False, markup=False, soft_wrap=True)


@app.command()
def status(destination: Where = None, database: Database = None, as_json: Json = False) -> None:
    """What is loaded, how fresh it is, what could not be read or priced."""
    from llm_spend import answers as screen

    found = screen.status(_destination(read_settings(destination=destination, database=database)))
    _print_json(screen.to_json(found)) if as_json else out.print(screen.render_status(found))


@app.command()
def publish(
    to: Annotated[Path | None, typer.Option(help="The file; that of the settings if not given.")] = None,
    untrusted: Annotated[bool, typer.Option("--untrusted", help="Also if the last build did not pass.")] = False,
    destination: Where = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Copy the public tables of a DuckDB file for dashboards and BI tools; builds then keep the copy up to date."""
    from llm_spend import publish as publishing

    settings = read_settings(destination=destination, database=database, published_file=to)
    where = _destination(settings)
    file = publishing.file_to_publish(where, settings.published_file)
    done = publishing.publish(where, file, wait=settings.lock_timeout_seconds, whatever_state=untrusted)
    _print_json(asdict(done)) if as_json else out.print(
        f"{done.tables} tables with {done.requests:,} requests published to {done.file} in {done.seconds:.1f} s",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


@app.command()
def dashboard(
    port: Annotated[int, typer.Option(help="Where the browser finds it.")] = 8501,
    host: Annotated[str, typer.Option(help="0.0.0.0 for everybody who reaches this machine.")] = "127.0.0.1",
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    destination: Where = None,
    database: Database = None,
) -> None:
    """Show it all in the browser, with filters, down to the requests behind a line of a statement."""
    from llm_spend.dashboard.launch import serve

    settings = read_settings(destination=destination, database=database)
    serve(settings, host=host, port=port, open_browser=open_browser, say=_say)


@app.command()
def doctor(destination: Where = None, database: Database = None, seeds: Seeds = None, as_json: Json = False) -> None:
    """Say what is missing before `load` and `build` can work, and how to get it. Leaves everything as it was."""
    from llm_spend.doctor import examine, render

    settings = read_settings(destination=destination, database=database, seeds=seeds)
    with _progress(disable=as_json) as bar:
        task = bar.add_task("", total=None)
        checks = list(examine(settings, lambda name: bar.update(task, description=f"checking {name}")))
    _print_json([asdict(check) for check in checks]) if as_json else out.print(*map(render, checks), sep="\n")
    raise typer.Exit(FAILED if any(check.status == "failed" for check in checks) else 0)


@app.command()
def demo(
    requests: Annotated[int, typer.Option(help="How many requests the organisation made.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Another seed, another organisation.")] = 7,
    folder: Annotated[Path, typer.Option(help="Where logs, bills, truth and database go.")] = Path("data"),
) -> None:
    """Write a synthetic organisation's logs and bills, load and build them, and answer the questions people bring."""
    from llm_spend import answers as screen
    from llm_spend.demo import run_demo
    from llm_spend.report.write import write_report

    settings = read_settings(destination="duckdb", database=folder / "demo.duckdb")
    with _progress() as bar:
        task = bar.add_task("writing logs and bills", total=requests)
        inputs = run_demo.write(folder / "demo", requests, seed, lambda done, total: bar.update(task, completed=done))
    with _writing(settings):
        settings.database.unlink(missing_ok=True)
        _load(settings, inputs.sources, quiet=False)
        report = _build(settings.model_copy(update={"seeds": inputs.seeds}), full_refresh=True, quiet=False)
        _publish_after(settings, report, quiet=False)
    out.print(screen.render(screen.answers(_destination(settings))))
    out.print(f"Database: {settings.database} (schema llm_spend). What is true by construction: {inputs.truth}")
    written = write_report(
        _destination(settings),
        folder / "report.html",
        seeds=inputs.seeds,
        billing_timezone=settings.billing_timezone,
    )
    out.print(f"The same as a page with charts and filters, to open in a browser: {written.file}", soft_wrap=True)
    raise typer.Exit(_build_code(report))


@export_app.command("chargeback")
def export_chargeback(
    period: Period,
    file_format: FileFormat = "xlsx",
    output: Output = Path(),
    mode: Annotated[Mode, typer.Option(help="To charge, with a journal to book it, or only to show.")] = "chargeback",
    destination: Where = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Write a month's statement: a summary, and a page or sheet for every cost centre."""
    from llm_spend.export import write

    settings = read_settings(destination=destination, database=database)
    zone = settings.billing_timezone
    _show_export(
        write.export_chargeback(_destination(settings), _period(period), file_format, output, mode, zone), as_json
    )


@export_app.command("customer")
def export_customer(
    customer: Annotated[str, typer.Argument(help="The customer_id, as tags name it.")],
    period: Period,
    file_format: FileFormat = "xlsx",
    output: Output = Path(),
    destination: Where = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Write what a customer gets for a month: its plan, tokens and charges, and nothing of others."""
    from llm_spend.export import write

    where = _destination(read_settings(destination=destination, database=database))
    _show_export(write.export_customer(where, customer, _period(period), file_format, output), as_json)


@export_app.command("focus")
def export_focus(
    period: Period,
    file_format: Annotated[FocusFormat, typer.Option("--format")] = "csv",
    output: Output = Path(),
    version: Annotated[FocusVersion, typer.Option("--focus-version", help="What its reader knows.")] = "1.4",
    destination: Where = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Write a month's charges in the columns of FOCUS, the FinOps Open Cost and Usage Specification."""
    from llm_spend.export import focus

    where = _destination(read_settings(destination=destination, database=database))
    _show_export(focus.export_focus(where, _period(period), file_format, output, version), as_json)


@export_app.command("looker")
def export_looker(
    output: Output = Path("looker"),
    manifest: Manifest = None,
    destination: Where = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Write a LookML project over the tables: views, explores, measures, a dashboard."""
    from llm_spend.bi import write

    where = _destination(read_settings(destination=destination, database=database))
    _show_written(write.export_looker(where, output, manifest), as_json)


@export_app.command("tableau")
def export_tableau(
    output: Output = Path("tableau"),
    live: Annotated[
        bool | None, typer.Option("--live/--extract", help="Ask the warehouse, or copy the rows; live on a warehouse.")
    ] = None,
    manifest: Manifest = None,
    destination: Where = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Write Tableau data sources with names, folders and formats; with the rows in extracts, or live."""
    from llm_spend.bi import write

    where = _destination(read_settings(destination=destination, database=database))
    _show_written(write.export_tableau(where, output, manifest, live=live), as_json)


@export_app.command("grafana")
def export_grafana(
    output: Output = Path("grafana"),
    manifest: Manifest = None,
    destination: Where = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Write a Grafana dashboard, for the data source plug-in of the destination."""
    from llm_spend.bi import write

    where = _destination(read_settings(destination=destination, database=database))
    _show_written(write.export_grafana(where, output, manifest), as_json)


@export_app.command("glossary")
def export_glossary(
    output: Output = Path(),
    manifest: Manifest = None,
    destination: Where = None,
    database: Database = None,
    seeds: Seeds = None,
    as_json: Json = False,
) -> None:
    """Write what tags, features and numbers mean, for everybody who looks at them."""
    from llm_spend.bi import write

    settings = read_settings(destination=destination, database=database, seeds=seeds)
    _show_written(write.export_glossary(_destination(settings), output, settings.seeds, manifest), as_json)


@export_app.command("raw")
def export_raw(
    folder: ExportFolder, destination: Where = None, database: Database = None, as_json: Json = False
) -> None:
    """Write what was loaded into a DuckDB file to an empty folder, to import it elsewhere."""
    from llm_spend.transfer import export_tables

    settings = read_settings(destination=destination, database=database)
    report = _moved(export_tables, settings, folder, quiet=as_json)
    _print_json(asdict(report)) if as_json else out.print(
        f"{report.total:,} rows of {report.loads:,} loads exported to {folder} in {report.seconds:.1f} s.",
        "It names users as the database does: keep it as safe.",
        sep="\n",
        highlight=False,
    )


@app.command("import")
def import_raw(
    folder: ExportFolder, destination: Where = None, database: Database = None, as_json: Json = False
) -> None:
    """Load an export, with the load ids and times that it has: the tables built from it come out the same."""
    from llm_spend.transfer import import_tables

    settings = read_settings(destination=destination, database=database)
    with _writing(settings):
        report = _moved(import_tables, settings, folder, quiet=as_json)
    _print_json(asdict(report)) if as_json else out.print(
        f"{report.total:,} rows of {report.loads:,} loads imported into {_destination(settings).label}"
        f" in {report.seconds:.1f} s.",
        "Next: llm-spend build",
        sep="\n",
        highlight=False,
    )


@prices_app.command("generate")
def prices_generate(
    providers: Providers = None,
    seeds: Seeds = None,
    check: Annotated[bool, typer.Option("--check", help="Only say whether the seeds are up to date.")] = False,
    as_of: AsOf = None,
) -> None:
    """Bring the price and alias seeds up to date with the installed genai-prices package."""
    from llm_spend.prices.generate import generate, provider_names

    report = generate(_seeds_folder(seeds), providers=provider_names(providers), check=check, as_of=_day(as_of))
    for name, rows in report.rows.items():
        out.print(f"{name}: {rows:,} rows{' (stale)' if name in report.stale else ''}", highlight=False)
    if report.changed:
        out.print(", ".join(f"{rows:,} {kind}" for kind, rows in sorted(report.changed.items())), highlight=False)
    for line in report.left_out:
        out.print(f"not as upstream: {line}", highlight=False, markup=False, soft_wrap=True)
    if check and report.stale:
        raise UserError(f"Stale: {', '.join(report.stale)}.", "Run `llm-spend prices generate` and review the diff.")


@prices_app.command("diff")
def prices_diff(
    providers: Providers = None,
    destination: Where = None,
    database: Database = None,
    seeds: Seeds = None,
    as_of: AsOf = None,
    as_json: Json = False,
) -> None:
    """Say what changes next, what the installed genai-prices would change, and what that would do to open months."""
    from llm_spend.prices import diff_report, diff_run
    from llm_spend.prices.generate import provider_names

    settings = read_settings(destination=destination, database=database, seeds=seeds)
    found = diff_run.run(
        settings.seeds or Path("seeds"),
        providers=provider_names(providers),
        destination=lambda: _destination(settings),
        as_of=_day(as_of),
        must_have_usage=bool(destination or database),
    )
    _print_json(diff_report.to_json(found)) if as_json else out.print(diff_report.render(found))


@prices_app.command("audit")
def prices_audit(
    against: Annotated[str, typer.Option(help="The other data set: litellm.")] = "litellm",
    cost_map: Annotated[Path | None, typer.Option(help="Its file; that of the installed package if not given.")] = None,
    waivers: Annotated[Path | None, typer.Option(help="A CSV with differences that are explained.")] = None,
    fail_over: Annotated[str, typer.Option(help="How many of the compared prices may be off.")] = "0.5%",
    destination: Where = None,
    database: Database = None,
    seeds: Seeds = None,
    as_json: Json = False,
) -> None:
    """Compare today's prices with a second data set; exit code 1 when too many differ without an explanation."""
    from llm_spend.prices import audit_report, audit_run, audit_usage

    settings = read_settings(destination=destination, database=database, seeds=seeds)
    request = audit_run.Request(
        on=datetime.now(UTC).date(),
        against=against,
        cost_map=cost_map,
        seeds=settings.seeds,
        waivers=waivers,
        fail_over=_share(fail_over),
    )
    report = audit_run.run(
        request,
        lambda on: audit_usage.month_usage(_destination(settings), on),
        must_weigh=bool(destination or database),
    )
    _print_json(audit_report.to_json(report)) if as_json else out.print(audit_report.render(report))
    raise typer.Exit(0 if report.audit.passed else FAILED)


@quotas_app.command("check")
def quotas_check(file: Path) -> None:
    """Check a rule file: of TrueFoundry, Portkey or LiteLLM, or our own (docs/quotas.md)."""
    from llm_spend.rules import RuleFileError, read_rules

    try:
        rules = read_rules(file)
    except RuleFileError as error:
        for problem in error.problems:
            err.print(str(problem), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(FAILED) from error
    _show_notes(rules.notes)
    out.print(f"{file}: in order; rules: {len(rules.rules)}.", markup=False, highlight=False)


@quotas_app.command("import")
def quotas_import(
    file: Path,
    seeds: Seeds = None,
    valid_from: Annotated[
        str | None, typer.Option(help="YYYY-MM-DD from which a change holds; today if not given.")
    ] = None,
    evaluation: Annotated[
        Literal["first_match", "all_match"] | None,
        typer.Option(help="How the rules of the file count; as in its gateway if not given."),
    ] = None,
) -> None:
    """Import a rule file into the seed rules/quota_rules.csv, as dated versions."""
    from llm_spend.rules import import_

    result = import_(file, _seeds_folder(seeds), valid_from=_day(valid_from), evaluation=evaluation)
    _show_notes(result.notes)
    out.print(
        f"{result.file}: {len(result.added)} added, {len(result.changed)} changed, {len(result.closed)} closed,"
        f" {len(result.unchanged)} unchanged.",
        soft_wrap=True,
    )


@tags_app.command("check")
def tags_check(
    paths: Annotated[list[Path] | None, typer.Argument(help="Files and folders of code and config.")] = None,
    file: Annotated[list[Path] | None, typer.Option("--file", help="A JSON or YAML file that holds tags only.")] = None,
    registry: Annotated[Path | None, typer.Option(help="The tag registry; that of the seeds if not given.")] = None,
    seeds: Seeds = None,
    as_json: Json = False,
) -> None:
    """Check tags where they are written: form, registry, no e-mail, no secret; exit code 1 if one is wrong."""
    from llm_spend.tags import check, find_registry, seeds_folder

    if not (paths or file):
        raise UserError("What is to be checked?", "Name files or folders, or a file of tags with --file.")
    known = find_registry(registry, seeds_folder(read_settings(seeds=seeds).seeds))
    found = check(paths or (), file or (), known, datetime.now(UTC).date())
    for skipped in found.skipped:
        _say(f"Note: not read: {skipped}")
    if as_json:
        _print_json(asdict(found))
    else:
        for problem in found.problems:
            err.print(str(problem), markup=False, highlight=False, soft_wrap=True)
        rules = f"the {len(known.keys)} keys of {known.file}" if known.keys else "no registry"
        done = f"Files: {found.files}, tags: {found.tags}, problems: {len(found.problems)}; checked with {rules}."
        out.print(done, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(FAILED if found.problems else 0)


@tags_app.command("suggest")
def tags_suggest(
    output: Annotated[Path | None, typer.Option(help="A file for the rows; shown if not given.")] = None,
    registry: Annotated[Path | None, typer.Option(help="The tag registry; that of the seeds if not given.")] = None,
    destination: Where = None,
    database: Database = None,
    seeds: Seeds = None,
    as_json: Json = False,
) -> None:
    """Propose rows of the tag registry for the keys that callers send and it does not know, as CSV."""
    from llm_spend.answers.formats import printable
    from llm_spend.bi.glossary import read_seeds
    from llm_spend.tags import find_registry, seeds_folder
    from llm_spend.tags import suggest as suggesting

    settings = read_settings(destination=destination, database=database, seeds=seeds)
    folder = seeds_folder(settings.seeds)
    known, rules = find_registry(registry, folder), read_seeds(folder).attribution_rules
    found = suggesting.suggest(_destination(settings), known, rules)
    if output:
        suggesting.write(found, output)
    if as_json:
        _print_json(asdict(found))
        return
    _show_notes(found.notes)
    for rule in found.rules:
        _say(f"Note: for seeds/mapping/attribution_rules.csv: {printable(','.join(rule.values()))}")
    rows = suggesting.registry_rows(found).rstrip().split("\n")
    out.print(
        f"{output}: {len(found.registry)} keys" if output else "\n".join(map(printable, rows)),
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _show_notes(notes: Iterable[object]) -> None:
    for note in notes:
        err.print(f"Note: {note}", markup=False, highlight=False, soft_wrap=True)


def main() -> None:
    """Run the command; an error that a user can act on is two lines and exit code 1, not a stack trace."""
    try:
        app()
    except UserError as error:
        err.print(f"[red]Error:[/red] {_said(error.problem)}", highlight=False)
        if error.remedy:
            err.print(error.remedy, highlight=False, markup=False)
        sys.exit(FAILED)


def _said(text: str) -> str:
    """A message that may hold names and what a library said, ready to be printed: no secret, no markup."""
    return escape(log.redact(text))


@contextmanager
def _writing(settings: Settings) -> Iterator[None]:
    """Be the only command that writes there, or wait for the one that does."""
    from llm_spend.lock import writing

    with writing(_destination(settings), wait=settings.lock_timeout_seconds):
        yield


def _destination(settings: Settings) -> Destination:
    from llm_spend.destinations import destination_of  # DuckDB takes its time to import: help shall not wait for it

    return destination_of(settings)


def _sources(
    settings: Settings,
    source: str | None,
    path: str | None,
    instance: str | None,
    mapping: Path | None,
    *,
    api: bool,
    since: date | None,
    again: bool,
) -> list[SourceSettings]:
    """What to load: the one named by flags, else all that are configured."""
    if (since or again) and not api:
        raise UserError("--since and --again are for --api.", "Files are skipped while they don't change.")
    if again and not since:
        raise UserError("From which day on shall be asked again?", "Give it with --since YYYY-MM-DD.")
    if source:
        if bool(path) == api:
            raise UserError(
                f"Where are the logs of {source}?", "Give their place with --path, or --api to ask for them."
            )
        if api and mapping:
            raise UserError("--mapping is for files.", "Leave it out with --api.")
        return [SourceSettings(source=source, path=path, api=api, since=since, instance=instance, mapping=mapping)]
    if path or instance or mapping or api:
        raise UserError(
            "--path, --api, --instance and --mapping need a source.", "Name it: llm-spend load portkey --path …"
        )
    if not settings.sources:
        raise UserError("No source is named or configured.", "Name one, or list them in .dlt/config.toml.")
    return settings.sources


def _load(
    settings: Settings,
    sources: list[SourceSettings],
    *,
    until: date | None = None,
    again: bool = False,
    quiet: bool,
) -> list[dict[str, Any]]:
    from llm_spend.load_source import load_source

    destination = _destination(settings)
    reports = []
    with _progress(disable=quiet) as bar:
        for each in sources:
            task = bar.add_task(f"loading {each.source}", total=None)
            report = load_source(
                each,
                destination,
                until=until,
                again=again,
                keep_raw_text=settings.keep_quarantined_text,
                unknown_fields=settings.unknown_fields,
                observe=partial(_say_step, bar, task),
            )
            bar.remove_task(task)
            reports.append(asdict(report))
            for message in report.warnings:
                err.print(f"[yellow]warning[/yellow] {_said(message)}", highlight=False)
            if not quiet:
                _print_load(report, destination, bar.console)
    return reports


def _say_step(bar: Progress, task: TaskID, message: str) -> None:
    bar.update(task, description=message)


def _print_load(report: LoadReport, destination: Destination, console: Console) -> None:
    origin = f"{report.windows:,} windows of its API" if report.windows else f"{report.files:,} files"
    skipped = f", {report.skipped_files} unchanged files skipped" if report.skipped_files else ""
    console.print(
        f"{report.source} ({report.instance}): {report.rows:,} rows from {origin}"
        f" in {report.seconds:.1f} s ({report.rows / max(report.seconds, 0.001):,.0f} rows/s){skipped}",
        highlight=False,
    )
    if report.left_out:
        console.print(f"  {report.left_out:,} records of other services are left out, counted by service")
    if report.quarantined:
        console.print(
            f"  {report.quarantined} lines could not be read: see {destination.schemas.raw}.llm_spend__quarantine"
        )


def _moved(move: Callable[..., Any], settings: Settings, folder: Path, *, quiet: bool) -> Any:
    """The report of an export or import, with its progress shown."""
    with _progress(disable=quiet) as bar:
        task = bar.add_task("", total=None)
        return move(_destination(settings), folder, lambda message: bar.update(task, description=message))


def _show_export(report: Exported, as_json: bool) -> None:
    """Which files were written, and what to know about them."""
    if as_json:
        _print_json({**asdict(report), "period": f"{report.period:%Y-%m}"})
        return
    amount = "amount unknown" if report.total_usd is None else f"{report.total_usd:,.2f} USD"
    for line in (f"{report.period:%Y-%m}, {report.status}: {amount}", *report.notes, *map(str, report.files)):
        out.print(line, highlight=False, markup=False, soft_wrap=True)


def _show_written(report: Written, as_json: bool) -> None:
    """Which files were written for a BI tool, and what to know about them."""
    if as_json:
        _print_json(asdict(report))
        return
    counts = (f"{table}: {rows:,} rows" for table, rows in report.rows.items())
    for line in (*counts, *map(str, report.files), *report.notes):
        out.print(line, highlight=False, markup=False, soft_wrap=True)


def _build(settings: Settings, full_refresh: bool, *, quiet: bool, dbt: DbtProcess | None = None) -> Any:
    from llm_spend.build import build as build_tables

    with _progress(disable=quiet) as bar:
        task = bar.add_task("building", total=None)
        report = build_tables(
            _destination(settings),
            seeds=settings.seeds,
            full_refresh=full_refresh,
            threads=settings.threads,
            billing_timezone=settings.billing_timezone,
            progress=lambda done, total, name: bar.update(task, completed=done, total=total, description=name),
            dbt=dbt,
        )
    for message in (*report.failures, *report.failed_tests):
        err.print(f"[red]failed[/red] {_said(message)}", highlight=False)
    for message in report.warnings:
        err.print(f"[yellow]warning[/yellow] {_said(message)}", highlight=False)
    if not quiet:
        done = f"{report.models} models built, {report.tests} tests passed"
        if report.nothing_new_since:
            done = f"Nothing new since the build of {report.nothing_new_since} UTC, which passed its tests; checked"
        out.print(f"{done} in {report.seconds:.1f} s", highlight=False)
    return report


def _publish_after(settings: Settings, build: Any, *, quiet: bool) -> int:
    """Renew what readers have open, if the build can be trusted; the exit code. The tables are built either way."""
    from llm_spend.publish import republish

    if _build_code(build):
        return 0
    try:
        done = republish(_destination(settings), settings.published_file, wait=settings.lock_timeout_seconds)
    except UserError as error:
        err.print(f"[red]not published[/red] {_said(f'{error.problem} {error.remedy}')}", highlight=False)
        return NOT_ALERTED
    if done and not quiet:
        out.print(f"Published to {done.file} in {done.seconds:.1f} s", highlight=False, markup=False, soft_wrap=True)
    return 0


def _alert_after(settings: Settings, build: Any, *, quiet: bool) -> tuple[dict[str, Any] | None, int]:
    """Alerts at the end of a run, if they are configured; whatever becomes of them, the tables are built."""
    if not (settings.alert_urls or settings.metrics_file):
        return None, 0
    if _build_code(build) == FAILED:
        err.print("[yellow]warning[/yellow] No alerts: the tables were not built.", highlight=False)
        return None, 0
    remarks = ("A test of the tables failed: these numbers may be wrong.",) if build.failed_tests else ()
    try:
        return _alert(settings, remarks=remarks, quiet=quiet)
    except UserError as error:
        message = f"[red]alerts[/red] {_said(f'{error.problem} {error.remedy}')}"
        err.print(message, highlight=False)
        return {"problem": error.problem}, NOT_ALERTED


def _alert(
    settings: Settings, *, dry_run: bool = False, remarks: tuple[str, ...] = (), quiet: bool
) -> tuple[dict[str, Any], int]:
    """Write metrics, send alerts, and say so: what was done, and the exit code. One does not wait for the other."""
    from llm_spend import alerts as alerting

    destination = _destination(settings)
    done: dict[str, Any] = {}
    problems: list[str] = []
    try:
        if settings.metrics_file and not dry_run:
            try:
                left_out = alerting.write_metrics(destination, settings.metrics_file, alerting.utc_now())
                done["metrics"] = {"file": str(settings.metrics_file), "left_out": left_out}
            except UserError as error:
                problems.append(str(error))
        if settings.alert_urls or dry_run:
            rules = alerting.Rules(
                timedelta(days=settings.alert_max_age_days),
                settings.alert_withdrawals,
                remarks,
                settings.alert_anomalies,
            )
            targets = alerting.targets(settings.alert_urls, settings.alert_timeout_seconds)
            report = alerting.send(destination, targets, rules, dry_run=dry_run)
            done |= alerting.to_json(report)
            problems += report.problems
            if not quiet:
                out.print(*alerting.render(report), sep="\n", highlight=False, markup=False, soft_wrap=True)
    finally:
        for problem in problems:
            err.print(f"[red]alerts[/red] {_said(problem)}", highlight=False)
    return done, NOT_ALERTED if problems else 0


def _load_code(reports: list[dict[str, Any]]) -> int:
    return QUARANTINED if any(report["quarantined"] for report in reports) else 0


def _build_code(report: Any) -> int:
    if report.failures or report.skipped:
        return FAILED
    return UNTRUSTED if report.failed_tests else 0


def _seeds_folder(flag: Path | None) -> Path:
    """The folder whose seeds are written: the one that `build` would read."""
    folder = read_settings(seeds=flag).seeds or Path("seeds")
    if not folder.is_dir():
        raise UserError(f"There is no seeds folder {folder} here.", "Give yours with --seeds.")
    return folder


def _share(text: str) -> Decimal:
    """0.5% or 0.5 as 0.005."""
    try:
        return Decimal(text.strip().removesuffix("%")) / 100
    except InvalidOperation as error:
        raise UserError(f"{text!r} is no percentage.", "Write it as 0.5%.") from error


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UserError(f"{text!r} is no day.", "Write it as YYYY-MM-DD.") from error


def _period(text: str) -> date:
    month = _month(text)
    assert month
    return month


def _month(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError as error:
        raise UserError(f"{text!r} is no month.", "Write it as YYYY-MM.") from error


@contextmanager
def _progress(*, disable: bool = False) -> Iterator[Progress]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=disable) as bar:
        yield bar


def _say(message: str) -> None:
    err.print(message, highlight=False, markup=False, soft_wrap=True)


def _print_json(content: Any) -> None:
    out.print_json(json.dumps(content, default=str))
