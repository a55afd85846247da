"""What was found for a shot, over the API: best first, page by page, with the reasons."""

from __future__ import annotations

import pytest

from core.licences import parse_licence
from db.assets import Film
from db.candidates import CandidateState
from db.session import transaction
from scrapers.base import Candidate as Found
from scrapers.scoring import Wish
from services.candidates import keep_candidates
from tasks.judging import judge
from tests.app.seed import seed_house

CC0, NC = (
    "https://creativecommons.org/publicdomain/zero/1.0/",
    "https://creativecommons.org/licenses/by-nc/4.0/",
)


def found(number, licence=CC0, **more):
    return Found(
        source="openverse", foreign_id=f"item-{number}", kind="image", title=f"Fox {number}",
        landing_url=f"https://site.test/{number}", media_url="/srv/secret/fox.jpg", creator="A. Person",
        creator_url=None, licence=parse_licence(licence), raw_licence="x", width=1920, height=1080,
        preview_url=f"https://site.test/{number}.jpg", **more,
    )  # fmt: skip


@pytest.fixture
def shot(house):
    """A shot with 7 ranked candidates and 2 that were refused."""
    from core.licences import LicencePolicy

    seeded = seed_house(house)
    offered = [*(found(n) for n in range(7)), found(7, NC), found(8, NC)]
    rows = judge(list(enumerate(offered)), Wish(("fox",), 1280, 720), LicencePolicy())
    for place, row in enumerate(rows[:7]):
        row |= {
            "position": place,
            "state": CandidateState.CHOSEN if place == 0 else CandidateState.RANKED,
            "reason": "why",
        }
    with transaction() as session:
        keep_candidates(session, session.get_one(Film, seeded["film_id"]), seeded["shot_id"], rows)
        keep_candidates(session, session.get_one(Film, seeded["film_id"]), None, rows[:1])
    return seeded


def test_candidates_come_best_first_and_the_refused_ones_last_with_the_reason(house, shot):
    answer = house.client.get(f"/api/v1/shots/{shot['shot_id']}/candidates")
    assert answer.status_code == 200
    items = answer.json["items"]
    assert [item["position"] for item in items] == [*range(7), None, None]
    assert [item["state"] for item in items] == ["chosen", *["ranked"] * 6, *["refused"] * 2]
    first, last = items[0], items[-1]
    assert first["chosen"]
    assert not last["chosen"]
    assert last["reason"] == "refused: CC BY-NC 4.0 forbids commercial use and the film may be sold"
    assert first["licence"] == {"id": "CC0-1.0", "name": "CC0 1.0", "class": "free", "url": CC0}
    assert (first["title"], first["creator"], first["width"]) == ("Fox 0", "A. Person", 1920)
    assert first["landing_url"] == "https://site.test/0"
    total = sum(part["weight"] * part["mark"] for part in first["parts"].values())
    assert first["score"] == pytest.approx(total, abs=0.001)
    assert "/srv/secret" not in answer.text, "where a file lies on this machine is nobody's business"


def test_pages_hold_every_candidate_once(house, shot):
    seen, url = [], f"/api/v1/shots/{shot['shot_id']}/candidates?limit=4"
    while url:
        answer = house.client.get(url)
        seen += [item["foreign_id"] for item in answer.json["items"]]
        cursor = answer.json["next_cursor"]
        url = f"/api/v1/shots/{shot['shot_id']}/candidates?limit=4&cursor={cursor}" if cursor else None
    assert len(seen) == len(set(seen)) == 9


def test_music_is_listed_by_its_film_and_nothing_of_it_by_the_shot(house, other, shot):
    address = f"/api/v1/films/{shot['film_id']}/candidates"
    (music,) = house.client.get(address).json["items"]
    assert music["shot_id"] is None
    for path in (address, f"/api/v1/shots/{shot['shot_id']}/candidates"):
        assert other.client.get(path).status_code == 404
