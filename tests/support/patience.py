"""How long a test waits for what comes at once on a fast machine: a slow machine has time."""

PATIENCE = 60.0  # seconds; what never comes is waited for so long
