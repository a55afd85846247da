"""AI vendors and the local tools that stand in for them: one adapter a file, found by `core.registry`."""
