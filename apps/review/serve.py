"""The process behind `ferclean review`: Streamlit behind the guard, with its settings stated here and nowhere else.

It never listens beyond this machine, and no configuration file, secrets file or variable changes what it does.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import os
import secrets
import sys
from pathlib import Path
from typing import Any

# started by its path, from a checkout or from inside an installed wheel
_ROOM = str(Path(__file__).resolve().parents[2])
if _ROOM not in sys.path:
    sys.path.insert(0, _ROOM)

from apps.guard import Guard, own_hosts  # noqa: E402
from ferclean.printable import printable  # noqa: E402

SCRIPT = Path(__file__).with_name("main.py").resolve()

# Streamlit's own defaults hold for everything that is not named here, whatever a file or a variable says. Those that
# open or close a door are named even where the default would do.
SETTINGS: dict[str, Any] = {
    "server.enableCORS": True,
    "server.enableXsrfProtection": True,
    "server.xsrfCookieSameSite": "strict",
    "server.corsAllowedOrigins": [],
    "client.allowedOrigins": [],  # whose pages may steer the screen by messages; Streamlit's cloud by default
    "server.trustedUserHeaders": {},
    "server.enableStaticServing": False,
    "server.enableAgentApi": False,
    "server.scriptHealthCheckEnabled": False,
    "server.baseUrlPath": "",
    "server.customComponentBaseUrlPath": "",
    "server.sslCertFile": None,
    "server.sslKeyFile": None,
    "server.maxUploadSize": 1,  # MB; the screen takes no files
    "server.folderWatchList": [],
    "global.developmentMode": False,
    "secrets.files": [],
    # what Streamlit would otherwise do: count users, watch files, ask for an e-mail address, look up the public
    # address, open the browser before the page is there, and show tracebacks
    "server.headless": True,
    "server.showEmailPrompt": False,
    "server.fileWatcherType": "none",
    "server.runOnSave": False,
    "server.allowRunOnSave": False,
    "browser.gatherUsageStats": False,
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "runner.magicEnabled": False,
    "logger.level": "warning",
    "theme.light.primaryColor": "#0067A5",
    "theme.light.backgroundColor": "#FFFFFF",
    "theme.light.secondaryBackgroundColor": "#F3F4F6",
    "theme.light.textColor": "#1B1F24",
    "theme.dark.primaryColor": "#2380BD",
    "theme.dark.backgroundColor": "#14171C",
    "theme.dark.secondaryBackgroundColor": "#20252C",
    "theme.dark.textColor": "#E8EAED",
}


def configure(*, address: str, port: int) -> list[str]:
    """Give Streamlit its settings before it looks for any; returns the files that are left aside."""
    from streamlit import config

    settings = copy.deepcopy(config._config_options_template)
    ours = SETTINGS | {
        "server.address": address,
        "server.port": port,
        "server.allowedHosts": sorted({address, "127.0.0.1", "localhost", "::1"}),
        "browser.serverAddress": address,
        "server.cookieSecret": secrets.token_hex(),
    }
    for name, value in ours.items():
        settings[name].set_value(value, "ferclean")
    config._main_script_path = str(SCRIPT)
    # where Streamlit keeps them: it reads no file once they are there, and they are there before anything asks
    config._config_options = settings
    config._on_config_parsed.send()
    files = [file for name in ("config.toml", "secrets.toml") for file in config.get_config_files(name)]
    return [file for file in dict.fromkeys(files) if os.path.lexists(file)]


def main() -> None:
    """Serve the workspace until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--address", required=True)
    parser.add_argument("workspace")
    options = parser.parse_args()
    aside = sorted(name for name in os.environ if name.startswith("STREAMLIT_"))
    for name in aside:
        del os.environ[name]
    aside += configure(address=options.address, port=options.port)
    if aside:
        told = f"ferclean: the review screen has its own settings and leaves aside {', '.join(aside)}"
        print(printable(told), file=sys.stderr)

    from streamlit.starlette import App
    from streamlit.web.server.starlette import UvicornRunner

    from apps.review.routes import ROUTES

    os.environ["FERCLEAN_WORKSPACE"] = options.workspace
    with contextlib.suppress(KeyboardInterrupt):  # how uvicorn says that it has ended as asked
        UvicornRunner(Guard(App(SCRIPT, routes=ROUTES), hosts=own_hosts(options.address, options.port))).run()


if __name__ == "__main__":
    main()
