"""A vendor of takes with its key in a header, that is sent a request a film and asked about each by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from core.answers import Answer as HttpAnswer
from core.errors import PipelineError, Unconfirmed
from providers.asking import STATUSES, TakeVendor, object_in
from providers.base import Answer, AnswerState, Context, Handle


class PolledVendor(TakeVendor, ABC):
    """Adapters say what they are called, which models they have, where to ask and what they are told."""

    called: ClassVar[str]
    thing: ClassVar[str]
    """The vendor's word for what we call a submission."""
    scheme: ClassVar[str] = "Bearer"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        key = self._own.api_key
        self._headers = {"Authorization": f"{self.scheme} {key.get_secret_value()}"} if key else {}

    def poll(self, handles: Sequence[Handle]) -> list[Answer]:
        return [self._ask(handle) for handle in handles]

    @abstractmethod
    def _address(self, handle: Handle) -> str:
        """Where to ask about a submission."""

    @abstractmethod
    def _read(self, handle: Handle, told: dict[str, Any]) -> Answer:
        """What the vendor says about it."""

    @abstractmethod
    def _refused(self, answer: HttpAnswer, *, write: bool) -> PipelineError:
        """Sort an answer that is no success."""

    def _send(self, url: str, *, id_name: str = "id", **sent: Any) -> dict[str, Any]:
        """Ask for a film, once; the answer names it."""
        answer = self._http.post(url, headers=self._headers, expect=STATUSES, **sent)
        if answer.status >= 400:
            raise self._refused(answer, write=True)
        told = object_in(answer)
        if not told.get(id_name):
            raise Unconfirmed(f"{self.called}'s answer names no {self.thing}: {answer.excerpt()}")
        return told

    def _stop(self, url: str, method: Literal["POST", "DELETE"]) -> HttpAnswer:
        """Ask to stop, which may be asked again; what is not there has stopped."""
        answer = self._http.post(url, method=method, headers=self._headers, safe=True, expect=STATUSES)
        if answer.status >= 400 and answer.status != 404:
            raise self._refused(answer, write=False)
        return answer

    def _look(self, url: str, params: Mapping[str, str] | None = None) -> dict[str, Any] | None:
        """Read an object at the vendor's; None when it lists no such thing."""
        answer = self._http.get(url, params=params, headers=self._headers, expect=STATUSES)
        if answer.status == 404:
            return None
        told = object_in(answer)
        if answer.status >= 400 or not told:
            raise self._refused(answer, write=False)
        return told

    def _ask(self, handle: Handle) -> Answer:
        """One that is not listed may be too young to be: it counts as running."""
        told = self._look(self._address(handle))
        if told is None:
            missing = f"{self.called} does not list this {self.thing}."
            return Answer(handle.vendor_id, AnswerState.RUNNING, error=missing)
        return self._read(handle, told)
