"""Seed files of the user: any column order, and errors that name the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_spend.build import project_dir
from llm_spend.errors import UserError
from llm_spend.seeds import find_seeds, read_seed

MEMBERS = Path("seeds/mapping/org_members.csv")


def write(folder: Path, content: str, name: str = "org_members.csv") -> dict[Path, bytes]:
    (folder / name).write_text(content, encoding="utf-8")
    return find_seeds(folder, project_dir())


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    found = write(tmp_path, "\ufeffteam_id,user_id,valid_to,valid_from\r\nsearch,ana@a.example,,2026-01-01\r\n")
    assert found == {MEMBERS: b"user_id,team_id,valid_from,valid_to\nana@a.example,search,2026-01-01,\n"}


def test_blank_lines_and_commas_in_values(tmp_path: Path) -> None:
    found = write(tmp_path, 'user_id,team_id,valid_from,valid_to\n\n"a,b",search,,\n')
    assert found[MEMBERS] == b'user_id,team_id,valid_from,valid_to\n"a,b",search,,\n'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("user,team,valid_from,valid_to\n", "columns user, team.*must be user_id, team_id"),
        ("", "must be user_id"),
        ("user_id,team_id,valid_from,valid_to\na,b,01/02/2026,\n", "line 2: valid_from is '01/02/2026'"),
        ("user_id,team_id,valid_from,valid_to\na,b,,\nc,d\n", "line 3: 2 values for 4 columns"),
    ],
)
def test_errors_name_the_place(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        write(tmp_path, content)


def test_the_date_of_an_invoice_is_a_date(tmp_path: Path) -> None:
    columns = "billing_period,provider,provider_instance,invoice_id,invoice_date,charge_category,description,amount"
    with pytest.raises(UserError, match=r"line 2: invoice_date is '2\.10\.2026'"):
        write(
            tmp_path,
            f"{columns},currency,usd_per_unit\n2026-09-01,openai,,1,2.10.2026,Usage,,10,EUR,\n",
            name="provider_invoices.csv",
        )


def test_a_time_zone_is_one(tmp_path: Path) -> None:
    rows = "billing_period,action,closed_at,closed_by,reason,time_zone\n2026-09-01,close,2026-10-03,jo,,{}\n"
    assert write(tmp_path, rows.format("Asia/Kolkata"), name="period_close.csv")
    with pytest.raises(UserError, match=r"line 2: 'Europe/Berln' is no time zone; write an IANA name"):
        write(tmp_path, rows.format("Europe/Berln"), name="period_close.csv")


def test_a_file_that_is_no_seed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no seeds: members\.csv.*org_members\.csv"):
        write(tmp_path, "a\n", name="members.csv")


def test_columns_that_came_later_may_be_missing(tmp_path: Path) -> None:
    """A seed of an older version has '' there; a column that was always there must be there."""
    packaged = tmp_path / "packaged/quota_rules.csv"
    packaged.parent.mkdir()
    packaged.write_text("rule_set,conditions,unit,overrides,time_zone,enforcement,alert_thresholds\n")
    older = tmp_path / "quota_rules.csv"
    older.write_text("unit,rule_set,time_zone\ncost_per_day,a,UTC\n")
    assert read_seed(older, packaged).decode().splitlines()[1] == "a,,cost_per_day,,UTC,,"
    older.write_text("rule_set,time_zone\na,UTC\n")
    with pytest.raises(UserError, match="They must be rule_set, conditions"):
        read_seed(older, packaged)
