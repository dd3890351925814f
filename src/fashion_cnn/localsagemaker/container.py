"""Runs a command that sees a folder as /opt/ml, as in a training container, and needs no root for it.

python container.py FOLDER COMMAND...: a program of the standard library alone, because a training job's environment
is not this project's. User, mount and process namespaces make it: whatever the command starts ends with it, and it
ends with whoever started this program. SIGTERM reaches everything in the container.

Source: user_namespaces(7), mount_namespaces(7), pid_namespaces(7).
"""

import ctypes
import errno
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

NEW_MOUNTS: Final = 0x00020000
NEW_USER: Final = 0x10000000
NEW_PROCESSES: Final = 0x20000000
BIND, RECURSIVE, PRIVATE = 0x1000, 0x4000, 0x40000
DIE_WITH_PARENT: Final = 1  # PR_SET_PDEATHSIG

REFUSED: Final = 125  # as Docker has it for an error of its own
REMEDY: Final = (
    "training jobs need their own /opt/ml, which takes user namespaces, and this system refuses them; an administrator "
    "allows them with sysctl: user.max_user_namespaces above 0 and, where these exist, "
    "kernel.unprivileged_userns_clone=1 and kernel.apparmor_restrict_unprivileged_userns=0"
)

libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Enter the namespaces, then wait for the command; its exit status becomes this program's."""
    folder, *command = sys.argv[1:]
    libc.prctl(DIE_WITH_PARENT, signal.SIGKILL)
    # Whoever asks too early to stop is heard as soon as there is something to stop.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        enter(folder)
        first = os.fork()
    except OSError as error:
        # Not its text: where the limit is 0, that speaks of a device without space.
        print(f"{REMEDY} ({errno.errorcode.get(error.errno or 0, error)})", file=sys.stderr)
        sys.exit(REFUSED)
    if not first:
        be_first(command)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(first, signal.SIGTERM))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    status = os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
    sys.exit(status if status >= 0 else 128 - status)


def enter(folder: str) -> None:
    """Show the folder as /opt/ml to this process and those that it starts.

    Raises:
        OSError: the system allows no namespaces.
    """
    user, group = os.geteuid(), os.getegid()
    # Root in a container of another kind may lack what root has elsewhere, and yet may make a user namespace.
    if user != 0 or libc.unshare(NEW_MOUNTS | NEW_PROCESSES):
        _require(libc.unshare(NEW_USER | NEW_MOUNTS | NEW_PROCESSES))
        for name, content in {
            "setgroups": "deny",
            "uid_map": f"{user} {user} 1",
            "gid_map": f"{group} {group} 1",
        }.items():
            Path("/proc/self", name).write_text(content, encoding="ascii")
    _mount("none", "/", None, RECURSIVE | PRIVATE)
    if not Path("/opt/ml").is_dir():
        _make_opt_ml()
    _mount(folder, "/opt/ml", None, BIND | RECURSIVE)


def _make_opt_ml() -> None:
    """Put a folder that can be written in place of /opt, with all that was there, and ml."""
    before = os.open("/opt", os.O_PATH | os.O_DIRECTORY)  # what is mounted over it does not hide it from here
    present = list(os.scandir("/opt"))
    _mount("none", "/opt", "tmpfs", 0)
    for entry in present:
        hidden = f"/proc/self/fd/{before}/{entry.name}"
        if entry.is_symlink():
            Path(entry.path).symlink_to(Path(hidden).readlink())
            continue
        if entry.is_dir():
            Path(entry.path).mkdir()
        else:
            Path(entry.path).touch()
        _mount(hidden, entry.path, None, BIND | RECURSIVE)
    os.close(before)
    Path("/opt/ml").mkdir()


def be_first(command: list[str]) -> None:
    """Be the container's first process: start the command, adopt what it leaves behind, end with it."""
    libc.prctl(DIE_WITH_PARENT, signal.SIGKILL)
    with suppress(OSError):  # in a container of another kind /proc may stay the outer one: only `ps` is wrong then
        _mount("proc", "/proc", "proc", 0)
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True
        with suppress(ProcessLookupError):
            os.kill(-1, signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    try:
        started = os.posix_spawnp(command[0], command, os.environ, setsigmask=[], setsigdef=[signal.SIGTERM])
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(127)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    status = 1
    while True:
        try:
            ended, result = os.wait()
        except ChildProcessError:
            break
        if ended == started:
            status = os.waitstatus_to_exitcode(result)
            if not stopping:  # else those that still save something are waited for
                break
    os._exit(status if status >= 0 else 128 - status)


def _mount(source: str, target: str, kind: str | None, flags: int) -> None:
    encoded = [os.fsencode(text) if text is not None else None for text in (source, target, kind)]
    _require(libc.mount(*encoded, ctypes.c_ulong(flags), None))


def _require(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    main()
