"""`python -m cds_service …`: runs the command line, or lists every error of the knowledge or site files."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cds_service.errors import FileFaults


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 0; 1 if a file, setting, site or the knowledge is invalid; 2 for a wrong
    command line."""
    try:
        from cds_service.cli.main import run_command  # reads the knowledge files

        return run_command(arguments)
    except (FileFaults, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()  # `knowledge | head`: the reader has closed the pipe
        return 0


if __name__ == "__main__":
    sys.exit(main())
