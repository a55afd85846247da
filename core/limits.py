"""What all processes know together of a vendor or a source: when it may be called, and whether it answers.

It is kept in Redis, by its clock. Redis may be emptied or away: then nothing is limited, every circuit is
closed, and what is left are the vendor's own refusals. See decision 17.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from core.shared import Shared

FAILURES_TO_OPEN = 5
"""A circuit opens after so many calls in a row that nobody answered."""
COOL_SECONDS = 15.0
"""How long it stays open the first time; every failed probe doubles it."""
LONGEST_COOL_SECONDS = 240.0
HOUR, DAY = 3600, 86_400
PROBE_SECONDS = 90.0
"""A probe that has told nothing by then is given up, and another may be made."""

_CLOCK = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
"""
# The rate is GCRA: one number, the moment at which the bucket is full again.
_ENTER = (
    _CLOCK
    + """
local rest, rate, circuit = KEYS[1], KEYS[2], KEYS[3]
local wanted, interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local looking = ARGV[5] == '1'
local function not_before(moment, why)
    return {0, string.format('%.6f', moment - now), why}
end
local resting = tonumber(redis.call('GET', rest) or '0')
if resting > now then return not_before(resting, 'rest') end
local open_until = tonumber(redis.call('HGET', circuit, 'until') or '0')
if open_until > now then return not_before(open_until, 'circuit') end
if open_until > 0 then wanted = 1 end
if interval > 0 then
    local full = math.max(tonumber(redis.call('GET', rate) or '0'), now)
    local free = math.floor((now - full) / interval + burst + 0.000001)
    if free < 1 then return not_before(full - (burst - 1) * interval, 'rate') end
    wanted = math.min(wanted, free)
    if not looking then
        full = full + wanted * interval
        redis.call('SET', rate, string.format('%.6f', full), 'PX', math.ceil((full - now) * 1000))
    end
end
if open_until > 0 and not looking then
    redis.call('HSET', circuit, 'until', string.format('%.6f', now + tonumber(ARGV[4])), 'probing', 1)
end
return {wanted, '0', ''}
"""
)
_FAILED = (
    _CLOCK
    + """
local open_until = tonumber(redis.call('HGET', KEYS[1], 'until') or '0')
local probing = redis.call('HDEL', KEYS[1], 'probing') == 1
local failures = redis.call('HINCRBY', KEYS[1], 'failures', 1)
redis.call('EXPIRE', KEYS[1], 3600)
if failures < tonumber(ARGV[1]) or (open_until > now and not probing) then return 0 end
local times = redis.call('HINCRBY', KEYS[1], 'times', 1)
local cool = math.min(tonumber(ARGV[2]) * 2 ^ (times - 1), tonumber(ARGV[3]))
redis.call('HSET', KEYS[1], 'until', string.format('%.6f', now + cool))
return 1
"""
)
_REST = (
    _CLOCK
    + """
local rest = now + tonumber(ARGV[1])
if rest <= tonumber(redis.call('GET', KEYS[1]) or '0') then return 0 end
redis.call('SET', KEYS[1], string.format('%.6f', rest), 'PX', math.ceil(tonumber(ARGV[1]) * 1000))
return 1
"""
)
_STATE = (
    _CLOCK
    + """
local open_until = redis.call('HGET', KEYS[1], 'until')
local left = open_until and string.format('%.6f', tonumber(open_until) - now) or ''
return {redis.call('HGET', KEYS[1], 'failures') or '0', left, redis.call('HGET', KEYS[1], 'probing') or ''}
"""
)
_SPEND = (
    _CLOCK
    + """
local seconds = tonumber(ARGV[3])
local today = tostring(math.floor(now / seconds))
if redis.call('HGET', KEYS[1], 'day') ~= today then redis.call('DEL', KEYS[1]) end
local used = tonumber(redis.call('HGET', KEYS[1], 'used') or '0')
local calls = tonumber(ARGV[2])
if calls == 0 or used + calls > tonumber(ARGV[1]) then return {0, used} end
redis.call('HSET', KEYS[1], 'day', today, 'used', used + calls)
redis.call('EXPIRE', KEYS[1], seconds + 3600)
return {1, used + calls}
"""
)
_HOLD = (
    _CLOCK
    + """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), ARGV[2])
redis.call('EXPIRE', KEYS[1], math.ceil(tonumber(ARGV[3])))
return 1
"""
)
T = TypeVar("T")


@dataclass(frozen=True)
class Leave:
    """So many calls may be made now; if none, not for `wait` seconds, because of `why`."""

    calls: int
    wait: float = 0.0
    why: Literal["", "rest", "circuit", "rate"] = ""


@dataclass(frozen=True)
class Circuit:
    """`failures` calls in a row were not answered; `seconds` are left until the next probe."""

    state: Literal["closed", "half_open", "open"] = "closed"
    failures: int = 0
    seconds: float = 0.0


class Limiter:
    """One Redis' view of every vendor; safe to share between threads and across forks."""

    def __init__(self, url: str) -> None:
        self._known = Shared(url)
        self._enter, self._failed, self._rest, self._state, self._spend, self._hold = (
            self._known.redis.register_script(script)
            for script in (_ENTER, _FAILED, _REST, _STATE, _SPEND, _HOLD)
        )

    def enter(self, slug: str, *, per_minute: int = 0, calls: int = 1, looking: bool = False) -> Leave:
        """Ask leave for up to so many calls; what is granted counts as made, unless one is only `looking`.

        No minute holds more than `per_minute` calls: a tenth of them may be made in one go, and the rest
        as time goes by. While a circuit is half open, one call is granted to one caller.
        """
        if calls < 1:
            return Leave(0)
        burst = 1 + per_minute // 10
        interval = 60.0 / (per_minute - burst + 1) if per_minute else 0.0
        said = self._ask(
            lambda: self._enter(
                keys=[_key(slug, "rest"), _key(slug, "rate"), _key(slug, "circuit")],
                args=[calls, interval, burst, PROBE_SECONDS, int(looking)],
            )
        )
        return Leave(calls) if said is None else Leave(int(said[0]), float(said[1]), said[2].decode())

    def answered(self, slug: str) -> None:
        """A call was answered, whatever was said: the circuit is closed."""
        self._ask(lambda: self._known.redis.delete(_key(slug, "circuit")))

    def failed(self, slug: str) -> bool:
        """Note a call that nobody answered; says whether that has opened the circuit."""
        args = [FAILURES_TO_OPEN, COOL_SECONDS, LONGEST_COOL_SECONDS]
        opened = self._ask(lambda: self._failed(keys=[_key(slug, "circuit")], args=args))
        return bool(opened)

    def rest(self, slug: str, seconds: float) -> None:
        """Let a vendor alone that has asked for it."""
        self._ask(lambda: self._rest(keys=[_key(slug, "rest")], args=[seconds]))

    def resting(self, slug: str) -> float:
        """Seconds for which a vendor is still let alone because it has asked for it."""
        leave = self.enter(slug, looking=True)
        return leave.wait if leave.why == "rest" else 0.0

    def circuit(self, slug: str) -> Circuit:
        said = self._ask(lambda: self._state(keys=[_key(slug, "circuit")]))
        if said is None:
            return Circuit()
        failures, left, probing = int(said[0]), said[1].decode(), bool(said[2])
        if not left:
            return Circuit("closed", failures)
        seconds = max(0.0, float(left))
        return Circuit("half_open" if probing or not seconds else "open", failures, seconds)

    def spend(self, slug: str, per_day: int) -> bool:
        """Count one call of this day (UTC); False, and not counted, when it has had as many as it may."""
        said = self._ask(lambda: self._spend(keys=[_key(slug, "day")], args=[per_day, 1, DAY]))
        return said is None or bool(said[0])

    def spend_hourly(self, slug: str, per_hour: int) -> bool:
        """As `spend`, of this full hour."""
        said = self._ask(lambda: self._spend(keys=[_key(slug, "hour")], args=[per_hour, 1, HOUR]))
        return said is None or bool(said[0])

    def spent(self, slug: str) -> int:
        """Calls of this day (UTC)."""
        said = self._ask(lambda: self._spend(keys=[_key(slug, "day")], args=[0, 0, DAY]))
        return 0 if said is None else int(said[1])

    def hold(self, slug: str, most: int, name: str, seconds: float) -> bool:
        """Take one of so many places, for so long unless it is given back before."""
        said = self._ask(lambda: self._hold(keys=[_key(slug, "places")], args=[most, name, seconds]))
        return said is None or bool(said)

    def give_back(self, slug: str, name: str) -> None:
        self._ask(lambda: self._known.redis.zrem(_key(slug, "places"), name))

    def _ask(self, question: Callable[[], T]) -> T | None:
        return self._known.ask(question)


def _key(slug: str, what: str) -> str:
    return f"callsheet:vendor:{slug}:{what}"
