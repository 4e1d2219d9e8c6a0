"""`python -m cds_service …`: the command line, or every fault of the knowledge or site files where they have any."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cds_service.errors import FileFaults


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0; 1 when a file, a setting, a site or the knowledge could not be used; 2 for a wrong command line."""
    try:
        from cds_service.cli.main import run_command  # reads the knowledge files

        return run_command(arguments)
    except (FileFaults, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()  # `knowledge | head`: whoever read had enough
        return 0


if __name__ == "__main__":
    sys.exit(main())
