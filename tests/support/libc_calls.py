"""What `auditor.resolve.bulk.udp._mmsg_ffi` is made from: `python tests/support/libc_calls.py`.

cffi reads C with a parser that takes longer to start than a lookup takes to make, so what it
has read is kept as Python (its out-of-line ABI mode): nothing is compiled, then or later.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

import cffi

MODULE: Final = Path(__file__).parents[2] / "auditor/resolve/bulk/udp/_mmsg_ffi.py"

DECLARATIONS: Final = """
    struct iovec { void *iov_base; size_t iov_len; };
    struct msghdr {
        void *msg_name; unsigned int msg_namelen;
        struct iovec *msg_iov; size_t msg_iovlen;
        void *msg_control; size_t msg_controllen;
        int msg_flags;
    };
    struct mmsghdr { struct msghdr msg_hdr; unsigned int msg_len; };
    struct segment { size_t cmsg_len; int cmsg_level; int cmsg_type; uint16_t size; };
    int sendmmsg(int fd, struct mmsghdr *vec, unsigned int vlen, int flags);
    int recvmmsg(int fd, struct mmsghdr *vec, unsigned int vlen, int flags, void *timeout);
"""

_HEAD: Final = '''\
"""libc's calls for many datagrams, as cffi knows them: made by tests/support/libc_calls.py."""

# mypy: ignore-errors

__all__ = ["ffi"]

'''


def made() -> str:
    """Return the module's text."""
    ffi = cffi.FFI()
    ffi.cdef(DECLARATIONS)
    ffi.set_source("auditor.resolve.bulk.udp._mmsg_ffi", None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made.py"
        ffi.emit_python_code(str(path))
        return _HEAD + path.read_text("utf-8")


if __name__ == "__main__":
    MODULE.write_text(made(), "utf-8")
