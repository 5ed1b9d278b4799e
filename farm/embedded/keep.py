"""What the keeper's process executes: a file and not a module, since the interpreter is started without site-packages.

It holds PostgreSQL's binaries for hours, so it loads nothing that it does not need: 8 MB instead of 30.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    sys.path.insert(0, sys.argv.pop(1))
    from farm.embedded.keeper import main

    main(sys.argv[1:])
