"""Access logs of web servers: NGINX in any ``log_format``, Apache's combined and common, JSON lines.

A log is often several files, rotated and compressed. All of them together are one: the files
are put in the order of their contents, lines that two of them share count once, and the
requests are sorted by their arrival. A line without its cache's view (a POST, a 404 that is
not cached) is left out and counted; see `evictlab.traces.weblog.requests.convert`. Nothing that names
a client is read into a column.

Source: NGINX, ngx_http_log_module; Apache, mod_log_config.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..batch import Account, Batch
from ..errors import FormatError, UnknownNameError, UsageError
from ..units import parse_duration
from ..weblog.choose import choose_format, first_lines, looks_like
from ..weblog.keys import KeyTemplate, key_template, salt_of
from ..weblog.log_format import split_template
from ..weblog.nginx.conf import NginxConf, read_nginx_conf
from ..weblog.records import Records
from ..weblog.requests.convert import Choices, convert
from ..weblog.requests.overlap import Repeated, first_line, line_hashes, repeated
from ..weblog.rules import CacheRules
from .base.reader import BATCH_RECORDS, TORN, Reader
from .base.registry import trace_format
from .base.sniff import CERTAIN, Head
from .base.source import Source

__all__ = ["AccessLog"]

REPEATED = "line that another file has, too"

_ADDRESS = re.compile(
    r"\b\d{1,3}(?:\.\d{1,3}){3}\b"
    r"|(?<![\w:])(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}(?![\w:])"
    r"|(?<![\w:])[0-9a-fA-F:]{0,30}::[0-9a-fA-F:.]{0,30}(?![\w:])"
)
_CLIENT = frozenset(
    ["remote_addr", "binary_remote_addr", "realip_remote_addr", "remote_user", "http_x_forwarded_for", "http_x_real_ip"]
)
_WORDS = {"requests": ("cacheable", "all"), "order": ("arrival", "file"), "ties": ("order", "reverse", "shuffle")}


@trace_format(
    "access_log",
    title="access log of NGINX or Apache",
    description="combined, common or JSON lines, or any log_format (format='...', or conf=nginx.conf)",
    source="https://nginx.org/en/docs/http/ngx_http_log_module.html",
    suffixes=(".log",),
)
class AccessLog(Reader):
    """Reader of access logs."""

    OPTIONS: ClassVar = {
        "format": "combined, common, json, a log_format of conf, or its text with $variables (default: recognised)",
        "escape": "default, json or none: how the log_format escapes (default: default)",
        "conf": "an nginx.conf: its log_format, its cache's key, methods, proxy_cache_valid",
        "log": "which access_log of conf: its path, file name or format",
        "zone": "which cache of conf: its keys_zone",
        "location": "which cache of conf: the pattern of its location, or its line",
        "key": "template of the cache key (default: that of conf, or $scheme$proxy_host$request_uri)",
        "valid": "how long responses stay fresh, as proxy_cache_valid: '200 302 10m; 404 1m'",
        "methods": "which methods are cached (default: GET HEAD)",
        "requests": "cacheable (default), or all: every line with a request line, as large as its body",
        "epoch": "an object keeps its size so long (default: 1d)",
        "order": "arrival (default), or file: requests stay in the order of the lines",
        "ties": "order, reverse or shuffle: lines of one second where stamps have no fractions (default: order)",
        "tie_seed": "seed of ties=shuffle (default: 0)",
        "salt": "a secret word: keys become 64-bit hashes that only it can make again",
    }
    SECRETS: ClassVar = frozenset({"salt"})

    def __init__(self, source: Source, **options: Any) -> None:
        super().__init__(source, **options)
        self._others: Sequence[AccessLog] = ()
        self._holds: set[int] = set()
        for name, known in _WORDS.items():
            if name in options and str(options[name]) not in known:
                raise UnknownNameError(name, str(options[name]), known)
        self.conf = self._read_conf()
        self.log_format = choose_format(options, self.conf, source)
        rules = CacheRules.of_conf(self.conf) if self.conf else CacheRules()
        self.rules = rules.changed(**{name: str(options.get(name, "")) for name in ("key", "valid", "methods")})
        self._choices = Choices(
            everything=options.get("requests") == "all",
            epoch_s=self._positive_duration("epoch", "1d"),
            by_arrival=options.get("order") != "file",
            ties=str(options.get("ties", "order")),
            tie_seed=self._seed(),
            batch=BATCH_RECORDS,
        )
        self._salt = self._read_salt()

    @classmethod
    def sniff(cls, head: Head) -> float:
        """Sure if nine of ten lines are of the combined, the common or a JSON format."""
        return CERTAIN * bool(looks_like(first_lines(head.source)))

    @classmethod
    def walk(cls, readers: Sequence[Reader]) -> Iterator[Batch]:
        """Walk all files as one log; the first account says what became of the lines of all of them."""
        first, *others = (reader for reader in readers if isinstance(reader, AccessLog))
        first._others = others
        try:
            yield from first.batches()
        finally:
            first._others = ()

    def _read(self) -> Iterator[Batch]:
        files = [self, *self._others]
        for file in self._others:
            file.account, file._unreadable = Account(), 0
        if len(files) > 1:
            for file in files:
                if not np.isfinite(file._first_s):
                    raise UsageError(
                        f"{file.path} has no times, so that its place among the {len(files)} files is not known; "
                        "open it alone"
                    )
            files.sort(key=lambda file: file._first_s)  # equal ones as they were given
        template, records = self._template(files), Records()
        firsts = np.array([file._first_hash for file in files], np.uint64)
        latest_s: list[float] = []
        for file in files:
            earlier = [
                one
                for one, end_s in zip(files, latest_s, strict=False)
                # Rotation within a second is no overlap.
                if end_s > file._first_s or one._first_s == file._first_s
            ]
            latest_s.append(file._gather(records, template, earlier, firsts))
        yield from convert(records, self.rules, self._choices, self.account)

    @cached_property
    def _first_s(self) -> float:
        """Unix time of the first line that can be read, NaN if there is none."""
        from ..weblog.fields import scan

        head = self.source.head
        stamps = scan(self.log_format, head if self.source.complete else head[: head.rfind(b"\n") + 1]).stamps()[0]
        known = stamps[np.isfinite(stamps)]
        return float(known[0]) if len(known) else np.nan

    @cached_property
    def _first_hash(self) -> int:
        """Of the first line."""
        return int(line_hashes(first_line(self.source) or b"\n")[0])

    def _template(self, files: Sequence[AccessLog]) -> KeyTemplate:
        """The key, of what all files have: an object has the same one in each of them."""
        from ..weblog.fields import scan

        each = [scan(file.log_format, b"").has for file in files]
        for file, has in zip(files, each, strict=True):
            if not has("request_uri") and not has("uri"):
                raise FormatError(
                    file.path,
                    f"its log_format has no $request, $request_uri or $uri, which name the object; it has "
                    f"{', '.join(f'${name}' for name in file.log_format.variables)}",
                    hint="Log one of them, or name another format: format='...'.",
                )
        template = key_template(self.rules, lambda variable: all(has(variable) for has in each))
        named = [f"${part}" for part, is_variable in split_template(template.text) if is_variable and part in _CLIENT]
        if named and self._salt is None:
            raise UsageError(
                f"{self.path}: keys would name clients, by {', '.join(named)}; add salt=WORD, so that they are hashed"
            )
        for note in (*template.notes, *(self.conf.notes if self.conf else ())):
            self.note(note)
        return template

    def _gather(
        self,
        records: Records,
        template: KeyTemplate,
        earlier: Sequence[AccessLog],
        firsts: npt.NDArray[np.uint64],
    ) -> float:
        """Take in the lines of this file that no earlier one has; return the latest time in it.

        Which of `firsts`, hashes of the first lines of all files, are among its lines is kept for later files.
        """
        from ..weblog.collect import collect
        from ..weblog.fields import scan

        skip = self._shared(earlier)
        latest_s, varies, strange = -np.inf, 0, 0
        for number, block in self.source.blocks():
            if len(firsts) > 1:
                self._holds.update(np.intersect1d(line_hashes(block), firsts).tolist())
            if skip >= len(block):
                skip -= len(block)
                continue
            if skip:
                number += block[:skip].count(b"\n")
                block, skip = block[skip:], 0
            fields = scan(self.log_format, block, number)
            self.account.records += fields.records
            for why, count in fields.bad.items():
                shown = [self._shown(text) for reason, text in fields.examples if reason == why]
                if why.startswith("torn"):
                    self.drop(TORN, count, shown)
                else:
                    self.refuse(why, count, shown)
            self.repair("unescaped quote in a value -> part of it", fields.mended)
            if len(fields):
                found = collect(fields, self.rules, template, records, self._salt)
                latest_s = float(np.fmax(latest_s, found.latest_s))
                varies, strange = varies + found.varies, strange + found.strange
        self._judge(self._tolerated)
        self.repair("cache status that NGINX does not have -> unknown", strange)
        if varies:
            self.note(f"{varies:,} responses have a Vary: variants of one key count as one object")
        if "bytes_sent" in self.log_format.variables and "body_bytes_sent" not in self.log_format.variables:
            self.note("sizes are those of $bytes_sent, which includes the headers of responses")
        return latest_s

    def _shared(self, earlier: Sequence[AccessLog]) -> int:
        """How many bytes of this file's start an earlier one has; counted and noted."""
        name, found, other = self.path.name, Repeated(), self
        for one in earlier:
            if self._first_hash not in one._holds:
                continue
            if (shared := repeated(one.source, self.source)).n_bytes > found.n_bytes:
                found, other = shared, one
        if found.n_bytes:
            self.account.records += found.lines
            self.drop(REPEATED, found.lines)
            what = f"all of {name}" if found.whole else f"the first {found.lines:,} lines of {name}"
            self.note(f"{what}: also in {other.path.name}, read once")
        return found.n_bytes

    def _shown(self, example: str) -> str:
        """An example of a bad line without the addresses in it, and without any text if keys are secret."""
        return example.partition(":")[0] if self._salt is not None else _ADDRESS.sub("(address)", example)

    def _none_advice(self) -> str:
        if self._unreadable or not self.account.dropped:
            return f"{self._advice()}{super()._none_advice()}"
        return (
            "A cache sees none of them. What is cached: methods='GET HEAD', valid='any 1m'; or requests=all takes every "
            "line with a request line."
        )

    def _advice(self) -> str:
        return f"Lines were expected as {self.log_format.name or 'the given format'}: " + (
            "name another with format='...' or conf=nginx.conf. "
        )

    def _read_conf(self) -> NginxConf | None:
        if "conf" in self.options:
            return read_nginx_conf(
                self.options["conf"],
                log_name=str(self.options.get("log", "")),
                zone=str(self.options.get("zone", "")),
                location=str(self.options.get("location", "")),
                file_name=self.path.name,
            )
        for name in ("log", "zone", "location"):
            if name in self.options:
                raise UsageError(f"{name}={self.options[name]} names a part of an nginx.conf; add conf=PATH")
        return None

    def _read_salt(self) -> int | None:
        if "salt" not in self.options:
            return None
        if not str(self.options["salt"]):  # an unset variable of the shell, perhaps
            raise UsageError("salt= is empty, so that keys would stay readable; give a secret word, or leave it out")
        return salt_of(str(self.options["salt"]))

    def _positive_duration(self, option: str, default: str) -> float:
        seconds = parse_duration(str(self.options.get(option, default)))
        if seconds <= 0:
            raise UsageError(f"{option}={self.options[option]} must be above 0, for example {default}")
        return seconds

    def _seed(self) -> int:
        text = str(self.options.get("tie_seed", "0"))
        if not text.isdecimal():
            raise UsageError(f"tie_seed={text!r} is no whole number from 0 on")
        return int(text)
