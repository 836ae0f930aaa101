"""What Streamlit runs, from the top for every click: the filters, the pages, and what can be wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from llm_spend.dashboard.show import problem
from llm_spend.dashboard.sidebar import view_of
from llm_spend.dashboard.store import open_store
from llm_spend.dashboard.view import View
from llm_spend.dashboard.views import ALL_PAGES, PAGES, Page
from llm_spend.errors import UserError


def _showing(page: Page, view: View) -> Callable[[], None]:
    def show() -> None:
        try:
            page.show(view)
        except UserError as error:
            problem(error)

    return show


# Without a file of our own, the icon of the page would be fetched from the internet.
st.set_page_config(page_title="LLM spend", page_icon=Path(__file__).with_name("icon.svg"), layout="wide")
try:
    view = view_of(open_store())
except UserError as error:
    problem(error)
else:
    st.navigation(
        {
            section: [
                st.Page(
                    _showing(page, view),
                    title=page.title,
                    icon=page.icon,
                    url_path=page.path,
                    default=page is ALL_PAGES[0],
                )
                for page in pages
            ]
            for section, pages in PAGES.items()
        },
        # The filters have the side for themselves.
        position="top",
    ).run()
