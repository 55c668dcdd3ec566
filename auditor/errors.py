"""Every exception that `auditor` raises on purpose.

    AuditorError
    ├── UsageError             a wrong option, setting or combination      exit 2
    ├── InputError             input that cannot be read                   exit 2
    │   ├── TargetError        one line that is not a target (never leaves the reader)
    │   ├── TooManyTargetsError  more than --max-targets
    │   └── TransferError      a zone that no server gives
    ├── ZoneFileError          a zone file that cannot be loaded           exit 2
    ├── NoServerError          no server answers                           exit 3
    ├── OutputError            the output cannot be written                exit 3
    │   └── ClosedOutputError  nobody reads what a command prints          exit 0
    ├── WorkersError           workers or their scheduler are gone         exit 3
    └── WireError              bytes that are not a DNS message (never leaves the resolver)

`exit_code` is what the command line ends with; the message is one line
for a person: what is wrong, where, and what was expected.
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


#: Exit codes beside those of errors: finished, and a finding is what `--fail-on` names; not
#: finished, or finished with more that is undetermined than is allowed.
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
    """A zone that no server gives."""


class ZoneFileError(AuditorError):
    """A zone file that cannot be loaded."""


class NoServerError(AuditorError):
    """No name server is left that answers."""

    exit_code = NOT_FINISHED


class OutputError(AuditorError):
    """The output cannot be written."""

    exit_code = NOT_FINISHED


class ClosedOutputError(OutputError):
    """Standard output was closed by its reader, such as `head`: it has seen enough."""

    exit_code = 0


class WorkersError(AuditorError):
    """No worker is left, or too many died over the same targets."""

    exit_code = NOT_FINISHED


class WireError(AuditorError):
    """Bytes that are not what RFC 1035 says.

    `offset` is where in the message the trouble was noticed, in octets.
    """

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(f"{message} at octet {offset}")
        self.offset = offset
