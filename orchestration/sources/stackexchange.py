"""Reader of a site's public Stack Exchange dump: Posts, Comments, Users and Votes, as .xml, .xml.gz, or in a .7z.

A dump has one `<row .../>` a line; lines are parsed one at a time, so memory does not grow with the file.

What becomes what (`S` is the site: the name of the folder or archive, without `.stackexchange.com`):

| dump | stream | canonical |
|---|---|---|
| question | posts | `S:p<Id>`; title, empty line, body as text; topics are the tags |
| answer | posts | `S:p<Id>` with `reply_to` the question |
| comment | posts | `S:c<Id>` with `reply_to` the post commented on |
| user | users | `S:u<Id>`, joined_at, region (Location), attributes (reputation) |
| asking | events | `share` on the own question |
| answering | events | `comment` on the question |
| commenting | events | `comment` on the post commented on |
| vote 5 (favourite) | events | `save` by its user |
| vote 8 (bounty started) | events | `share` by its user, `value` the amount: a bounty promotes the question |
| vote 2 (up), 3 (down) | events | `like`, `hide` by `anonymous`: the dump hides who voted |
| vote 4 (offensive), 12 (spam) | events | `report` by `anonymous` |

Votes are dated by day (00:00 UTC), nothing finer is published. Left out: tag wikis and other post types, votes of
other types, votes on posts that the dump does not hold (deleted ones), and whatever the site's own account (`-1`) or a
deleted account did, though their posts stay, with their author where one is named. Event ids are the dump's own, so
two votes of one day stay two.
"""

import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from orchestration.sources.assemble import assemble
from orchestration.sources.base import Batches, Progress, quiet
from orchestration.sources.html_text import html_to_text
from orchestration.sources.openers import lines, open_binary, require_text
from orchestration.sources.schema import ANONYMOUS, BATCH_ROWS, ERROR_COLUMN, ROW_COLUMN, STREAMS
from training.errors import UserError

TABLES = ("Posts", "Comments", "Users", "Votes")
_VOTES = {"2": "like", "3": "hide", "4": "report", "5": "save", "8": "share", "12": "report"}
_NOBODY = {None, "-1"}
_PIECE_BYTES = 32 << 20
_SITE_ENDINGS = re.compile(r"(\.7z|\.stackexchange\.com|\.com)+$", re.IGNORECASE)
_POST_ID = re.compile(rb'<row (?=[^>]*\bPostTypeId="[12]")[^>]*?\bId="(\d+)"')

Row = dict[str, str]
Record = dict[str, Any]


def site_of(file: Path) -> str:
    """The site that a dump's file belongs to, by its archive or folder; it goes before every id."""
    folder = file.name if file.suffix.lower() == ".7z" else file.absolute().parent.name
    return _SITE_ENDINGS.sub("", folder).lower() or "site"


def _table_of(file: Path) -> str | None:
    return next(
        (table for table in TABLES if re.fullmatch(rf"{table}\.xml(\.gz)?", file.name, re.IGNORECASE)), None
    )


class PostIds:
    """The ids of the dump's questions and answers, one bit each, for telling votes on deleted posts."""

    def __init__(self, file: Path | None) -> None:
        self.known = file is not None
        self.bits = bytearray()
        if file is not None:
            with open_binary(file) as stream:
                for line, _ in lines(stream):
                    match = _POST_ID.search(line)
                    if match:
                        self._add(int(match[1]))

    def _add(self, number: int) -> None:
        byte = number >> 3
        if byte >= len(self.bits):
            self.bits.extend(bytes(byte + 1 + (1 << 16) - len(self.bits)))
        self.bits[byte] |= 1 << (number & 7)

    def __contains__(self, text: str | None) -> bool:
        if not self.known or text is None:
            return text is not None
        number = int(text)
        return number >> 3 < len(self.bits) and bool(self.bits[number >> 3] >> (number & 7) & 1)


def _topics(tags: str) -> list[str]:
    """Tags are written `<a><b>` in older dumps, `|a|b|` in newer ones."""
    return [tag for tag in re.split(r"[<>|]+", tags) if tag]


class Mapping:
    """Turns the rows of one site's tables into canonical records; see the table in the module's docstring."""

    def __init__(self, site: str, posts: PostIds) -> None:
        self.site = site
        self.posts = posts
        self.tables: dict[str, Callable[[Row], Iterator[tuple[str, Record]]]] = {
            "Posts": self.post,
            "Comments": self.comment,
            "Users": self.user,
            "Votes": self.vote,
        }

    def _id(self, kind: str, number: str | None) -> str | None:
        return None if number is None else f"{self.site}:{kind}{number}"

    def post(self, row: Row) -> Iterator[tuple[str, Record]]:
        """A question with its asking, or an answer with its answering."""
        if row["PostTypeId"] not in {"1", "2"}:
            return
        question = row["PostTypeId"] == "1"
        own, author = self._id("p", row["Id"]), row.get("OwnerUserId")
        text = html_to_text(row.get("Body", ""))
        if row.get("Title"):
            text = f"{row['Title'].strip()}\n\n{text}".strip()
        parent = None if question else self._id("p", row.get("ParentId"))
        yield (
            "posts",
            {
                "post_id": own,
                "created_at": row["CreationDate"],
                "author_id": self._id("u", author),
                "text": text,
                "topics": _topics(row.get("Tags", "")) or None,
                "reply_to": parent,
            },
        )
        if author not in _NOBODY:
            action, target = ("share", own) if question else ("comment", parent)
            yield "events", self._event(row, author, action, target, f"p{row['Id']}")

    def comment(self, row: Row) -> Iterator[tuple[str, Record]]:
        """A comment as a post of its own, with its commenting."""
        author, target = row.get("UserId"), self._id("p", row["PostId"])
        yield (
            "posts",
            {
                "post_id": self._id("c", row["Id"]),
                "created_at": row["CreationDate"],
                "author_id": self._id("u", author),
                "text": row.get("Text", "").strip(),
                "reply_to": target,
            },
        )
        if author not in _NOBODY:
            yield "events", self._event(row, author, "comment", target, f"c{row['Id']}")

    def user(self, row: Row) -> Iterator[tuple[str, Record]]:
        """A user; the site's own account is none."""
        if row["Id"] not in _NOBODY:
            attributes = {"reputation": int(row.get("Reputation", "0"))}
            yield (
                "users",
                {
                    "user_id": self._id("u", row["Id"]),
                    "joined_at": row.get("CreationDate"),
                    "region": row.get("Location"),
                    "attributes": attributes,
                },
            )

    def vote(self, row: Row) -> Iterator[tuple[str, Record]]:
        """A vote on a post that the dump holds."""
        action = _VOTES.get(row["VoteTypeId"])
        if action and row["PostId"] in self.posts:
            target = self._id("p", row["PostId"])
            event = self._event(row, row.get("UserId"), action, target, f"v{row['Id']}")
            yield "events", event | {"value": row.get("BountyAmount")}

    def _event(self, row: Row, user: str | None, action: str, target: str | None, own: str) -> Record:
        return {
            "occurred_at": row["CreationDate"],
            "user_id": ANONYMOUS if user is None else self._id("u", user),
            "post_id": target,
            "action": action,
            "event_id": f"{self.site}:{own}",
        }


class _Buffers:
    """Records of each stream until they fill a batch."""

    def __init__(self) -> None:
        self.records: dict[str, list[Record]] = {}
        self.sizes: dict[str, int] = {}

    def add(self, stream: str, record: Record, size: int) -> pa.RecordBatch | None:
        held = self.records.setdefault(stream, [])
        held.append(record)
        self.sizes[stream] = self.sizes.get(stream, 0) + size
        full = len(held) >= BATCH_ROWS or self.sizes[stream] >= _PIECE_BYTES
        return self.flush(stream) if full else None

    def flush(self, stream: str) -> pa.RecordBatch:
        held = self.records.pop(stream)
        self.sizes[stream] = 0
        columns = {name: [record.get(name) for record in held] for name in STREAMS[stream].names}
        rows = pa.array([record[ROW_COLUMN] for record in held], pa.int64())
        errors = {index: record[ERROR_COLUMN] for index, record in enumerate(held) if ERROR_COLUMN in record}
        return assemble(stream, columns, rows, errors)


_MAIN_STREAM = {"Posts": "posts", "Comments": "posts", "Users": "users", "Votes": "events"}


def _parse_line(table: str, mapping: Mapping, line: bytes, whole: bool) -> list[tuple[str, Record]]:
    """The records of one `<row/>`; one with `_error` where it cannot be read."""
    from lxml import etree

    shown = line[:80].decode("utf-8", "replace").strip()
    try:
        if not whole:
            raise ValueError("the line is too long")
        row = dict(etree.fromstring(line).attrib)
        return list(mapping.tables[table](row))
    except (etree.XMLSyntaxError, ValueError) as problem:
        return [(_MAIN_STREAM[table], {ERROR_COLUMN: f"not a row of {table}: {problem}: {shown}"})]
    except KeyError as problem:
        return [(_MAIN_STREAM[table], {ERROR_COLUMN: f"a row of {table} without {problem.args[0]}: {shown}"})]


def _read_table(file: Path, table: str, mapping: Mapping, progress: Progress) -> Batches:
    require_text(file)
    buffers = _Buffers()
    number = 0
    opened = False
    with open_binary(file) as stream:
        for line, whole in lines(stream):
            start = line.lstrip(b"\xef\xbb\xbf \t\r\n")
            opened = opened or start.lower().startswith(b"<" + table.lower().encode())
            if not start.startswith(b"<row"):
                continue
            if not opened:
                break
            number += 1
            for name, record in _parse_line(table, mapping, start, whole):
                batch = buffers.add(name, record | {ROW_COLUMN: number}, len(line))
                if batch is not None:
                    yield name, batch
                    progress(f"{file.name}: {number:,} rows")
    if not opened:
        raise UserError(f"{file}: not the {table} of a Stack Exchange dump (no <{table.lower()}> in it)")
    for name in list(buffers.records):
        yield name, buffers.flush(name)


class StackExchangeReader:
    """Reads a site's dump; see the module."""

    name = "stackexchange"
    summary = (
        "a site's public dump: folder with Posts, Comments, Users, Votes (.xml, .xml.gz), or the site's .7z"
    )

    def files(self, path: Path) -> list[Path]:
        """The tables of a dump's folder, or its archive. Raises UserError when there is no Posts table."""
        if not path.exists():
            raise UserError(f"{path}: no such file or folder")
        if path.is_file():
            if path.suffix.lower() != ".7z" and _table_of(path) is None:
                raise UserError(
                    f"{path}: not one of {', '.join(f'{table}.xml' for table in TABLES)} nor a .7z archive"
                )
            return [path]
        tables = {
            _table_of(file): file for file in sorted(path.iterdir()) if file.is_file() and _table_of(file)
        }
        archives = sorted(path.glob("*.7z"))
        if tables and "Posts" in tables:
            return [tables[table] for table in TABLES if table in tables]
        if archives:
            return archives
        raise UserError(f"{path}: no Posts.xml (or .xml.gz, or a .7z archive) of a Stack Exchange dump here")

    def read(self, file: Path, progress: Progress = quiet) -> Batches:
        """Stream one table, or all tables of an archive. Broken rows come with a reason in `_error`."""
        if file.suffix.lower() == ".7z":
            yield from _read_archive(file, progress)
            return
        table = _table_of(file)
        if table is None:
            raise UserError(f"{file}: not one of {', '.join(f'{table}.xml' for table in TABLES)}")
        yield from _read_table(file, table, _mapping(file, table, site_of(file)), progress)


def _mapping(file: Path, table: str, site: str) -> Mapping:
    """A mapping with the post ids of the Posts table beside `file`, which only votes need."""
    beside = [other for other in file.absolute().parent.iterdir() if _table_of(other) == "Posts"]
    return Mapping(site, PostIds(beside[0] if beside and table == "Votes" else None))


def _read_archive(archive: Path, progress: Progress) -> Batches:
    """Unpack an archive's tables into a temporary folder and read them from there."""
    from lzma import LZMAError

    import py7zr

    with tempfile.TemporaryDirectory(prefix="tidegate-dump-") as folder:
        try:
            with py7zr.SevenZipFile(archive) as packed:
                tables = {_table_of(Path(name)): name for name in packed.getnames() if _table_of(Path(name))}
                if "Posts" not in tables:
                    raise UserError(f"{archive}: no Posts.xml of a Stack Exchange dump in it")
                progress(f"{archive.name}: unpacking {', '.join(sorted(tables.values()))}")
                packed.extract(path=folder, targets=list(tables.values()))
        except (py7zr.exceptions.ArchiveError, LZMAError, EOFError, OSError, ValueError) as error:
            raise UserError(f"{archive}: not a whole 7z archive ({error})") from error
        for table in TABLES:
            if table not in tables:
                continue
            file = Path(folder) / tables[table]
            yield from _read_table(file, table, _mapping(file, table, site_of(archive)), progress)
