"""Errors, sorted by what the caller should do.

    PipelineError
    ├── Retryable(retry_after)   the same call may succeed later
    ├── Unconfirmed              nobody knows whether it happened: reconcile, never repeat
    ├── Permanent                the same call can never succeed
    │   └── Misconfigured        ... until an operator changes a setting
    └── Rejected                 understood and refused; a person must change the ask
        ├── Moderated            the vendor's policy
        ├── Unlicensed           our licence policy
        └── OverBudget           caps or credits

Adapters, scrapers and media raise only these. `tasks/step.py` alone decides retry, fail or park;
`app/errors.py` alone maps them to HTTP. Anything outside the tree is a bug and escapes.
"""

from __future__ import annotations


class PipelineError(Exception):
    """`code` is machine-readable and stable; `field` names the input at fault, where one is."""

    code = "pipeline_error"
    cost = 0
    """Micro-units that a vendor took for what came to nothing."""

    def __init__(self, message: str, *, code: str | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        if code is not None:
            self.code = code


class Retryable(PipelineError):
    """May succeed later; `retry_after` is the other side's own wish, in seconds, when it gave one."""

    code = "retryable"

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        code: str | None = None,
        field: str | None = None,
    ) -> None:
        super().__init__(message, code=code, field=field)
        self.retry_after = retry_after


class Unconfirmed(PipelineError):
    """A paid request went out and no answer says whether it was accepted."""

    code = "unconfirmed"


class Permanent(PipelineError):
    """Repeating it is useless."""

    code = "permanent"


class Misconfigured(Permanent):
    """An operator has to change a setting first; the message says which."""

    code = "misconfigured"


class Rejected(PipelineError):
    """Understood and refused."""

    code = "rejected"


class Moderated(Rejected):
    code = "moderated"


class Unlicensed(Rejected):
    code = "unlicensed"


class OverBudget(Rejected):
    """A cap or the wallet forbids it; `amount` micro-units of `currency` are what could not be held."""

    code = "over_budget"

    def __init__(
        self,
        message: str,
        *,
        amount: int = 0,
        currency: str = "USD",
        code: str | None = None,
        field: str | None = None,
    ) -> None:
        super().__init__(message, code=code, field=field)
        self.amount = amount
        self.currency = currency


class NotFound(PipelineError):
    """No such thing in this workspace; another workspace's id reads the same."""

    code = "not_found"


class Conflict(PipelineError):
    """The thing is not in a state that allows this; the message names the state and what would."""

    code = "conflict"


class Invalid(PipelineError):
    """Input that can be understood and must be changed; `field` is always set."""

    code = "invalid"
