"""Runs shared by those who wait at the same time."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lesion.inference.batching import BatchingQueue


def test_those_who_wait_share_a_run_in_the_order_of_coming_and_the_first_function_goes_first():
    runs, free = [], threading.Event()

    def double(values):
        runs.append(("double", *values))
        free.wait(10)
        return [2 * value for value in values]

    def negate(values):
        runs.append(("negate", *values))
        return [-value for value in values]

    shared = BatchingQueue({"negate": negate, "double": double}, most=3)
    questions = [*(("double", i) for i in range(6)), ("negate", 9)]
    with ThreadPoolExecutor(len(questions)) as askers:
        asked = []
        for count, question in enumerate(questions):
            asked.append(askers.submit(shared.ask, *question))
            while not runs or sum(map(len, shared._waiting.values())) < count:  # the first runs, the others wait
                time.sleep(0.001)
        free.set()
        assert [answer.result(10) for answer in asked] == [0, 2, 4, 6, 8, 10, -9]
    assert runs == [("double", 0), ("negate", 9), ("double", 1, 2, 3), ("double", 4, 5)]


def test_a_failed_run_fails_all_that_shared_it_and_nothing_after():
    broken = threading.Event()
    broken.set()

    def divide(values):
        if broken.is_set():
            raise ZeroDivisionError("as told")
        return values

    shared = BatchingQueue({"divide": divide}, most=2)
    with pytest.raises(ZeroDivisionError, match="as told"):
        shared.ask("divide", 1)
    broken.clear()
    assert shared.ask("divide", 1) == 1


@pytest.mark.parametrize("outputs", [[], [1], [1, 2, 3]])
def test_a_run_with_too_few_or_too_many_outputs_fails_instead_of_hanging(outputs):
    release = threading.Event()

    def count(values):
        release.wait(10)
        return outputs if len(values) == 2 else values

    queue = BatchingQueue({"count": count}, most=2)
    with ThreadPoolExecutor(3) as askers:
        first = askers.submit(queue.ask, "count", 0)
        while not queue._thread._work_queue.empty() or queue._waiting["count"]:
            time.sleep(0.001)
        both = [askers.submit(queue.ask, "count", i) for i in range(2)]
        while len(queue._waiting["count"]) < 2:
            time.sleep(0.001)
        release.set()
        assert first.result(10) == 0
        for waiter in both:
            with pytest.raises(RuntimeError, match=f"{len(outputs)} outputs for 2 inputs"):
                waiter.result(10)
    assert queue.ask("count", 5) == 5
