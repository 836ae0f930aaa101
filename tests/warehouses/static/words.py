"""Names as they are written, against what each warehouse has: sqlglot and the emulators take other dialects' names too.

The lists are reviewed, and short of what exists: add a function when the vendor's reference lists it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from sqlglot import tokenize
from sqlglot.tokens import Token, TokenType

from tests.warehouses.static.raw_types import Warehouse


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SHARED_FUNCTIONS = """
    ABS ANY_VALUE ARRAY_AGG AVG CAST CEIL CHR COALESCE CONCAT COUNT CURRENT_DATE CURRENT_TIMESTAMP DATE DATE_TRUNC
    DENSE_RANK EXTRACT FIRST_VALUE FLOOR GREATEST IFNULL INITCAP LAG LAST_DAY LAST_VALUE LEAD LEAST LEFT LENGTH LN LOG
    LOWER LPAD LTRIM MAX MAX_BY MD5 MIN MIN_BY MOD NTH_VALUE NTILE NULLIF PARSE_JSON PERCENTILE_CONT
    PERCENTILE_DISC PERCENT_RANK POWER RANK REGEXP_INSTR REGEXP_REPLACE REGEXP_SUBSTR REPLACE REVERSE RIGHT ROUND
    ROW_NUMBER RPAD RTRIM SIGN SPLIT SQRT SUBSTR SUBSTRING SUM TO_JSON TRIM TRUNC UPPER
"""

FUNCTIONS: Mapping[Warehouse, frozenset[str]] = {
    "snowflake": _words(
        f"""{_SHARED_FUNCTIONS}
        ARRAY_CAT ARRAY_COMPACT ARRAY_CONSTRUCT ARRAY_CONTAINS ARRAY_DISTINCT ARRAY_SIZE ARRAY_SLICE ARRAY_SORT
        ARRAY_TO_STRING BOOLAND_AGG BOOLOR_AGG CHARINDEX CONCAT_WS CONTAINS CONVERT_TIMEZONE COUNT_IF DATEADD DATEDIFF
        DATE_FROM_PARTS DATE_PART DAY DAYOFWEEKISO DECODE DIV0 DIV0NULL ENDSWITH EQUAL_NULL FLATTEN GENERATOR GET
        GET_PATH GREATEST_IGNORE_NULLS HASH HASH_AGG HOUR IFF IS_ARRAY IS_NULL_VALUE IS_OBJECT LEAST_IGNORE_NULLS LEN
        LISTAGG MEDIAN MINUTE MONTH NULLIFZERO NVL NVL2 OBJECT_AGG OBJECT_CONSTRUCT OBJECT_KEYS POSITION QUARTER
        REGEXP_COUNT REGEXP_LIKE RLIKE SECOND SEQ4 SHA2 SPLIT_PART STARTSWITH STRIP_NULL_VALUE STRTOK TIMEADD TIMEDIFF
        TO_ARRAY TO_BOOLEAN TO_CHAR TO_DATE TO_DECIMAL TO_DOUBLE TO_NUMBER TO_NUMERIC TO_OBJECT TO_TIMESTAMP_NTZ
        TO_TIMESTAMP_TZ TO_VARCHAR TO_VARIANT TRY_CAST TRY_PARSE_JSON TRY_TO_BOOLEAN TRY_TO_DATE TRY_TO_DECIMAL
        TRY_TO_NUMBER TRY_TO_TIMESTAMP_NTZ TYPEOF UUID_STRING WIDTH_BUCKET YEAR ZEROIFNULL
        """
    ),
    "bigquery": _words(
        f"""{_SHARED_FUNCTIONS}
        APPROX_COUNT_DISTINCT APPROX_QUANTILES ARRAY ARRAY_CONCAT ARRAY_LENGTH ARRAY_REVERSE ARRAY_TO_STRING BOOL
        BYTE_LENGTH CEILING CHAR_LENGTH CONTAINS_SUBSTR COUNTIF DATETIME DATETIME_ADD DATETIME_DIFF DATETIME_SUB
        DATETIME_TRUNC DATE_ADD DATE_DIFF DATE_SUB DIV ENDS_WITH ERROR FARM_FINGERPRINT FLOAT64 FORMAT FORMAT_DATE
        FORMAT_DATETIME FORMAT_TIMESTAMP GENERATE_ARRAY GENERATE_DATE_ARRAY GENERATE_TIMESTAMP_ARRAY GENERATE_UUID IF
        INSTR INT64 JSON_ARRAY JSON_EXTRACT JSON_EXTRACT_SCALAR JSON_KEYS JSON_OBJECT JSON_QUERY JSON_QUERY_ARRAY
        JSON_TYPE JSON_VALUE JSON_VALUE_ARRAY LAX_BOOL LAX_FLOAT64 LAX_INT64 LAX_STRING LOGICAL_AND LOGICAL_OR OFFSET
        ORDINAL PARSE_BIGNUMERIC PARSE_DATE PARSE_NUMERIC PARSE_TIMESTAMP POW REGEXP_CONTAINS REGEXP_EXTRACT
        REGEXP_EXTRACT_ALL SAFE_CAST SAFE_DIVIDE SAFE_MULTIPLY SAFE_OFFSET SAFE_ORDINAL SAFE_SUBTRACT SHA256
        STARTS_WITH STRING STRING_AGG STRPOS STRUCT TIMESTAMP TIMESTAMP_ADD TIMESTAMP_DIFF TIMESTAMP_MICROS
        TIMESTAMP_MILLIS TIMESTAMP_SECONDS TIMESTAMP_SUB TIMESTAMP_TRUNC TO_HEX TO_JSON_STRING UNIX_DATE UNIX_MICROS
        UNIX_MILLIS UNIX_SECONDS UNNEST
        """
    ),
}
TYPES: Mapping[Warehouse, frozenset[str]] = {
    "snowflake": _words(
        """
        ARRAY BIGINT BINARY BOOLEAN CHAR DATE DECIMAL DOUBLE FLOAT INT INTEGER NUMBER NUMERIC OBJECT SMALLINT STRING
        TEXT TIME TIMESTAMP_LTZ TIMESTAMP_NTZ TIMESTAMP_TZ VARCHAR VARIANT
        """
    ),
    "bigquery": _words(
        """
        ARRAY BIGDECIMAL BIGINT BIGNUMERIC BOOL BOOLEAN BYTES DATE DATETIME DECIMAL FLOAT64 INT INT64 INTEGER INTERVAL
        JSON NUMERIC SMALLINT STRING STRUCT TIME TIMESTAMP
        """
    ),
}

# Words that stand before a bracket and are no functions.
_SYNTAX = _words(
    """
    ALL AND ANY AS BETWEEN BY CASE DISTINCT ELSE EXCEPT EXCLUDE EXISTS FILTER FROM GROUP HAVING IN INTERSECT INTERVAL
    JOIN LATERAL LIKE NOT ON OR OVER PARTITION QUALIFY RENAME SELECT TABLE THEN UNION USING VALUES WHEN WHERE WITH
    WITHIN
    """
)

# Reserved by Snowflake: an error as a name of a column, a table or an alias, unless quoted.
_RESERVED_BY_SNOWFLAKE = _words(
    """
    ALL ALTER AND ANY AS BETWEEN BY CASE CAST CHECK COLUMN CONNECT CONSTRAINT CREATE CROSS CURRENT CURRENT_DATE
    CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER DELETE DISTINCT DROP ELSE EXISTS FALSE FOLLOWING FOR FROM FULL GRANT
    GROUP HAVING ILIKE IN INCREMENT INNER INSERT INTERSECT INTO IS JOIN LATERAL LEFT LIKE LOCALTIME LOCALTIMESTAMP
    MINUS NATURAL NOT NULL OF ON OR ORDER QUALIFY REGEXP REVOKE RIGHT RLIKE ROW ROWS SAMPLE SELECT SET SOME START
    TABLE TABLESAMPLE THEN TO TRIGGER TRUE TRY_CAST UNION UNIQUE UPDATE USING VALUES WHEN WHENEVER WHERE WITH
    """
)

_CASTS = frozenset(["CAST", "TRY_CAST", "SAFE_CAST"])
_DECIMALS = frozenset(["DECIMAL", "NUMBER", "NUMERIC"])


def wrong_words(sql: str, warehouse: Warehouse) -> list[str]:
    """What is written in `sql` that the warehouse does not have: functions, types, `* except`, reserved names."""
    tokens = tokenize(sql, read=warehouse)
    problems = [*_functions(tokens, warehouse), *_types(tokens, warehouse), *_stars(tokens, warehouse)]
    if warehouse == "snowflake":
        problems += _reserved_names(tokens)
    return list(dict.fromkeys(problems))


def _functions(tokens: Sequence[Token], warehouse: Warehouse) -> Iterator[str]:
    for before, token, after in zip([None, *tokens], tokens, tokens[1:], strict=False):
        word = token.text.upper()
        is_call = after.token_type == TokenType.L_PAREN and _is_word(token)
        # A name before a bracket may also be a CTE's, with its columns, or a type's, with its precision.
        is_name = before is not None and before.token_type in (TokenType.ALIAS, TokenType.DCOLON, TokenType.WITH)
        if is_call and not is_name and word not in FUNCTIONS[warehouse] | _SYNTAX:
            yield f"{warehouse} has no function {word.lower()}, or it is not on the list"


def _types(tokens: Sequence[Token], warehouse: Warehouse) -> Iterator[str]:
    for index in _type_positions(tokens):
        word = tokens[index].text.upper()
        has_size = index + 1 < len(tokens) and tokens[index + 1].token_type == TokenType.L_PAREN
        if warehouse == "snowflake" and word == "TIMESTAMP":
            yield "type timestamp: on Snowflake the account's settings say which of three types that is"
        elif word not in TYPES[warehouse]:
            yield f"{warehouse} has no type {word.lower()}, or it is not on the list"
        elif warehouse == "snowflake" and word in _DECIMALS and not has_size:
            yield f"type {word.lower()} without a scale: on Snowflake it holds whole numbers"


def _type_positions(tokens: Sequence[Token]) -> Iterator[int]:
    """Where the name of a type stands: after `::`, and in a cast after the last AS."""
    for index, token in enumerate(tokens):
        if token.token_type == TokenType.DCOLON:
            yield index + 1
        elif token.text.upper() in _CASTS and tokens[index + 1].token_type == TokenType.L_PAREN:
            depth = 0
            found = None
            for position in range(index + 1, len(tokens)):
                kind = tokens[position].token_type
                depth += (kind == TokenType.L_PAREN) - (kind == TokenType.R_PAREN)
                if depth == 0:
                    break
                if depth == 1 and kind == TokenType.ALIAS:
                    found = position + 1
            if found:
                yield found


def _stars(tokens: Sequence[Token], warehouse: Warehouse) -> Iterator[str]:
    foreign = {"snowflake": "EXCEPT", "bigquery": "EXCLUDE"}[warehouse]
    for token, after in pairwise(tokens):
        if token.token_type == TokenType.STAR and after.text.upper() == foreign:
            yield f"{warehouse} has no * {foreign.lower()}"


def _reserved_names(tokens: Sequence[Token]) -> Iterator[str]:
    for token, after in pairwise(tokens):
        word = after.text.upper()
        named = token.token_type == TokenType.ALIAS and word not in ("SELECT", "WITH")
        if named and _is_word(after) and word in _RESERVED_BY_SNOWFLAKE:
            yield f"snowflake reserves the name {word.lower()}"


def _is_word(token: Token) -> bool:
    is_quoted = token.token_type in (TokenType.IDENTIFIER, TokenType.STRING)
    return not is_quoted and token.text.replace("_", "a").isalnum() and not token.text[0].isdigit()
