"""DuckDB expressions that several open log formats share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from llm_spend.readers.sql import field, once, quote
from llm_spend.schema import Column


def told(text: str) -> str:
    """A text, NULL where it is empty: many logs write an empty text for what they do not know."""
    return f"nullif(trim(CAST({text} AS VARCHAR)), '')"


def first_told(*texts: str) -> str:
    """The first of several texts that is not empty."""
    return told(texts[0]) if len(texts) == 1 else f"coalesce({', '.join(told(text) for text in texts)})"


def text_field(name: str) -> str:
    """A field of a record as text, NULL where it is empty; in tables it may have another type."""
    return told(field(name))


def text_column(sql: str) -> Column:
    """A column of text."""
    return Column("text", sql)


def first_at(document: str, *paths: tuple[str, ...]) -> str:
    """The first text in a JSON document that is not empty, of those at several paths of literal keys.

    In short, for a load parses every statement: what a column is made of stands in it several times.
    """
    places = ", ".join(quote("$" + "".join(f'."{key}"' for key in path)) for path in paths)
    return f"list_filter(json_extract_string({document}, [{places}]), lambda x: x <> '')[1]"


def content(texts: Iterable[str], own_id: str = "NULL") -> str:
    """What tells records apart that have no id of their own, for LogFormat.content."""
    parts = ", ".join(f"coalesce({text}, '')" for text in texts)
    return f"coalesce({own_id}, md5(concat_ws('|', {parts})))"


PROMPT_HASH = "(^|:)([0-9a-f]{32,128})$"
"""A hash of a prompt in lower case (group 2), maybe behind a namespace; anything else could repeat the prompt."""


def prompt_hash(text: str) -> str:
    """The hash that a text is, in lower case; NULL for a text that is none."""
    return f"nullif(regexp_extract(lower(trim({text})), {quote(PROMPT_HASH)}, 2), '')"


def operation_of_path(path: str) -> str:
    """What kind of call a URL path is, in words that the staging model knows; the path itself when nothing tells."""
    called = f"lower(split_part({path}, '?', 1))"
    return (
        f"CASE WHEN ends_with({called}, '/completions') AND NOT contains({called}, 'chat') THEN 'text_completion'"
        f" WHEN {called} = 'completions' THEN 'text_completion'"
        f" WHEN regexp_matches({called}, 'embedcontent') THEN 'embedding'"
        f" WHEN regexp_matches({called}, 'generatecontent|/converse|/invoke') THEN 'chat'"
        f" ELSE {path} END"
    )


def metadata_with(own: str, tags: Mapping[str, str]) -> str:
    """A log's own metadata (a JSON object or NULL), and besides what its other fields tell, by tag.

    What the log's own metadata says under the name of a tag wins. NULL when there is neither.
    """
    pairs = ", ".join(f"{quote(tag)}, {text}" for tag, text in tags.items())
    # A patch leaves out what is NULL in it. Lists of one, so that each part is made once.
    besides = f"json_merge_patch('{{}}', json_object({pairs}))"
    nothing = f"CAST(nullif(CAST({besides} AS VARCHAR), '{{}}') AS JSON)"
    both = once(own, "d", f"json_merge_patch({besides}, json_merge_patch('{{}}', d))")
    return f"coalesce({both}, {nothing})"
