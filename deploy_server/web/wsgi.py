"""The application for a WSGI server that somebody else runs, such as gunicorn behind nginx.

    DEPLOY_SERVER_DATA=/var/lib/deploy-server gunicorn 'deploy_server.web.wsgi:application()'

DEPLOY_SERVER_SCHEME=http makes the application of the plain port; without it, it is the one that
the proxy offers over HTTPS. `deploy-server run` needs none of this.
"""

import os

from flask import Flask

from deploy_server.config import ConfigError, data_dir
from deploy_server.services.backup import load_settled
from deploy_server.web.app import create_app
from deploy_server.web.services import Scheme

_SCHEMES: dict[str, Scheme] = {"http": "http", "https": "https"}


def application() -> Flask:
    """The application that the environment describes."""
    config = load_settled(data_dir()).in_use()
    name = os.environ.get("DEPLOY_SERVER_SCHEME", "https")
    if name not in _SCHEMES:
        raise ConfigError(f"DEPLOY_SERVER_SCHEME is {name!r}", "Give http or https")
    return create_app(config, faces=config.faces, scheme=_SCHEMES[name])
