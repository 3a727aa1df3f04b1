"""The order in which rows arrived. Few aggregates ask for it, so nobody makes it before they do."""

from __future__ import annotations

from collections.abc import Callable

from mql.columnar.layout import Ints, Mask


class Order:
    """The place of each of some rows in the order of arrival (int64)."""

    def __init__(self, make: Callable[[], Ints]) -> None:
        self._make = make
        self._places: Ints | None = None

    @property
    def places(self) -> Ints:
        """The places, made when they are wanted first."""
        if self._places is None:
            self._places = self._make()
        return self._places

    def of(self, rows: Ints | Mask) -> Order:
        """That of some of the rows."""
        return Order(lambda: self.places[rows])
