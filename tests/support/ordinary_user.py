"""Runs a command as an ordinary user, whoever runs the tests: python ordinary_user.py [--no-namespaces] COMMAND...

The user is one of a user namespace, without any capability. With the option nobody in it may make namespaces.
"""

import ctypes
import os
import sys
from pathlib import Path

NEW_USER = 0x10000000


def main() -> None:
    command = sys.argv[1:]
    mapping = {"setgroups": "deny", "uid_map": f"1000 {os.getuid()} 1", "gid_map": f"1000 {os.getgid()} 1"}
    assert ctypes.CDLL(None, use_errno=True).unshare(NEW_USER) == 0, os.strerror(ctypes.get_errno())
    for name, content in mapping.items():
        Path("/proc/self", name).write_text(content, encoding="ascii")
    if command[0] == "--no-namespaces":
        del command[0]
        Path("/proc/sys/user/max_user_namespaces").write_text("0", encoding="ascii")
    os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main()
