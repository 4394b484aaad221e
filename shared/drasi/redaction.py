"""Values of secrets stay out of whatever this process writes or says: log lines, status, dead letters, errors of deliveries.

Each place keeps its own words free of them; but a host, a path or a whole connection string may be a secret too, and the words of a
library name what it could not reach. So every secret that was looked up is known here, and taken out of texts on their way out.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, quote_plus

HIDDEN: Final = "***"
SHORTEST: Final = 4
"""A shorter value is part of too many words to be taken out of them."""
_LONG: Final = 12
"""A value as long as this is taken out of the middle of words, too."""
_MOST: Final = 300


class Redactor:
    """Knows secrets, the latest some hundred, and takes them out of texts: as they are, and as JSON, URLs, HTML, Python and base64
    write them."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, None] = OrderedDict()
        self._pattern: re.Pattern[str] | None = None
        self._fresh = True

    def learn(self, value: str) -> None:
        """From now on this value is taken out."""
        if value in self._known or len(value.strip()) < SHORTEST:
            return
        self._known[value] = None
        if len(self._known) > _MOST:
            self._known.popitem(last=False)
        self._fresh = False

    def clean(self, text: str) -> str:
        """The text without secrets."""
        if not self._fresh:
            self._fresh = True
            forms = {form for each in self._known.copy() for form in _forms(each)}
            self._pattern = re.compile("|".join(map(_expression, sorted(forms, key=len, reverse=True))))
        return text if self._pattern is None else self._pattern.sub(HIDDEN, text)


_of_this_process = Redactor()
learn = _of_this_process.learn
clean = _of_this_process.clean


def _forms(value: str) -> Iterator[str]:
    # Libraries split what they are given: a text into lines, a list of hosts at its commas.
    for part in {value, value.strip(), *re.split(r"[\r\n,]+", value)}:
        if len(part.strip()) < SHORTEST:
            continue
        yield part
        yield re.sub("/+", "/", part)  # a path
        yield html.escape(part)
        yield html.escape(part, quote=False)
        yield repr(part)[1:-1]
        yield part.replace("\\", "\\\\").replace("'", "\\'").replace('"', '\\"')
        for ascii_only in (True, False):
            written = json.dumps(part, ensure_ascii=ascii_only)[1:-1]
            yield written
            yield written.replace("/", "\\/")
        encoded = part.encode("utf-8", "surrogatepass")
        for text in (quote(encoded, safe=""), quote(encoded), quote_plus(encoded)):
            yield text
            yield re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), text)
        for altchars in (b"+/", b"-_"):
            yield base64.b64encode(encoded, altchars).decode().rstrip("=")


def _expression(form: str) -> str:
    escaped = re.escape(form)
    if len(form) >= _LONG:
        return escaped
    before = r"(?<![^\W_])" if form[0].isalnum() else ""
    after = r"(?![^\W_])" if form[-1].isalnum() else ""
    return f"{before}{escaped}{after}"
