"""What the browser tests need beyond Python, and what of it is missing here."""

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
