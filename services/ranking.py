"""Which picture each shot of a film shows: none twice, none that looks like another, none of the last films.

Pure: values in, values out, and the same for the same seed. It is a greedy assignment. The shot with the
fewest pictures left chooses first, and a shot that is left with none takes the picture of one that has
another. Two more rounds give every shot spare pictures of its own, for retakes and for files that are gone.
"""

from __future__ import annotations

import heapq
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from core.likeness import BANDS, NEAR, probes

SPARES = 2
FLOOD = 0.1
"""What a source that had all pictures so far loses against one that had none."""
JITTER = 0.004
"""Of a score: decides ties, and between what is as good."""
FRESH, RECENT, SMALL, REPEATED = range(4)
"""In the order in which a shot takes them."""


@dataclass(frozen=True)
class Item:
    """A candidate; `same_as` names the work, `look` is its hash, and an earlier film shows a `recent` one."""

    source: str
    foreign_id: str
    score: float
    same_as: tuple[str, ...] = ()
    look: str | None = None
    small: bool = False
    recent: bool = False

    @property
    def tier(self) -> int:
        return SMALL if self.small else RECENT if self.recent else FRESH


@dataclass(frozen=True)
class Shelf:
    """What was found for one shot; `borrows`: it takes another shot's where that is nothing."""

    items: Sequence[Item]
    borrows: bool = True


@dataclass(frozen=True)
class Place:
    """One place in a shot's ranking: the shot it was found for and its number there.

    `tier` says what it is, REPEATED because of the shot `other`, by `distance` bits.
    """

    owner: int
    number: int
    tier: int
    other: int | None = None
    distance: int | None = None


def rank_film(shelves: Sequence[Shelf], seed: int = 0) -> list[list[Place]]:
    """For every shot its places, best first; the first of each is what the film shows."""
    return _Cut(shelves, seed).order()


class _Cut:
    def __init__(self, shelves: Sequence[Shelf], seed: int) -> None:
        self._shelves = shelves
        self._seed = seed
        works = _works([item for shelf in shelves for item in shelf.items])
        count = iter(works)
        self._work = [[next(count) for _ in shelf.items] for shelf in shelves]
        self._near = _look_alikes(
            [
                (work, item.look)
                for shelf, row in zip(shelves, self._work, strict=True)
                for item, work in zip(shelf.items, row, strict=True)
            ]
        )
        self._chosen: dict[int, int] = {}
        self._barred: defaultdict[int, dict[int, int]] = defaultdict(dict)
        """Of each work the shots that show it, or one that looks like it, and how unlike."""
        self._shown: defaultdict[str, int] = defaultdict(int)
        self._several = len({item.source for shelf in shelves for item in shelf.items}) > 1

    def order(self) -> list[list[Place]]:
        for tier in (FRESH, RECENT, SMALL):
            self._give(tier, [shot for shot in range(len(self._shelves)) if shot not in self._chosen])
            for shot in range(len(self._shelves)):
                if shot not in self._chosen:
                    self._swap(shot, tier)
        for shot, shelf in enumerate(self._shelves):
            if shot not in self._chosen and shelf.items:
                self._choose(shot, self._least_shown(shot))
        spares = self._spares()
        order = [self._ranked(shot, spares[shot]) for shot in range(len(self._shelves))]
        for shot, shelf in enumerate(self._shelves):
            if shot not in self._chosen and shelf.borrows:
                order[shot] = self._borrowed(shot)
        return order

    # -- one picture for every shot ---------------------------------------------------------------

    def _give(self, tier: int, shots: Sequence[int]) -> None:
        """Let these shots choose among what is free in a tier; who has the fewest left comes first."""
        wants: defaultdict[int, set[int]] = defaultdict(set)
        left: dict[int, set[int]] = {}
        for shot in shots:
            left[shot] = {self._work[shot][number] for number in self._free(shot, tier)}
            for work in left[shot]:
                wants[work].add(shot)
        queue = [(len(works), shot) for shot, works in left.items() if works]
        heapq.heapify(queue)
        while queue:
            size, shot = heapq.heappop(queue)
            if shot in self._chosen or not left[shot]:
                continue
            if size != len(left[shot]):
                heapq.heappush(queue, (len(left[shot]), shot))
                continue
            number = self._best(shot, self._free(shot, tier))
            self._choose(shot, number)
            work = self._work[shot][number]
            for gone in (work, *self._near.get(work, ())):
                for other in wants.pop(gone, ()):
                    left[other].discard(gone)
                    heapq.heappush(queue, (len(left[other]), other))

    def _swap(self, shot: int, tier: int) -> None:
        """Take a picture from the one shot that shows it, where that has another as good as this tier."""
        mine = [n for n, item in enumerate(self._shelves[shot].items) if item.tier <= tier]
        for number in sorted(mine, key=lambda n: -self._worth(shot, n)):
            work = self._work[shot][number]
            holders = list(self._barred[work])
            if len(holders) != 1:
                continue
            (holder,) = holders
            had = self._chosen[holder]
            self._drop(holder)
            self._choose(shot, number)
            for other in range(tier + 1):
                if free := self._free(holder, other):
                    self._choose(holder, self._best(holder, free))
                    return
            self._drop(shot)
            self._choose(holder, had)

    def _least_shown(self, shot: int) -> int:
        """The picture that fewest shots show, and those farthest away."""

        def ease(number: int) -> tuple[int, int, float]:
            others = self._barred[self._work[shot][number]]
            return (
                len(others),
                -min((abs(other - shot) for other in others), default=0),
                -self._worth(shot, number),
            )

        return min(range(len(self._work[shot])), key=ease)

    def _of_tier(self, shot: int, tier: int) -> list[int]:
        return [n for n, item in enumerate(self._shelves[shot].items) if item.tier == tier]

    def _free(self, shot: int, tier: int) -> list[int]:
        return [n for n in self._of_tier(shot, tier) if not self._barred[self._work[shot][n]]]

    def _best(self, shot: int, numbers: Iterable[int]) -> int:
        return max(numbers, key=lambda number: (self._worth(shot, number), -number))

    def _worth(self, shot: int, number: int) -> float:
        """A score, with what its source has been shown already and a throw of the seed's dice."""
        item = self._shelves[shot].items[number]
        dice = zlib.crc32(f"{self._seed}:{shot}:{item.source}:{item.foreign_id}".encode()) / 2**32
        share = self._shown[item.source] / max(len(self._chosen), 1) if self._several else 0.0
        return item.score + JITTER * dice - FLOOD * share

    def _choose(self, shot: int, number: int) -> None:
        self._chosen[shot] = number
        self._shown[self._shelves[shot].items[number].source] += 1
        work = self._work[shot][number]
        for other, distance in ((work, 0), *self._near.get(work, {}).items()):
            self._barred[other][shot] = distance

    def _drop(self, shot: int) -> None:
        number = self._chosen.pop(shot)
        self._shown[self._shelves[shot].items[number].source] -= 1
        work = self._work[shot][number]
        for other in (work, *self._near.get(work, ())):
            self._barred[other].pop(shot, None)

    # -- and what comes after it ------------------------------------------------------------------

    def _spares(self) -> list[list[int]]:
        """Two more free pictures for every shot, that no other has as a spare."""
        kept: set[int] = set()
        spares: list[list[int]] = [[] for _ in self._shelves]
        for _ in range(SPARES):
            for shot in range(len(self._shelves)):
                free = [n for n in self._free(shot, FRESH) if self._work[shot][n] not in kept]
                if free:
                    number = self._best(shot, free)
                    spares[shot].append(number)
                    work = self._work[shot][number]
                    kept.update((work, *self._near.get(work, ())))
        return spares

    def _ranked(self, shot: int, spares: Sequence[int]) -> list[Place]:
        if shot not in self._chosen:
            return []
        first = self._chosen[shot]
        numbers = [n for n in range(len(self._work[shot])) if n != first and n not in spares]
        places = [self._place(shot, n) for n in numbers]
        items = self._shelves[shot].items
        places.sort(key=lambda place: (place.tier, -items[place.number].score, place.number))
        return [self._place(shot, first), *(self._place(shot, n) for n in spares), *places]

    def _place(self, shot: int, number: int) -> Place:
        barred = dict(self._barred[self._work[shot][number]])
        if self._chosen[shot] == number:
            barred.pop(shot, None)
        if not barred:
            return Place(shot, number, self._shelves[shot].items[number].tier)
        other = min(barred, key=lambda one: (barred[one], abs(one - shot), one))
        return Place(shot, number, REPEATED, other, barred[other])

    def _borrowed(self, shot: int) -> list[Place]:
        """The nearest shot's spare picture, else one that is shown least; borrowed once, it is shown."""
        owners = sorted(range(len(self._shelves)), key=lambda other: (abs(other - shot), other))
        places = [(owner, number) for owner in owners for number in range(len(self._work[owner]))]
        if not places:
            return []

        def ease(place: tuple[int, int]) -> tuple[int, int]:
            owner, number = place
            others = len(self._barred[self._work[owner][number]])
            return (others, REPEATED) if others else (0, self._shelves[owner].items[number].tier)

        owner, number = min(places, key=ease)
        work = self._work[owner][number]
        barred = dict(self._barred[work])
        for other, distance in ((work, 0), *self._near.get(work, {}).items()):
            self._barred[other][shot] = distance
        if not barred:
            return [Place(owner, number, self._shelves[owner].items[number].tier)]
        nearest = min(barred, key=lambda one: (barred[one], abs(one - shot), one))
        return [Place(owner, number, REPEATED, nearest, barred[nearest])]


class Looks:
    """Perceptual hashes among which look-alikes are found, exactly, without comparing all with all."""

    def __init__(self, pictures: Iterable[tuple[Any, str | None]]) -> None:
        self._bands: list[defaultdict[int, set[tuple[Any, int]]]] = [defaultdict(set) for _ in range(BANDS)]
        for key, look in pictures:
            if look is not None:
                for kept, (value,) in zip(self._bands, probes(look, 0), strict=True):
                    kept[value].add((key, int(look, 16)))

    def near(self, look: str | None) -> dict[Any, int]:
        """The keys of what looks the same, with the bits in which it differs; no hash is like no other."""
        found: dict[Any, int] = {}
        if look is None:
            return found
        bits = int(look, 16)
        for kept, values in zip(self._bands, probes(look, NEAR), strict=True):
            for value in values:
                for key, others in kept.get(value, ()):
                    unlike = (bits ^ others).bit_count()
                    if unlike <= NEAR:
                        found[key] = min(unlike, found.get(key, unlike))
        return found


def _works(items: Sequence[Item]) -> list[int]:
    """Number the works behind items: those that share a name, or have the very same look, are one."""
    root = list(range(len(items)))

    def find(number: int) -> int:
        while root[number] != number:
            root[number] = number = root[root[number]]
        return number

    named: dict[str, int] = {}
    for number, item in enumerate(items):
        look = [f"look:{item.look}"] if item.look is not None else []
        for name in (f"{item.source}:{item.foreign_id}", *item.same_as, *look):
            root[find(number)] = find(named.setdefault(name, number))
    return [find(number) for number in range(len(items))]


def _look_alikes(pictures: Sequence[tuple[int, str | None]]) -> dict[int, dict[int, int]]:
    """For every work the others that look like it, with the bits in which they differ."""
    looks = Looks(pictures)
    near: defaultdict[int, dict[int, int]] = defaultdict(dict)
    for work, look in set(pictures):
        for other, unlike in looks.near(look).items():
            if other != work:
                near[work][other] = min(unlike, near[work].get(other, unlike))
    return near
