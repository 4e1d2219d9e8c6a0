"""List what the browser tests need beyond this project and is missing on this machine."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

CHROMIUM = Path("/usr/bin/chromium")
MISSING = [
    name
    for name, there in (
        (f"{CHROMIUM}", CHROMIUM.exists()),
        ("the Python package playwright", importlib.util.find_spec("playwright") is not None),
        ("axe-core (AXE_CORE)", Path(os.environ.get("AXE_CORE", "/nowhere")).is_file()),
    )
    if not there
]
