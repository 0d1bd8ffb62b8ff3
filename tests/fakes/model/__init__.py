"""A model that says what a test has written down, to any agent, over the providers' own protocols.

The program is aimock; deploy/counterparts.sh installs it.
"""

from tests.fakes.model.program import Model, Step, model, script

__all__ = ["Model", "Step", "model", "script"]
