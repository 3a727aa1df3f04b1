"""Which exceptions go on through `publish`, and which stay with the value that raised them."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Generator

import gevent
import pytest
from greenlet import GreenletExit

from mql.host.interruption import is_interruption


class Other(Exception):  # noqa: N818 - no error of ours
    pass


def raised(function: Callable[[], object]) -> BaseException:
    with pytest.raises(BaseException) as found:  # noqa: PT011 - any
        function()
    return found.value


def wait_in_a_greenlet() -> None:
    gevent.sleep(10)


def test_a_timeout_of_gevent_goes_on() -> None:
    def wait() -> None:
        with gevent.Timeout(0.01):
            wait_in_a_greenlet()

    assert is_interruption(raised(wait))


def test_a_greenlet_that_is_killed_dies() -> None:
    errors: list[BaseException] = []

    def work() -> None:
        try:
            wait_in_a_greenlet()
        except GreenletExit as error:
            errors.append(error)

    greenlet = gevent.spawn(work)
    gevent.sleep(0)
    greenlet.kill()
    assert list(map(is_interruption, errors)) == [True]


@pytest.mark.parametrize("kind", [gevent.Timeout, GreenletExit, KeyboardInterrupt, Other])
def test_what_code_raises_stays(kind: type[BaseException]) -> None:
    def work() -> None:
        raise kind

    assert not is_interruption(raised(work))


def test_what_another_thread_sends_goes_on() -> None:
    begun, errors = threading.Event(), list[BaseException]()

    def work() -> None:
        try:
            begun.set()
            while True:
                pass
        except Other as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    ident, error = ctypes.c_ulong(thread.ident or 0), ctypes.py_object(Other)
    assert ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, error) == 1
    thread.join()
    assert list(map(is_interruption, errors)) == [True]


def test_what_is_thrown_into_a_generator_stays() -> None:
    """It is raised where the generator goes on, which is where other threads are heard, too."""

    def generate() -> Generator[int]:
        yield 1

    for steps in (0, 1):
        generator = generate()
        for _ in range(steps):
            next(generator)
        assert not is_interruption(raised(lambda: generator.throw(Other)))  # noqa: B023


def test_a_kind_that_compares_as_it_likes_is_not_asked() -> None:
    class Meta(type):
        def __eq__(cls, other: object) -> bool:
            raise AssertionError

        __hash__ = None  # type: ignore[assignment]

    class Hostile(BaseException, metaclass=Meta):
        pass

    def work() -> None:
        raise Hostile

    assert not is_interruption(raised(work))
