"""How long a report takes to open and to filter: `python -m tests.screen.measure_report data/report.html`.

Prints the medians of five openings, each in a new page: until the tables can be read, until the charts stand, and
until a filter has changed every table.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median

from tests.screen.browser import launch

_OPENINGS = 5
_FILTER = """
() => {
  const name = document.querySelector("#by-environment button.link");
  const from = performance.now();
  name.click();
  document.body.getBoundingClientRect();  // what was changed is laid out
  return performance.now() - from;
}
"""


def main(file: Path) -> None:
    """Measure a report and print what came out."""
    read, ready, filtered = [], [], []
    for _ in range(_OPENINGS):
        with launch(viewport={"width": 1360, "height": 900}) as opened:
            opened.page.goto(file.absolute().as_uri(), wait_until="commit")
            opened.page.wait_for_selector("html[data-ready=yes]")
            ready.append(opened.page.evaluate("performance.now()"))
            read.append(opened.page.evaluate("performance.getEntriesByType('paint')[0].startTime"))
            filtered.append(opened.page.evaluate(_FILTER))
    print(f"{file.name}: {file.stat().st_size / 1e6:.1f} MB")
    for what, times in (("can be read", read), ("is ready", ready), ("is filtered", filtered)):
        print(f"{what}: {median(times):,.0f} ms")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
