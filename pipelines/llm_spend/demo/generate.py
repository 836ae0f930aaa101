"""Writes the demo: logs of four gateways, bills, seeds, rate limits, and the truth about what is in all of them."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from shutil import copyfileobj, rmtree

from llm_spend.demo import (
    bill_files,
    bills,
    budgets,
    business,
    chargeback,
    customers,
    designs,
    litellm,
    organisation,
    portkey,
    quotas,
    registry,
    self_hosted,
    switches,
    traffic,
    truefoundry,
    truth,
)
from llm_spend.demo.calls import Call
from llm_spend.demo.dirt import (
    MALFORMED,
    TRUNCATED,
    WRONG_TYPE,
    Outbox,
    broken_line,
    half_line,
    is_day_of,
)
from llm_spend.demo.files import write_gzip, write_json
from llm_spend.demo.gateways import (
    GENERIC_INSTANCE,
    LITELLM,
    LITELLM_INSTANCE,
    PORTKEY,
    SELF_HOSTED,
    SOURCES,
    TENANT,
    TRUEFOUNDRY,
    WORKSPACES,
)
from llm_spend.demo.ledger import Ledger

LAST_DAY = date(2026, 10, 31)
"""The demo ends on a fixed day, so that everybody sees the same numbers."""

MIN_REQUESTS, MAX_REQUESTS = 1_000, 10_000_000
MAX_REQUESTS_OF_ONE_GATEWAY = 30_000_000
"""Benchmarks go further than a demo."""

MIN_DAYS = 14
_TWO_PROCESSES_FROM = 200_000
_LATEST_DELIVERY_DAYS = 3
_S3_DAYS, _S3_FILES_PER_DAY = 4, 75
_OWN_FOLDERS = ("portkey", "truefoundry", "litellm", "other", "bills", "seeds", "rules")

Progress = Callable[[int, int], None]
"""Called with the requests written so far and the requests asked for."""


@dataclass(frozen=True)
class DemoReport:
    """What was written. `attempts` are distinct log rows, without duplicates and without unreadable lines."""

    out_dir: Path
    requests: int
    attempts: int
    quarantined: int
    first_day: date
    last_day: date
    files: int
    log_bytes: int
    truth_path: Path


@dataclass(frozen=True)
class _Job:
    """A run of days for one process."""

    out_dir: Path
    seed: int
    requests: int
    until: date
    days: int
    first: int
    end: int
    part: Path
    gateways: tuple[str, ...] = SOURCES


@dataclass
class _Result:
    ledger: Ledger
    files: int
    log_bytes: int


def generate(
    out_dir: Path,
    requests: int = 20_000,
    seed: int = 7,
    until: date = LAST_DAY,
    days: int = 75,
    progress: Progress | None = None,
    gateways: tuple[str, ...] = SOURCES,
) -> DemoReport:
    """Writes the demo into `out_dir`, replacing an earlier one.

    `requests` client requests over `days` UTC days, the last of which is `until`, through `gateways`; the files
    of other gateways are empty. Equal arguments write equal bytes. Memory is that of one day. Raises ValueError
    for a size out of range.
    """
    most = MAX_REQUESTS_OF_ONE_GATEWAY if len(gateways) == 1 else MAX_REQUESTS
    if not MIN_REQUESTS <= requests <= most:
        raise ValueError(f"requests must be from {MIN_REQUESTS:,} to {most:,}, not {requests:,}")
    if not MIN_DAYS <= days <= 366:
        raise ValueError(f"days must be from {MIN_DAYS} to 366, not {days}")
    for folder in _OWN_FOLDERS:
        rmtree(out_dir / folder, ignore_errors=True)
    out_dir.mkdir(parents=True, exist_ok=True)

    org, plan = _world(seed, requests, until, days, gateways)
    rules = quotas.rules(plan.daily_mean)
    organisation.write_seeds(org, out_dir / "seeds")
    quotas.write_config(rules, out_dir / "rules" / "rate-limits.yaml")
    budgeted = budgets.budgets(plan.daily_mean)
    budgets.write_config(budgeted, out_dir / "rules" / "budgets.yaml")
    self_hosted.write_mapping(out_dir / "other" / "mapping.yml")

    halves = [(0, days)] if requests < _TWO_PROCESSES_FROM else [(0, days // 2), (days // 2, days)]
    jobs = [
        _Job(out_dir, seed, requests, until, days, first, end, out_dir / "other" / f".part-{first}", gateways)
        for first, end in halves
    ]
    result = _run(jobs, progress)
    result.files += 1
    result.log_bytes += _join_csv([job.part for job in jobs], out_dir / "other" / "self_hosted.csv.gz")

    bill = bills.issue(result.ledger.meter, plan.days)
    bill_files.write(bill, out_dir / "bills", asked_on=date.fromordinal(until.toordinal() + 1))
    bill_files.write_seeds(bill, out_dir / "seeds")
    plans = customers.plans(until.replace(day=1))
    contracts = customers.contracts(org.customers, until.replace(day=1))
    customers.write_seeds(plans, contracts, out_dir / "seeds")
    months = sorted({day.replace(day=1) for day in plan.days})
    chargeback.write_seeds(months[0], out_dir / "seeds")
    switches.write_seed(out_dir / "seeds")
    designs.write_seed(out_dir / "seeds")
    registry.write_seeds(plan.days, out_dir / "seeds")
    events = business.events(seed, plan.days, plan.requests)
    business.write_seed(events, out_dir / "seeds")
    parameters = {
        "requests": requests,
        "seed": seed,
        "first_date": plan.days[0].isoformat(),
        "last_date": plan.days[-1].isoformat(),
        "reorganised_on": org.reorganised_on.isoformat(),
    }
    truth_path = out_dir / "truth.json"
    members = result.ledger.members
    of_customers = customers.truth(members["customer"], plans, contracts)
    document = truth.document(result.ledger, rules, parameters) | {
        "bills": bills.truth(bill),
        "budgets": budgets.truth(budgeted, result.ledger),
        "shared_costs": chargeback.truth(org, months),
        "customers": of_customers,
        "plan_designs": designs.truth(of_customers),
        "kpis": business.truth(events, result.ledger.by_date, members["feature"], members["customer"]),
        "incidents": [incident.to_truth(plan.days[0]) for incident in traffic.labels(plan)],
        "findings": result.ledger.findings.to_truth(),
        "tag_findings": registry.truth(result.ledger.tags, plan.days),
    }
    truth.write(document, truth_path)
    return DemoReport(
        out_dir=out_dir,
        requests=requests,
        attempts=result.ledger.totals()[0],
        quarantined=sum(result.ledger.quarantined.values()),
        first_day=plan.days[0],
        last_day=plan.days[-1],
        files=result.files,
        log_bytes=result.log_bytes,
        truth_path=truth_path,
    )


def _world(
    seed: int, requests: int, until: date, days: int, gateways: tuple[str, ...]
) -> tuple[organisation.Organisation, traffic.Plan]:
    first = date.fromordinal(until.toordinal() - days + 1)
    org = organisation.build(seed, first, until)
    return org, traffic.plan(org, seed, requests, until, days, gateways)


def _run(jobs: list[_Job], progress: Progress | None) -> _Result:
    """Runs the first job here and the second, if there is one, beside it."""
    if len(jobs) == 1:
        return _write_days(jobs[0], progress)
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        beside = pool.submit(_write_days, jobs[1])
        result = _write_days(jobs[0], progress)
        other = beside.result()
    result.ledger.merge(other.ledger)
    result.files += other.files
    result.log_bytes += other.log_bytes
    if progress is not None:
        progress(jobs[0].requests, jobs[0].requests)
    return result


def _write_days(job: _Job, progress: Progress | None = None) -> _Result:
    org, plan = _world(job.seed, job.requests, job.until, job.days, job.gateways)
    rules = quotas.rules(plan.daily_mean)
    writer = _DayWriter(job)
    done, own = 0, sum(plan.requests[job.first : job.end])
    with job.part.open("w", encoding="utf-8", newline="") as csv_part:
        for index in range(max(0, job.first - _LATEST_DELIVERY_DAYS), job.end):
            calls = traffic.Day(plan, org, index).calls()
            rows = writer.write(index, plan.days[index], calls)
            if index < job.first:
                # A day of the other process, made again only for its lines that arrive in files of this one.
                continue
            csv_part.writelines(f"{row}\n" for row in rows)
            writer.ledger.count_day(calls, org, rules)
            done += plan.requests[index]
            if progress is not None:
                progress(done * job.requests // max(own, 1), job.requests)
    return _Result(writer.ledger, writer.files, writer.log_bytes)


class _DayWriter:
    """Writes the files of one day after the other, and keeps lines that belong into later files."""

    def __init__(self, job: _Job) -> None:
        self._job = job
        self._outboxes = {name: Outbox() for name in (*WORKSPACES, *SOURCES)}
        self.ledger = Ledger()
        self.files = 0
        self.log_bytes = 0

    def write(self, index: int, day: date, calls: list[Call]) -> list[str]:
        """Writes the gateway files of the day. Returns its CSV rows, which go into one common file."""
        own = index >= self._job.first
        by_place: dict[str, list[Call]] = {name: [] for name in self._outboxes}
        for call in calls:
            by_place[call.instance if call.source == PORTKEY else call.source].append(call)

        for workspace in WORKSPACES:
            lines = self._outboxes[workspace].collect(by_place[workspace], index, portkey.render)
            if own:
                self._portkey(workspace, index, day, lines)
        lines = self._outboxes[TRUEFOUNDRY].collect(by_place[TRUEFOUNDRY], index, truefoundry.render)
        if own:
            self._truefoundry(index, day, lines)
        batched = by_place[LITELLM]
        if index >= self._job.days - _S3_DAYS:
            single, batched = _split(batched, _S3_FILES_PER_DAY)
            if own:
                self._litellm_objects(index, day, single)
        lines = self._outboxes[LITELLM].collect(batched, index, litellm.render)
        if own:
            self._litellm(index, day, lines)
        rows = self._outboxes[SELF_HOSTED].collect(by_place[SELF_HOSTED], index, self_hosted.render)
        return self._self_hosted(index, rows) if own else []

    def _portkey(self, workspace: str, index: int, day: date, lines: list[str]) -> None:
        end = ""
        days = self._job.days
        place = (PORTKEY, workspace)
        if lines and is_day_of(index, days, 0.2, 0.55, 0.8):
            self._spoil(lines, broken_line(lines[0]), place, MALFORMED)
            lines.insert(len(lines) // 2, "")
        if lines and is_day_of(index, days, 0.3, 0.7):
            self._spoil(lines, portkey.wrong_type(lines[-1]), place, WRONG_TYPE)
        if lines and workspace == WORKSPACES[0] and is_day_of(index, days, 0.4):
            # The exporter was stopped while it wrote the last line a second time.
            end = half_line(lines[-1])
            self._quarantine(place, TRUNCATED)
        path = self._job.out_dir / "portkey" / workspace / f"logs-{day}.jsonl.gz"
        self._keep(write_gzip(path, lines, end=end))

    def _truefoundry(self, index: int, day: date, lines: list[str]) -> None:
        if lines and is_day_of(index, self._job.days, 0.25, 0.6):
            self._spoil(lines, broken_line(lines[0]), (TRUEFOUNDRY, TENANT), MALFORMED)
        self._keep(write_gzip(self._job.out_dir / "truefoundry" / f"spans-{day}.jsonl.gz", lines))

    def _litellm(self, index: int, day: date, lines: list[str]) -> None:
        if lines and is_day_of(index, self._job.days, 0.35):
            self._spoil(lines, broken_line(lines[0]), (LITELLM, LITELLM_INSTANCE), MALFORMED)
        self._keep(write_gzip(self._job.out_dir / "litellm" / f"{day}.jsonl.gz", lines))

    def _litellm_objects(self, index: int, day: date, calls: list[Call]) -> None:
        folder = self._job.out_dir / "litellm" / day.isoformat()
        for call in calls:
            call.delivery = "once"
            for attempt, line in zip(call.attempts, litellm.render(call, False), strict=True):
                self._keep(write_json(folder / litellm.file_name(call, attempt), line))
        if calls and index == self._job.days - 2:
            line = litellm.render(calls[0], False)[0]
            self._keep(write_json(folder / "time-23-59-59-000_interrupted.json", half_line(line)))
            self._quarantine((LITELLM, LITELLM_INSTANCE), TRUNCATED)

    def _self_hosted(self, index: int, rows: list[str]) -> list[str]:
        if rows and is_day_of(index, self._job.days, 0.5, 0.9):
            place = (SELF_HOSTED, GENERIC_INSTANCE)
            self._spoil(rows, self_hosted.wrong_type(rows[0]), place, WRONG_TYPE)
        return rows

    def _spoil(self, lines: list[str], line: str, place: tuple[str, str], reason: str) -> None:
        lines.insert(len(lines) // 2, line)
        self._quarantine(place, reason)

    def _quarantine(self, place: tuple[str, str], reason: str) -> None:
        self.ledger.quarantined[(*place, reason)] += 1

    def _keep(self, size: int) -> None:
        self.files += 1
        self.log_bytes += size


def _split(calls: list[Call], count: int) -> tuple[list[Call], list[Call]]:
    return calls[:count], calls[count:]


def _join_csv(parts: list[Path], target: Path) -> int:
    with target.open("wb") as raw, gzip.GzipFile("", "wb", 3, raw, mtime=0) as packed:
        packed.write(f"{self_hosted.row(self_hosted.HEADER)}\n".encode())
        for part in parts:
            with part.open("rb") as rows:
                copyfileobj(rows, packed)
            part.unlink()
    return target.stat().st_size
