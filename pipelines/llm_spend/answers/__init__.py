"""The questions that people bring, and the state of the data: queries on the public marts, a screen, JSON."""

from llm_spend.answers.month import Answers, answers
from llm_spend.answers.screen import render, render_status, to_json
from llm_spend.answers.sources import Status, status

__all__ = ["Answers", "Status", "answers", "render", "render_status", "status", "to_json"]
