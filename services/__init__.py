"""Domain functions `verb(session, …)`: they never commit, sleep, speak HTTP or start processes."""
