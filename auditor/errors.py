"""Every exception that `auditor` raises on purpose.

    AuditorError
    ├── UsageError             a wrong option, setting or combination      exit 2
    ├── InputError             input that cannot be read                   exit 2
    │   ├── TargetError        one line that is not a target (never leaves the reader)
    │   ├── TooManyTargetsError  more than --max-targets
    │   └── TransferError      a zone that no server transfers
    ├── ZoneFileError          a zone file that cannot be loaded           exit 2
    ├── NoServerError          no server answers                           exit 3
    ├── OutputError            the output cannot be written                exit 3
    │   └── ClosedOutputError  the reader of standard output has closed it exit 0
    ├── WorkersError           workers or their scheduler are gone         exit 3
    └── WireError              bytes that are not a DNS message (never leaves the resolver)

`exit_code` is the exit code of the command; the message is one line:
what is wrong, where, and what was expected.
"""

from __future__ import annotations

from typing import ClassVar, Final

__all__ = [
    "AuditorError",
    "ClosedOutputError",
    "InputError",
    "NoServerError",
    "OutputError",
    "TargetError",
    "TooManyTargetsError",
    "TransferError",
    "UsageError",
    "WireError",
    "WorkersError",
    "ZoneFileError",
]


#: Exit codes besides those of errors: finished, with findings that `--fail-on` selects; not
#: finished, or finished with more undetermined records than allowed.
FINDINGS_FOUND: Final = 1
NOT_FINISHED: Final = 3


class AuditorError(Exception):
    """The root of the tree above."""

    exit_code: ClassVar[int] = 2


class UsageError(AuditorError):
    """An option, a setting or a combination of them that cannot work."""


class InputError(AuditorError):
    """Input that cannot be read."""


class TargetError(InputError):
    """A line that is not a target. Becomes a record of kind `invalid`."""


class TooManyTargetsError(InputError):
    """The targets add up to more than `--max-targets`."""


class TransferError(InputError):
    """A zone that no server transfers."""


class ZoneFileError(AuditorError):
    """A zone file that cannot be loaded."""


class NoServerError(AuditorError):
    """No name server answers any more."""

    exit_code = NOT_FINISHED


class OutputError(AuditorError):
    """The output cannot be written."""

    exit_code = NOT_FINISHED


class ClosedOutputError(OutputError):
    """Standard output was closed by its reader, such as `head`."""

    exit_code = 0


class WorkersError(AuditorError):
    """No worker is left, or too many died over the same targets."""

    exit_code = NOT_FINISHED


class WireError(AuditorError):
    """Bytes that are not a DNS message or name by RFC 1035.

    `offset` is where in the message the fault was found, in octets.
    """

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(f"{message} at octet {offset}")
        self.offset = offset
