#!/bin/sh
# Makes sure that the tests have a Chromium: the system's, else the one that Playwright brings.
set -eu
command -v chromium >/dev/null 2>&1 && exit 0
.venv/bin/playwright install chromium
