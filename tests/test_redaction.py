from __future__ import annotations

import base64
import html
import io
import json
import logging
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
import structlog

from drasi import redaction
from drasi.redaction import Redactor
from drasi.resources.config_value import resolve
from drasi.web.logs import Lines

SHAPES = [
    "p4ss-w0rd",
    "p4ss:/?#[]@!$&()*+,;=%41 \u00e9",
    "p4ss\nsecond-p4ss\r\n",
    '"p4ss\'\\"{}',
    base64.b64encode(b"p4ss" * 5).decode(),
    "p4ss-\u00fc\U0001f6a2\u2028",
    "http://p4ss:p4ss@127.0.0.1:9//p4ss?k=p4ss",
    "<p4ss>&amp;",
    " p4ss ",
]


@pytest.mark.parametrize("value", SHAPES)
def test_a_secret_is_found_however_it_is_written(value: str) -> None:
    redactor = Redactor()
    redactor.learn(value)
    written = [
        value,
        value.strip(),
        repr(value),
        repr(value.encode())[1:] if value.isascii() else value,
        json.dumps(value),
        json.dumps(value, ensure_ascii=False),
        json.dumps({"a": value}),
        quote(value, safe=""),
        quote(value),
        quote_plus(value),
        quote(value, safe="").lower() if value.islower() else value,
        html.escape(value),
        base64.b64encode(value.encode()).decode(),
        base64.urlsafe_b64encode(value.encode()).decode(),
        str(Path("/state") / value.strip()),
        *value.split(","),
    ]
    for text in written:
        assert "p4ss" not in redactor.clean(f"cannot reach {text}: refused")
        assert redactor.clean(f"cannot reach {text}: refused").endswith(": refused")


def test_short_values_are_taken_out_as_words_and_the_shortest_not_at_all() -> None:
    redactor = Redactor()
    redactor.learn("post")
    redactor.learn("a")
    redactor.learn("   ")
    assert redactor.clean("postgres at post:5432 has a post_office") == "postgres at ***:5432 has a ***_office"
    assert redactor.clean("banana") == "banana"


def test_what_is_looked_up_is_known() -> None:
    class Kept:
        def get(self, name: str, key: str) -> str | None:
            return "looked-up-s3cret"

    resolve({"password": {"kind": "Secret", "name": "shop", "key": "password"}}, Kept(), [])
    assert redaction.clean("FATAL: looked-up-s3cret") == "FATAL: ***"


def test_tracebacks_in_log_lines_are_clean() -> None:
    redaction.learn("in-a-traceb4ck")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Lines(processor=structlog.processors.KeyValueRenderer()))
    logger = logging.getLogger("drasi.tests.redaction")
    logger.addHandler(handler)
    try:
        raise ValueError("in-a-traceb4ck")
    except ValueError:
        logger.exception("it failed with %s", "in-a-traceb4ck")
    logger.removeHandler(handler)
    assert "ValueError('***')" in stream.getvalue()
    assert "in-a-traceb4ck" not in stream.getvalue()
