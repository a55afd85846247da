"""What `python -m app` can do; one file per group of commands, imported only when called."""
