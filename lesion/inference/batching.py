"""One thread runs the network for all requests; requests that wait at the same time share a run."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class BatchingQueue:
    """Runs functions of several inputs, one run at a time, in a thread of its own.

    Two runs at once would share the cores and both be slower, and one run for several inputs takes less time than one
    for each. Working memory and the threads of numerical libraries exist once, not for each thread that asks.

    Args:
        functions: by name; each takes a list of inputs and gives a list of as many outputs. Those earlier in the
            dictionary have priority.
        most: largest number of inputs that share a run; the first of them waits for all.
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
        """One run, for the requests that have waited longest; none if an earlier run has served them."""
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
