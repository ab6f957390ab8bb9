"""What was generated, journalled under its request id: feedback may then name a request and send no texts.

A log for learning, not a promise to the client: a disk that refuses it costs no answer and is told in the log.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import structlog

from serving.canonical import MAX_TEXT, Generated, lines
from serving.generation import Piece
from serving.journal import Journal, JournalError


@dataclass
class GenerationRecord:
    """The choices of one request as they come in; `journal` None keeps nothing."""

    journal: Journal | None
    request_id: str
    model_version: str
    prompts: list[str]
    """One a prompt of the request; its choices follow each other, `n` each."""
    n: int
    _texts: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    _finished: dict[int, Literal["stop", "length"]] = field(default_factory=dict)

    def add(self, piece: Piece) -> None:
        """Take in a piece. A choice that was refused is not kept, and neither is its prompt."""
        if self.journal is None:
            return
        self._texts[piece.index].append(piece.text)
        if (piece.finish == "stop" or piece.finish == "length") and not piece.refusal:
            self._finished[piece.index] = piece.finish

    async def write(self) -> None:
        """Journal the choices that ended.

        Of a long prompt the last characters are kept, as the model read no more; NULs, which the lake refuses, are not.
        """
        if self.journal is None or not self._finished:
            return
        now = datetime.now(UTC)
        rows = [
            Generated(
                self.request_id,
                index,
                now,
                self.prompts[index // self.n][-MAX_TEXT:].replace("\0", ""),
                "".join(self._texts[index])[:MAX_TEXT].replace("\0", ""),
                finish,
                self.model_version,
            )
            for index, finish in sorted(self._finished.items())
        ]
        try:
            await self.journal.append(lines(rows), len(rows))
        except JournalError as error:
            structlog.get_logger().warning(
                "generation not logged", request_id=self.request_id, reason=str(error)
            )
