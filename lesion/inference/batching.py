"""One thread in which a network runs for everybody who asks: what waits at the same time shares a run."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class BatchingQueue:
    """Runs functions of several inputs, one run at a time, in a thread of its own.

    Two runs at once would share the cores and both be late, and one run for several takes less time than one for each.
    Working memory and the threads of numerical libraries are there once, not for each thread that asks.

    Args:
        functions: by name; each takes a list of inputs and gives a list of as many outputs. Those that come first in
            the dictionary go first.
        most: inputs that share a run, at most: the first of them waits for all.
    """

    def __init__(self, functions: dict[str, Callable[[Sequence], Sequence]], most: int):
        self.functions, self.most = functions, most
        self._waiting: dict[str, deque[tuple[object, Future]]] = {name: deque() for name in functions}
        self._thread = ThreadPoolExecutor(1, "batching")

    def ask(self, name: str, value: object) -> Any:
        """The output for one input, once its turn has come.

        Args:
            name: of the function.
            value: its input.

        Raises:
            RuntimeError: the function gave another number of outputs than inputs.
            BaseException: what the function raised; all who shared the run get it.
        """
        ours: Future = Future()
        self._waiting[name].append((value, ours))
        self._thread.submit(self._run)
        return ours.result()

    def _run(self) -> None:
        """One run, for those who have waited longest; none where an earlier one served whom this one was meant for."""
        for name, waiting in self._waiting.items():
            if waiting:
                values, futures = zip(*(waiting.popleft() for _ in range(min(len(waiting), self.most))), strict=True)
                try:
                    outputs = self.functions[name](values)
                    if len(outputs) != len(values):
                        raise RuntimeError(f"{name} gave {len(outputs)} outputs for {len(values)} inputs")
                except BaseException as error:
                    for future in futures:
                        future.set_exception(error)
                else:
                    for future, output in zip(futures, outputs, strict=True):
                        future.set_result(output)
                return
