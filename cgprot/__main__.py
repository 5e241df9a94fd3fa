"""python -m cgprot"""

import sys

from cgprot.cli import main

sys.exit(main())
