"""The process behind `ferclean review`: Streamlit behind the guard, with its settings stated here and nowhere else.

It listens beyond this machine only where people sign in, and no configuration file or variable changes what it does;
of a secrets file it takes the sign-in alone.
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
from urllib.parse import urlsplit

# started by its path, from a checkout or from inside an installed wheel
_ROOM = str(Path(__file__).resolve().parents[2])
if _ROOM not in sys.path:
    sys.path.insert(0, _ROOM)

from apps.guard import Guard, own_hosts  # noqa: E402
from ferclean.printable import printable  # noqa: E402
from ferclean.review.sign_in import SignIn, check_reach, read_sign_in  # noqa: E402

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


def configure(*, address: str, port: int, sign_in: SignIn | None = None) -> list[str]:
    """Give Streamlit its settings before it looks for any; returns the files that are left aside."""
    from streamlit import config

    settings = copy.deepcopy(config._config_options_template)
    own = [address, "127.0.0.1", "localhost", "::1"] if sign_in is None else [str(urlsplit(sign_in.origin).hostname)]
    ours = SETTINGS | {
        "server.address": address,
        "server.port": port,
        "server.allowedHosts": sorted(set(own)),
        "browser.serverAddress": own[0],
        "logger.hideWelcomeMessage": sign_in
        is not None,  # it tells http and a port; `_behind_sign_in` tells the address
        "server.cookieSecret": secrets.token_hex(),
    }
    for name, value in ours.items():
        settings[name].set_value(value, "ferclean")
    config._main_script_path = str(SCRIPT)
    # where Streamlit keeps them: it reads no file once they are there, and they are there before anything asks
    config._config_options = settings
    config._on_config_parsed.send()
    files = [file for name in ("config.toml", "secrets.toml") for file in config.get_config_files(name)]
    taken = None if sign_in is None else str(sign_in.file)
    return [file for file in dict.fromkeys(files) if os.path.lexists(file) and os.path.realpath(file) != taken]


def main() -> None:
    """Serve the workspace until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--address", required=True)
    parser.add_argument("--sign-in", type=Path)
    parser.add_argument("--shared", action="store_true")
    parser.add_argument("workspace")
    options = parser.parse_args()
    aside = sorted(name for name in os.environ if name.startswith("STREAMLIT_"))
    for name in aside:
        del os.environ[name]
    sign_in = None if options.sign_in is None else read_sign_in(options.sign_in, port=options.port)
    check_reach(options.address, sign_in, shared=options.shared)
    aside += configure(address=options.address, port=options.port, sign_in=sign_in)
    if aside:
        _tell(f"the review screen has its own settings and leaves aside {', '.join(aside)}")

    from streamlit.starlette import App
    from streamlit.web.server.starlette import UvicornRunner

    from apps.review.routes import ROUTES

    os.environ["FERCLEAN_WORKSPACE"] = options.workspace
    if sign_in is None:
        guard = Guard(App(SCRIPT, routes=ROUTES), hosts=own_hosts(options.address, options.port))
    else:
        guard = _behind_sign_in(App(SCRIPT, routes=ROUTES, secrets={"auth": dict(sign_in.settings)}), sign_in)
    with contextlib.suppress(KeyboardInterrupt):  # how uvicorn says that it has ended as asked
        UvicornRunner(guard).run()


def _behind_sign_in(app: Any, sign_in: SignIn) -> Guard:
    from apps.review import signed_in

    signed_in.require(sign_in)
    who = ", ".join(sign_in.allow) or f"everyone whom {sign_in.provider} lets in"
    _tell(f"{sign_in.origin} lets in who signs in at {sign_in.provider}, as {sign_in.file} says: {who}")
    scheme, host = urlsplit(sign_in.origin)[:2]
    return Guard(signed_in.Entrance(app, sign_in), hosts=[host], scheme=scheme)


def _tell(line: str) -> None:
    print(printable(f"ferclean: {line}"), file=sys.stderr)


if __name__ == "__main__":
    main()
