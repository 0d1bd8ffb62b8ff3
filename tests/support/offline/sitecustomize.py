"""Read by each Python that starts with this directory on its path: it is guarded, too."""

import offline_guard

offline_guard.install()
