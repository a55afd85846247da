from __future__ import annotations

from sqlalchemy import func, select

from core.scripts import parse_script
from core.settings import ROOT, Settings
from db.assets import Project, ScriptVersion
from db.session import transaction
from services.accounts import bootstrap
from services.seed import sow

SCRIPT = (ROOT / "app" / "samples" / "looking-up.md").read_text(encoding="utf-8")


def test_seeding_twice_adds_the_sample_once(settings: Settings) -> None:
    with transaction() as session:
        bootstrap(session)
        first = sow(session, SCRIPT)
    with transaction() as session:
        again = sow(session, SCRIPT)
        projects = session.scalar(select(func.count()).select_from(Project))
        version = session.scalars(select(ScriptVersion)).one()
    assert first.startswith("Added")
    assert "already" in again
    assert projects == 1
    assert len(version.scenes) == len(parse_script(SCRIPT, "markdown").scenes)
