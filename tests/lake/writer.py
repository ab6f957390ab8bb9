"""A process that appends numbers to `ops.t`, a commit each.

`python -m tests.lake.writer HOME FIRST COUNT MODE CATALOG`: mode `locked` writes as the product does, `unlocked` leaves
the lock out, so that commits collide and only the retries help.
"""

import contextlib
import sys
from pathlib import Path

from orchestration.lake import connection
from tests.lake.fakes import make_settings


def main() -> None:
    home, first, count, mode, catalog = sys.argv[1:]
    settings = make_settings(Path(home), lake_catalog=catalog, lake_retries=50)
    if mode == "unlocked":
        connection.write_lock = lambda settings: contextlib.nullcontext()  # type: ignore[assignment]
    for number in range(int(first), int(first) + int(count)):
        connection.write(
            settings, lambda c, n=number: c.execute(f"insert into lake.ops.t values ({n})"), f"add {number}"
        )


if __name__ == "__main__":
    main()
