"""Several processes: all tasks are done once, and nothing is left when they are stopped.

The tasks are small ones that say what happens to them. ``test_run.py`` stops real runs.
"""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from vqnp.experiments.workers import in_processes

STOPPED = "\nStopped. Finished runs are kept: give the same command with --resume.\n"
SCRIPT = """
    import os, sys, time
    from pathlib import Path
    from vqnp import cli
    from vqnp.experiments.workers import in_processes

    def run(path):
        begun, saved = Path(path), Path(f"{path}.saved")
        try:
            begun.with_suffix(".new").write_text(str(os.getpid()))
            begun.with_suffix(".new").rename(begun)
            time.sleep(100)
        except KeyboardInterrupt:
            time.sleep(SAVING)  # a second request ends this at once
            saved.touch()
            raise

    if __name__ == "__main__":
        tasks = [(f"FOLDER/{i}",) for i in range(4)]
        cli.run_reproduce = lambda options: in_processes(run, tasks, 2, lambda: None)
        sys.exit(cli.main(["reproduce"]))
"""


def write(path):
    path.write_text(str(os.getpid()))


def fail(path):
    if path.name == "0":
        raise ValueError("the first")
    time.sleep(0.5)
    write(path)


def die(path):
    if path.name == "1":
        os._exit(1)
    time.sleep(0.5)
    write(path)


def test_all_tasks_are_done_in_as_many_processes(tmp_path):
    finished = []
    tasks = [(tmp_path / str(i),) for i in range(5)]
    in_processes(write, tasks, 2, lambda: finished.append(1))
    assert len(finished) == 5
    at_work = {path.read_text() for path in tmp_path.iterdir()}
    assert len(list(tmp_path.iterdir())) == 5
    assert len(at_work) <= 2
    assert str(os.getpid()) not in at_work


@pytest.mark.parametrize(
    ("work", "error", "message"),
    [(fail, ValueError, "the first"), (die, ChildProcessError, "a process died")],
)
def test_after_an_error_no_other_task_begins(tmp_path, work, error, message):
    with pytest.raises(error, match=message):
        in_processes(work, [(tmp_path / str(i),) for i in range(9)], 2, lambda: None)
    assert len(list(tmp_path.iterdir())) < 7


def begin(folder, saving=0.5):
    """Start the script in a session of its own; return it and its processes, both at work."""
    script = folder / "script.py"
    text = textwrap.dedent(SCRIPT).replace("FOLDER", str(folder)).replace("SAVING", str(saving))
    script.write_text(text)
    run = subprocess.Popen(
        [sys.executable, script],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=hear,
    )
    while run.poll() is None and not ((folder / "0").exists() and (folder / "1").exists()):
        time.sleep(0.01)
    return run, [int((folder / name).read_text()) for name in "01"]


def hear():
    """Take all signals by default, also where the tests run under nohup."""
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_DFL)


def lives(process):
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True).stdout
    return bool(state.strip()) and not state.startswith(b"Z")


ENDINGS = [
    (signal.SIGINT, os.killpg),  # Ctrl-C in a terminal
    (signal.SIGINT, os.kill),
    (signal.SIGTERM, os.killpg),
    (signal.SIGTERM, os.kill),
    (signal.SIGHUP, os.killpg),  # the terminal is closed
]


@pytest.mark.parametrize(("ending", "send"), ENDINGS)
def test_stopped_once_every_run_is_saved_and_the_message_is_all(tmp_path, ending, send):
    run, processes = begin(tmp_path)
    send(run.pid, ending)
    assert run.communicate(timeout=100)[1] == STOPPED
    assert run.returncode == 128 + ending
    assert not any(map(lives, processes))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"script.py", "0", "0.saved", "1", "1.saved"}  # and no other task began


@pytest.mark.parametrize("send", [os.killpg, os.kill])
def test_stopped_twice_it_ends_at_once(tmp_path, send):
    run, processes = begin(tmp_path, saving=200)
    send(run.pid, signal.SIGINT)
    time.sleep(0.5)
    send(run.pid, signal.SIGINT)
    assert run.communicate(timeout=100)[1] == STOPPED
    assert run.returncode == 130
    assert not any(map(lives, processes))
    assert {path.name for path in tmp_path.iterdir()} == {"script.py", "0", "1"}


def test_processes_whose_parent_was_killed_save_and_end(tmp_path):
    run, processes = begin(tmp_path, saving=0)
    run.kill()
    run.communicate()
    deadline = time.monotonic() + 100
    while any(map(lives, processes)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(lives, processes))
    assert (tmp_path / "0.saved").exists()
    assert (tmp_path / "1.saved").exists()
    assert not Path(tmp_path / "2").exists()
