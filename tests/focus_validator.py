"""The FinOps Foundation's own validator on a file of FOCUS 1.2, the newest version whose rules it brings along.

python -m tests.focus_validator VENV FILE    VENV: where focus-validator is installed

It finds its rules from the current folder, ends with 0 whatever it found, and holds a rule that it can't decide against
every row: so it runs in a folder of its own, its report is read, and what is known of it is passed over.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

CRITERIA = ("ACCOUNT_NAMING", "SUB_ACCOUNT", "TAGGING", "USAGE_MEASUREMENT")
"""What these files have. Not unit prices: a statement line mixes tokens of several."""

KNOWN = {
    "EffectiveCost-C-005-C": "holds for purchases that cover later charges; ours are of their own month",
    "InvoiceId-C-005-C": "holds for charges on an invoice; checked as if every charge were",
}

_FEWEST_RULES = 100


def failures(venv: Path, file: Path) -> list[str]:
    """The rules that the file breaks. Raises RuntimeError when the validator did not look at it."""
    (rules,) = venv.absolute().glob("lib/python*/site-packages/focus_validator/rules")
    with TemporaryDirectory() as work:
        (Path(work) / "focus_validator").mkdir()
        (Path(work) / "focus_validator" / "rules").symlink_to(rules)
        done = subprocess.run(
            [
                venv.absolute() / "bin" / "focus-validator",
                *("--data-file", file.absolute(), "--validate-version", "1.2", "--block-download"),
                *("--applicability-criteria", ",".join(f"{name}_SUPPORTED" for name in CRITERIA)),
                *("--output-type", "unittest", "--output-destination", "report.xml"),
            ],
            cwd=work,
            env={**os.environ, "PYTHONSAFEPATH": "1"},
            capture_output=True,
            text=True,
        )
        report = Path(work) / "report.xml"
        if not report.exists():
            raise RuntimeError(done.stdout + done.stderr)
        cases = list(ElementTree.parse(report).iter("testcase"))
    checked = [case for case in cases if case.find("skipped") is None]
    if len(checked) < _FEWEST_RULES:
        raise RuntimeError(f"Only {len(checked)} of {len(cases)} rules were checked.")
    return [case.attrib["name"] for case in checked if len(case)]


def main(venv: Path, file: Path) -> int:
    """Print what is broken; 1 when it is not known."""
    found = failures(venv, file)
    for name in found:
        rule = name.split(" ")[0]
        print(f"{name}: {'known: ' + KNOWN[rule] if rule in KNOWN else 'NOT KNOWN'}")
    unknown = [name for name in found if name.split(" ")[0] not in KNOWN]
    print(f"{file}: {len(unknown)} rules of FOCUS 1.2 broken, {len(found) - len(unknown)} known")
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
