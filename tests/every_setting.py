"""Every setting of both programs, for the tests of what shows or sets them."""

import agent.settings
import central.settings
from runtime.settings import Setting, settings_of

CENTRAL = {
    setting.variable: setting for setting in settings_of(central.settings.Settings, central.settings.NAMING).values()
}
AGENT = {setting.variable: setting for setting in settings_of(agent.settings.Settings, agent.settings.NAMING).values()}
EVERY: tuple[Setting, ...] = (*CENTRAL.values(), *AGENT.values())
EVERY_NAME = [name for setting in EVERY for name in setting.variables]
"""Those that name a secret's file too."""
