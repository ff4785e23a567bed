"""Kills a process at any of its machine instructions: ptrace lets it make a number of steps and no more."""

import ctypes
import os
import signal
from collections.abc import Callable
from typing import Final

_TRACE_ME: Final = 0
_SINGLE_STEP: Final = 9
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LIBC.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_LIBC.ptrace.restype = ctypes.c_long


def killed_after(steps: int, act: Callable[[], object]) -> bool:
    """Call ``act`` in a child that is killed after so many instructions. Returns whether it had come to its end."""
    child = os.fork()
    if child == 0:
        try:
            _LIBC.ptrace(_TRACE_ME, 0, None, None)
            os.kill(os.getpid(), signal.SIGSTOP)
            act()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSTOPPED(status), "the child waits at its first step"
    for _ in range(steps):
        assert _LIBC.ptrace(_SINGLE_STEP, child, None, None) == 0, os.strerror(ctypes.get_errno())
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            return True
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False
