"""`python -m auditor`."""

import os
import sys
from pathlib import Path

# With -m the working directory comes first on the import path, and others may be able to write to
# it: unless the program itself is there, no module is imported from it.
_HERE = Path(__file__).parent.parent
if not sys.flags.safe_path and sys.path[0] == os.getcwd() != str(_HERE):  # noqa: PTH109 - as text
    del sys.path[0]

from auditor.cli import main  # noqa: E402 - see above

main()
