"""Writes the table of settings into docs/settings.md, from the settings' own descriptions.

Run `python tests/docs/generate_settings.py` after a change; a test compares the committed page.
"""

from __future__ import annotations

from pathlib import Path

from llm_spend.settings import Settings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "settings.md"
START = "<!-- settings: made by tests/docs/generate_settings.py -->\n"
END = "<!-- end of settings -->"


def table() -> str:
    """One row per setting: name in the files, environment variable, default, meaning."""
    lines = ["| setting | environment | default | meaning |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, []) else f"`{field.default}`"
        lines.append(f"| `{name}` | `LLM_SPEND_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"


def page() -> str:
    """The page with the table as it should be."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    return before + START + table() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
