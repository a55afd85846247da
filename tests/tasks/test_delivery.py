"""What the broker delivers twice is done once, on either broker."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import func, select

from db.session import reading
from db.work import Attempt, StepState
from tasks import pipeline
from tests.services.makers import House, make_job, see_step
from tests.tasks.conftest import Broker, work_on


@pytest.mark.both_brokers
def test_a_message_that_comes_twice_does_its_step_once(house: House, broker: Broker):
    pipeline.advance(make_job(house))
    broker.deliver_twice()
    sent = [
        UUID(message.kwargs["step_id"]) for message in broker.messages() if message.task == "write_script"
    ]
    assert len(sent) == 2
    (step_id,) = set(sent)
    for each in sent:
        work_on(each)
    assert see_step(step_id).state is StepState.SUCCEEDED
    with reading() as session:
        assert (
            session.scalar(select(func.count()).select_from(Attempt).where(Attempt.step_id == step_id)) == 1
        )
