"""Tags in code and config: what is found, what is wrong with it, and the hook that pre-commit runs."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from datetime import date
from pathlib import Path
from textwrap import dedent

import pytest
import yaml
from typer.testing import CliRunner

from llm_spend.cli import app
from llm_spend.errors import UserError
from llm_spend.tags import Report, check, find_registry

HOOKS = Path(__file__).resolve().parents[2] / ".pre-commit-hooks.yaml"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "tags.md"
TODAY = date(2026, 11, 23)
REGISTRY = """\
tag_key,meaning,owner,allowed_values,pattern,required_in,since,retired,replaced_by
team,The team that pays,finops,search|growth,,*,2026-01-01,,
team_id,,finops,,,,,2026-06-01,team
squad,,finops,,,,,2027-01-01,team
customer_id,Whom it is for,sales,,^cust-[0-9]{4}$,,,,
user,Who calls,platform,,^[a-z.]+@example[.]com$,,,,
"""

PYTHON = """\
import json

metadata = {"tfy_log_request": "true", "environment": "staging", "Feature": "countdown-bot"}
TAGS = {"Header": "x"}
TAGS["Later"] = compute()
NOT_TAGS = {"metadata": {"Label": "of a manifest"}}

client.chat.completions.create(
    model="gpt-4o",
    messages=[],
    extra_headers={"X-TFY-METADATA": '{"InText": "x"}'},
    metadata={"userId": user.id, **others, "deep": {"a": 1}},
    extra_body={"metadata": {"InBody": "x"}},
)
requests.post(url, headers={"x-portkey-metadata": json.dumps(TAGS | {"Merged": "x"})})
Portkey(api_key=key, metadata=dict(ByKeyword="x"))
litellm.completion(model="m", metadata={"spend_logs_metadata": {"OfLogs": "x"}, "tags": ["ana@example.com", "fine"]})
dataclasses.field(metadata={"Other": "library"})
other = {"Marked": "x"}  # llm-spend: tags
client.responses.create(model="m", metadata={"Known": "x"})  # llm-spend: ignore
"""
TYPESCRIPT = """\
import Portkey from 'portkey-ai';

const metadata = { InVariable: "x", _user: user.id, feature: `chat` };
const portkey = new Portkey({ apiKey: key, metadata });
metadata.LaterKey = "x";
const cast = <T>(value: T) => value;
await openai.chat.completions.create(
  { model: "gpt-4o", messages, metadata: { WithType: "x" } as Record<string, string> },
  { headers: { 'X-TFY-METADATA': JSON.stringify({ ...base, "cost-center": 'cc-1' }) } },
);
const manifest = { kind: "Pod", metadata: { Name: "x" } };
"""
YAML = """\
apiVersion: v1
kind: Pod
metadata: {Name: x}
---
model_list:
  - model_name: gpt-4o
    metadata: {OfModel: x}
    litellm_params:
      model: azure/gpt-4o
      tags: [fine, carl@example.com]
      extra_headers:
        X-TFY-METADATA: '{"InHeader": "x"}'
rules:
  - metadata_override:
      OverRide: x
"""
TOML = """\
[call]
model = "gpt-4o"

[call.metadata]
team = "search"
OfCall = "x"

[headers]
X-Portkey-Metadata = '{"InHeader": "x"}'
"""
JSON = """\
{
\t"model": "gpt-4o",
  // comments are fine
\t"metadata": {"OfCall": "x"}
}
"""
SHELL = """\
PLAIN=1
X_TFY_METADATA={"OfFile": "x"}
ANTHROPIC_CUSTOM_HEADERS="x-portkey-metadata: {\\"Escaped\\": \\"x\\"}"
"""


def checked(folder: Path, name: str, text: str, registry: str = "") -> Report:
    """What the check finds in one file."""
    file = folder / name
    file.write_text(dedent(text), encoding="utf-8")
    rules = folder / "tag_registry.csv"
    rules.write_text(registry or REGISTRY.splitlines()[0], encoding="utf-8")
    return check([file], [], find_registry(rules, None), TODAY)


def found(report: Report, rule: str = "snake_case") -> list[tuple[int, str]]:
    return [(each.line, each.key) for each in report.problems if each.rule == rule]


def test_python(tmp_path: Path) -> None:
    report = checked(tmp_path, "app.py", PYTHON)
    expected = [(3, "Feature"), (4, "Header"), (5, "Later"), (11, "InText"), (12, "userId"), (13, "InBody")]
    expected += [(15, "Merged"), (16, "ByKeyword"), (17, "OfLogs"), (19, "Marked")]
    assert found(report) == expected
    assert found(report, "nested") == [(12, "deep")]
    assert found(report, "email") == [(17, "tags")]


@pytest.mark.parametrize("name", ["app.ts", "app.mts"])
def test_typescript(tmp_path: Path, name: str) -> None:
    expected = [(3, "InVariable"), (5, "LaterKey"), (8, "WithType"), (9, "cost-center")]
    assert found(checked(tmp_path, name, TYPESCRIPT)) == expected


def test_javascript(tmp_path: Path) -> None:
    text = TYPESCRIPT.replace(" as Record<string, string>", "").replace("<T>(value: T)", "value")
    report = checked(tmp_path, "app.jsx", text + "const page = <Chat metadata={{ No: 'call' }} />;\n")
    assert found(report) == [(3, "InVariable"), (5, "LaterKey"), (8, "WithType"), (9, "cost-center")]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("config.yaml", YAML, [(7, "OfModel"), (12, "InHeader"), (15, "OverRide")]),
        ("config.toml", TOML, [(6, "OfCall"), (9, "InHeader")]),
        ("config.json", JSON, [(4, "OfCall")]),
        (".env", SHELL, [(2, "OfFile"), (3, "Escaped")]),
        ("call.sh", SHELL, [(2, "OfFile"), (3, "Escaped")]),
    ],
)
def test_config(tmp_path: Path, name: str, text: str, expected: list[tuple[int, str]]) -> None:
    assert found(checked(tmp_path, name, text)) == expected


def test_labels_of_litellm_are_looked_at(tmp_path: Path) -> None:
    assert found(checked(tmp_path, "config.yaml", YAML), "email") == [(10, "tags")]


def messages(folder: Path, tags: str, registry: str = REGISTRY) -> list[str]:
    report = checked(folder, "app.py", f"client.responses.create(model='m', metadata={tags})", registry)
    return [f"{each.key}: {each.message}" for each in report.problems]


def test_the_registry_decides(tmp_path: Path) -> None:
    rules = tmp_path / "tag_registry.csv"
    assert messages(tmp_path, "{'team': 'search', 'customer_id': 'cust-0001', 'tfy_log_request': 'true'}") == []
    assert messages(tmp_path, "{'team': team}") == []
    assert messages(tmp_path, "{'teem': 'search'}") == ["teem: is not in the registry; is team meant?"]
    assert messages(tmp_path, "{'colour': 'red'}") == [
        f"colour: is not in the registry; register it in {rules}, or leave it out"
    ]
    assert messages(tmp_path, "{'team': 'serach'}") == [
        "team: 'serach' is not allowed by the registry; is search meant?"
    ]
    assert messages(tmp_path, "{'team': 'x'}") == [
        "team: 'x' is not allowed by the registry; allowed are growth, search"
    ]
    assert messages(tmp_path, "{'customer_id': 'acme'}") == [
        "customer_id: 'acme' is not allowed by the registry; it must fit ^cust-[0-9]{4}$"
    ]
    many = "tag_key,meaning,owner,allowed_values,pattern,required_in,since,retired,replaced_by\nteam,,,"
    many += "|".join(f"team-{number}" for number in range(10, 22)) + ",,,,,\n"
    assert messages(tmp_path, "{'team': 'x'}", many) == [
        "team: 'x' is not allowed by the registry; allowed are"
        " team-10, team-11, team-12, team-13, team-14, team-15, team-16, team-17 and 4 more"
    ]
    # One is retired, the other will be.
    assert messages(tmp_path, "{'team_id': 'search', 'squad': 'search'}") == [
        "team_id: is retired since 2026-06-01; send team instead"
    ]


def test_without_a_registry_form_and_privacy_count(tmp_path: Path) -> None:
    assert messages(tmp_path, "{'colour': 'red'}", registry="") == []
    assert messages(tmp_path, "{'costCenter': 'red'}", registry="") == [
        "costCenter: is not in snake_case; write cost_center"
    ]


def test_what_gateways_would_cut(tmp_path: Path) -> None:
    assert messages(tmp_path, f"{{'team': '{'x' * 129}', '{'k' * 129}': 'x'}}", registry="") == [
        f"{'k' * 129}: has 129 characters; at most 128 are kept",
        "team: has 129 characters; at most 128 are kept",
    ]
    assert messages(tmp_path, f"{{'team': '{'x' * 128}'}}", registry="") == []


def test_no_email_unless_the_registry_allows_it(tmp_path: Path) -> None:
    assert messages(tmp_path, "{'user': 'ana@example.com'}") == []
    assert messages(tmp_path, "{'user': 'ana@elsewhere.org'}") == [
        "user: is an e-mail address; send an id, or register a pattern that allows it"
    ]
    assert messages(tmp_path, "{'contact': 'ana@example.com'}", registry="") == [
        "contact: is an e-mail address; send an id, or register a pattern that allows it"
    ]


def test_an_email_as_a_key_is_not_repeated(tmp_path: Path) -> None:
    assert messages(tmp_path, "{'ana@example.com': 'x'}", registry="") == [
        "***: is an e-mail address as a key; name what the value says"
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("call.sh", """curl -H 'x-portkey-metadata: {"team": "$TEAM", "customer_id": "${CUSTOMER}"}' """),
        ("config.yaml", "{model: m, metadata: {team: '{{ .Values.team }}', customer_id: '${CUSTOMER}'}}"),
        ("config.yaml", "{model: m, metadata: {team: os.environ/TEAM, customer_id: !ENV CUSTOMER, user: !A [b]}}"),
        ("config.yaml", "{model: m, metadata: {team: null, customer_id: ~, user: }}"),
        ("config.json", '{"model": "m", "metadata": {"team": null}}'),
        ("app.py", "f(model='m', metadata={'team': None, 'customer_id': os.environ['CUSTOMER']})"),
        ("app.py", """f(headers={'x-portkey-metadata': '{"team": null}'})"""),
    ],
)
def test_a_value_that_is_known_at_run_time_only_is_not_held_against_the_registry(
    tmp_path: Path, name: str, text: str
) -> None:
    report = checked(tmp_path, name, text, REGISTRY)
    assert (report.problems, report.skipped) == ((), ())
    assert report.tags > 0


def test_what_is_filled_in_at_run_time_is_no_way_around_privacy(tmp_path: Path) -> None:
    (message,) = messages(tmp_path, "{'team': '$TEAM ana@example.com'}")
    assert message.startswith("team: is an e-mail address")
    (message,) = messages(tmp_path, "{'team': '${KEY:-sk-abcdefghijklmnop}'}")
    assert message.startswith("team: looks like a secret")


def test_an_address_with_a_question_mark_is_no_secret_unless_it_is_signed(tmp_path: Path) -> None:
    assert messages(tmp_path, "{'page': 'https://example.com/z?id=1'}", registry="") == []
    for signed in ("sig=abc", "X-Amz-Signature=abc", "a=b&token=abc"):
        (message,) = messages(tmp_path, f"{{'page': 'https://example.com/z?{signed}'}}", registry="")
        assert message == "page: looks like a secret; tags are written to logs"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("app.py", "headers['X-TFY-METADATA'] = json.dumps({'Bad': 'x'})"),
        ("app.py", "session.headers['x-portkey-metadata'] = json.dumps({'Bad': 'x'})"),
        ("app.py", "request.add_header('x-portkey-metadata', json.dumps({'Bad': 'x'}))"),
        ("app.py", "base = {'Bad': 'x'}; f(model='m', metadata={**base, 'ok': 'y'})"),
        ("app.py", "base = {'Bad': 'x'}; f(model='m', metadata=dict(base, ok='y'))"),
        ("app.py", "f(model='m', metadata={**{'Bad': 'x'}})"),
        ("app.py", "f(model='m', metadata={'ok': 'x'} if a else {'Bad': 'x'})"),
        ("app.py", "f(model='m', metadata=given or {'Bad': 'x'})"),
        ("app.py", "meta = {}; meta.update({'Bad': 'x'}); f(model='m', metadata=meta)"),
        ("app.py", "meta = {}; meta.update(Bad='x'); f(model='m', metadata=meta)"),
        ("app.py", "meta = {}; meta |= {'Bad': 'x'}; f(model='m', metadata=meta)"),
        ("app.ts", "headers['X-TFY-METADATA'] = JSON.stringify({ Bad: 'x' });"),
        ("app.ts", "session.headers['x-portkey-metadata'] = JSON.stringify({ Bad: 'x' });"),
        ("app.ts", "headers.set('x-portkey-metadata', JSON.stringify({ Bad: 'x' }));"),
        ("app.ts", "const base = { Bad: 'x' }; f({ model: 'm', metadata: { ...base, team } });"),
        ("app.ts", "f({ model: 'm', metadata: a ? { ok: 'x' } : { Bad: 'x' } });"),
        ("app.ts", "f({ model: 'm', metadata: given ?? { Bad: 'x' } });"),
        ("config.yaml", "base: &base {Bad: x}\ncall: {model: m, metadata: {<<: *base, ok: x}}"),
    ],
)
def test_other_ways_to_write_tags(tmp_path: Path, name: str, text: str) -> None:
    assert [key for _, key in found(checked(tmp_path, name, text))] == ["Bad"]


def test_a_choice_between_values_is_none_of_documents(tmp_path: Path) -> None:
    assert messages(tmp_path, "{'team': 'search' if a else team}") == []
    assert messages(tmp_path, "{'team': 'search' if a else 'serach'}") == [
        "team: 'serach' is not allowed by the registry; is search meant?"
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sum.py", "x = " + " + ".join(["1"] * 30_000)),
        ("merged.py", "x = " + " | ".join(["{}"] * 3000)),
        ("nested.yaml", "[" * 1500),
        ("nested.ts", "x = " + "[" * 3000 + "]" * 3000),
        ("laughs.yaml", "a0: &a0 x\n" + "\n".join(f"a{n + 1}: &a{n + 1} [{f'*a{n}, ' * 9}]" for n in range(9))),
    ],
)
def test_an_odd_file_is_skipped_and_the_others_are_checked(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "z.py").write_text("f(model='m', metadata={'Bad': 'x'})")
    (tmp_path / name).write_text(text)
    report = check([tmp_path], [], find_registry(None, tmp_path), TODAY)
    assert len(report.problems) == 1
    assert [line.split(":")[0] for line in report.skipped] == [str(tmp_path / name)]


def test_what_is_made_of_itself_comes_to_an_end(tmp_path: Path) -> None:
    assert checked(tmp_path, "loop.yaml", "a: &a [*a, *a]\nmodel: m\nmetadata: {Bad: x}").skipped == ()
    again = "meta = {**meta, 'Bad': 'x'}\n" * 300
    assert len(checked(tmp_path, "loop.py", f"{again}f(model='m', metadata=meta)").problems) == 300


@pytest.mark.parametrize(
    "secret",
    [
        "sk-abcdefghijklmnop",
        "AKIAABCDEFGHIJKLMNOP",
        "Bearer abcdefgh",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
        "token=abcdefgh",
        "-----BEGIN RSA PRIVATE KEY-----",
    ],
)
def test_no_secret_in_a_tag_and_none_in_the_message(tmp_path: Path, secret: str) -> None:
    (message,) = messages(tmp_path, f"{{'note': '{secret}'}}", registry="")
    assert message == "note: looks like a secret; tags are written to logs"


def test_a_secret_in_a_key_is_not_repeated(tmp_path: Path) -> None:
    assert messages(tmp_path, "{'sk-abcdefghijklmnop': 'x'}") == ["***: looks like a secret; tags are written to logs"]


def test_a_file_of_tags_alone(tmp_path: Path) -> None:
    file = tmp_path / "metadata.json"
    file.write_text('{\n  "team": "serach",\n  "Bad-Key": "x"\n}')
    (tmp_path / "tag_registry.csv").write_text(REGISTRY)
    report = check([], [file], find_registry(None, tmp_path), TODAY)
    assert [(each.line, each.rule) for each in report.problems] == [(2, "value"), (3, "snake_case")]
    for other in ("[1]", '[{"team": "search"}, {"Bad-Key": "x"}]', "", "[" * 1500):
        file.write_text(other)
        with pytest.raises(UserError, match="must be one object of keys and values"):
            check([], [file], find_registry(None, tmp_path), TODAY)


def test_folders_are_walked_and_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    for name, text in {
        "src/app.py": "f(model='m', metadata={'Bad': 'x'})",
        "node_modules/lib.js": "f({model: 'm', metadata: {Bad: 'x'}})",
        ".git/app.py": "f(model='m', metadata={'Bad': 'x'})",
        "broken.py": "def (",
        "broken.yaml": "a: [",
        "broken.toml": "a = ",
        "notes.md": "metadata={'Bad': 'x'}",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    report = check([tmp_path], [], find_registry(None, tmp_path), TODAY)
    assert [str(each.file.relative_to(tmp_path)) for each in report.problems] == ["src/app.py"]
    assert [each.split(":")[0].rpartition("/")[2] for each in report.skipped] == [
        "broken.py",
        "broken.toml",
        "broken.yaml",
    ]
    with pytest.raises(UserError, match="There is no"):
        check([tmp_path / "nowhere"], [], find_registry(None, tmp_path), TODAY)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("team,,,,[,,,,", "line 2, can't be read: its pattern is no regular expression"),
        ("team,,,,,,,soon,", "line 2, can't be read: Invalid isoformat"),
    ],
)
def test_a_registry_that_cannot_be_read_says_where(tmp_path: Path, row: str, said: str) -> None:
    file = tmp_path / "tag_registry.csv"
    file.write_text(REGISTRY.splitlines()[0] + "\n" + row + "\n")
    with pytest.raises(UserError, match=re.escape(said)):
        find_registry(file, None)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").write_text("f(model='m', metadata={'teem': 'x'})\n")
    seeds = tmp_path / "seeds" / "mapping"
    seeds.mkdir(parents=True)
    assert CliRunner().invoke(app, ["tags", "check", "app.py"]).exit_code == 0
    # The registry of the folder that a build would read.
    (seeds / "tag_registry.csv").write_text(REGISTRY)
    result = CliRunner().invoke(app, ["tags", "check", "app.py", "--json"])
    assert result.exit_code == 1
    (problem,) = json.loads(result.stdout)["problems"]
    assert problem == {
        "file": "app.py",
        "line": 1,
        "key": "teem",
        "rule": "unregistered",
        "message": "is not in the registry; is team meant?",
    }


def test_the_hook_as_pre_commit_runs_it(tmp_path: Path) -> None:
    """pre-commit takes the staged files that fit `files`, and runs `entry` with `args` and them in the top folder."""
    (hook,) = yaml.safe_load(HOOKS.read_text())
    names = {"app.py": True, "web/app.tsx": True, ".env.local": True, "config.yml": True, "page.md": False}
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "app.py").write_text("client.responses.create(model='m', metadata={'teem': 'x'})\n")
    (tmp_path / "tags.csv").write_text(REGISTRY)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    staged = subprocess.run(
        ["git", "diff", "--staged", "--name-only"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout.split()
    taken = [name for name in staged if re.search(hook["files"], name)]
    assert set(taken) == {name for name, is_taken in names.items() if is_taken}

    # `language: python`: the command is that of the package, installed; `args` come from the user's configuration.
    program, *words = shlex.split(hook["entry"])
    assert (hook["language"], program) == ("python", "llm-spend")
    command = [str(Path(sys.executable).with_name(program)), *words, "--registry", "tags.csv", *taken]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 1
    assert "app.py:1: teem: is not in the registry; is team meant?" in run.stderr
    (tmp_path / "app.py").write_text("client.responses.create(model='m', metadata={'team': 'search'})\n")
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 0


def test_the_page_says_what_the_command_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = dict(re.findall(r"```(csv|console|python)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
    for name, text in {"seeds/mapping/tag_registry.csv": blocks["csv"], "src/app.py": blocks["python"]}.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "config").mkdir()
    monkeypatch.chdir(tmp_path)
    command, *expected = blocks["console"].splitlines()
    result = CliRunner().invoke(app, command.split()[2:])
    assert result.output.splitlines() == expected
