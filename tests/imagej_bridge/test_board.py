import asyncio
import threading

import numpy as np
import pytest

from relumen.imagej_bridge.server.board import Board, Live
from relumen.images import Image


@pytest.mark.parametrize(
    ("live", "progress"),
    [
        (Live(), 0),
        (Live(5, 10), 0.5),
        (Live(5, 10, window=1, windows=4), 0.375),
        (Live(window=3, windows=4), 0.75),
        (Live(10, 10, window=4, windows=4), 1),
        (Live(-1, 10), 0),
    ],
)
def test_the_share_that_is_done(live, progress):
    assert live.progress == progress


def test_the_newest_is_kept_and_numbered():
    board, image = Board(), Image(np.zeros((1, 2, 2), np.float32), "CYX")
    assert board.read("a") == (Live(), 0)
    assert board.newest("a") is None
    board.preview("a", image)
    board.preview("a", image)
    board.post("a", Live(1, 2))
    assert board.read("a") == (Live(1, 2), 2)
    assert board.newest("a") is image
    assert board.known() == ["a"]
    board.forget("a")
    board.forget("a")
    assert (board.known(), board.newest("a")) == ([], None)


def test_steps_are_counted_over_windows_and_jobs():
    board = Board()
    for live in (Live(1, 5), Live(3, 5), Live(3, 5), Live(2, 5, 1, 2), Live(5, 5, 1, 2), Live(2, 5, 1, 2)):
        board.post("a", live)
    board.post("b", Live(4, 5))
    assert board.iterations == 3 + 5 + 2 + 4


def test_listeners_are_woken_from_other_threads_and_at_the_end():
    board = Board()

    async def listen():
        woken = []
        with board.listening("a") as changed, board.listening("a") as again:
            for wake in (
                lambda: board.post("a", Live(1, 2)),
                lambda: board.changed("a"),
                board.all_changed,
                board.close,
            ):
                for event in (changed, again):
                    event.clear()
                threading.Thread(target=wake).start()
                async with asyncio.timeout(10):
                    await changed.wait()
                    await again.wait()
                woken.append(board.closed)
            changed.clear()
            board.post("b", Live())
            await asyncio.sleep(0)
            assert not changed.is_set()
        return woken

    assert asyncio.run(listen()) == [False, False, False, True]
    board.post("a", Live(2, 2))  # the loop is closed, and nobody listens


def test_a_listener_whose_loop_is_gone_disturbs_nobody():
    board = Board()

    async def leave_open():
        context = board.listening("a")
        context.__enter__()
        return context

    kept = asyncio.run(leave_open())
    board.changed("a")
    assert kept
