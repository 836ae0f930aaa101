"""A picture of Dagster's asset graph, to be looked at: `python -m tests.orchestration.screenshot URL FILE`.

`make dagster` serves it; the page of all assets is http://localhost:3000/asset-groups.
"""

from __future__ import annotations

import sys

from tests.screen.browser import launch


def main(url: str, file: str) -> None:
    with launch(viewport={"width": 1900, "height": 1100}) as opened:
        opened.page.goto(url)
        # The graph is laid out in the browser, after its definitions have come.
        opened.page.get_by_text("Materialize all").wait_for(timeout=120_000)
        opened.page.wait_for_timeout(10_000)
        opened.page.screenshot(path=file)


if __name__ == "__main__":
    main(*sys.argv[1:])
