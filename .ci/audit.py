"""pip-audit, where it can reach its data; "not run" where it cannot.

On its own pip-audit ends with 0 when it could look up no package at all: a green that says nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

KNOWN = "flask"
"""A package that is there for certain: who cannot look it up can look up nothing."""


def look_up(*arguments: str) -> list[dict[str, Any]] | None:
    """What pip-audit says of each package, or None where it says nothing."""
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off", *arguments]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False).stdout
        return list(json.loads(said)["dependencies"])
    except (subprocess.TimeoutExpired, ValueError, KeyError, TypeError):
        return None


def main() -> int:
    if find_spec("pip_audit") is None:
        print("pip-audit: not run (not installed)")
        return 0
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as one:
        one.write(f"{KNOWN}=={version(KNOWN)}\n")
        one.flush()
        found = look_up("--requirement", one.name, "--no-deps", "--disable-pip")
    if not found or any("skip_reason" in package for package in found):
        print("pip-audit: not run (its data cannot be reached)")
        return 0
    found = look_up("--skip-editable")
    if found is None:
        print("pip-audit: not run (it said nothing)")
        return 0
    for package in found:
        for fault in package.get("vulns", ()):
            print(
                f"pip-audit: {package['name']} {package.get('version')}: {fault['id']}, mended in {fault.get('fix_versions')}"
            )
    skipped = [package["name"] for package in found if "skip_reason" in package and package["name"] != "cds-service"]
    if skipped:
        print(f"pip-audit: not run for {', '.join(skipped)}")
    print(f"pip-audit: {len(found) - len(skipped)} packages looked up")
    return 1 if any(package.get("vulns") for package in found) else 0


if __name__ == "__main__":
    sys.exit(main())
