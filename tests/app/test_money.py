"""Money through the door: paid in, listed, capped, quoted and compared with a vendor's bill."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from core.ids import new_id
from core.settings import get_settings
from db.assets import Project
from db.money import Hold
from db.review import Activity
from db.session import reading, transaction
from db.submissions import Submission, SubmissionState
from db.work import Job, JobState
from services import books, money, steps
from tests.app.conftest import make_house
from tests.services import makers
from tests.tasks.conftest import Broker, point_at
from tests.vendors_made_up import installed, model, write_vendor

PAID = {"amount": 5_000_000, "note": "Invoice 7"}


def pay(client, key, **more):
    return client.post("/api/v1/credits/top-ups", json=PAID | more, headers={"Idempotency-Key": key})


def make_job(house, **more):
    return makers.make_job(makers.House(house.workspace_id, house.user_id), **more)


def hold(job_id, amount, currency="USD"):
    with transaction() as session:
        return money.place_hold(session, session.get_one(Job, job_id), amount=amount, currency=currency)


def buy(
    job_id,
    amount,
    *,
    actual=None,
    state=SubmissionState.SUCCEEDED,
    vendor_id=None,
    capture=True,
    provider="acme",
):
    """A purchase as the engine leaves it; returns the ids of hold and submission."""
    held = hold(job_id, amount)
    with transaction() as session:
        row = Submission(
            workspace_id=held.workspace_id, job_id=job_id, purpose="shot", provider=provider, model="m1", request={},
            input_hash=new_id().hex * 2, client_token=new_id().hex, state=state, vendor_id=vendor_id or new_id().hex,
            quote=amount, actual_cost=actual, currency="USD", hold_id=held.id,
        )  # fmt: skip
        session.add(row)
    if capture and actual is not None:
        with transaction() as session:
            money.capture_hold(session, held, actual=actual, submission_id=row.id)
    return held.id, row.id


# -- credits ---------------------------------------------------------------------------------------


def test_a_workspace_without_money_has_no_balances(client):
    assert client.get("/api/v1/credits").json == {"mode": "enforce", "items": []}


def test_a_top_up_is_available_at_once_and_written_down(client, house):
    answer = pay(client, "invoice-7")
    assert answer.status_code == 201, answer.text
    assert answer.json["lines"] == [
        {"account": "funding", "amount": -5_000_000},
        {"account": "credits", "amount": 5_000_000},
    ]
    hold(make_job(house), 2_000_000)
    assert client.get("/api/v1/credits").json["items"] == [
        {
            "currency": "USD", "wallet": True, "available": 3_000_000, "held": 2_000_000, "spent": 0,
            "paid_in": 5_000_000,
        }
    ]  # fmt: skip
    with reading() as session:
        (activity,) = session.scalars(select(Activity).where(Activity.action == "credits.topped_up"))
    assert activity.user_id == house.user_id
    assert activity.details == {"amount": 5_000_000, "currency": "USD", "note": "Invoice 7"}


def test_the_same_top_up_sent_twice_pays_once(client):
    first, again = pay(client, "k"), pay(client, "k")
    assert again.json == first.json
    assert again.headers["Idempotency-Replayed"] == "true"
    assert pay(client, "k", amount=1).status_code == 409
    assert client.get("/api/v1/credits").json["items"][0]["available"] == 5_000_000


def test_a_top_up_without_a_key_is_refused_by_name(client):
    answer = client.post("/api/v1/credits/top-ups", json=PAID)
    assert answer.status_code == 422
    assert "Idempotency-Key" in answer.json["errors"]


@pytest.mark.parametrize("amount", [0, -1, 1.5, "5", 10**12 + 1, None])
def test_only_a_positive_whole_amount_is_paid_in(client, amount):
    answer = pay(client, "k", amount=amount)
    assert answer.status_code == 422
    assert "amount" in answer.json["errors"]


def test_paying_in_takes_an_admins_key(app):
    writer = make_house(app, "Writer", scopes=("read", "write"))
    assert pay(writer.client, "k").status_code == 403
    assert writer.client.get("/api/v1/credits").status_code == 200


def test_the_ledger_is_listed_in_pages_and_by_job(client, house):
    pay(client, "k")
    one, two = make_job(house), make_job(house)
    hold(one, 10)
    held = hold(two, 20)
    with transaction() as session:
        money.release_hold(session, held.id)
    first = client.get("/api/v1/credits/ledger?limit=3").json
    rest = client.get(f"/api/v1/credits/ledger?limit=3&cursor={first['next_cursor']}").json
    assert [row["posting"] for row in first["items"] + rest["items"]] == ["release", "hold", "hold", "top_up"]
    assert rest["next_cursor"] is None
    for row in first["items"] + rest["items"]:
        assert sum(line["amount"] for line in row["lines"]) == 0
    of_job = client.get(f"/api/v1/credits/ledger?job_id={two}").json["items"]
    assert {row["hold_id"] for row in of_job} == {str(held.id)}
    assert len(of_job) == 2
    assert len(client.get("/api/v1/credits/ledger?posting=top_up").json["items"]) == 1
    assert client.get("/api/v1/credits/ledger?posting=gift").status_code == 422


def test_another_workspaces_money_is_not_shown(client, house, other):
    pay(other.client, "k")
    buy(make_job(other), 100, actual=100, vendor_id="v1")
    assert client.get("/api/v1/credits").json["items"] == []
    assert client.get("/api/v1/credits/ledger").json["items"] == []
    answer = client.post(
        "/api/v1/credits/reconcile", json={"provider": "acme", "lines": [{"vendor_id": "v1", "amount": 100}]}
    )
    assert [d["kind"] for d in answer.json["differences"]] == ["billed_unknown"]
    assert answer.json["differences"][0]["submission_id"] is None


def test_a_job_shows_what_it_spent_holds_and_was_quoted(client, house):
    job_id = make_job(house)
    buy(job_id, 100, actual=80)
    buy(job_id, 50, state=SubmissionState.RUNNING)
    hold(job_id, 7, "EUR")
    assert client.get(f"/api/v1/jobs/{job_id}").json["cost"] == {
        "captured": 0, "held": 7, "quoted": 0, "currency": "EUR",
        "others": [{"captured": 80, "held": 50, "quoted": 150, "currency": "USD"}],
    }  # fmt: skip
    (listed,) = client.get("/api/v1/jobs").json["items"]
    assert listed["cost"]["held"] == 7


# -- quotes ----------------------------------------------------------------------------------------


@pytest.fixture
def priced(monkeypatch, app):
    """A vendor with a price: 84,000 micro-dollars a second, three seconds a take at least."""
    monkeypatch.setenv("KLING_API_KEY", "sk-nobody-is-asked")
    get_settings.cache_clear()


TAKE = 3 * 84_000


def quote(client, **more):
    script = "# Up\n\n## Night\n\n" + "\n\n".join(f"Star number {n}." for n in range(1, 5))
    params = (
        {"script": script, "providers": ["kling", "local"]} if more.pop("paid", False) else {"script": script}
    )
    answer = client.post("/api/v1/quotes", json={"kind": "film", "params": params} | more)
    assert answer.status_code == 200, answer.text
    return answer.json


def test_a_quote_of_free_work_fits_everywhere(client, house):
    answer = quote(client, budget={"amount": 0})
    assert (answer["amount"], answer["fits"], answer["known"], answer["mode"]) == (0, True, True, "enforce")
    assert [(cap["scope"], cap["fits"]) for cap in answer["caps"]] == [("job", True)]


def test_a_quote_says_which_shot_is_refused_by_which_cap_and_starts_nothing(client, house, priced):
    pay(client, "k", amount=5 * TAKE // 2)
    with transaction() as session:
        project = Project(workspace_id=house.workspace_id, name="P", budget=3 * TAKE)
        session.add(project)
    client.put("/api/v1/budgets", json={"scope": "workspace_day", "limit_amount": 9 * TAKE})
    answer = quote(client, paid=True, project_id=str(project.id), budget={"amount": 7 * TAKE // 2})
    takes = [line for line in answer["lines"] if line["step"] == "submit_take"]
    assert [(t["subject"], t["provider"], t["refused_by"]) for t in takes] == [
        ("shot 1", "kling", []), ("shot 2", "kling", []), ("shot 3", "kling", ["wallet"]),
        ("shot 4", "kling", ["wallet"]),
    ]  # fmt: skip
    assert answer["amount"] == 4 * TAKE
    assert answer["fits"] is False
    assert {cap["scope"]: (cap["fits"], cap["missing"]) for cap in answer["caps"]} == {
        "job": (False, TAKE // 2), "project": (False, TAKE), "workspace_day": (True, 0),
        "wallet": (False, 3 * TAKE // 2),
    }  # fmt: skip
    assert "raise it with PUT /budgets (scope project)" in answer["caps"][1]["message"]
    with reading() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == 0
        assert session.scalar(select(func.count()).select_from(Hold)) == 0


def test_a_quote_names_every_cap_that_refuses_a_line(client, house, priced):
    pay(client, "k", amount=TAKE // 2)
    answer = quote(client, paid=True, budget={"amount": 10})
    assert answer["lines"][-1]["refused_by"] == ["job", "wallet"]


def test_a_quote_prices_the_provider_that_would_make_the_take(client, priced):
    script = "# Up\n\n[image: samples:rocket]\nA rocket.\n\n[duration: 30]\nA long look.\n\nA star."
    brief = {"script": script, "providers": ["kling", "local"]}
    answer = client.post("/api/v1/quotes", json={"kind": "film", "params": brief}).json
    takes = [line for line in answer["lines"] if line["step"] == "submit_take"]
    assert [(t["provider"], t["amount"] > 0) for t in takes] == [
        ("local", False), ("local", False), ("kling", True),
    ]  # fmt: skip
    alone = client.post(
        "/api/v1/quotes", json={"kind": "film", "params": brief | {"providers": ["kling"]}}
    ).json
    takes = [line for line in alone["lines"] if line["step"] == "submit_take"]
    assert [t["known"] for t in takes] == [False, False, True]
    assert "The script says which picture is shown" in takes[0]["basis"]
    assert [t["refusal"] is None for t in takes] == [False, False, True]
    assert takes[1]["routing"]["considered"][0]["code"] == "too_long"


def test_a_quote_says_whom_the_policy_takes_and_why_not_the_others(client, priced):
    brief = {"script": "# Up\n\nA star.", "providers": ["kling", "kling:kling-2.6"], "routing": "cheapest"}
    answer = client.post("/api/v1/quotes", json={"kind": "film", "params": brief}).json
    (take,) = [line for line in answer["lines"] if line["step"] == "submit_take"]
    assert take["routing"]["policy"] == "cheapest"
    found = [(one["model"], one["code"]) for one in take["routing"]["considered"]]
    assert found == [("kling-3.0", "spare"), ("kling-2.6", "taken")], "5 s at 42 cost less than 3 s at 84"


def test_a_quote_counts_only_models_that_can_begin_with_a_shots_reference(client, priced, tmp_path):
    write_vendor(tmp_path, "words", model("w-1", amount=1))
    script = "# Up\n\n[reference: samples:rocket]\nA rocket.\n\nA star."
    with installed(tmp_path):
        brief = {"script": script, "providers": ["words", "local"]}
        answer = client.post("/api/v1/quotes", json={"kind": "film", "params": brief}).json
    takes = [line for line in answer["lines"] if line["step"] == "submit_take"]
    assert [take["provider"] for take in takes] == ["local", "words"]
    assert takes[0]["routing"]["considered"][0]["code"] == "no_reference"


def test_a_quote_prices_a_shots_own_sound_and_says_who_makes_none(client, priced):
    script = "# Up\n\n[audio: yes]\nRain.\n\nWind.\n\n[image: samples:rocket]\n[audio: yes]\nA rocket."
    brief = {
        "script": script,
        "providers": ["kling:kling-2.5-turbo", "kling", "local"],
        "sources": ["samples"],
    }
    answer = client.post("/api/v1/quotes", json={"kind": "film", "params": brief}).json
    takes = [line for line in answer["lines"] if line["step"] == "submit_take"]
    found = [[one["code"] for one in take["routing"]["considered"]] for take in takes]
    assert found == [
        ["no_sound", "taken", "no_sound"], ["taken", "spare", "spare"], ["pinned", "pinned", "no_sound"]
    ]  # fmt: skip
    assert takes[0]["amount"] % 126_000 == 0 < takes[0]["amount"]
    assert takes[1]["amount"] == 5 * 42_000
    assert "keeps that of a clip" in takes[2]["refusal"]
    assert "kling:kling-3.0" in takes[2]["refusal"]
    brief["sources"] = ["internet_archive"]  # has clips, so that a search may find one with a sound
    answer = client.post("/api/v1/quotes", json={"kind": "film", "params": brief}).json
    (first, *_) = [line for line in answer["lines"] if line["step"] == "submit_take"]
    assert [one["code"] for one in first["routing"]["considered"]] == ["no_sound", "taken", "spare"]


@pytest.mark.parametrize("accepted", [False, True])
def test_a_quote_refuses_narrations_whose_price_nobody_knows_until_the_brief_accepts_it(
    client, app, monkeypatch, accepted
):
    monkeypatch.setenv("ELEVENLABS_API_KEY", "sk-nobody-is-asked")
    monkeypatch.setenv("ELEVENLABS_VOICE", "v-1")
    brief = {"script": "# Up\n\nA star.", "narrator": "elevenlabs", "accept_unknown_prices": accepted}
    answer = client.post("/api/v1/quotes", json={"kind": "film", "params": brief}).json
    (narration,) = [line for line in answer["lines"] if line["step"] == "narrate"]
    assert narration["known"] is False
    assert (narration["refusal"] is None) is accepted


def test_a_quote_refuses_an_unknown_price_until_the_brief_accepts_it(client, priced):
    brief = {"script": "# Up\n\nA star.", "providers": ["kling:kling-3.0-turbo"]}
    for accepted in (False, True):
        body = {"kind": "film", "params": brief | {"accept_unknown_prices": accepted}}
        answer = client.post("/api/v1/quotes", json=body).json
        (take,) = [line for line in answer["lines"] if line["step"] == "submit_take"]
        assert (answer["known"], take["known"]) == (False, False)
        assert (take["refusal"] is None) is accepted
    assert (
        "accept_unknown_prices"
        in client.post("/api/v1/quotes", json={"kind": "film", "params": brief}).json["lines"][-1]["refusal"]
    )


def test_a_quote_against_another_workspaces_project_is_404(client, other, film_job):
    with transaction() as session:
        project = Project(workspace_id=other.workspace_id, name="P")
        session.add(project)
    assert client.post("/api/v1/quotes", json=film_job | {"project_id": str(project.id)}).status_code == 404


# -- reconcile -------------------------------------------------------------------------------------


def differences(answer):
    assert answer.status_code == 200, answer.text
    return sorted((d["kind"], d["ours"], d["theirs"]) for d in answer.json["differences"])


def test_books_that_agree_have_no_differences(client, house):
    job_id = make_job(house)
    buy(job_id, 100, actual=80, vendor_id="v1")
    answer = client.post(
        "/api/v1/credits/reconcile", json={"provider": "acme", "lines": [{"vendor_id": "v1", "amount": 80}]}
    )
    assert differences(answer) == []
    (line,) = answer.json["providers"]
    assert (line["captured"], line["actual_cost"], line["billed"], line["succeeded"]) == (80, 80, 80, 1)


def test_what_is_wrong_on_our_side_is_listed(client, house):
    job_id, ended = make_job(house), make_job(house)
    stray = hold(job_id, 70)
    with transaction() as session:
        money.capture_hold(session, stray, actual=70, submission_id=new_id())
    buy(job_id, 100, actual=90, capture=False)
    buy(job_id, 100, actual=130)
    buy(ended, 60, state=SubmissionState.RUNNING)
    with transaction() as session:
        job = steps.lock_job(session, ended)
        job.state, job.finished_at = JobState.CANCELLED, func.now()
    assert differences(client.get("/api/v1/credits/reconcile")) == [
        ("captured_without_submission", 70, 0),
        ("hold_on_ended_job", 60, 0),
        ("overrun", 100, 130),
        ("succeeded_without_capture", 0, 90),
    ]
    assert differences(client.get("/api/v1/credits/reconcile?provider=nobody")) == []


def test_a_vendors_statement_is_compared_line_by_line(client, house):
    job_id = make_job(house)
    buy(job_id, 100, actual=80, vendor_id="same")
    buy(job_id, 100, actual=80, vendor_id="dearer")
    buy(job_id, 100, actual=80, vendor_id="unbilled")
    buy(job_id, 100, actual=80, vendor_id="theirs", provider="other")
    lines = [("same", 50), ("same", 30), ("dearer", 95), ("stranger", 7)]
    answer = client.post(
        "/api/v1/credits/reconcile",
        json={"provider": "acme", "lines": [{"vendor_id": v, "amount": a} for v, a in lines]},
    )
    assert differences(answer) == [
        ("billed_differently", 80, 95), ("billed_unknown", 0, 7), ("not_billed", 80, 0),
    ]  # fmt: skip
    assert [line["provider"] for line in answer.json["providers"]] == ["acme"]
    assert answer.json["providers"][0]["billed"] == 182


def test_only_the_asked_time_is_compared(client, house):
    buy(make_job(house), 100, actual=130)
    with transaction() as session:
        then = func.now() - timedelta(days=40)
        session.execute(update(Submission).values(created_at=then))
        session.execute(update(Hold).values(created_at=then))
    assert differences(client.get("/api/v1/credits/reconcile")) == []
    assert len(differences(client.get("/api/v1/credits/reconcile?since=2020-01-01T00:00:00Z"))) == 1
    answer = client.get("/api/v1/credits/reconcile?since=2021-01-01T00:00:00Z&until=2020-01-01T00:00:00Z")
    assert answer.status_code == 422
    assert "since" in answer.json["errors"]


# -- the books in health and metrics ---------------------------------------------------------------


def test_health_and_metrics_show_how_the_books_were_found(client, house):
    def health():
        return client.get("/api/v1/health/services").json["services"]["books"]

    assert health() == {"status": "ok", "detail": "Not verified yet.", "ms": None}
    with transaction() as session:
        books.keep_findings(session, [])
    assert health()["status"] == "ok"
    assert 'callsheet_books_findings{check="drifted"} 0.0' in client.get("/api/v1/metrics").text
    finding = books.Finding("drifted", house.workspace_id, "The account credits shows 5.00 USD.")
    with transaction() as session:
        books.keep_findings(session, [finding])
    assert health()["status"] == "degraded"
    assert "drifted 1" in health()["detail"]
    assert "5.00" not in health()["detail"]  # health is public, money is not
    assert 'callsheet_books_findings{check="drifted"} 1.0' in client.get("/api/v1/metrics").text


def test_money_or_a_cap_has_what_waits_for_it_looked_at(client, house, settings):
    point_at(settings)
    broker = Broker(settings.broker_url)
    pay(client, "k")
    client.put("/api/v1/budgets", json={"scope": "workspace_day", "limit_amount": 5})
    assert [(m.task, m.args) for m in broker.messages()] == [
        ("recheck_budgets", [str(house.workspace_id)])
    ] * 2


# -- refunds ---------------------------------------------------------------------------------------


def give_back(client, row, amount, key="credit-note-1"):
    return client.post(
        f"/api/v1/submissions/{row}/refund", json={"amount": amount}, headers={"Idempotency-Key": key}
    )


def test_what_a_vendor_gave_back_is_available_again_once(client, house):
    pay(client, "invoice-1", amount=1000)
    _, bought = buy(make_job(house), 100, actual=80)
    first = give_back(client, bought, 30)
    assert first.status_code == 201, first.text
    assert {line["account"]: line["amount"] for line in first.json["lines"]} == {"spent": -30, "credits": 30}
    assert first.json["submission_id"] == str(bought)
    assert give_back(client, bought, 30).json == first.json
    (wallet,) = client.get("/api/v1/credits").json["items"]
    assert (wallet["available"], wallet["spent"]) == (1000 - 50, 50)
    too_much = give_back(client, bought, 51, "credit-note-2")
    assert (too_much.status_code, too_much.json["errors"].keys()) == (422, {"amount"})
    assert differences(client.get("/api/v1/credits/reconcile")) == []


def test_a_refund_needs_a_key_a_capture_and_the_right_workspace(client, house):
    _, bought = buy(make_job(house), 100, actual=80)
    nameless = client.post(f"/api/v1/submissions/{bought}/refund", json={"amount": 1})
    assert (nameless.status_code, nameless.json["code"]) == (422, "invalid")
    assert give_back(client, new_id(), 1).status_code == 404
