"""Sottovoce lets an audio application hear only what its user permitted."""

import os
import sys

__version__ = "0.2.0"

# onnxruntime sends usage data unless this is set before it is imported: nothing of this package is imported earlier.
_OFF = "ORT_DISABLE_TELEMETRY"
if "onnxruntime" in sys.modules and os.environ.get(_OFF, "").lower() not in ("1", "true", "yes", "on", "y"):
    import warnings

    warnings.warn(
        "onnxruntime was imported before sottovoce, with its telemetry on, so this process may send usage data: import "
        f"sottovoce first, or set {_OFF}=1 before the program starts.",
        RuntimeWarning,
        stacklevel=2,
    )
os.environ[_OFF] = "1"
