"""`python -m bench [NAME]`: measure one thing or all, write bench/results/<name>.json, print a table."""

from __future__ import annotations

import argparse
import importlib
import json
import tempfile
from pathlib import Path

from bench.measuring import Measured, commit_of, describe_machine, is_loaded
from core.settings import ROOT, Settings

NAMES = (
    "stack",
    "film",
    "engine",
    "render",
    "reuse",
    "api",
    "memory",
    "poll",
    "search",
    "dedupe",
    "hash",
    "clean",
)
RESULTS = ROOT / "bench" / "results"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", nargs="?", choices=NAMES, help="which one; all of them when left out")
    parser.add_argument("--rounds", type=int, default=3, help="repetitions of which the median counts")
    asked = parser.parse_args()
    Settings.model_config["env_file"] = None  # an installation's own settings must not colour the figures
    for name in [asked.name] if asked.name else NAMES:
        print(f"{name} ...", flush=True)
        load_before = is_loaded()
        with tempfile.TemporaryDirectory(prefix=f"callsheet-bench-{name}-") as folder:
            Path(folder).chmod(0o755)  # as root, PostgreSQL's account must come through
            measured: Measured = importlib.import_module(f"bench.{name}").measure(Path(folder), asked.rounds)
        measured.figures["rounds"] = asked.rounds
        measured.figures["loaded"] = load_before
        write(name, measured)
        print("\n".join(table(measured)), flush=True)


def write(name: str, measured: Measured) -> None:
    """Keep the result where the next run of another commit can be compared with it."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    body = {
        "name": name,
        "commit": commit_of(ROOT),
        "machine": describe_machine(),
        "ratios": measured.ratios,
        "figures": measured.figures,
    }
    text = json.dumps(body, indent=2, ensure_ascii=False) + "\n"
    (RESULTS / f"{name}.json").write_text(text, encoding="utf-8")


def table(measured: Measured) -> list[str]:
    """Ratios with their goals, then the plain figures."""
    rows = []
    for key, value in measured.ratios.items():
        goal = measured.goals.get(key)
        verdict = "" if goal is None else f"goal {goal}: {'missed' if key in measured.missed else 'met'}"
        rows.append((key, f"{value:.3f}", verdict))
    rows += [
        (key, _plain(value), "") for key, value in measured.figures.items() if not isinstance(value, dict)
    ]
    wide = max(len(key) for key, _, _ in rows)
    return [f"  {key.ljust(wide)}  {value:>12}  {verdict}".rstrip() for key, value, verdict in rows]


def _plain(value: object) -> str:
    return f"{value:,.2f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
