"""`make smoke`: two steps of every row that is built, through the command, as a sweep over each table."""

from __future__ import annotations

import sys

from limpid.cli import status
from limpid.results.rows import rows


def main() -> int:
    """Sweep over every table that has a built row; 0 if nothing failed."""
    tables = dict.fromkeys(f"{row.paper}/{row.table}" for row in rows() if not row.not_built)
    codes = [
        status(["train", "-m", f"+{table}=glob(*)", "data=scenes", "budget=smoke", "rerun=true"]) for table in tables
    ]
    return max(codes, default=0)


if __name__ == "__main__":
    sys.argv = ["limpid"]
    sys.exit(main())
