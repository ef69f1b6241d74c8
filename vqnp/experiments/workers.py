"""Tasks in several processes of one thread each, which end when they are asked to.

A task writes its result to a file and returns nothing. The parent alone answers to Ctrl-C and to
SIGTERM. It asks its processes to stop, each of them saves its run's checkpoint, and the parent
waits for the last of them. A process whose parent is gone stops likewise.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

ENDINGS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
ASK = getattr(signal, "SIGUSR1", signal.SIGTERM)  # Windows has SIGTERM alone, which ends at once
LIBRARIES = ("NUMBA", "OMP", "OPENBLAS", "MKL", "BLIS", "VECLIB")


def as_ctrl_c(*_: Any) -> None:
    """Do what Ctrl-C would do here; a handler of other signals."""
    handler = signal.getsignal(signal.SIGINT)
    if callable(handler):
        handler(signal.SIGINT, None)
    else:  # Ctrl-C itself is ignored, as in a shell's background
        raise KeyboardInterrupt


def in_processes(
    work: Callable[..., None], tasks: Sequence[tuple], jobs: int, done: Callable[[], Any]
) -> None:
    """Call ``work(*task)`` for each task in ``jobs`` processes, and ``done()`` after each.

    Raises the first error of a task, ``KeyboardInterrupt`` after Ctrl-C, and ``ChildProcessError``
    for a process that died. No process is left then, and none begins another task.
    """
    todo, errors = list(reversed(tasks)), list[BaseException]()
    workers: dict[Connection, BaseProcess] = {}

    def stop(error: BaseException) -> None:
        errors.append(error)
        for process in workers.values():
            with suppress(ProcessLookupError):
                os.kill(process.pid or 0, ASK)

    with ctrl_c_calls(lambda *_: stop(KeyboardInterrupt())):
        try:
            for _ in range(min(jobs, len(tasks))):
                start(workers)
            at_work = list(workers)
            while at_work:
                ready: list[Any] = wait(at_work)
                for pipe in ready:
                    outcome = received(pipe)
                    if outcome is True:
                        done()
                    elif isinstance(outcome, Exception) and not errors:
                        stop(outcome)
                    if todo and not errors:
                        pipe.send((work, todo.pop()))
                    else:
                        pipe.close()  # its process takes that for the end
                        at_work.remove(pipe)
        except BaseException as error:
            stop(error)
        for process in workers.values():
            process.join()
    if errors:
        raise errors[0]


def start(workers: dict[Connection, BaseProcess]) -> None:
    """Start one more process, in which no signal of the terminal's is heard."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,), daemon=True)
    with blocked(signal.SIGINT, *ENDINGS):
        process.start()  # it inherits what is blocked
    workers[ours] = process
    theirs.close()


@contextmanager
def blocked(*signals: int) -> Iterator[None]:
    """Let ``signals`` wait; Windows cannot."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # started later, it would unblock them
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def received(pipe: Connection) -> Any:
    """Return what a process says: False when it is ready, True after a task, or an error."""
    try:
        return pipe.recv()
    except (EOFError, OSError):
        return ChildProcessError("a process died amid its run: perhaps the memory is full")


def serve(pipe: Connection) -> None:
    """Do the tasks that come through ``pipe`` until it is closed, or until asked to stop."""
    # The libraries are imported with the first task, and look here then.
    os.environ.update({f"{library}_NUM_THREADS": "1" for library in LIBRARIES})
    with suppress(KeyboardInterrupt, EOFError, BrokenPipeError):
        signal.signal(ASK, as_ctrl_c)
        threading.Thread(target=stop_with_parent, daemon=True).start()
        pipe.send(False)
        while True:
            work, task = pipe.recv()
            pipe.send(attempt(work, task))
    signal.signal(ASK, signal.SIG_IGN)  # a second request would find no run to stop


def stop_with_parent() -> None:
    """Ask this process to stop when its parent has ended without a word."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), ASK)


def attempt(work: Callable[..., None], task: tuple) -> bool | Exception:
    """Return True after ``work(*task)``, or its error."""
    try:
        work(*task)
    except Exception as error:
        return error
    return True


@contextmanager
def ctrl_c_calls(handler: Callable[..., None]) -> Iterator[None]:
    """Call ``handler`` on Ctrl-C; only the main thread may set one, elsewhere nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
